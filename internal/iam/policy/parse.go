package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
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
	if err := p.parse(document); err != nil {
		return nil, at("", err)
	}
	return p.policy, nil
}

type parser struct {
	policy *Policy
	with   features // variables, where the version has them
	sids   []string
	keys   map[string]struct{}
}

// malformed returns an error about the place that is being read.
func malformed(format string, args ...any) error {
	return &MalformedError{Message: fmt.Sprintf(format, args...)}
}

// at makes err an error about a place in the document: the one named, and
// inside it the one that err names.
func at(path string, err error) error {
	var inner *MalformedError
	if errors.As(err, &inner) {
		return &MalformedError{strings.Trim(path+"."+inner.Path, "."), inner.Message}
	}
	return &MalformedError{path, err.Error()}
}

func (p *parser) parse(document string) error {
	if len(document) > MaxDocument {
		return malformed("The policy is longer than %d bytes", MaxDocument)
	}
	value, err := readDocument(document)
	if err != nil {
		return malformed("Syntax errors in policy: %v", err)
	}
	members, err := membersOf(value)
	if err != nil {
		return malformed("Syntax errors in policy: %v", err)
	}
	var statements jsontext.Value
	for _, m := range members {
		switch m.name {
		case "Version":
			err = p.version(m.value)
		case "Id":
			_, err = stringOf(m.value)
		case "Statement":
			statements = m.value
		default:
			err = malformed("Syntax errors in policy: unknown element %q", m.name)
		}
		if err != nil {
			return at(m.name, err)
		}
	}
	if statements == nil {
		return malformed("Syntax errors in policy: there is no Statement")
	}
	return p.statements(statements)
}

// version reads Version. Without it a policy is of 2008, as IAM has it: its
// variables are not replaced.
func (p *parser) version(v jsontext.Value) error {
	switch s, err := stringOf(v); {
	case err != nil:
		return err
	case s == "2012-10-17":
		p.with = variables
	case s != "2008-10-17":
		return malformed("The policy must contain a valid version string: 2012-10-17, not %q", s)
	}
	return nil
}

func (p *parser) statements(v jsontext.Value) error {
	items, err := itemsOf(v)
	if err == nil && len(items) == 0 {
		err = malformed("Syntax errors in policy: there is no statement")
	}
	if err != nil {
		return at("Statement", err)
	}
	for i, item := range items {
		s, err := p.statement(item)
		if err != nil {
			path := "Statement"
			if v.Kind() == '[' {
				path = fmt.Sprintf("Statement[%d]", i)
			}
			return at(path, err)
		}
		s.index = i
		if s.effect == deny {
			p.policy.denies = append(p.policy.denies, s)
		} else {
			p.policy.allows = append(p.policy.allows, s)
		}
	}
	for key := range p.keys {
		p.policy.keys = append(p.policy.keys, key)
	}
	slices.Sort(p.policy.keys)
	return nil
}

func (p *parser) statement(v jsontext.Value) (statement, error) {
	var s statement
	members, err := membersOf(v)
	if err != nil {
		return s, err
	}
	elements := make(map[string]bool, len(members))
	for _, m := range members {
		elements[m.name] = true
		if err := p.element(&s, m); err != nil {
			return s, at(m.name, err)
		}
	}
	return s, p.complete(&s, elements)
}

func (p *parser) element(s *statement, m member) (err error) {
	switch m.name {
	case "Sid":
		s.sid, err = p.sid(m.value)
	case "Effect":
		s.effect, err = readEffect(m.value)
	case "Action", "NotAction":
		s.notActions = m.name == "NotAction"
		s.actions, err = p.actions(m.value)
	case "Resource", "NotResource":
		if p.policy.kind == Trust {
			return malformed("Has prohibited field %s", m.name)
		}
		s.notResources = m.name == "NotResource"
		s.resources, err = p.resources(m.value)
	case "Principal", "NotPrincipal":
		if p.policy.kind == Identity {
			return malformed("Policy document should not specify a principal.")
		}
		s.notPrincipals = m.name == "NotPrincipal"
		s.principals, err = readPrincipals(m.value)
	case "Condition":
		s.conditions, err = p.conditions(m.value)
	default:
		err = malformed("Syntax errors in policy: unknown element")
	}
	return err
}

// complete checks what a statement must have, and must not have together.
func (p *parser) complete(s *statement, has map[string]bool) error {
	for _, pair := range [][2]string{{"Action", "NotAction"}, {"Resource", "NotResource"}, {"Principal", "NotPrincipal"}} {
		if has[pair[0]] && has[pair[1]] {
			return malformed("Statement cannot have both %s and %s", pair[0], pair[1])
		}
	}
	switch {
	case !has["Effect"]:
		return malformed("Missing required field Effect")
	case len(s.actions) == 0:
		return malformed("Policy statement must contain actions.")
	case p.policy.kind == Identity && s.resources == nil:
		return malformed("Policy statement must contain resources.")
	case p.policy.kind != Identity && s.principals == nil:
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

func (p *parser) sid(v jsontext.Value) (string, error) {
	sid, err := stringOf(v)
	switch {
	case err != nil || sid == "":
		return "", err
	case p.policy.kind != Resource && !consistsOf(sid, isAlphanumeric, ""):
		return "", malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
	case slices.Contains(p.sids, sid):
		return "", malformed("Statement IDs (SID) in a single policy must be unique.")
	}
	p.sids = append(p.sids, sid)
	return sid, nil
}

func readEffect(v jsontext.Value) (effect, error) {
	switch s, err := stringOf(v); {
	case err != nil:
		return deny, err
	case s == "Allow":
		return allow, nil
	case s == "Deny":
		return deny, nil
	default:
		return deny, malformed("Invalid effect: %q, want Allow or Deny", s)
	}
}

func (p *parser) actions(v jsontext.Value) ([]action, error) {
	texts, err := stringsOf(v)
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

func (p *parser) resources(v jsontext.Value) ([]pattern, error) {
	texts, err := stringsOf(v)
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

func readPrincipals(v jsontext.Value) (*principals, error) {
	var p principals
	if v.Kind() == '"' {
		if s, err := stringOf(v); err != nil || s != "*" {
			return nil, malformed(`Invalid principal in policy: a text alone can only be "*"`)
		}
		p.everyone = true
		return &p, nil
	}
	members, err := membersOf(v)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, m := range members {
		values, err := stringsOf(m.value)
		if err != nil {
			return nil, at(m.name, err)
		}
		for _, value := range values {
			if err := p.add(m.name, value); err != nil {
				return nil, err
			}
			n++
		}
	}
	if n == 0 {
		return nil, malformed("Invalid principal in policy: it names nobody")
	}
	return &p, nil
}

func (p *parser) conditions(v jsontext.Value) ([]condition, error) {
	operators, err := membersOf(v)
	if err != nil {
		return nil, err
	}
	var conditions []condition
	for _, op := range operators {
		keys, err := membersOf(op.value)
		if err != nil {
			return nil, at(op.name, err)
		}
		for _, key := range keys {
			values, err := conditionValuesOf(key.value)
			if err != nil {
				return nil, at(op.name, err)
			}
			c, err := compileCondition(op.name, key.name, values, p.with)
			if err != nil {
				return nil, at(op.name, err)
			}
			p.keys[c.key] = struct{}{}
			p.noteTest(c.test)
			conditions = append(conditions, c)
		}
	}
	return conditions, nil
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
