package webidentity_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

const (
	subject  = "repo:acme/app:ref:refs/heads/main"
	audience = "sts.amazonaws.com"
)

// A bench is a verifier with a clock, and one issuer that it trusts.
type bench struct {
	t testing.TB
	*webidentity.Verifier
	issuer *issuertest.Issuer
	offset atomic.Int64
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, issuer: issuertest.Start()}
	t.Cleanup(b.issuer.Close)
	b.Verifier = webidentity.New(webidentity.Config{Upstream: egress.New(egress.Config{LoopbackHTTP: true}), Now: b.now})
	return b
}

func (b *bench) now() time.Time          { return time.Now().Add(time.Duration(b.offset.Load())) }
func (b *bench) advance(d time.Duration) { b.offset.Add(int64(d)) }

// find knows the bench's issuer.
func (b *bench) find(issuer string) (webidentity.Provider, bool) {
	return webidentity.Provider{Issuer: b.issuer.URL, ClientIDs: []string{audience, "other"}}, issuer == b.issuer.URL
}

func (b *bench) verify(token string) (*webidentity.Identity, error) {
	return b.Verify(b.t.Context(), token, b.find)
}

// claims are those of a good token, with changes.
func (b *bench) claims(changes map[string]any) map[string]any {
	return b.issuer.Claims(b.now(), subject, audience, changes)
}

func (b *bench) accepted(token string) *webidentity.Identity {
	b.t.Helper()
	id, err := b.verify(token)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) refused(name, code, token string) {
	b.t.Helper()
	if id, err := b.verify(token); !fault.Is(err, code) {
		b.t.Errorf("%s: %v %v, want %s", name, id, err, code)
	}
}

func TestVerify(t *testing.T) {
	b := newBench(t)
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256} {
		b.issuer.Rotate(algorithm)
		b.advance(2 * time.Minute)
		id := b.accepted(b.issuer.Token(b.claims(map[string]any{
			"repository": "acme/app", "amr": []string{"pwd", "mfa"}, "count": 7, "Environment": "prod",
			"https://aws.amazon.com/tags": map[string]any{
				"principal_tags":      map[string]any{"Team": []string{"red"}, "Stage": "prod"},
				"transitive_tag_keys": []string{"Team"},
			},
			"https://aws.amazon.com/source_identity": "alice",
		})))
		if id.Subject != subject || id.Audience != audience || id.Issuer != b.issuer.URL || id.SourceIdentity != "alice" {
			t.Errorf("%s: %+v", algorithm, id)
		}
		if fmt.Sprint(id.Tags) != "map[Stage:prod Team:red]" || fmt.Sprint(id.TransitiveTagKeys) != "[Team]" {
			t.Errorf("%s: tags %v, transitive %v", algorithm, id.Tags, id.TransitiveTagKeys)
		}
		want := map[string]string{"sub": subject, "aud": audience, "repository": "acme/app", "amr": "pwd mfa", "environment": "prod"}
		for claim, value := range want {
			if got := strings.Join(id.Claims[claim], " "); got != value {
				t.Errorf("%s: the key %s is %q, want %q", algorithm, claim, got, value)
			}
		}
		if _, ok := id.Claims["count"]; ok {
			t.Error("a number is a condition key")
		}
	}
}

func TestVerify_FlatSessionTags(t *testing.T) {
	b := newBench(t)
	id := b.accepted(b.issuer.Token(b.claims(map[string]any{
		"https://aws.amazon.com/tags/principal_tags/Team": "red",
		"https://aws.amazon.com/tags/transitive_tag_keys": []string{"Team"},
	})))
	if fmt.Sprint(id.Tags, id.TransitiveTagKeys) != "map[Team:red] [Team]" {
		t.Error(id.Tags, id.TransitiveTagKeys)
	}
}

// Google's rule: azp is whom the token was issued to.
func TestVerify_AuthorizedParty(t *testing.T) {
	b := newBench(t)
	id := b.accepted(b.issuer.Token(b.claims(map[string]any{"azp": "other", "aud": "backend"})))
	if id.Audience != "other" || fmt.Sprint(id.Claims["aud"], id.Claims["oaud"]) != "[other] [backend]" {
		t.Errorf("%+v", id)
	}
	b.refused("a stranger's azp", "InvalidIdentityToken", b.issuer.Token(b.claims(map[string]any{"azp": "stranger"})))
	b.refused("an azp that is not a string", "InvalidIdentityToken", b.issuer.Token(b.claims(map[string]any{"azp": 7})))
	id = b.accepted(b.issuer.Token(b.claims(map[string]any{"aud": []string{"backend", audience}})))
	if id.Audience != audience || len(id.Claims["aud"]) != 2 {
		t.Errorf("%+v", id)
	}
}

// A claim cannot pass for another one whose name differs in case alone.
func TestVerify_ClaimCase(t *testing.T) {
	b := newBench(t)
	id := b.accepted(b.issuer.Token(b.claims(map[string]any{
		"Sub": "repo:acme/secret:ref:refs/heads/main", "AUD": "else", "OAUD": "else", "env": "test", "Env": "prod",
	})))
	if fmt.Sprint(id.Claims["sub"], id.Claims["aud"], id.Claims["oaud"]) != fmt.Sprint([]string{subject}, []string{audience}, []string(nil)) {
		t.Error(id.Claims)
	}
	if env := id.Claims["env"]; !slices.Contains(env, "test") || !slices.Contains(env, "prod") {
		t.Error("a condition on env sees", env)
	}
}

func TestVerify_RefusedClaims(t *testing.T) {
	b := newBench(t)
	at := func(d time.Duration) int64 { return b.now().Add(d).Unix() }
	for _, c := range []struct {
		name, code string
		changes    map[string]any
	}{
		{"another audience", "InvalidIdentityToken", map[string]any{"aud": "else"}},
		{"no audience", "InvalidIdentityToken", map[string]any{"aud": nil}},
		{"an empty list of audiences", "InvalidIdentityToken", map[string]any{"aud": []string{}}},
		{"an audience that is not a string", "InvalidIdentityToken", map[string]any{"aud": []any{audience, 7}}},
		{"another issuer", "InvalidIdentityToken", map[string]any{"iss": "https://issuer.example"}},
		{"an issuer with a slash more", "InvalidIdentityToken", map[string]any{"iss": b.issuer.URL + "/"}},
		{"an issuer in capitals", "InvalidIdentityToken", map[string]any{"iss": strings.ToUpper(b.issuer.URL)}},
		{"no issuer", "InvalidIdentityToken", map[string]any{"iss": nil}},
		{"an issuer that is not a string", "InvalidIdentityToken", map[string]any{"iss": []string{b.issuer.URL}}},
		{"no subject", "InvalidIdentityToken", map[string]any{"sub": nil}},
		{"an empty subject", "InvalidIdentityToken", map[string]any{"sub": ""}},
		{"a subject that is not a string", "InvalidIdentityToken", map[string]any{"sub": []string{subject}}},
		{"a subject with a line break", "InvalidIdentityToken", map[string]any{"sub": "a\nb"}},
		{"a long subject", "InvalidIdentityToken", map[string]any{"sub": strings.Repeat("a", 256)}},
		{"expired", "ExpiredWebIdentityToken", map[string]any{"exp": at(-2 * time.Minute)}},
		{"no expiry", "InvalidIdentityToken", map[string]any{"exp": nil}},
		{"an expiry that is text", "InvalidIdentityToken", map[string]any{"exp": "4102444800"}},
		{"an expiry beyond time", "InvalidIdentityToken", map[string]any{"exp": 1e300}},
		{"no time of issue", "InvalidIdentityToken", map[string]any{"iat": nil}},
		{"issued in the future", "IDPRejectedClaim", map[string]any{"iat": at(2 * time.Minute)}},
		{"not yet good", "IDPRejectedClaim", map[string]any{"nbf": at(2 * time.Minute)}},
		{"a tag with two values", "IDPRejectedClaim", map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"a": []string{"1", "2"}}}}},
		{"tags that are a text", "IDPRejectedClaim", map[string]any{"https://aws.amazon.com/tags": "a"}},
		{"a tag twice", "IDPRejectedClaim", map[string]any{
			"https://aws.amazon.com/tags":                  map[string]any{"principal_tags": map[string]any{"a": "1"}},
			"https://aws.amazon.com/tags/principal_tags/a": "2",
		}},
		{"a source identity that is a list", "IDPRejectedClaim", map[string]any{"https://aws.amazon.com/source_identity": []string{"a"}}},
	} {
		b.refused(c.name, c.code, b.issuer.Token(b.claims(c.changes)))
	}
	b.accepted(b.issuer.Token(b.claims(map[string]any{"exp": at(-30 * time.Second), "iat": at(30 * time.Second), "nbf": at(30 * time.Second)})))
}
