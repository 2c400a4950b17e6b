package webidentity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

const (
	// keysFresh is how long keys are used before they are fetched again: so long
	// can a key outlive its withdrawal by the issuer.
	keysFresh = time.Hour
	// refreshPause is the least time between two fetches for the sake of a kid
	// that is not known: whoever invents kids makes us ask once a minute.
	refreshPause = time.Minute
	// failurePause is the least time between two fetches while an issuer fails.
	failurePause = 5 * time.Second
	// fetchLimit bounds the fetch of both documents.
	fetchLimit = 15 * time.Second
	// maxKeys bounds the keys of an issuer, and with it the work for one token.
	maxKeys = 100
	// maxSameID bounds the keys that are tried for one token.
	maxSameID = 4
	// RSA keys below are too weak, and those above too slow to verify.
	minRSABits, maxRSABits = 2048, 8192
)

// algorithms are all that a token can be signed with. RS256 every issuer may use
// (OpenID Connect Discovery 1.0, 3), the others the one that lists them.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
}

// An issuer is what is remembered of one.
type issuer struct {
	fetching singleflight.Group

	mu      sync.Mutex
	known   *keySet   // nil before the first success
	tried   time.Time // when the last fetch ended
	failure error     // of the last fetch; nil if it succeeded
}

// A keySet is what an issuer publishes. It is immutable.
type keySet struct {
	algorithms []jose.SignatureAlgorithm
	keys       []jose.JSONWebKey
	fetched    time.Time
}

// keys returns the keys that may have signed a token with the header: usually
// one, and none if the issuer has none. Fault: IDPCommunicationError.
func (v *Verifier) keys(ctx context.Context, iss string, h jose.Header) ([]jose.JSONWebKey, error) {
	is, ok := v.issuers.Get(iss)
	if !ok {
		is = new(issuer)
		if earlier, ok, _ := v.issuers.PeekOrAdd(iss, is); ok {
			is = earlier
		}
	}
	if keys, settled, err := is.lookup(h, v.now()); settled {
		return keys, err
	}
	// One fetch for all who wait, which goes on if the first of them leaves.
	done := is.fetching.DoChan("", func() (any, error) {
		if _, settled, _ := is.lookup(h, v.now()); settled {
			return nil, nil // a fetch ended between our look and this one
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchLimit)
		defer cancel()
		fetched, err := v.fetch(ctx, iss)
		is.note(fetched, err, v.now())
		return nil, nil
	})
	select {
	case <-done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	if is.failure != nil {
		return nil, is.failure
	}
	return is.known.candidates(h), nil
}

// lookup answers from memory; it is not settled if the issuer is to be asked.
func (i *issuer) lookup(h jose.Header, now time.Time) (keys []jose.JSONWebKey, settled bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known != nil && now.Sub(i.known.fetched) < keysFresh {
		if keys = i.known.candidates(h); len(keys) > 0 || now.Sub(i.tried) < refreshPause {
			return keys, true, nil
		}
	}
	if i.failure != nil && now.Sub(i.tried) < failurePause {
		return nil, true, i.failure
	}
	return nil, false, nil
}

// note takes over what a fetch brought.
func (i *issuer) note(fetched *keySet, err error, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tried, i.failure = now, err
	if err == nil {
		fetched.fetched = now
		i.known = fetched
	}
}

// fetch asks the issuer for its discovery document and its keys. Fault:
// IDPCommunicationError.
func (v *Verifier) fetch(ctx context.Context, iss string) (*keySet, error) {
	set, err := v.discover(ctx, iss)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "IDPCommunicationError", "The keys of %s could not be fetched: %s.", iss, reason(err))
	}
	return set, nil
}

func (v *Verifier) discover(ctx context.Context, iss string) (*keySet, error) {
	client, err := v.upstream.For(iss)
	if err != nil {
		return nil, err
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), iss)
	if err != nil {
		return nil, err
	}
	var document struct {
		JWKS       string                    `json:"jwks_uri"`
		Algorithms []jose.SignatureAlgorithm `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, err
	}
	raw, err := get(ctx, client, document.JWKS)
	if err != nil {
		return nil, err
	}
	set := &keySet{algorithms: []jose.SignatureAlgorithm{jose.RS256}}
	for _, a := range document.Algorithms {
		if slices.Contains(algorithms, a) && !slices.Contains(set.algorithms, a) {
			set.algorithms = append(set.algorithms, a)
		}
	}
	set.keys, err = parseKeys(raw)
	return set, err
}

// statusError is an answer without a document.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("the status of the answer is %d", int(e)) }

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, statusError(res.StatusCode)
	}
	return io.ReadAll(res.Body) // bounded by the client
}

// parseKeys reads a JWKS (RFC 7517, 5). Keys that are of another kind or for
// another use than signing are left out, as that section asks.
func parseKeys(raw []byte) ([]jose.JSONWebKey, error) {
	var document struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, fmt.Errorf("JWKS: %w", err)
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("JWKS: %d keys, and at most %d are accepted", len(document.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, text := range document.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(text) == nil && (k.Use == "" || k.Use == "sig") && acceptable(k.Key) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// acceptable reports whether a key is a public one that can sign.
func acceptable(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey:
		return true // of the curves of the ES algorithms, and on its curve
	}
	return false
}

// candidates returns the keys that a token's header can mean. Without a kid it
// means the one key that fits its algorithm, if there is one only (OpenID Connect
// Core 1.0, 10.1).
func (s *keySet) candidates(h jose.Header) []jose.JSONWebKey {
	alg := jose.SignatureAlgorithm(h.Algorithm)
	if !slices.Contains(s.algorithms, alg) {
		return nil
	}
	var found []jose.JSONWebKey
	for _, k := range s.keys {
		if (h.KeyID == "" || k.KeyID == h.KeyID) && fits(k, alg) {
			found = append(found, k)
		}
	}
	if h.KeyID == "" && len(found) > 1 {
		return nil
	}
	return found[:min(len(found), maxSameID)]
}

// fits reports whether a key is one for the algorithm.
func fits(k jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if k.Algorithm != "" && k.Algorithm != string(alg) {
		return false
	}
	curves := map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()}
	curve, isEC := curves[alg]
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return !isEC
	case *ecdsa.PublicKey:
		return isEC && key.Curve == curve
	}
	return false
}

// reason says why a fetch failed, without what the other side answered: the one
// who presents a token is not authenticated yet.
func reason(err error) string {
	var mismatch *oidc.IssuerMismatchError
	var status statusError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, egress.ErrForbidden):
		return "its address is not one that this server fetches from (see the setting oidc)"
	case errors.Is(err, egress.ErrTooLarge):
		return "its answer is too large"
	case errors.As(err, &mismatch):
		return "its discovery document names another issuer"
	case errors.As(err, &status):
		return status.Error()
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return "it does not answer in time"
	}
	return "it does not answer as an OpenID Connect issuer does"
}
