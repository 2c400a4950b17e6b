package sigv4

import "fmt"

// A Reason is the class of an error. Each service has its own codes for them.
type Reason uint8

// The reasons.
const (
	// Missing: the request carries no signature.
	Missing Reason = iota + 1
	// Incomplete: a part of the signature is missing or malformed, or a header
	// that must be signed is not.
	Incomplete
	// Unsupported: a kind of signature or of body that is not accepted.
	Unsupported
	// Scope: the signature is for another service or another day.
	Scope
	// Skewed: the time of the signature is too far from the server's.
	Skewed
	// SignatureMismatch: the signature was made with another secret or of another
	// request.
	SignatureMismatch
	// BodyMismatch: X-Amz-Content-Sha256 is not the hash of the body.
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

// An Error says why a signature was refused. Its message is for the client and
// holds no secret.
type Error struct {
	Reason  Reason
	Message string
}

func (e *Error) Error() string { return "sigv4: " + e.Reason.String() + ": " + e.Message }

func fail(reason Reason, format string, args ...any) *Error {
	return &Error{reason, fmt.Sprintf(format, args...)}
}
