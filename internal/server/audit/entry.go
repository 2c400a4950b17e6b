// Package audit writes one record per API call and per registry or package
// request, in the shape of CloudTrail's (AWS CloudTrail User Guide, "CloudTrail
// record contents"), so that what reads CloudTrail's files reads these.
//
// The server begins an [Entry] for every request and puts it into the context.
// What learns something about the request adds it there: the edge which
// operation it is and who calls, authz what was decided. When the answer is
// written the entry becomes one [Record], and the request's log line is made
// from it too. An entry never holds a secret: parameters are given by name.
package audit

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// A Decision is one answer of the policy engine.
type Decision struct {
	Action   string `json:"action"`
	Resource string `json:"resource"`
	// Outcome is allowed, explicitDeny or implicitDeny, as SimulatePrincipalPolicy says.
	Outcome string `json:"outcome"`
	// Reason names the statement that decided, or what was missing.
	Reason string `json:"reason,omitempty"`
}

// A Resource is what a request was about.
type Resource struct {
	ARN       string `json:"ARN"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
}

// An Entry gathers what becomes a record. It belongs to one request and is used
// by its goroutine alone. The methods do nothing on a nil Entry, so that code
// runs the same where nobody keeps records.
type Entry struct {
	ID        string // the request's id, as the client was told
	Started   time.Time
	SourceIP  string
	UserAgent string

	source, name  string
	caller        *authn.Caller
	params        any
	resources     []Resource
	decisions     []Decision
	code, message string
}

type entryKey struct{}

// WithEntry returns a context that carries e.
func WithEntry(ctx context.Context, e *Entry) context.Context {
	return context.WithValue(ctx, entryKey{}, e)
}

// From returns the request's entry; nil, on which every method works, where
// there is none.
func From(ctx context.Context) *Entry {
	e, _ := ctx.Value(entryKey{}).(*Entry)
	return e
}

// Operation says what is asked for: CloudTrail's event source without
// ".amazonaws.com" (ecr, codeartifact, sts, iam) and the operation's name. A
// request of a client protocol has the name of the AWS operation that does the
// same.
func (e *Entry) Operation(source, name string) {
	if e != nil {
		e.source, e.name = source, name
	}
}

// Caller says who asks.
func (e *Entry) Caller(c *authn.Caller) {
	if e != nil {
		e.caller = c
	}
}

// Params gives the request's parameters: a map or a struct that marshals to a
// JSON object. It must hold no secret and no bulk.
func (e *Entry) Params(p any) {
	if e != nil {
		e.params = p
	}
}

// Resource adds what the request is about. The type is CloudFormation's, such
// as AWS::ECR::Repository, or empty.
func (e *Entry) Resource(resourceType, arn string) {
	if e == nil {
		return
	}
	r := Resource{ARN: arn, Type: resourceType}
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		r.AccountID = parts[4]
	}
	e.resources = append(e.resources, r)
}

// Decided adds a decision.
func (e *Entry) Decided(d Decision) {
	if e != nil {
		e.decisions = append(e.decisions, d)
	}
}

// Failed says with which code and message the request was refused.
func (e *Entry) Failed(code, message string) {
	if e != nil {
		e.code, e.message = code, message
	}
}

// Name returns the operation as the log and the metrics show it, "ecr" and
// "PutImage"; empty where the request never became one.
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

// Principal returns the caller's ARN, or "" for one who was not authenticated.
func (e *Entry) Principal() string {
	if e == nil || e.caller == nil {
		return ""
	}
	return e.caller.ARN
}

// Outcome is the decision that settled the request: the first that was not
// allowed, else allowed, or "" where none was made.
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
