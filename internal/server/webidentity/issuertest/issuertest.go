// Package issuertest is an OpenID Connect issuer for tests: a real one, with
// discovery, a JWKS and keys that rotate, on the loopback interface.
package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An Issuer signs tokens and publishes its keys. Its URL is its name.
type Issuer struct {
	URL string

	server *httptest.Server

	mu         sync.Mutex
	published  []jose.JSONWebKey
	current    Key
	serial     int
	algorithms []string
	answer     http.HandlerFunc
	asked      int
	job        string // the subject of tokens for jobs
}

// A Key signs tokens.
type Key struct {
	ID        string
	Algorithm jose.SignatureAlgorithm
	Private   crypto.Signer
}

// Start returns an issuer with an RSA key, which serves HTTP. Close it.
func Start() *Issuer { return start(httptest.NewServer) }

// StartTLS is Start over HTTPS, with a certificate of httptest's authority.
func StartTLS() *Issuer { return start(httptest.NewTLSServer) }

func start(serve func(http.Handler) *httptest.Server) *Issuer {
	i := &Issuer{algorithms: []string{"RS256", "ES256", "HS256", "none"}}
	i.server = serve(i)
	i.URL = i.server.URL
	i.Rotate(jose.RS256)
	return i
}

// Close ends the issuer.
func (i *Issuer) Close() { i.server.Close() }

// Server is what the issuer listens with.
func (i *Issuer) Server() *httptest.Server { return i.server }

// NewKey returns a key that the issuer does not publish.
func (i *Issuer) NewKey(a jose.SignatureAlgorithm) Key {
	i.mu.Lock()
	i.serial++
	k := Key{ID: fmt.Sprintf("key-%d", i.serial), Algorithm: a}
	i.mu.Unlock()
	var err error
	switch a {
	case jose.ES256:
		k.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		k.Private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		k.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic(err)
	}
	return k
}

// Rotate publishes a new key, beside the old ones, and signs with it from now on.
func (i *Issuer) Rotate(a jose.SignatureAlgorithm) Key {
	k := i.NewKey(a)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.current = k
	i.published = append(i.published, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: string(a), Use: "sig"})
	return k
}

// Key is the key that signs.
func (i *Issuer) Key() Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.current
}

// Publish replaces what the JWKS has.
func (i *Issuer) Publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = keys
}

// Answer lets fn answer every request; nil is the issuer itself again.
func (i *Issuer) Answer(fn http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = fn
}

// Asked is how often the JWKS was asked for.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// Job makes the issuer the CI system of a job with the subject, and returns what GitHub
// tells its jobs: the address at which the job gets a token for the audience in the query,
// and the secret that it must send.
func (i *Issuer) Job(subject string) (address, secret string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.job = subject
	return i.URL + "/job?api-version=2.0", jobSecret
}

const jobSecret = "job-secret"

// serveJob answers a job that asks for a token.
func (i *Issuer) serveJob(w http.ResponseWriter, r *http.Request, subject string) {
	audience := r.URL.Query().Get("audience")
	if !strings.EqualFold(r.Header.Get("Authorization"), "Bearer "+jobSecret) || subject == "" || audience == "" {
		http.Error(w, "not a job", http.StatusForbidden)
		return
	}
	write(w, map[string]any{"value": i.Token(i.Claims(time.Now(), subject, audience, map[string]any{"jti": rand.Text()}))})
}

// ServeHTTP answers for the two documents of an issuer, and for the CI system.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	answer, keys, job := i.answer, i.published, i.job
	if r.URL.Path == "/jwks" {
		i.asked++
	}
	i.mu.Unlock()
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		write(w, map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/jwks", "id_token_signing_alg_values_supported": i.algorithms,
			"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		})
	case r.URL.Path == "/job":
		i.serveJob(w, r, job)
	case r.URL.Path == "/jwks":
		write(w, jose.JSONWebKeySet{Keys: keys})
	default:
		http.NotFound(w, r)
	}
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

// Claims are the claims of a token of the issuer for an audience, valid from
// now on for five minutes, with the changes; nil takes a claim away.
func (i *Issuer) Claims(now time.Time, subject, audience string, changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "sub": subject, "aud": audience,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	return claims
}

// Token is a token with the claims, signed by the current key.
func (i *Issuer) Token(claims map[string]any) string { return Sign(i.Key(), claims, nil) }

// Sign signs claims with a key. headers are added to the token's own.
func Sign(k Key, claims, headers map[string]any) string {
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.ID)
	for name, value := range headers {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.Algorithm, Key: k.Private}, options)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}
