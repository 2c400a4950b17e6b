// Package ociremote reads and writes remote container registries: those of pull-through cache
// rules, and those that images are replicated to. It speaks OCI distribution-spec 1.1 and the token handshake that registries share
// (distribution, "Token Authentication Specification").
//
// A [Registry] is one registry with one credential, over an [egress.Upstream], which bounds,
// repeats and limits requests and keeps them from internal addresses. Nothing is believed
// that can be checked: a manifest has the digest by which it was asked for or that the
// registry announced, and [Registry.Blob] fails at the end of a body with another digest or
// length than it was asked for. [Registry.PutBlob] sends a blob in chunks, and goes on after
// a broken connection where the registry has got to.
//
// The package imports no other package of the server than egress.
package ociremote

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// A Credential is a user with a password or an access token. Its zero value is none.
type Credential struct{ Username, Password string }

// String keeps a credential from being printed by accident.
func (Credential) String() string { return "(a credential)" }

// A Registry is one remote registry with one credential. It is safe for concurrent use.
type Registry struct {
	client     *egress.Upstream
	credential Credential
	now        func() time.Time

	mu     sync.Mutex
	tokens map[string]bearer // by scope
}

// A bearer is the value of an Authorization header that is good for a scope.
type bearer struct {
	value string
	until time.Time
}

// New returns a registry. It makes no request.
func New(client *egress.Upstream, c Credential, now func() time.Time) *Registry {
	return &Registry{client: client, credential: c, now: now, tokens: map[string]bearer{}}
}

// pullScope is what a token must allow to read a repository.
func pullScope(name string) string { return "repository:" + name + ":pull" }

// ErrDenied is in the chain of the error of a request that the registry refused because of
// the credential, or because there is none. It does not tell whether what was asked for
// exists.
var ErrDenied = errors.New("the registry denies access")

// A BadAnswer is an answer that breaks the protocol, or does not have the bytes that it
// should have.
type BadAnswer struct{ What string }

func (e *BadAnswer) Error() string { return e.What }

// Ping asks whether the registry is one, and whether it accepts the credential.
func (r *Registry) Ping(ctx context.Context) error {
	res, err := r.do(ctx, egress.Request{URL: "v2/", MaxBytes: maxDocument}, "")
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// maxDocument bounds answers that are documents of the protocol, in bytes.
const maxDocument = 1 << 20

// do sends a request with what the registry wants for a scope. It shakes hands if the
// registry asks for that, once.
func (r *Registry) do(ctx context.Context, req egress.Request, scope string) (*egress.Response, error) {
	req.Authorization = r.known(scope)
	res, err := r.client.Do(ctx, req)
	var failed *egress.Error
	if !errors.As(err, &failed) || failed.Status != http.StatusUnauthorized {
		return res, denied(err)
	}
	value, err := r.handshake(ctx, failed, scope)
	if err != nil {
		return nil, err
	}
	if value == req.Authorization {
		return nil, denied(failed) // the same again would not help
	}
	req.Authorization = value
	res, err = r.client.Do(ctx, req)
	if err = denied(err); errors.Is(err, ErrDenied) {
		r.forget(scope)
	}
	return res, err
}

// denied adds [ErrDenied] to the chain of an error that means it.
func denied(err error) error {
	var failed *egress.Error
	if errors.As(err, &failed) && failed.Kind == egress.Answered && (failed.Status == http.StatusUnauthorized || failed.Status == http.StatusForbidden) {
		return deniedError{failed}
	}
	return err
}

type deniedError struct{ answer *egress.Error }

func (e deniedError) Error() string   { return e.answer.Error() }
func (e deniedError) Unwrap() []error { return []error{e.answer, ErrDenied} }

func (r *Registry) known(scope string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.tokens[scope]; ok && r.now().Before(t.until) {
		return t.value
	}
	return ""
}

func (r *Registry) forget(scope string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tokens, scope)
}

// maxTokens bounds the tokens that are remembered.
const maxTokens = 1000

func (r *Registry) remember(scope, value string, life time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tokens) >= maxTokens {
		clear(r.tokens)
	}
	r.tokens[scope] = bearer{value, r.now().Add(life)}
}

// Lives of tokens: if the answer does not say it, as the specification has it, and how much
// earlier a token is taken for expired.
const (
	defaultTokenLife = 60 * time.Second
	tokenMargin      = 5 * time.Second
	basicLife        = time.Hour
)

// handshake answers the challenge of a 401.
func (r *Registry) handshake(ctx context.Context, refused *egress.Error, scope string) (string, error) {
	for _, text := range refused.Challenges {
		scheme, parameters := parseChallenge(text)
		switch {
		case scheme == "basic" && r.credential != Credential{}:
			value := r.basic()
			r.remember(scope, value, basicLife)
			return value, nil
		case scheme == "bearer" && parameters["realm"] != "":
			return r.fetchToken(ctx, parameters, scope)
		}
	}
	return "", denied(refused)
}

func (r *Registry) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(r.credential.Username+":"+r.credential.Password))
}

// fetchToken gets a token from the realm of a challenge.
func (r *Registry) fetchToken(ctx context.Context, parameters map[string]string, scope string) (string, error) {
	realm, err := url.Parse(parameters["realm"])
	if err != nil || realm.Host == "" || realm.User != nil {
		return "", &BadAnswer{"its challenge names a realm that is not an address"}
	}
	query := realm.Query()
	if parameters["service"] != "" {
		query.Set("service", parameters["service"])
	}
	if scope == "" {
		scope = parameters["scope"]
	}
	if scope != "" {
		query.Set("scope", scope)
	}
	realm.RawQuery = query.Encode()
	req := egress.Request{URL: realm.String(), MaxBytes: maxDocument, Compressed: true}
	if r.credential != (Credential{}) {
		req.Authorization = r.basic()
	}
	res, err := r.client.Do(ctx, req)
	if err != nil {
		return "", denied(err)
	}
	body, err := readAll(res)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", &BadAnswer{"its token service answers with something that is not a token"}
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" || strings.ContainsAny(answer.Token, "\r\n") {
		return "", &BadAnswer{"its token service answers with something that is not a token"}
	}
	life := defaultTokenLife
	if s := answer.ExpiresIn; s > 0 && s < 1e6 {
		life = time.Duration(s * float64(time.Second))
	}
	value := "Bearer " + answer.Token
	r.remember(scope, value, max(life-tokenMargin, 0))
	return value, nil
}

// parseChallenge reads a WWW-Authenticate header with one challenge (RFC 9110, 11.6.1). The
// scheme and the names of parameters are in small letters.
func parseChallenge(text string) (scheme string, parameters map[string]string) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	parameters = map[string]string{}
	for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		var value string
		if quoted, isQuoted := strings.CutPrefix(after, `"`); isQuoted {
			var b strings.Builder
			i := 0
			for ; i < len(quoted) && quoted[i] != '"'; i++ {
				if quoted[i] == '\\' && i+1 < len(quoted) {
					i++
				}
				b.WriteByte(quoted[i])
			}
			value, rest = b.String(), quoted[min(i+1, len(quoted)):]
		} else {
			value, rest, _ = strings.Cut(after, ",")
		}
		parameters[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return strings.ToLower(scheme), parameters
}

// readAll reads and closes a body.
func readAll(res *egress.Response) ([]byte, error) {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.Length >= 0 && int64(len(body)) != res.Length {
		return nil, &BadAnswer{fmt.Sprintf("an answer has %d bytes instead of %d", len(body), res.Length)}
	}
	return body, nil
}
