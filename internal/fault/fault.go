// Package fault is the one typed error of the domain.
//
// A domain package returns a [*Error] for everything that a caller can have
// caused or should know about. The edges, and only they, turn it into the form
// of their protocol: an AWS error type, an OCI error code, npm's JSON. An edge
// decides by Code where the protocol has a name of its own for the case, and by
// Kind otherwise, so that a case nobody thought of still gets the right status.
//
// Any other error that reaches an edge is a defect or a failed machine. It is
// logged whole, and the client is told nothing but that it happened.
package fault

import (
	"errors"
	"fmt"
)

// A Kind is the class of an error, independent of any protocol.
type Kind uint8

// The kinds. The number in each comment is the HTTP status that fits where a
// protocol has no opinion of its own.
const (
	Internal        Kind = iota // 500: our defect, or a failing machine
	Invalid                     // 400: the request breaks a rule of its own form
	Unauthenticated             // 401: no credentials, or ones that prove nothing
	Expired                     // 401: credentials that were good and are no more
	Denied                      // 403: known, and not allowed
	NotFound                    // 404
	Conflict                    // 409: the state of the store forbids it
	Limit                       // 402 or 400: a quota or a size limit is reached
	TooLarge                    // 413: the body is larger than is accepted
	Throttled                   // 429: try again later
	Unavailable                 // 503: cannot answer now
	Unimplemented               // 501: known to the protocol and not built
)

// An Error is what went wrong, in the words of the domain.
type Error struct {
	Kind Kind
	// Code is the stable, short name of the case. Where AWS has a name it is
	// AWS's without the "Exception": RepositoryNotFound, ImageNotFound.
	Code string
	// Message says what was wrong and, where it can, what to do. It is shown to
	// the client and holds no secret.
	Message string
	// ResourceType and ResourceID name what the error is about, where a
	// protocol asks for it. ResourceType is CodeArtifact's: domain, repository,
	// package, package-version, asset.
	ResourceType, ResourceID string
	// Err is the cause, for the log alone.
	Err error
}

// New returns an error of the kind and code with a formatted message.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap is [New] with a cause that only the log shows.
func Wrap(err error, kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// About sets the resource that the error is about, and returns e.
func (e *Error) About(resourceType, resourceID string) *Error {
	e.ResourceType, e.ResourceID = resourceType, resourceID
	return e
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.Message + ": " + e.Err.Error()
	}
	return e.Code + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// From finds the domain's error in err. What is not one becomes an Internal
// error with err as its cause and a message that tells the client nothing.
// From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Code: "InternalError", Message: "The server failed to answer. The log of the server says why, under this request's id.", Err: err}
}

// Is reports whether err is a domain error with the code.
func Is(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}
