package webidentity_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

// rs256 signs a header and a payload as they are written, whatever they are.
func rs256(t *testing.T, k issuertest.Key, header, payload string) string {
	t.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.Private.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A kid is compared and nothing else: it is not a path, no query, no pattern, and no
// address of anything.
func TestVerify_KeyID(t *testing.T) {
	b := newBench(t)
	key := b.issuer.Key()
	b.accepted(rs256(t, key, text(t, map[string]any{"alg": "RS256", "kid": key.ID}), text(t, b.claims(nil))))
	for _, kid := range []any{
		"../../../../dev/null", "/etc/passwd", "file:///dev/null", "http://169.254.169.254/", b.issuer.URL + "/jwks",
		"' OR '1'='1", "key-1'; DROP TABLE iam_entity; --", "*", "key-*", "key-?", "%", "key_1",
		" " + key.ID, key.ID + " ", key.ID + "\x00", strings.ToUpper(key.ID), "./" + key.ID, key.ID + "#", "0", strings.Repeat("k", 10_000),
		0, true,
		[]string{key.ID},
		map[string]string{"kid": key.ID},
	} {
		b.refused(fmt.Sprintf("kid %.40v", kid), "InvalidIdentityToken", rs256(t, key, text(t, map[string]any{"alg": "RS256", "kid": kid}), text(t, b.claims(nil))))
	}
}

// Even the issuer's own signature proves nothing under a header that can be read
// in two ways, or brings keys of its own.
func TestVerify_RefusedHeaders(t *testing.T) {
	b := newBench(t)
	key := b.issuer.Key()
	mine := b.issuer.NewKey(jose.RS256)
	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: b.now().Add(time.Hour)},
		&x509.Certificate{SerialNumber: big.NewInt(1)}, mine.Private.Public(), mine.Private)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := issuertest.Start()
	defer elsewhere.Close()
	claims := text(t, b.claims(nil))
	id := fmt.Sprintf(`"kid":%q`, key.ID)
	for name, c := range map[string]struct {
		signer issuertest.Key
		header string
	}{
		"two algorithms":             {key, `{"alg":"none","alg":"RS256",` + id + `}`},
		"two algorithms, reversed":   {key, `{"alg":"RS256",` + id + `,"alg":"none"}`},
		"two kids":                   {key, `{"alg":"RS256","kid":"x",` + id + `}`},
		"an algorithm in capitals":   {key, `{"ALG":"RS256",` + id + `}`},
		"an unencoded payload":       {key, `{"alg":"RS256",` + id + `,"b64":false,"crit":["b64"]}`},
		"a critical member unknown":  {key, `{"alg":"RS256",` + id + `,"crit":["gatehouse"],"gatehouse":1}`},
		"no object":                  {key, `["RS256"]`},
		"nothing":                    {key, `null`},
		"two objects":                {key, `{"alg":"RS256",` + id + `}{}`},
		"an embedded certificate":    {mine, `{"alg":"RS256",` + id + `,"x5c":["` + base64.StdEncoding.EncodeToString(certificate) + `"]}`},
		"an embedded certificate, 2": {mine, `{"alg":"RS256","x5c":["` + base64.StdEncoding.EncodeToString(certificate) + `"]}`},
		"addresses of keys":          {mine, `{"alg":"RS256",` + id + `,"jku":"` + elsewhere.URL + `/jwks","x5u":"` + elsewhere.URL + `/x5u"}`},
		"the key itself":             {mine, `{"alg":"RS256",` + id + `,"jwk":` + text(t, jose.JSONWebKey{Key: mine.Private.Public()}) + `}`},
		"a private key":              {mine, `{"alg":"RS256",` + id + `,"jwk":` + text(t, jose.JSONWebKey{Key: mine.Private}) + `}`},
		"a secret as key":            {mine, `{"alg":"RS256",` + id + `,"jwk":{"kty":"oct","k":"c2VjcmV0"}}`},
	} {
		b.refused(name, "InvalidIdentityToken", rs256(t, c.signer, c.header, claims))
	}
	if n := elsewhere.Asked(); n > 0 {
		t.Errorf("addresses in headers were fetched from, %d times", n)
	}
}

// Nor does it under a payload that can be read in two ways.
func TestVerify_RefusedPayloads(t *testing.T) {
	b := newBench(t)
	key := b.issuer.Key()
	header := text(t, map[string]any{"alg": "RS256", "kid": key.ID})
	good := strings.TrimSuffix(text(t, b.claims(nil)), "}")
	b.accepted(rs256(t, key, header, good+"}"))
	for name, payload := range map[string]string{
		"the issuer twice":         good + `,"iss":"https://issuer.example"}`,
		"the issuer twice, equal":  good + `,"iss":"` + b.issuer.URL + `"}`,
		"the audience twice":       good + `,"aud":"else"}`,
		"the expiry twice":         good + `,"exp":4102444800}`,
		"the subject by an escape": good + `,"s\u0075b":"repo:acme/secret"}`,
		"tags twice":               good + `,"https://aws.amazon.com/tags":{"principal_tags":{"a":"1","a":"2"}}}`,
		"two objects":              good + `}{}`,
		"text after it":            good + `} x`,
		"no UTF-8":                 good + `,"x":"` + "\xff" + `"}`,
		"half a surrogate":         good + `,"x":"\ud800"}`,
		"a list":                   `[` + good + `}]`,
		"deep":                     good + `,"x":` + strings.Repeat("[", 15_000),
		"not a number":             good + `,"x":NaN}`,
	} {
		b.refused(name, "InvalidIdentityToken", rs256(t, key, header, payload))
	}
}

// An issuer is the one that it is called, to the letter.
func TestVerify_SimilarIssuers(t *testing.T) {
	b := newBench(t)
	host := strings.TrimPrefix(b.issuer.URL, "http://")
	for _, iss := range []any{
		b.issuer.URL + "/", b.issuer.URL + "//", b.issuer.URL + "/.", b.issuer.URL + "?", b.issuer.URL + "#", b.issuer.URL + "/x/..", " " + b.issuer.URL, b.issuer.URL + "\n",
		"https://" + host, "HTTP://" + host, "http://user@" + host, "http://user:password@" + host, "http://" + strings.Split(host, ":")[0], "http://" + host + "0",
		"http://LOCALHOST:" + strings.Split(host, ":")[1], "http://" + strings.Replace(host, ".", "%2e", 1), "http://" + strings.Replace(host, ":", ".:", 1),
		"//" + host, host, b.issuer.URL + "\x00", b.issuer.URL + "\u200b",
		[]string{b.issuer.URL},
		map[string]string{"iss": b.issuer.URL},
		"", nil, 7,
	} {
		b.refused(fmt.Sprintf("iss %q", iss), "InvalidIdentityToken", b.issuer.Token(b.claims(map[string]any{"iss": iss})))
	}
	if n := b.issuer.Asked(); n > 0 {
		t.Errorf("for issuers that nobody trusts the keys were fetched %d times", n)
	}
}

// Nothing that outsiders send makes the server ask an issuer often: not a
// thousand kids, nor a thousand tokens while the issuer fails.
func TestVerify_BoundedRefresh(t *testing.T) {
	b := newBench(t)
	stranger := b.issuer.NewKey(jose.ES256)
	b.accepted(b.issuer.Token(b.claims(nil)))
	flood := func(n int) {
		var all sync.WaitGroup
		for w := range 8 {
			all.Go(func() {
				for i := w; i < n; i += 8 {
					k := stranger
					k.ID = fmt.Sprint("stranger-", i)
					if _, err := b.verify(issuertest.Sign(k, b.claims(nil), nil)); err == nil {
						t.Error("a stranger's token is accepted")
					}
				}
			})
		}
		all.Wait()
	}
	flood(1000)
	if n := b.issuer.Asked(); n != 1 {
		t.Errorf("a thousand kids asked %d times for the keys", n)
	}
	b.advance(time.Minute)
	flood(1000)
	if n := b.issuer.Asked(); n != 2 {
		t.Errorf("a minute later they asked %d times", n-1)
	}

	failures, mu := 0, sync.Mutex{}
	b.issuer.Answer(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		failures++
		http.Error(w, "no", http.StatusInternalServerError)
	})
	b.advance(time.Minute)
	flood(100)
	if failures != 1 {
		t.Errorf("an issuer that fails was asked %d times at once", failures)
	}
	// And the keys that are known stay good, whatever strangers make us find out.
	for range 3 {
		b.accepted(b.issuer.Token(b.claims(nil)))
		b.advance(time.Minute)
	}
}

// What a key can do is not what the issuer says that it does: only the algorithms
// that discovery lists count, of a key that names none itself.
func TestVerify_OtherAlgorithms(t *testing.T) {
	b := newBench(t) // which lists RS256, ES256, HS256 and none
	key := b.issuer.Key()
	b.issuer.Publish(jose.JSONWebKey{Key: key.Private.Public(), KeyID: key.ID})
	b.accepted(b.issuer.Token(b.claims(nil)))
	for _, a := range []jose.SignatureAlgorithm{jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512} {
		k := key
		k.Algorithm = a
		b.refused(string(a), "InvalidIdentityToken", issuertest.Sign(k, b.claims(nil), nil))
	}
}

// A discovery document leads to keys, or to nothing.
func TestVerify_BrokenDiscovery(t *testing.T) {
	b := newBench(t)
	for name, keys := range map[string]string{
		"none": ``, "an empty address": `,"jwks_uri":""`, "a relative one": `,"jwks_uri":"/jwks"`, "no text": `,"jwks_uri":["` + b.issuer.URL + `/jwks"]`,
		"the keys themselves": `,"jwks_uri":"data:application/json,{\"keys\":[]}"`, "another port's": `,"jwks_uri":"https://127.0.0.1:1/jwks"`,
		"an inner name": `,"jwks_uri":"https://metadata.internal/jwks"`, "with a password": `,"jwks_uri":"http://u:p@10.0.0.1/jwks"`,
	} {
		b.issuer.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"issuer":%q%s}`, b.issuer.URL, keys)
		})
		b.advance(2 * time.Hour)
		if _, err := b.verify(b.issuer.Token(b.claims(nil))); !fault.Is(err, "IDPCommunicationError") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// If discovery redirects, what is found there has to be the issuer's own.
func TestVerify_DiscoveryOfOtherIssuer(t *testing.T) {
	b := newBench(t)
	other := issuertest.Start()
	defer other.Close()
	b.issuer.Answer(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
	})
	for name, token := range map[string]string{
		"its own":         b.issuer.Token(b.claims(nil)),
		"the other one's": issuertest.Sign(other.Key(), b.claims(nil), nil),
	} {
		_, err := b.verify(token)
		if !fault.Is(err, "IDPCommunicationError") || !strings.Contains(fault.From(err).Message, "names another issuer") {
			t.Errorf("%s: %v", name, err)
		}
		b.advance(time.Minute)
	}
	if n := other.Asked(); n > 0 {
		t.Errorf("the keys of the other issuer were fetched %d times", n)
	}
}

// No claim has the key of another issuer, whose name may be longer by a port.
func TestVerify_ClaimOfOtherIssuer(t *testing.T) {
	b := newBench(t)
	id := b.accepted(b.issuer.Token(b.claims(map[string]any{"8443:sub": "repo:acme/secret", "https://acme.example/team": "red", "a:b": "c"})))
	if v, ok := id.Claims["8443:sub"]; ok {
		t.Errorf("the claim 8443:sub is a key: %v", v)
	}
	if fmt.Sprint(id.Claims["https://acme.example/team"], id.Claims["a:b"]) != "[red] [c]" {
		t.Errorf("claims with colons: %v", id.Claims)
	}
}
