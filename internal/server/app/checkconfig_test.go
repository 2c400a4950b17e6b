package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// writeCertificate writes a certificate that is valid for a day from notBefore, and its
// key.
func writeCertificate(t *testing.T, dir string, notBefore time.Time) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: notBefore, NotAfter: notBefore.Add(24 * time.Hour), DNSNames: []string{"gatehouse.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

func TestCheckConfig(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	certificate, key := writeCertificate(t, filepath.Join(dir, "good"), now)
	_, otherKey := writeCertificate(t, filepath.Join(dir, "other"), now)
	expired, expiredKey := writeCertificate(t, filepath.Join(dir, "expired"), now.Add(-48*time.Hour))
	early, earlyKey := writeCertificate(t, filepath.Join(dir, "early"), now.Add(time.Hour))
	for _, c := range []struct {
		text string
		want []string // LINE SETTING MESSAGE, of which this is the beginning
	}{
		{"region: us-east-1", nil},
		{"data: " + filepath.Join(dir, "none"), nil},
		{"data: " + certificate, []string{"1 data " + certificate + " is not a folder"}},
		{"listen: nowhere.invalid:80\ndebug_listen: 127.0.0.1:99999", []string{"1 listen lookup nowhere.invalid", `2 debug_listen "127.0.0.1:99999" is not HOST:PORT`}},
		{"tls:\n  certificate: " + certificate + "\n  key: " + key, nil},
		{"tls:\n  certificate: " + certificate + "\n  key: " + otherKey, []string{"2 tls.certificate tls: private key does not match"}},
		{"tls:\n  certificate: " + expired + "\n  key: " + expiredKey, []string{"2 tls.certificate " + expired + " expired at "}},
		{"tls:\n  certificate: " + early + "\n  key: " + earlyKey, []string{"2 tls.certificate " + early + " is not valid before "}},
		{"tls:\n  certificate: " + certificate + "\n  key: " + dir + "/none", []string{"3 tls.key open " + dir + "/none: no such file"}},
		{"oidc:\n  ca: " + dir + "/none", []string{"2 oidc.ca open " + dir + "/none: no such file"}},
		{"audit: " + dir + "/none/audit.jsonl", []string{"1 audit stat " + dir + "/none: no such file"}},
		{"region: mars\niam:\n  users:\n    alice: {groups: [a, a]}\n  policies:\n    push:\n      document: {Statement: 1}\n", []string{
			"1 region ", "4 iam.users.alice ", "7 iam.policies.push.document ",
		}},
	} {
		path := filepath.Join(t.TempDir(), "gatehouse.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := config.Default()
		if err := cfg.Read(path); err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		var got []string
		for _, p := range config.Problems(app.CheckConfig(cfg, now)) {
			got = append(got, fmt.Sprintf("%d %s %s", p.Line, p.Setting, p.Message))
		}
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s:\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}
