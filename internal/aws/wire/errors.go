package wire

import (
	"fmt"
	"strings"
	"time"
)

// An Error is an error for which the SDK has no type. A client gets its code and
// message as they are.
type Error struct {
	Code    string
	Message string
	Status  int // 0 means 400
	// RetryAfter tells the client when to come back, in whole seconds.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// A SerializationError is a request that cannot be read.
type SerializationError struct {
	// Message says which part is wrong and why, and repeats no value.
	Message string
}

func (e *SerializationError) Error() string { return e.Message }

func malformed(format string, args ...any) *SerializationError {
	return &SerializationError{Message: fmt.Sprintf(format, args...)}
}

// A TooLargeError is a request with a body above the bound of its operation.
type TooLargeError struct {
	Limit int64 // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("The request body is larger than the %d bytes that the operation takes.", e.Limit)
}

// An UnknownOperationError is a request for what the service does not have.
type UnknownOperationError struct {
	// Operation is as the request names it: an action, a target, or a method
	// with a path. It is empty if the request names none.
	Operation string
	// Version is the API version that the request asks for, in awsQuery alone.
	Version string
}

func (e *UnknownOperationError) Error() string {
	switch {
	case e.Operation == "":
		return "The request names no operation."
	case e.Version != "":
		return "Could not find operation " + e.Operation + " for version " + e.Version
	}
	return "Could not find operation " + e.Operation
}

// A MethodError is a request whose HTTP method the address does not take.
type MethodError struct {
	Method string
	Allow  string // as in the header of that name
}

func (e *MethodError) Error() string {
	return "The method " + e.Method + " is not allowed here; use " + e.Allow + "."
}

// An UnimplementedError is a request for an operation that AWS has and this
// server does not have.
type UnimplementedError struct {
	Service   string
	Operation string
}

func (e *UnimplementedError) Error() string {
	return "This server does not implement the operation " + e.Operation + " of " + e.Service + "."
}

// A ValidationError is a well-formed request that violates constraints of its
// operation. It lists all of them.
type ValidationError struct {
	Failures []Failure
}

// A Failure is one constraint that a request violates.
type Failure struct {
	// Member is the path to the member with names that begin in lower case, as
	// all services write it: repositoryName, tags.1.member.key.
	Member     string
	Constraint Constraint
	// Bound is the text of the constraint: the number of a length or a range,
	// the pattern, or the values of an enum separated by ", ".
	Bound string
	// Value is what the member has, shortened. It is "***" for what is
	// sensitive, and empty for what is missing.
	Value string
}

// A Constraint is a kind of constraint.
type Constraint uint8

// The constraints.
const (
	Required Constraint = iota
	Pattern
	MinLength
	MaxLength
	MinValue
	MaxValue
	Enum
)

// describe says what the value must do, in the words of most services.
func (f Failure) describe() string {
	switch f.Constraint {
	case Required:
		return "must not be null"
	case Pattern:
		return "must satisfy regular expression pattern: " + f.Bound
	case MinLength:
		return "must have length greater than or equal to " + f.Bound
	case MaxLength:
		return "must have length less than or equal to " + f.Bound
	case MinValue:
		return "must have value greater than or equal to " + f.Bound
	case MaxValue:
		return "must have value less than or equal to " + f.Bound
	default:
		return "must satisfy enum value set: [" + f.Bound + "]"
	}
}

// Error is the message as most services word it:
//
//	1 validation error detected: Value 'x' at 'roleName' failed to satisfy constraint: Member must …
func (e *ValidationError) Error() string {
	var b strings.Builder
	noun := "errors"
	if len(e.Failures) == 1 {
		noun = "error"
	}
	fmt.Fprintf(&b, "%d validation %s detected", len(e.Failures), noun)
	separator := ": "
	for _, f := range e.Failures {
		value := "null"
		if f.Constraint != Required {
			value = "'" + f.Value + "'"
		}
		b.WriteString(separator + "Value " + value + " at '" + f.Member + "' failed to satisfy constraint: Member " + f.describe())
		separator = "; "
	}
	return b.String()
}

// InvalidParameter is the message as ECR words it:
//
//	Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '…''
func (e *ValidationError) InvalidParameter() string {
	var b strings.Builder
	for i, f := range e.Failures {
		if i > 0 {
			b.WriteString("; ")
		}
		text := f.describe()
		if f.Constraint == Pattern {
			text = "must satisfy regular expression '" + f.Bound + "'"
		}
		b.WriteString("Invalid parameter at '" + f.Member + "' failed to satisfy constraint: '" + text + "'")
	}
	return b.String()
}
