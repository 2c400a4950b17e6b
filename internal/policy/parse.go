package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// MaxDocument is the length in bytes beyond which no document is read. The
// limits of what a policy is for are lower, and its owner's to enforce.
const MaxDocument = 131072

// Size is the length of a document as IAM's quotas count it: in characters,
// without white space (IAM User Guide, "IAM and AWS STS quotas").
func Size(document string) int {
	n := 0
	for _, r := range document {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// Parse checks a document against the grammar of the kind and compiles it. The
// error is a [*MalformedError].
func Parse(document string, kind Kind) (*Policy, error) {
	p := parser{policy: &Policy{kind: kind, document: document}, keys: map[string]struct{}{}}
	if kind == Identity {
		p.with = incompleteARNs
	}
	err := p.parse(document)
	if err == nil {
		return p.policy, nil
	}
	var wrong *MalformedError
	if errors.As(err, &wrong) && wrong.invalidJSON && kind == Trust {
		wrong.Message = invalidJSON
	}
	return nil, err
}

type parser struct {
	policy *Policy
	with   features // incomplete ARNs by the kind, variables by the version
	sids   []string
	keys   map[string]struct{}
}

// malformed returns an error about the place that is being read.
func malformed(format string, args ...any) error {
	return &MalformedError{Message: fmt.Sprintf(format, args...)}
}

// The sentences that AWS answers for several faults, which detailed adds to.
const (
	syntaxErrors  = "Syntax errors in policy."
	legacyParsing = "The policy failed legacy parsing"
	invalidJSON   = "This policy contains invalid Json" // in a trust policy
)

// detailed is malformed with AWS's sentence and what more is known.
func detailed(message, format string, args ...any) error {
	return &MalformedError{Message: message, Detail: fmt.Sprintf(format, args...)}
}

// atPath makes an error about a place in the document: the one named, and inside it
// the one that err names. atPath(path, nil) is nil.
func atPath(path string, err error) error {
	var inner *MalformedError
	if !errors.As(err, &inner) {
		return err
	}
	outer := *inner
	outer.Path = strings.Trim(path+"."+inner.Path, ".")
	return &outer
}

func (p *parser) parse(document string) error {
	if len(document) > MaxDocument {
		return malformed("The policy is longer than %d bytes", MaxDocument)
	}
	r := read(document)
	var statements string // read last, because Version says what they mean
	var offset int        // of statements in the document
	err := r.object(func(name string) (err error) {
		switch name {
		case "Version":
			err = p.version(r)
		case "Id":
			_, err = r.text()
		case "Statement":
			value, failed := r.d.ReadValue()
			statements, err = string(value), syntax(failed)
			offset = int(r.d.InputOffset()) - len(value)
		default:
			err = detailed(syntaxErrors, "unknown element")
		}
		return atPath(name, err)
	})
	if err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	if statements == "" {
		return detailed(syntaxErrors, "there is no Statement")
	}
	return p.statements(statements, offset)
}

// version reads Version. Without it a policy is of 2008, as IAM has it: its
// variables are not replaced.
func (p *parser) version(r reader) error {
	switch s, err := r.text(); {
	case err != nil:
		return err
	case s == "2012-10-17":
		p.with |= variables
		p.policy.replacesVariables = true
	case s != "2008-10-17":
		return p.syntax("The policy must contain a valid version string", "want 2012-10-17, not %q", s)
	}
	return nil
}

// statements reads the value of Statement, which begins at an offset in the
// document.
func (p *parser) statements(value string, offset int) error {
	r := read(value)
	path := func(int) string { return "Statement" }
	if r.d.PeekKind() == '[' {
		path = func(i int) string { return fmt.Sprintf("Statement[%d]", i) }
	}
	n := 0
	err := r.list(func() error {
		before := int(r.d.InputOffset()) // a comma or a bracket may still come
		s, err := p.statement(r)
		if err != nil {
			return atPath(path(n), err)
		}
		s.index = n
		s.start = offset + before + strings.IndexByte(value[before:], '{')
		s.end = offset + int(r.d.InputOffset())
		n++
		if s.effect == deny {
			p.policy.denies = append(p.policy.denies, s)
		} else {
			p.policy.allows = append(p.policy.allows, s)
		}
		return nil
	})
	if err == nil && n == 0 {
		err = atPath("Statement", detailed(syntaxErrors, "there is no statement"))
	}
	p.policy.keys = slices.Sorted(maps.Keys(p.keys))
	return err
}

// syntax is an error for which AWS answers "Syntax errors in policy." about
// identity policies, and a sentence of its own about policies with principals.
func (p *parser) syntax(sentence, format string, args ...any) error {
	if sentence == "" || !p.policy.kind.namesPrincipals() {
		sentence = syntaxErrors
	}
	return detailed(sentence, format, args...)
}

func (p *parser) statement(r reader) (s statement, err error) {
	var elements []string
	err = r.object(func(name string) error {
		elements = append(elements, name)
		return atPath(name, p.element(&s, name, r))
	})
	if err == nil {
		err = p.complete(&s, elements)
	}
	return s, err
}

func (p *parser) element(s *statement, name string, r reader) (err error) {
	switch name {
	case "Sid":
		s.sid, err = p.sid(r)
	case "Effect":
		s.effect, err = readEffect(r)
	case "Action", "NotAction":
		s.notActions = name == "NotAction"
		s.actions, err = p.actions(r)
	case "Resource", "NotResource":
		if p.policy.kind == Trust {
			return malformed("Has prohibited field %s", name)
		}
		s.notResources = name == "NotResource"
		s.resources, err = p.resources(r)
	case "Principal", "NotPrincipal":
		if !p.policy.kind.namesPrincipals() {
			return malformed("Policy document should not specify a principal.")
		}
		s.notPrincipals = name == "NotPrincipal"
		s.principals, err = readPrincipals(r)
	case "Condition":
		s.conditions, err = p.conditions(r)
	default:
		err = detailed(syntaxErrors, "unknown element")
	}
	return err
}

// complete checks what a statement must have, and must not have together.
func (p *parser) complete(s *statement, elements []string) error {
	has := func(name string) bool { return slices.Contains(elements, name) }
	for _, name := range []string{"Action", "Resource", "Principal"} {
		if has(name) && has("Not"+name) {
			return p.syntax("", "a statement cannot have both %s and Not%s", name, name)
		}
	}
	switch {
	case !has("Effect"):
		return p.syntax("Missing required field Effect", "Effect is missing")
	case len(s.actions) == 0:
		return malformed("Policy statement must contain actions.")
	case !p.policy.kind.namesPrincipals() && s.resources == nil:
		return malformed("Policy statement must contain resources.")
	case p.policy.kind.namesPrincipals() && s.principals == nil:
		return malformed("Missing required field Principal")
	case s.notPrincipals && s.effect == allow:
		return malformed("NotPrincipal can only be used with the effect Deny")
	case s.notPrincipals && p.policy.kind == Trust:
		return malformed("Has prohibited field NotPrincipal")
	case s.notActions && p.policy.kind == Trust:
		return malformed("Has prohibited field NotAction")
	}
	return nil
}

func (p *parser) sid(r reader) (string, error) {
	sid, err := r.text()
	switch {
	case err != nil || sid == "":
		return "", err
	case p.policy.kind != Resource && !consistsOf(sid, isAlphanumeric, ""):
		return "", malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
	case p.policy.kind != Resource && slices.Contains(p.sids, sid): // ECR accepts it
		return "", malformed("Statement IDs (SID) in a single policy must be unique.")
	}
	p.sids = append(p.sids, sid)
	return sid, nil
}

func readEffect(r reader) (effect, error) {
	switch s, err := r.text(); {
	case err != nil:
		return deny, err
	case s == "Allow":
		return allow, nil
	case s == "Deny":
		return deny, nil
	case strings.EqualFold(s, "Allow") || strings.EqualFold(s, "Deny"):
		return deny, detailed(legacyParsing, "the effect %q must be written Allow or Deny", s)
	default:
		return deny, detailed(syntaxErrors, "the effect is %q and must be Allow or Deny", s)
	}
}

func (p *parser) actions(r reader) ([]action, error) {
	texts, err := r.texts()
	if err != nil {
		return nil, err
	}
	actions := make([]action, len(texts))
	for i, s := range texts {
		if p.policy.kind == Trust && !hasPrefixFold(s, "sts:") {
			return nil, malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		}
		if actions[i], err = compileAction(s); err != nil {
			return nil, err
		}
	}
	return actions, nil
}

func (p *parser) resources(r reader) ([]pattern, error) {
	texts, err := r.texts()
	if err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, malformed("Policy statement must contain resources.")
	}
	patterns := make([]pattern, len(texts))
	for i, s := range texts {
		if patterns[i], err = compileResource(s, p.with); err != nil {
			return nil, err
		}
		p.note(patterns[i].elements)
	}
	return patterns, nil
}

func readPrincipals(r reader) (*principals, error) {
	var p principals
	if r.d.PeekKind() == '"' {
		if s, err := r.text(); err != nil || s != "*" {
			return nil, detailed("Invalid principal in policy", `a string alone can only be "*"`)
		}
		p.everyone = true
		return &p, nil
	}
	err := r.object(func(kind string) error {
		values, err := r.texts()
		if err != nil {
			return atPath(kind, err)
		}
		for _, value := range values {
			if err := p.add(kind, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !p.everyone && p.count() == 0 {
		err = detailed("Invalid principal in policy", "it is empty")
	}
	return &p, err
}

func (p *parser) conditions(r reader) (conditions []condition, err error) {
	err = r.object(func(operator string) error {
		return atPath(operator, r.object(func(key string) error {
			values, err := r.scalars()
			if err != nil {
				return err
			}
			c, err := p.condition(operator, key, values)
			if err != nil {
				return err
			}
			p.keys[c.key] = struct{}{}
			p.noteTest(c.test)
			conditions = append(conditions, c)
			return nil
		}))
	})
	return conditions, err
}

// condition compiles one key of one operator.
func (p *parser) condition(operator, key string, values []string) (condition, error) {
	if !prefixed(key) && p.policy.kind != Identity && p.policy.kind != Session {
		return condition{}, detailed(noVendor, "%s", key)
	}
	c, err := compileCondition(operator, key, values, p.with)
	var wrong *MalformedError
	if errors.As(err, &wrong) && wrong.Message == unknownOperator && !p.policy.kind.namesPrincipals() {
		wrong.Message, wrong.Detail = syntaxErrors, "there is no condition operator "+wrong.Detail
	}
	return c, err
}

// note remembers the keys of variables.
func (p *parser) note(elements []element) {
	for _, e := range elements {
		if e.kind == variable {
			p.keys[e.text] = struct{}{}
		}
	}
}

func (p *parser) noteTest(t test) {
	switch t := t.(type) {
	case stringTest:
		for i := range t {
			p.note(t[i].elements)
		}
	case foldedTest:
		for i := range t {
			p.note(t[i].elements)
		}
	case arnTest:
		for i := range t {
			if t[i].whole != nil {
				p.note(t[i].whole.elements)
			}
			for j := range t[i].parts {
				p.note(t[i].parts[j].elements)
			}
		}
	}
}
