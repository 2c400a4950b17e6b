package egress

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A Kind says what went wrong with a request to an upstream.
type Kind string

// The kinds. Their values are labels of metrics.
const (
	// Refused: the server does not connect to the address, or does not send a request
	// of this form.
	Refused Kind = "refused"
	// Unresolved: the name of the host has no address.
	Unresolved Kind = "unresolved"
	// Unreachable: no connection could be made, or it broke before the answer.
	Unreachable Kind = "unreachable"
	// Untrusted: the certificate is expired, for another name, or of an authority that
	// is not trusted.
	Untrusted Kind = "untrusted"
	// TimedOut: the upstream did not answer in time, or stopped in the middle.
	TimedOut Kind = "timed_out"
	// Answered: the status of the answer is neither 2xx nor 304. See [Error.Status].
	Answered Kind = "answered"
	// Throttled: the host asked for fewer requests (429, or 503 with Retry-After). Until
	// [Error.RetryAfter] has passed no request is sent to it.
	Throttled Kind = "throttled"
	// Busy: this server has so many requests at the upstream that none could be added.
	Busy Kind = "busy"
	// TooLarge: the answer exceeds the bound of the request, maybe after decompression.
	TooLarge Kind = "too_large"
	// Interrupted: the connection ended before the answer was complete.
	Interrupted Kind = "interrupted"
	// Malformed: the answer is of another media type than the request accepts, cannot be
	// decompressed, or is not HTTP.
	Malformed Kind = "malformed"
	// Redirected: the upstream redirected too often, or without an address.
	Redirected Kind = "redirected"
	// NoCredential: the credential of the upstream cannot be read.
	NoCredential Kind = "no_credential"
	// Canceled: the caller gave up.
	Canceled Kind = "canceled"
)

// An Error says why a request to an upstream failed. Reading the body of a [Response]
// fails with it too.
type Error struct {
	Kind     Kind
	Upstream string // its name
	// URL is what was asked for, without user and query.
	URL string
	// Status is the status of the answer if the kind is Answered or Throttled.
	Status int
	// Body is the beginning of the body of the answer, if the request asked for it.
	Body []byte
	// Challenges are the WWW-Authenticate headers of a 401 of the host that was asked.
	Challenges []string
	// RetryAfter is how long no request will be sent if the kind is Throttled.
	RetryAfter time.Duration
	// Message says what is wrong and what to do next. It has no secret.
	Message string
	Err     error // the cause
}

// Error returns the message with the upstream's name. It does not show the cause, which
// may have parts of addresses that are secret; the message says what matters of it.
func (e *Error) Error() string { return fmt.Sprintf("upstream %s: %s", e.Upstream, e.Message) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error of this package, or "" for another error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// IsNotFound reports whether the upstream said that it does not have what was asked
// for. Every other error means that this is not known.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == Answered && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// ErrForbidden is in the chain of every error about an address that is not allowed.
var ErrForbidden = errors.New("the server does not fetch from this address")

// ErrTooLarge is in the chain of the error of reading a body that exceeds its bound.
var ErrTooLarge = errors.New("the answer is too large")
