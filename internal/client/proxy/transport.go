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
)

const (
	// continueTimeout is how long an upstream may take to say that it wants a large
	// body (RFC 9110, 10.1.1) before it gets it anyway.
	continueTimeout = time.Second
	// renewAfter is the least time between two tokens that an upstream is asked for
	// because it refused one: a caller who lacks a permission has a valid token and
	// is refused all the same.
	renewAfter = 10 * time.Second
	// maxMessage is how much of a refusal is looked at for what it says.
	maxMessage = 4 << 10
)

// A tokenError says that there is no token to be had.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return "there is no token: " + e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

// A retryError asks the client to send its request again.
type retryError struct{}

func (*retryError) Error() string {
	return "the token had expired and the request is too large to be kept: there is a new token now, send it again"
}

// authorized adds a valid token to each request. If the upstream says that it is
// not valid, it sends the request again with a new one, once.
type tokenTransport struct {
	next   http.RoundTripper
	tokens Tokens
	scheme func(authtoken.Token) string
	now    func() time.Time
	log    *slog.Logger
	idle   time.Duration

	renewing sync.Mutex
	renewed  time.Time // when a token was last asked for because one was refused
}

// RoundTrip implements http.RoundTripper.
func (a *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, dog := watch(r.Context(), a.idle)
	res, err := a.exchange(r.WithContext(ctx), dog)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
			err = cause
		}
		dog.end()
		return nil, err
	}
	res.Body = watchedBody{res.Body, dog}
	return res, nil
}

func (a *tokenTransport) exchange(r *http.Request, dog *watchdog) (*http.Response, error) {
	ctx := r.Context()
	token, err := a.tokens.Token(ctx)
	if err != nil {
		return nil, &tokenError{err}
	}
	replay := newReplayBody(r, dog)
	res, err := a.send(r, replay.body(), token)
	if err != nil || !tokenRejected(res) {
		return res, err
	}
	newer, ok, err := a.renew(ctx, token)
	if err != nil || !ok { // the upstream's answer says more than that there is no token
		return res, nil
	}
	_ = res.Body.Close() // it is not needed
	body, ok := replay.second(ctx)
	if !ok {
		return nil, &retryError{}
	}
	return a.send(r, body, newer)
}

// send sends a request with a body and a token.
func (a *tokenTransport) send(r *http.Request, body io.ReadCloser, t authtoken.Token) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.Body = body
	out.Header.Set("Authorization", a.scheme(t))
	if r.ContentLength < 0 || r.ContentLength > maxReplay {
		// Whether the token is valid shows before a large body is sent.
		out.Header.Set("Expect", "100-continue")
	}
	return a.next.RoundTrip(out)
}

// renew returns another token than the one that was refused. ok is false where
// there is none: it has been renewed just now.
func (a *tokenTransport) renew(ctx context.Context, was authtoken.Token) (token authtoken.Token, ok bool, err error) {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	token, err = a.tokens.Token(ctx)
	if err == nil && token.Value != was.Value { // another request was first
		return token, true, nil
	}
	if !a.renewed.IsZero() && a.now().Sub(a.renewed) < renewAfter {
		return token, false, nil
	}
	a.renewed = a.now()
	a.log.InfoContext(ctx, "the token was refused; asking for another")
	if err := a.tokens.Forget(ctx); err != nil {
		return token, false, err
	}
	token, err = a.tokens.Token(ctx)
	return token, err == nil && token.Value != was.Value, err
}

// refused reports whether an answer says that the token is not valid: 401, or
// the 403 with which ECR says that it has expired.
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

// rejoined is a body with what has been read of it put back.
type concatBody struct {
	io.Reader
	io.Closer
}

// failing fails, or is empty.
type errReader struct{ err error }

// Read implements io.Reader.
func (f errReader) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, fmt.Errorf("reading a refusal: %w", f.err)
	}
	return 0, io.EOF
}
