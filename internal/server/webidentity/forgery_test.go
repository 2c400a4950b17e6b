package webidentity_test

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

// raw joins a header and a payload with a signature over them.
func raw(header, payload any, sign func(input string) []byte) string {
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	input := encode(header) + "." + encode(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
}

func TestVerify_Forgeries(t *testing.T) {
	b := newBench(t)
	key := b.issuer.Key()
	good := b.issuer.Token(b.claims(nil))
	b.accepted(good)
	unsigned := func(string) []byte { return nil }
	public, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"DER": public, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"modulus": key.Private.Public().(*rsa.PublicKey).N.Bytes(),
	}
	for name, secret := range secrets {
		b.refused("the public key as secret, "+name, "InvalidIdentityToken", raw(map[string]any{"alg": "HS256", "kid": key.ID}, b.claims(nil), func(input string) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			return mac.Sum(nil)
		}))
	}
	for _, alg := range []any{"none", "None", "nOnE", "", nil, "RS256 ", 7, []string{"none"}} {
		b.refused(fmt.Sprintf("alg %v", alg), "InvalidIdentityToken", raw(map[string]any{"alg": alg, "kid": key.ID}, b.claims(nil), unsigned))
	}

	mine := b.issuer.NewKey(jose.RS256)
	mine.ID = key.ID
	b.refused("another key under the same kid", "InvalidIdentityToken", issuertest.Sign(mine, b.claims(nil), nil))
	jwk := jose.JSONWebKey{Key: mine.Private.Public(), KeyID: mine.ID, Algorithm: "RS256"}
	b.refused("an embedded jwk", "InvalidIdentityToken", issuertest.Sign(mine, b.claims(nil), map[string]any{"jwk": jwk}))
	elsewhere := issuertest.Start()
	defer elsewhere.Close()
	for _, header := range []string{"jku", "x5u"} {
		b.refused(header, "InvalidIdentityToken", issuertest.Sign(mine, b.claims(nil), map[string]any{header: elsewhere.URL + "/jwks"}))
	}
	if elsewhere.Asked() > 0 {
		t.Error("an address in the token's header was fetched")
	}
	theirs := elsewhere.Key()
	b.refused("another issuer's key and kid", "InvalidIdentityToken", issuertest.Sign(theirs, b.claims(nil), nil))
	theirs.ID = key.ID
	b.refused("another issuer's key under our kid", "InvalidIdentityToken", issuertest.Sign(theirs, b.claims(nil), nil))
	ec := b.issuer.NewKey(jose.ES256)
	ec.ID = key.ID
	b.refused("an EC signature for an RSA key", "InvalidIdentityToken", issuertest.Sign(ec, b.claims(nil), nil))
	ps := key
	ps.Algorithm = jose.PS256
	b.refused("an algorithm that discovery does not list", "InvalidIdentityToken", issuertest.Sign(ps, b.claims(nil), nil))
	b.refused("a critical header", "InvalidIdentityToken", issuertest.Sign(key, b.claims(nil), map[string]any{"crit": []string{"exp"}}))

	parts := strings.Split(good, ".")
	evil, _ := json.Marshal(b.claims(map[string]any{"sub": "repo:acme/secret"}))
	b.refused("another payload", "InvalidIdentityToken", parts[0]+"."+base64.RawURLEncoding.EncodeToString(evil)+"."+parts[2])
	b.refused("no signature", "InvalidIdentityToken", parts[0]+"."+parts[1]+".")
	b.refused("two parts", "InvalidIdentityToken", parts[0]+"."+parts[1])
	b.refused("JSON serialization", "InvalidIdentityToken", `{"payload":"`+parts[1]+`","protected":"`+parts[0]+`","signature":"`+parts[2]+`"}`)
	b.refused("a huge token", "InvalidIdentityToken", good+strings.Repeat("A", 20_000))
	b.refused("nothing", "InvalidIdentityToken", "")
	twice := strings.Replace(string(evil), `"sub"`, `"sub":"`+subject+`","sub"`, 1)
	jws := signRaw(t, key, twice)
	b.refused("a claim twice", "InvalidIdentityToken", jws)
	b.refused("a payload that is null", "InvalidIdentityToken", signRaw(t, key, "null"))
}

func signRaw(t *testing.T, k issuertest.Key, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.Algorithm, Key: k.Private}, (&jose.SignerOptions{}).WithHeader("kid", k.ID))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestVerify_KeysThatCannotSign(t *testing.T) {
	b := newBench(t)
	key := b.issuer.Key()
	for name, k := range map[string]jose.JSONWebKey{
		"for encryption":        {Key: key.Private.Public(), KeyID: key.ID, Use: "enc"},
		"for another algorithm": {Key: key.Private.Public(), KeyID: key.ID, Algorithm: "RS512"},
		"a private key":         {Key: key.Private, KeyID: key.ID},
		"a symmetric key":       {Key: []byte(strings.Repeat("k", 32)), KeyID: key.ID},
	} {
		b.issuer.Publish(k)
		b.advance(2 * time.Hour)
		b.refused(name, "InvalidIdentityToken", b.issuer.Token(b.claims(nil)))
	}
	// Without a kid the one key that fits is meant, and of two none.
	b.issuer.Publish(jose.JSONWebKey{Key: key.Private.Public()})
	nameless := key
	nameless.ID = ""
	b.advance(2 * time.Hour)
	b.accepted(issuertest.Sign(nameless, b.claims(nil), nil))
	b.issuer.Publish(jose.JSONWebKey{Key: key.Private.Public()}, jose.JSONWebKey{Key: b.issuer.NewKey(jose.RS256).Private.Public()})
	b.advance(2 * time.Hour)
	b.refused("of two keys the one that fits", "InvalidIdentityToken", issuertest.Sign(nameless, b.claims(nil), nil))
}
