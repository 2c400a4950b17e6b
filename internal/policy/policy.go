// Package policy is the IAM policy language. It parses, checks and compiles policy
// documents, and evaluates requests against them. It has no I/O and no clock:
// everything that a decision depends on is passed in.
//
// [Parse] turns a document into a [Policy], when it is written or loaded. A
// document with anything unknown is refused, so no statement is ever half
// understood. [Check] also applies the rules that IAM has only for new documents.
// [Evaluate] takes the policies that apply to a request and returns a [Decision]:
// the outcome, and the statement that decided or the type of policy that was
// missing. [Explain] returns all the reasons.
//
// The rules come from the IAM User Guide: "Grammar of the IAM JSON policy
// language" and "Policy evaluation logic". If the guide leaves something open,
// this package takes the stricter reading. What cannot be evaluated (a variable
// without a value) denies.
//
// It must not import any other package of this module.
package policy

import (
	"strings"
	"unicode/utf8"
)

// A Kind is the grammar that a document follows: which elements it must and
// must not have.
type Kind uint8

// The kinds of documents.
const (
	// Identity is a managed or inline policy of a user, group or role. A
	// permissions boundary and an account-wide guardrail have the same grammar.
	// Its statements name no principal.
	Identity Kind = iota
	// Resource is a policy of a resource, such as a repository. Its statements
	// name principals; without Resource they are about the resource that the
	// policy belongs to.
	Resource
	// Trust is a role's trust policy: principals and sts actions, no Resource.
	Trust
	// Session is a policy that is passed with the request for a session. Its
	// grammar is Identity's, but its ARNs must be whole.
	Session
)

// namesPrincipals reports whether statements of the kind say whom they are about.
func (k Kind) namesPrincipals() bool { return k == Resource || k == Trust }

// A Source says where a policy came from, for messages and explanations.
type Source struct {
	// Name is the policy's: "AdministratorAccess", or an inline policy's.
	Name string
	// ARN is the ARN of a managed policy, or of the resource that a policy belongs to.
	ARN string
	// Attachment is what the policy is attached to: "user/alice", "group/ops".
	Attachment string
}

// A Policy is a compiled document. It is immutable.
type Policy struct {
	source   Source
	kind     Kind
	document string
	// allows and denies are apart, because a request is tested against every
	// Deny, and against an Allow only until one applies.
	allows, denies []statement
	keys           []string
	// replacesVariables says that the version has variables.
	replacesVariables bool
}

// Unreadable returns a policy that denies everything. It stands for a stored
// document that [Parse] does not accept any more: fail closed, rather than
// leave out a policy that may deny.
func Unreadable(document string, kind Kind) *Policy {
	everything := pattern{elements: []element{{kind: anyRun}}}
	return &Policy{kind: kind, document: document, denies: []statement{{
		sid:     "Unreadable",
		effect:  deny,
		actions: []action{{everything.elements}},
	}}}
}

// WithSource returns the same policy, labelled with where it came from.
func (p *Policy) WithSource(s Source) *Policy {
	c := *p
	c.source = s
	return &c
}

// Source is what [Policy.WithSource] set.
func (p *Policy) Source() Source { return p.source }

// Kind is the one that the policy was parsed as.
func (p *Policy) Kind() Kind { return p.kind }

// Document is the text that the policy was parsed from, unchanged.
func (p *Policy) Document() string { return p.document }

// ContextKeys are the condition keys that the policy looks at, in conditions and
// variables: sorted, in lower case, each once.
func (p *Policy) ContextKeys() []string { return p.keys }

// StatementID is the Sid of the statement with the index, empty if it has none.
func (p *Policy) StatementID(index int) string {
	if s := p.statement(index); s != nil {
		return s.sid
	}
	return ""
}

// Statements is how many statements the policy has.
func (p *Policy) Statements() int { return len(p.allows) + len(p.denies) }

// StatementText is the text of the statement with the index, as the document has
// it; empty if there is no such statement.
func (p *Policy) StatementText(index int) string {
	if s := p.statement(index); s != nil {
		return p.document[s.start:s.end]
	}
	return ""
}

// A Position is a place in a document. Both numbers begin with 1, and Column
// counts characters.
type Position struct{ Line, Column int }

// StatementPosition says where the statement with the index stands: the places
// after its opening and after its closing brace, which are those that IAM's
// policy simulator gives. Both are zero if there is no such statement.
func (p *Policy) StatementPosition(index int) (start, end Position) {
	s := p.statement(index)
	if s == nil || s.end == 0 {
		return Position{}, Position{}
	}
	return p.position(s.start + 1), p.position(s.end)
}

// position returns the line and column after the first n bytes of the document.
func (p *Policy) position(n int) Position {
	before := p.document[:n]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return Position{1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(line)}
}

// statement returns the statement with the index, or nil.
func (p *Policy) statement(index int) *statement {
	for _, list := range [][]statement{p.allows, p.denies} {
		for i := range list {
			if list[i].index == index {
				return &list[i]
			}
		}
	}
	return nil
}

// A MalformedError says what is wrong with a document.
type MalformedError struct {
	// Message is AWS's own sentence if AWS has one, and is what the API answers.
	Message string
	// Detail is what more is known; empty if the message says it all.
	Detail string
	// Path is the place in the document, such as "Statement[0].Action"; empty
	// for the document as a whole.
	Path string

	invalidJSON bool
}

// Error is the message with the detail and the place.
func (e *MalformedError) Error() string {
	text := e.Message
	if e.Detail != "" {
		text = strings.TrimSuffix(text, ".") + ": " + e.Detail
	}
	if e.Path != "" {
		text += " (at " + e.Path + ")"
	}
	return text
}
