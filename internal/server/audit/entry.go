// Package audit writes one record for each API call and each registry or package
// request. Records have the form of CloudTrail's (AWS CloudTrail User Guide,
// "CloudTrail record contents"), so programs that read CloudTrail's files can
// read them.
//
// The server creates an [Entry] for every request and puts it into the context.
// The handlers add the operation and the caller, package authz adds each
// decision. When the answer is written, the entry becomes one [Record], which
// [Log] writes. The request's log line is made from the entry too. An entry never
// contains a secret: parameters are added one by one, by name.
package audit

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// A Decision is one decision of the policy engine.
type Decision struct {
	Action   string `json:"action"`
	Resource string `json:"resource"`
	// Outcome is allowed, explicitDeny or implicitDeny, as in SimulatePrincipalPolicy.
	Outcome string `json:"outcome"`
	// Reason names the statement that decided, or says what was missing.
	Reason string `json:"reason,omitempty"`
}

// A Resource is a resource that a request named.
type Resource struct {
	ARN       string `json:"ARN"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
}

// An Entry collects the facts of one request for its record. Only the request's
// goroutine uses it. The methods do nothing on a nil Entry, so code that runs
// outside a request needs no check.
type Entry struct {
	ID        string // the request's id, which the answer contains
	Started   time.Time
	SourceIP  string
	UserAgent string

	source, name  string
	caller        *authn.Caller
	params        any
	resources     []Resource
	decisions     []Decision
	code, message string
	// Most requests have no more than these.
	firstResources [3]Resource
	firstDecisions [1]Decision
}

type entryKey struct{}

// WithEntry returns a context that carries e.
func WithEntry(ctx context.Context, e *Entry) context.Context {
	return context.WithValue(ctx, entryKey{}, e)
}

// From returns the request's entry. It returns nil if there is none; every method
// works on nil.
func From(ctx context.Context) *Entry {
	e, _ := ctx.Value(entryKey{}).(*Entry)
	return e
}

// Operation sets the operation: CloudTrail's event source without
// ".amazonaws.com" (ecr, codeartifact, sts, iam) and the operation's name. A
// request of a client protocol has the name of the AWS operation that does the
// same.
func (e *Entry) Operation(source, name string) {
	if e != nil {
		e.source, e.name = source, name
	}
}

// Caller sets the authenticated caller.
func (e *Entry) Caller(c *authn.Caller) {
	if e != nil {
		e.caller = c
	}
}

// Params sets the request's parameters: a map or a struct that marshals to a JSON
// object. It must contain no secret and no large value.
func (e *Entry) Params(p any) {
	if e != nil {
		e.params = p
	}
}

// Resource adds a resource that the request names. The type is CloudFormation's,
// such as AWS::ECR::Repository, or empty.
func (e *Entry) Resource(resourceType, arn string) {
	if e == nil {
		return
	}
	if e.resources == nil {
		e.resources = e.firstResources[:0]
	}
	e.resources = append(e.resources, Resource{ARN: arn, AccountID: accountOf(arn), Type: resourceType})
}

// accountOf returns the account of an ARN, or "" if it is none.
func accountOf(arn string) string {
	account := ""
	for range 5 {
		var found bool
		if account, arn, found = strings.Cut(arn, ":"); !found {
			return ""
		}
	}
	return account
}

// Decided adds a decision.
func (e *Entry) Decided(d Decision) {
	if e == nil {
		return
	}
	if e.decisions == nil {
		e.decisions = e.firstDecisions[:0]
	}
	e.decisions = append(e.decisions, d)
}

// Failed sets the code and message with which the request was refused.
func (e *Entry) Failed(code, message string) {
	if e != nil {
		e.code, e.message = code, message
	}
}

// Name returns the operation as the log and the metrics show it, such as "ecr"
// and "PutImage". Both are empty if the request matched no operation.
func (e *Entry) Name() (source, name string) {
	if e == nil {
		return "", ""
	}
	return e.source, e.name
}

// Code returns the code of [Entry.Failed], or "".
func (e *Entry) Code() string {
	if e == nil {
		return ""
	}
	return e.code
}

// Principal returns the caller's ARN, or "" if the caller was not authenticated.
func (e *Entry) Principal() string {
	if e == nil || e.caller == nil {
		return ""
	}
	return e.caller.ARN
}

// Outcome returns the outcome of the request: the first decision that was not
// allowed, else allowed, or "" if no decision was made.
func (e *Entry) Outcome() string {
	if e == nil || len(e.decisions) == 0 {
		return ""
	}
	for _, d := range e.decisions {
		if d.Outcome != "allowed" {
			return d.Outcome
		}
	}
	return "allowed"
}
