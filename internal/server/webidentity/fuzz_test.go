package webidentity_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// FuzzVerify looks for a token that passes and was not signed by the issuer.
func FuzzVerify(f *testing.F) {
	b := newBench(f)
	good := b.issuer.Token(b.claims(nil))
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".")
	f.Add(`{"payload":"` + parts[1] + `","signatures":[]}`)
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := b.Verify(t.Context(), token, b.find)
		if err == nil && token != good {
			// The same signature in another spelling of base64 would be the same token.
			if got := strings.Split(token, "."); got[0] != parts[0] || got[1] != parts[1] {
				t.Fatalf("%q proves %+v", token, id)
			}
		}
		if err != nil && token == good {
			t.Fatal(err)
		}
		if f := fault.From(err); err != nil && f.Kind == fault.Internal {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

// FuzzClaims gives the issuer's signature to any payload.
func FuzzClaims(f *testing.F) {
	b := newBench(f)
	key := b.issuer.Rotate(jose.ES256)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.Algorithm, Key: key.Private}, (&jose.SignerOptions{}).WithHeader("kid", key.ID))
	if err != nil {
		f.Fatal(err)
	}
	good, _ := json.Marshal(b.claims(map[string]any{"azp": audience, "amr": []string{"a"}}))
	f.Add(string(good))
	f.Add(strings.Replace(string(good), "{", `{"https://aws.amazon.com/tags":{"principal_tags":{"a":["b"]},"transitive_tag_keys":["a"]},`, 1))
	f.Add(`{"iss":"` + b.issuer.URL + `","exp":1e400}`)
	f.Fuzz(func(t *testing.T, payload string) {
		jws, err := signer.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		id, err := b.Verify(t.Context(), token, b.find)
		if err != nil {
			if fault.From(err).Kind == fault.Internal {
				t.Fatalf("%q: %v", payload, err)
			}
			return
		}
		if id.Subject == "" || id.Issuer != b.issuer.URL || (id.Audience != audience && id.Audience != "other") || len(id.Claims["sub"]) != 1 || id.Claims["sub"][0] != id.Subject {
			t.Fatalf("%q proves %+v", payload, id)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	bench := newBench(b)
	token := bench.issuer.Token(bench.claims(nil))
	bench.accepted(token)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bench.verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
