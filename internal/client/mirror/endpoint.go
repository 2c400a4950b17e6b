package mirror

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
)

const (
	// maxDocument bounds a document about a package, in bytes.
	maxDocument = 256 << 20
	maxMessage  = 2 << 10
	attempts    = 4
	firstPause  = time.Second / 2 // doubled with each attempt
	// maxPause bounds how long a server may ask to wait before the next attempt.
	maxPause = time.Minute
	// idle is how long nothing may come before a request is given up.
	idle = 2 * time.Minute
)

// An Endpoint is the package endpoint of a repository in one format.
type Endpoint struct {
	// URL ends in a slash.
	URL *url.URL
	// Token returns a token that is valid now, and Forget drops one that was rejected.
	Token  func(context.Context) (authtoken.Token, error)
	Forget func(context.Context) error
	Client *http.Client
}

// A statusError is an answer that is not a success.
type statusError struct {
	status  int
	address string
	message string
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s answered %d %s", e.address, e.status, http.StatusText(e.status))
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

func isNotFound(err error) bool {
	var e *statusError
	return errors.As(err, &e) && (e.status == http.StatusNotFound || e.status == http.StatusGone)
}

// Resolve returns an address relative to the endpoint.
func (e *Endpoint) Resolve(relative string) (*url.URL, error) {
	u, err := e.URL.Parse(relative)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%.200q is not an address", relative)
	}
	return u, nil
}

// Get sends a request, and sends it again if the server is busy or fails. The caller
// closes the body.
func (e *Endpoint) Get(ctx context.Context, u *url.URL, accept string) (io.ReadCloser, error) {
	renewed := false
	for attempt := 0; ; attempt++ {
		body, pause, err := e.once(ctx, u, accept)
		if err == nil {
			return body, nil
		}
		var status *statusError
		if errors.As(err, &status) {
			if status.status == http.StatusUnauthorized && !renewed && e.Forget != nil {
				renewed = true
				if err := e.Forget(ctx); err != nil {
					return nil, err
				}
				continue
			}
			if status.status != http.StatusTooManyRequests && status.status < http.StatusInternalServerError {
				return nil, err
			}
		}
		if attempt >= attempts-1 || ctx.Err() != nil {
			return nil, err
		}
		select {
		case <-time.After(max(pause, firstPause<<attempt)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (e *Endpoint) once(ctx context.Context, u *url.URL, accept string) (body io.ReadCloser, pause time.Duration, err error) {
	ctx, timer := idletimeout.WithCancel(ctx, idle)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		timer.Stop()
		return nil, 0, err
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	if u.Scheme == e.URL.Scheme && u.Host == e.URL.Host { // the token is for the repository alone
		token, err := e.Token(ctx)
		if err != nil {
			timer.Stop()
			return nil, 0, err
		}
		r.Header.Set("Authorization", token.BasicAuthorization())
	}
	res, err := e.Client.Do(r)
	if err != nil {
		timer.Stop()
		return nil, 0, err
	}
	res.Body = timer.Body(res.Body)
	if res.StatusCode == http.StatusOK {
		return res.Body, 0, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxMessage))
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		pause = min(time.Duration(seconds)*time.Second, maxPause)
	}
	return nil, pause, &statusError{res.StatusCode, u.Redacted(), strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " ")}
}

// Document reads a document in JSON.
func (e *Endpoint) Document(ctx context.Context, u *url.URL, accept string, into any) error {
	body, err := e.Get(ctx, u, accept)
	if err != nil {
		return err
	}
	defer body.Close()
	limited := &io.LimitedReader{R: body, N: maxDocument}
	if err := json.UnmarshalRead(limited, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		if limited.N <= 0 {
			return fmt.Errorf("%s answers with more than %d MiB", u.Redacted(), maxDocument>>20)
		}
		return fmt.Errorf("the answer of %s cannot be read: %w", u.Redacted(), err)
	}
	return nil
}

// newHash returns the hash of an algorithm that package lockedversions reads.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "md5":
		return md5.New()
	case "sha1":
		return sha1.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return sha256.New()
}
