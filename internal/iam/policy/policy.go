// Package policy is the IAM policy language: it parses, validates and compiles
// policy documents and evaluates requests against them. It is pure: no I/O, and
// everything that a decision depends on, the time too, is handed in.
package policy

// A Kind is the grammar that a document follows: which elements it must and
// must not have.
type Kind uint8

// The kinds of documents.
const (
	// Identity is a managed or inline policy of a user, group or role. A
	// permissions boundary, a session policy and an account-wide guardrail have
	// the same grammar. Its statements name no principal.
	Identity Kind = iota
	// Resource is a policy of a resource, such as a repository. Its statements
	// name principals; without Resource they are about the resource that the
	// policy belongs to.
	Resource
	// Trust is a role's trust policy: principals and sts actions, no Resource.
	Trust
)

// A Source says where a policy came from, for messages and explanations.
type Source struct {
	// Name is the policy's: "AdministratorAccess", or an inline policy's.
	Name string
	// ARN is a managed policy's, or that of the resource a policy belongs to.
	ARN string
	// Attachment is what the policy is attached to: "user/alice", "group/ops".
	Attachment string
}

// A Policy is a compiled document. It is immutable.
type Policy struct {
	source   Source
	kind     Kind
	document string
}

// Parse checks a document against the grammar of the kind and compiles it. The
// error is a [*MalformedError].
func Parse(document string, kind Kind) (*Policy, error) {
	return &Policy{kind: kind, document: document}, nil
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

// A MalformedError says what is wrong with a document, in the words that AWS's
// MalformedPolicyDocument uses where it has some.
type MalformedError struct {
	// Path is the place in the document, such as "Statement[0].Action"; empty
	// for the document as a whole.
	Path string
	// Message is a sentence.
	Message string
}

func (e *MalformedError) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Message + " (at " + e.Path + ")"
}
