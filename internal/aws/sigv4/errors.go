package sigv4

import "fmt"

// A Reason is the class of a refusal, from which each service makes a code of
// its own.
type Reason uint8

// The reasons.
const (
	// Missing: the request carries no signature.
	Missing Reason = iota + 1
	// Incomplete: a part of the signature is missing or malformed, or does not
	// cover what it has to.
	Incomplete
	// Unsupported: a form of signature, or of body, that is refused.
	Unsupported
	// Scope: the signature is for another service or another day.
	Scope
	// Skewed: the time of the signature is too far from the server's.
	Skewed
	// SignatureMismatch: the signature was not made with the secret of its
	// access key, or not of this request.
	SignatureMismatch
	// BodyMismatch: the body is not the one that X-Amz-Content-Sha256 names.
	BodyMismatch
)

func (r Reason) String() string {
	switch r {
	case Missing:
		return "missing"
	case Incomplete:
		return "incomplete"
	case Unsupported:
		return "unsupported"
	case Scope:
		return "scope"
	case Skewed:
		return "skewed"
	case SignatureMismatch:
		return "signature mismatch"
	case BodyMismatch:
		return "body mismatch"
	default:
		return fmt.Sprintf("reason %d", uint8(r))
	}
}

// An Error is why a signature was refused. It holds no secret and is meant for
// the client to read.
type Error struct {
	Reason  Reason
	Message string
}

func (e *Error) Error() string { return "sigv4: " + e.Reason.String() + ": " + e.Message }

func fail(reason Reason, format string, args ...any) *Error {
	return &Error{reason, fmt.Sprintf(format, args...)}
}
