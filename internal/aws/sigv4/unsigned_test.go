package sigv4_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
)

const (
	tokenTarget  = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
	deleteTarget = "AmazonEC2ContainerRegistry_V20150921.DeleteRegistryPolicy"
)

// A signedText is a request as a client sends it, and the text that it signs. In
// both, {sha256} is the hash of the body. sent has {signature} once.
type signedText struct{ sent, signed string }

// request signs as the client does, and reads the request as a server does. It
// uses nothing of the package under test.
func (s signedText) request(t testing.TB) (*http.Request, []byte) {
	t.Helper()
	head, body, ok := strings.Cut(s.sent, "\n\n")
	if !ok {
		t.Fatal("the request has no empty line after its headers")
	}
	expand := func(text string) string { return strings.ReplaceAll(text, "{sha256}", hexSHA256([]byte(body))) }
	key := []byte("AWS4" + vectorSecret)
	scope := credentialScope(t, head)
	for part := range strings.SplitSeq(scope, "/") {
		key = hmacSHA256(key, part)
	}
	signature := hex.EncodeToString(hmacSHA256(key, "AWS4-HMAC-SHA256\n20260314T120000Z\n"+scope+"\n"+hexSHA256([]byte(expand(s.signed)))))
	head = strings.ReplaceAll(strings.Replace(expand(head), "{signature}", signature, 1), "\n", "\r\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n" + body)))
	if err != nil {
		t.Fatal(err)
	}
	return r, []byte(body)
}

// credentialScope returns DATE/REGION/SERVICE/aws4_request of a request.
func credentialScope(t testing.TB, head string) string {
	t.Helper()
	_, credential, _ := strings.Cut(head, "Credential="+keyID+"/")
	end := strings.Index(credential, "aws4_request")
	if end < 0 {
		t.Fatal("the request has no Credential of the test's key")
	}
	return credential[:end] + "aws4_request"
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// unsignedTarget is a request whose signature covers neither X-Amz-Target nor
// X-Amz-Content-Sha256, with headers as the case has them.
func unsignedTarget(headers string) signedText {
	return signedText{
		sent: `POST / HTTP/1.1
Host: registry.example
Content-Length: 2
Content-Type: application/x-amz-json-1.1
X-Amz-Date: 20260314T120000Z
` + headers + `Authorization: AWS4-HMAC-SHA256 Credential=` + keyID + `/20260314/us-east-1/ecr/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature={signature}

{}`,
		signed: `POST
/

content-type:application/x-amz-json-1.1
host:registry.example
x-amz-date:20260314T120000Z

content-type;host;x-amz-date
{sha256}`,
	}
}

const accepted sigv4.Reason = 0 // in place of the reason of a refusal

// checkVerify verifies a request, and fails unless it is accepted, or refused
// for the reason.
func checkVerify(t *testing.T, want sigv4.Reason, v *sigv4.Verifier, s signedText, channel sigv4.Channel, service string) {
	t.Helper()
	r, body := s.request(t)
	_, err := v.Verify(r, channel, service, body, knownSecret)
	if want == accepted {
		if err != nil {
			t.Errorf("channel %d: %v", channel, err)
		}
		return
	}
	checkReason(t, want, err)
}

func TestVerify_UnsignedTargetAndHash(t *testing.T) {
	for _, c := range []struct {
		description     string
		headers         string
		protected, open sigv4.Reason
	}{
		{"neither header", "", accepted, accepted},
		{"the target", "X-Amz-Target: " + tokenTarget + "\n", accepted, sigv4.Incomplete},
		{"the hash", "X-Amz-Content-Sha256: {sha256}\n", accepted, accepted},
		{"both", "X-Amz-Target: " + tokenTarget + "\nX-Amz-Content-Sha256: {sha256}\n", accepted, sigv4.Incomplete},
		{"the target, in lower case", "x-amz-target: " + tokenTarget + "\n", accepted, sigv4.Incomplete},
		{"the target twice", "X-Amz-Target: " + tokenTarget + "\nX-Amz-Target: " + deleteTarget + "\n", sigv4.Incomplete, sigv4.Incomplete},
		{"the target twice, in two spellings", "X-Amz-Target: " + tokenTarget + "\nx-amz-target: " + tokenTarget + "\n", sigv4.Incomplete, sigv4.Incomplete},
		{"an empty target", "X-Amz-Target:\n", sigv4.Incomplete, sigv4.Incomplete},
		{"a target of spaces", "X-Amz-Target:   \n", sigv4.Incomplete, sigv4.Incomplete},
		{"the hash of another body", "X-Amz-Content-Sha256: " + hexSHA256([]byte("[]")) + "\n", sigv4.BodyMismatch, sigv4.BodyMismatch},
		{"the hash twice", "X-Amz-Content-Sha256: {sha256}\nX-Amz-Content-Sha256: {sha256}\n", sigv4.Incomplete, sigv4.Incomplete},
		{"an empty hash", "X-Amz-Content-Sha256:\n", sigv4.Incomplete, sigv4.Incomplete},
		{"a folded hash", "X-Amz-Content-Sha256: {sha256}\n {sha256}\n", sigv4.Incomplete, sigv4.Incomplete},
		{"an unsigned payload", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\n", sigv4.Unsupported, sigv4.Unsupported},
		{"a streaming payload", "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n", sigv4.Unsupported, sigv4.Unsupported},
		{"the user agent", "X-Amz-User-Agent: aws-sdk-dotnet\n", accepted, accepted},
		{"a session token", "X-Amz-Security-Token: ghst_AAAA\n", sigv4.Incomplete, sigv4.Incomplete},
		{"another x-amz header", "X-Amz-Acl: public\n", sigv4.Incomplete, sigv4.Incomplete},
		{"another x-amz header beside the target", "X-Amz-Target: " + tokenTarget + "\nX-Amz-Zone: z\n", sigv4.Incomplete, sigv4.Incomplete},
	} {
		t.Run(c.description, func(t *testing.T) {
			v := sigv4.New(sigv4.Config{Now: clockAt(noon)})
			checkVerify(t, c.protected, v, unsignedTarget(c.headers), sigv4.Protected, "ecr")
			checkVerify(t, c.open, v, unsignedTarget(c.headers), sigv4.Open, "ecr")
		})
	}
}

// A body that is read later has the hash of X-Amz-Content-Sha256, which is what
// the signature covers, whether or not the header itself is signed.
func TestVerify_UnsignedHashOfStreamedBody(t *testing.T) {
	v := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	r, _ := unsignedTarget("X-Amz-Content-Sha256: {sha256}\n").request(t)
	if _, err := v.Verify(r, sigv4.Open, "ecr", nil, knownSecret); err != nil {
		t.Error(err)
	}
	r, _ = unsignedTarget("X-Amz-Content-Sha256: " + hexSHA256([]byte("[]")) + "\n").request(t)
	_, err := v.Verify(r, sigv4.Protected, "ecr", nil, knownSecret)
	checkReason(t, sigv4.SignatureMismatch, err)
}

func TestVerify_UnsignedTargetSetting(t *testing.T) {
	target := unsignedTarget("X-Amz-Target: " + tokenTarget + "\n")
	for text, want := range map[string]struct{ protected, open sigv4.Reason }{
		"protected": {accepted, sigv4.Incomplete},
		"never":     {sigv4.Incomplete, sigv4.Incomplete},
		"always":    {accepted, accepted},
	} {
		setting, err := sigv4.ParseUnsignedTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		v := sigv4.New(sigv4.Config{Now: clockAt(noon), UnsignedTarget: setting})
		checkVerify(t, want.protected, v, target, sigv4.Protected, "ecr")
		checkVerify(t, want.open, v, target, sigv4.Open, "ecr")
		checkVerify(t, accepted, v, unsignedTarget("X-Amz-Content-Sha256: {sha256}\n"), sigv4.Open, "ecr")
		checkVerify(t, sigv4.Incomplete, v, unsignedTarget("X-Amz-Security-Token: ghst_AAAA\n"), sigv4.Protected, "ecr")
	}
	for _, text := range []string{"", "Always", "yes", "protected "} {
		if setting, err := sigv4.ParseUnsignedTarget(text); err == nil || setting != sigv4.UnsignedTargetNever {
			t.Errorf("%q: %v, %v", text, setting, err)
		}
	}
}

// The message says what is wrong with the connection, since the same client
// works over https.
func TestVerify_UnsignedTargetMessage(t *testing.T) {
	target := unsignedTarget("X-Amz-Target: " + tokenTarget + "\n")
	for want, c := range map[string]sigv4.Config{
		"plain HTTP from another machine": {Now: clockAt(noon)},
		"no request with an unsigned":     {Now: clockAt(noon), UnsignedTarget: sigv4.UnsignedTargetNever},
	} {
		r, body := target.request(t)
		_, err := sigv4.New(c).Verify(r, sigv4.Open, "ecr", body, knownSecret)
		if err == nil || !strings.Contains(err.Error(), "x-amz-target must be signed") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The order of a map decides nothing: the error names the same header each time.
func TestVerify_UnsignedHeadersNamedInOrder(t *testing.T) {
	v := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	for range 50 {
		r, body := unsignedTarget("X-Amz-Zone: z\nX-Amz-Target: " + tokenTarget + "\nX-Amz-Security-Token: t\nX-Amz-Meta-A: a\nX-Amz-Meta-B: b\n").request(t)
		if _, err := v.Verify(r, sigv4.Open, "ecr", body, knownSecret); err == nil || !strings.Contains(err.Error(), "The header x-amz-meta-a must be signed") {
			t.Fatal(err)
		}
	}
}

// A target that is signed cannot be swapped, taken away or said twice, on any
// channel and with any setting.
func TestVerify_SignedTargetCannotBeChanged(t *testing.T) {
	for _, setting := range []sigv4.UnsignedTarget{sigv4.UnsignedTargetIfProtected, sigv4.UnsignedTargetNever, sigv4.UnsignedTargetAlways} {
		v := sigv4.New(sigv4.Config{Now: clockAt(noon), UnsignedTarget: setting})
		for change, edit := range map[string]func(http.Header){
			"swapped": func(h http.Header) { h.Set("X-Amz-Target", deleteTarget) },
			"removed": func(h http.Header) { h.Del("X-Amz-Target") },
			"doubled": func(h http.Header) { h.Add("X-Amz-Target", deleteTarget) },
			"emptied": func(h http.Header) { h.Set("X-Amz-Target", "") },
			"taken out of the signed headers": func(h http.Header) {
				h.Set("Authorization", strings.Replace(h.Get("Authorization"), ";x-amz-target", "", 1))
			},
		} {
			body := []byte("{}")
			r := post(t, "http://registry.example/", body)
			r.Header.Set("X-Amz-Target", tokenTarget)
			r = sign(t, r, vectorSecret, body, noon)
			edit(r.Header)
			for _, channel := range []sigv4.Channel{sigv4.Open, sigv4.Protected} {
				if _, err := v.Verify(r, channel, "ecr", body, knownSecret); err == nil {
					t.Errorf("%s, setting %d, channel %d: accepted", change, setting, channel)
				}
			}
		}
	}
}
