// Package fault is the typed error of the domain. "Fault" is Smithy's word for who
// caused an error.
//
// A domain package returns an [*Error] for everything that a caller can cause or
// should know about. Only handlers turn it into the form of their protocol: an AWS
// error type, an OCI error code, npm's JSON. A handler looks at Code if the protocol
// has its own name for the case, and otherwise at Kind, so that every case gets a
// fitting status.
//
// Any other error that reaches a handler is a defect or a failing machine. It is
// logged completely; the client is told only that it happened.
//
// The package imports no other package of the module.
package fault

import (
	"errors"
	"fmt"
)

// A Kind is the class of an error, independent of any protocol.
type Kind uint8

// The kinds. The number in each comment is the HTTP status of the kind, unless a
// protocol has its own.
const (
	Internal         Kind = iota // 500: a defect of the server, or a failing machine
	Invalid                      // 400: the request breaks a rule of its own form
	Unauthenticated              // 401: there are no credentials, or they are not valid
	Expired                      // 401: the credentials have expired
	Denied                       // 403: the caller is known and not allowed
	NotFound                     // 404
	MethodNotAllowed             // 405: what the address names has no such operation
	Conflict                     // 409: the state of the store forbids it
	Limit                        // 402 or 400: a quota or a size limit is reached
	TooLarge                     // 413: the body is too large
	Throttled                    // 429: try again later
	Unavailable                  // 503: cannot answer now
	Unimplemented                // 501: the protocol has it, this server does not
	StorageFull                  // 507: the server's disk is full, and nothing was stored
	BadGateway                   // 502: another registry, which the server asked, failed
	GatewayTimeout               // 504: another registry did not answer in time
)

// An Error is an error in the terms of the domain.
type Error struct {
	Kind Kind
	// Code is the short, stable name of the case. If AWS has a name for it, Code is
	// that name without "Exception": RepositoryNotFound, ImageNotFound.
	Code string
	// Message says what is wrong and, if possible, what to do. The client sees it, so
	// it must not contain a secret.
	Message string
	// ResourceType and ResourceID name what the error is about, for protocols that
	// need it. ResourceType is CodeArtifact's: domain, repository, package,
	// package-version or asset.
	ResourceType, ResourceID string
	// Err is the cause. Only the log shows it.
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

// From returns the domain's error in err. Any other error becomes an Internal error
// with err as its cause and a message without details. From(nil) is nil.
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
