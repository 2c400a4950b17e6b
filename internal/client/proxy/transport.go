package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
)

const (
	// continueTimeout is how long an upstream may take to say that it wants a large
	// body (RFC 9110, 10.1.1) before the body is sent anyway.
	continueTimeout = time.Second
	// renewAfter is the shortest time between two tokens that are requested because
	// the upstream rejected one: a caller who lacks a permission has a valid token
	// and is rejected all the same.
	renewAfter = 10 * time.Second
	// maxMessage is how many bytes of a 403 answer are searched for its reason.
	maxMessage = 4 << 10
)

// A tokenError says that no token could be obtained.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return "no token: " + e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

// A retryError asks the client to send its request again.
type retryError struct{}

func (*retryError) Error() string {
	return "the token had expired, and the request is too large to be sent twice: there is a new token now, send the request again"
}

// A tokenTransport adds a valid token to each request. If the upstream says that
// the token is not valid, the request is sent once more with a new one.
type tokenTransport struct {
	next   http.RoundTripper
	tokens Tokens
	scheme func(authtoken.Token) string
	now    func() time.Time
	log    *slog.Logger
	idle   time.Duration

	renewing sync.Mutex
	renewed  time.Time // when a token was last requested because one was rejected
}

// RoundTrip implements http.RoundTripper.
func (t *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, idle := idletimeout.WithCancel(r.Context(), t.idle)
	res, err := t.exchange(r.WithContext(ctx), idle)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, idletimeout.ErrTimeout) {
			err = cause
		}
		idle.Stop()
		return nil, err
	}
	res.Body = idle.Body(res.Body)
	return res, nil
}

func (t *tokenTransport) exchange(r *http.Request, idle *idletimeout.Context) (*http.Response, error) {
	ctx := r.Context()
	token, err := t.tokens.Token(ctx)
	if err != nil {
		return nil, &tokenError{err}
	}
	replay := newReplayBody(r, idle)
	res, err := t.send(r, replay.first(), token)
	if err != nil || !tokenRejected(res) {
		return res, err
	}
	newer, ok, err := t.renew(ctx, token)
	if err != nil || !ok { // the upstream's answer says more than "no token" would
		return res, nil
	}
	_ = res.Body.Close() // the answer is dropped
	body, ok := replay.second(ctx)
	if !ok {
		return nil, &retryError{}
	}
	return t.send(r, body, newer)
}

// send sends a request with a body and a token.
func (t *tokenTransport) send(r *http.Request, body io.ReadCloser, token authtoken.Token) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.Body = body
	out.Header.Set("Authorization", t.scheme(token))
	if r.ContentLength < 0 || r.ContentLength > maxReplay {
		// The upstream checks the token before a large body is sent.
		out.Header.Set("Expect", "100-continue")
	}
	return t.next.RoundTrip(out)
}

// renew returns another token than the rejected one. ok is false if there is none,
// because it was renewed a moment ago.
func (t *tokenTransport) renew(ctx context.Context, rejected authtoken.Token) (token authtoken.Token, ok bool, err error) {
	t.renewing.Lock()
	defer t.renewing.Unlock()
	token, err = t.tokens.Token(ctx)
	if err == nil && token.Value != rejected.Value { // another request has renewed it
		return token, true, nil
	}
	if !t.renewed.IsZero() && t.now().Sub(t.renewed) < renewAfter {
		return token, false, nil
	}
	t.renewed = t.now()
	t.log.InfoContext(ctx, "the token was rejected; requesting another one")
	if err := t.tokens.Forget(ctx); err != nil {
		return token, false, err
	}
	token, err = t.tokens.Token(ctx)
	return token, err == nil && token.Value != rejected.Value, err
}

// tokenRejected reports whether an answer says that the token is not valid: a 401,
// or the 403 with which ECR says that it has expired.
func tokenRejected(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return true
	case http.StatusForbidden:
		text, err := io.ReadAll(io.LimitReader(res.Body, maxMessage))
		res.Body = concatBody{io.MultiReader(bytes.NewReader(text), errReader{err}, res.Body), res.Body}
		text = bytes.ToLower(text)
		return bytes.Contains(text, []byte("token has expired")) || bytes.Contains(text, []byte("token is expired")) || bytes.Contains(text, []byte("expiredtoken"))
	}
	return false
}

// A concatBody is a body that reads from something else, such as what was read of
// it and the rest.
type concatBody struct {
	io.Reader
	io.Closer
}

// An errReader returns an error, or is empty.
type errReader struct{ err error }

// Read implements io.Reader.
func (r errReader) Read([]byte) (int, error) {
	if r.err != nil {
		return 0, fmt.Errorf("reading the upstream's answer: %w", r.err)
	}
	return 0, io.EOF
}
