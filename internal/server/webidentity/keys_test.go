package webidentity_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

func TestRotation(t *testing.T) {
	b := newBench(t)
	old := b.issuer.Key()
	b.accepted(b.issuer.Token(b.claims(nil)))
	b.issuer.Rotate(jose.ES256)
	b.refused("a new key within the pause", "InvalidIdentityToken", b.issuer.Token(b.claims(nil)))
	b.advance(time.Minute)
	b.accepted(b.issuer.Token(b.claims(nil)))
	b.accepted(issuertest.Sign(old, b.claims(nil), nil)) // still published
	b.issuer.Publish()
	b.accepted(issuertest.Sign(old, b.claims(nil), nil))
	b.advance(time.Hour)
	b.refused("a key that was withdrawn an hour ago", "InvalidIdentityToken", issuertest.Sign(old, b.claims(nil), nil))
}

// Whoever invents kids does not make us ask more than once a minute, and whoever
// comes at once waits for one fetch.
func TestVerify_UnknownKeyFlood(t *testing.T) {
	b := newBench(t)
	stranger := b.issuer.NewKey(jose.ES256)
	good := b.issuer.Token(b.claims(nil))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := b.verify(good); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := b.issuer.Asked(); n != 1 {
		t.Errorf("20 tokens at once asked %d times for the keys", n)
	}
	for minute := range 3 {
		for i := range 20 {
			stranger.ID = fmt.Sprintf("stranger-%d-%d", minute, i)
			b.refused("an invented kid", "InvalidIdentityToken", issuertest.Sign(stranger, b.claims(nil), nil))
		}
		if n := b.issuer.Asked(); n != 1+minute {
			t.Errorf("in minute %d the keys were asked for %d times", minute, n)
		}
		b.advance(time.Minute)
	}
}

func TestVerify_BrokenIssuers(t *testing.T) {
	b := newBench(t)
	document := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}
	discovery := `{"issuer":"` + b.issuer.URL + `","jwks_uri":"` + b.issuer.URL + `/jwks"}`
	keys := func(jwks string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jwks" {
				document(w, jwks)
				return
			}
			document(w, discovery)
		}
	}
	many := `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{},`, 101), ",") + `]}`
	for _, c := range []struct {
		name, says string
		answer     http.HandlerFunc
	}{
		{"500", "answer", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "a secret", http.StatusInternalServerError)
		}},
		{"no JSON", "answer", func(w http.ResponseWriter, _ *http.Request) { document(w, "<html>") }},
		{"another issuer", "another issuer", func(w http.ResponseWriter, _ *http.Request) {
			document(w, `{"issuer":"https://issuer.example","jwks_uri":"`+b.issuer.URL+`/jwks"}`)
		}},
		{"no keys", "404", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jwks" {
				http.NotFound(w, r)
				return
			}
			document(w, discovery)
		}},
		{"keys that are not JSON", "answer", keys("hello")},
		{"too many keys", "answer", keys(many)},
		{"too large", "too large", keys(`{"keys":[],"padding":"` + strings.Repeat("x", 2<<20) + `"}`)},
		{"keys elsewhere", "fetches from", func(w http.ResponseWriter, _ *http.Request) {
			document(w, `{"issuer":"`+b.issuer.URL+`","jwks_uri":"http://169.254.169.254/latest/meta-data"}`)
		}},
		{"a file", "fetches from", func(w http.ResponseWriter, _ *http.Request) {
			document(w, `{"issuer":"`+b.issuer.URL+`","jwks_uri":"file:///etc/passwd"}`)
		}},
		{"a redirect inside", "fetches from", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
		}},
		{"a redirect without end", "fetches from", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}},
	} {
		b.issuer.Answer(c.answer)
		b.advance(2 * time.Hour)
		_, err := b.verify(b.issuer.Token(b.claims(nil)))
		if !fault.Is(err, "IDPCommunicationError") || !strings.Contains(fault.From(err).Message, c.says) {
			t.Errorf("%s: %v, want IDPCommunicationError that says %q", c.name, err, c.says)
		}
		if err != nil && strings.Contains(fault.From(err).Message, "secret") {
			t.Errorf("%s: the answer of the other side is shown: %v", c.name, err)
		}
	}
	// A failure is remembered for some seconds, and then asked about again.
	b.issuer.Answer(nil)
	if _, err := b.verify(b.issuer.Token(b.claims(nil))); !fault.Is(err, "IDPCommunicationError") {
		t.Errorf("right after a failure: %v", err)
	}
	b.advance(5 * time.Second)
	b.accepted(b.issuer.Token(b.claims(nil)))
}

// Whoever waits for a slow issuer can leave, and the fetch ends by itself.
func TestVerify_SlowIssuer(t *testing.T) {
	b := newBench(t)
	released := make(chan struct{})
	var once sync.Once
	ctx, cancel := context.WithCancel(t.Context())
	b.issuer.Answer(func(w http.ResponseWriter, r *http.Request) {
		once.Do(cancel)
		<-released
		http.NotFound(w, r)
	})
	_, err := b.Verify(ctx, b.issuer.Token(b.claims(nil)), b.find)
	if err == nil || fault.Is(err, "IDPCommunicationError") {
		t.Errorf("a client that left is answered %v", err)
	}
	close(released)
}

func TestVerify_TLS(t *testing.T) {
	i := issuertest.StartTLS()
	defer i.Close()
	pool := x509.NewCertPool()
	pool.AddCert(i.Server().Certificate())
	find := func(iss string) (webidentity.Provider, bool) {
		return webidentity.Provider{Issuer: i.URL, ClientIDs: []string{audience}}, iss == i.URL
	}
	token := i.Token(i.Claims(time.Now(), subject, audience, nil))
	for name, c := range map[string]struct {
		authorities *x509.CertPool
		want        bool
	}{"trusted": {pool, true}, "of an authority that nobody knows": {nil, false}} {
		v := webidentity.New(webidentity.Config{Upstream: egress.New(egress.Config{LoopbackHTTP: true, Authorities: c.authorities}), Now: time.Now})
		_, err := v.Verify(t.Context(), token, find)
		if (err == nil) != c.want || err != nil && !fault.Is(err, "IDPCommunicationError") {
			t.Errorf("a certificate that is %s: %v", name, err)
		}
	}
}

func TestCheckIssuer(t *testing.T) {
	strict := webidentity.New(webidentity.Config{Upstream: egress.New(egress.Config{}), Now: time.Now})
	loose := webidentity.New(webidentity.Config{Upstream: egress.New(egress.Config{LoopbackHTTP: true}), Now: time.Now})
	for issuer, want := range map[string]string{ // who takes it
		"https://token.actions.githubusercontent.com":                     "both",
		"https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF": "both",
		"https://tenant.issuer.example/":                                  "both",
		"https://issuer.example:8443/realms/a":                            "both",
		"http://127.0.0.1:4000":                                           "loose",
		"https://localhost":                                               "loose",
		"http://issuer.example":                                           "none",
		"https://issuer":                                                  "none",
		"https://aws":                                                     "none",
		"https://10.0.0.1":                                                "none",
		"https://169.254.169.254/latest":                                  "none",
		"https://issuer.example?x=1":                                      "none",
		"https://issuer.example/#a":                                       "none",
		"https://user@issuer.example":                                     "none",
		"https://ISSUER.example":                                          "none",
		"https://issuer.example/*":                                        "none",
		"https://issuer.example/a b":                                      "none",
		"ftp://issuer.example":                                            "none",
		"issuer.example":                                                  "none",
		"":                                                                "none",
		"https://issuer.example/" + strings.Repeat("a", 255):              "none",
	} {
		got := "none"
		switch s, l := strict.CheckIssuer(issuer), loose.CheckIssuer(issuer); {
		case s == nil && l == nil:
			got = "both"
		case l == nil:
			got = "loose"
		case !fault.Is(l, "InvalidInput"):
			t.Errorf("%s: %v", issuer, l)
		}
		if got != want {
			t.Errorf("%s is taken by %s, want %s", issuer, got, want)
		}
	}
}
