package stsapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// The codes and the statuses with which STS, and IAM with it, refuse credentials
// (STS API Reference, "Common Errors").
func TestCredentials_ErrorStatus(t *testing.T) {
	f := federate(t)
	long := aws.Credentials{AccessKeyID: f.Admin.AccessKeyID, SecretAccessKey: f.Admin.Secret}
	wrong, unknown := long, long
	wrong.SecretAccessKey, unknown.AccessKeyID = strings.Repeat("x", 40), "AKIAAAAAAAAAAAAAAAAA"
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	out := f.assumedWeb(role, f.token(nil)).Credentials
	temporary := aws.Credentials{AccessKeyID: *out.AccessKeyId, SecretAccessKey: *out.SecretAccessKey, SessionToken: *out.SessionToken}
	f.Advance(2 * time.Hour)

	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	for name, c := range map[string]struct {
		keys   aws.Credentials
		at     time.Duration
		change func(*http.Request)
		status int
		code   string
	}{
		"good":                {long, 0, nil, 200, ""},
		"no signature":        {long, 0, func(r *http.Request) { r.Header.Del("Authorization") }, 403, "MissingAuthenticationToken"},
		"an unknown key":      {unknown, 0, nil, 403, "InvalidClientTokenId"},
		"a wrong secret":      {wrong, 0, nil, 403, "SignatureDoesNotMatch"},
		"a session that ends": {temporary, 0, nil, 403, "ExpiredToken"},
		"half a signature":    {long, 0, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x") }, 400, "IncompleteSignature"},
		"an old signature":    {long, -16 * time.Minute, nil, 400, "RequestExpired"},
		"one of the future":   {long, 16 * time.Minute, nil, 400, "RequestExpired"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), c.keys, r, hex.EncodeToString(sum[:]), "sts", iamtest.Region, f.Now().Add(c.at)); err != nil {
			t.Fatal(err)
		}
		if c.change != nil {
			c.change(r)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != c.status || !strings.Contains(string(text), "<Code>"+c.code+"</Code>") && c.code != "" {
			t.Errorf("%s: %d %s, want %d %s (%v)", name, res.StatusCode, text, c.status, c.code, err)
		}
	}
}
