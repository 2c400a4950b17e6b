package policy_test

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// The reference: the documented rules, with maps, copies and tables, and nothing
// shared with the package that it checks.

// keys are a request's condition keys, in lower case.
type keys map[string][]string

func (k keys) Lookup(key string) ([]string, bool) {
	values, ok := k[key]
	return values, ok
}

// A request is an [policy.Input] with documents in place of policies.
type request struct {
	principal       policy.Principal
	action          string
	resource        string
	resourceAccount string
	keys            keys
	guardrail       string
	identity        []string
	boundary        string
	session         []string
	hasSession      bool
	resources       []string
	trust           []string

	read map[string][]refStatement // what was read of the documents
}

// statements reads a document once.
func (r *request) statements(document string) []refStatement {
	if r.read == nil {
		r.read = map[string][]refStatement{}
	}
	if _, ok := r.read[document]; !ok {
		r.read[document] = refStatements(document)
	}
	return r.read[document]
}

// compile parses the documents.
func (r *request) compile(t tb) *policy.Input {
	t.Helper()
	in := &policy.Input{
		Principal: r.principal, Action: r.action, Resource: r.resource, ResourceAccount: r.resourceAccount, Context: r.keys,
		Identity:  parseAll(t, r.identity, policy.Identity),
		Resources: slices.Concat(parseAll(t, r.resources, policy.Resource), parseAll(t, r.trust, policy.Trust)),
	}
	if r.guardrail != "" {
		in.Guardrail = parse(t, r.guardrail, policy.Identity)
	}
	if r.boundary != "" {
		in.Boundary = parse(t, r.boundary, policy.Identity)
	}
	if r.hasSession {
		in.Session = append([]*policy.Policy{}, parseAll(t, r.session, policy.Session)...)
	}
	return in
}

// A verdict is an outcome and the type of policy that decided or was missing.
type verdict struct {
	outcome policy.Outcome
	by      policy.Type
}

func reference(r *request) verdict {
	resources := policy.ResourceBased
	if len(r.trust) > 0 {
		resources = policy.RoleTrust
	}
	type set struct {
		documents []string
		as        policy.Type
	}
	one := func(document string) []string {
		if document == "" {
			return nil
		}
		return []string{document}
	}
	inAccount := r.principal.Type == policy.RootUser || r.principal.Type == policy.User ||
		r.principal.Type == policy.RoleSession || r.principal.Type == policy.FederatedUser
	guardrail := one(r.guardrail)
	if !inAccount {
		guardrail = nil
	}

	for _, s := range []set{
		{guardrail, policy.ServiceControl},
		{r.resources, policy.ResourceBased},
		{r.trust, policy.RoleTrust},
		{r.identity, policy.IdentityBased},
		{one(r.boundary), policy.PermissionsBoundary},
		{r.session, policy.SessionPolicy},
	} {
		for _, document := range s.documents {
			for _, st := range r.statements(document) {
				if st.effect == "Deny" && st.applies(r) && st.denies(r) {
					return verdict{policy.ExplicitDeny, s.as}
				}
			}
		}
	}
	allowedBy := func(documents []string) bool {
		for _, document := range documents {
			for _, st := range r.statements(document) {
				if st.effect == "Allow" && st.applies(r) {
					return true
				}
			}
		}
		return false
	}
	if len(guardrail) > 0 && !allowedBy(guardrail) {
		return verdict{policy.ImplicitDeny, policy.ServiceControl}
	}

	named := map[string]policy.Type{}
	for _, s := range []set{{r.resources, policy.ResourceBased}, {r.trust, policy.RoleTrust}} {
		for _, document := range s.documents {
			for _, st := range r.statements(document) {
				if st.effect != "Allow" || !st.applies(r) {
					continue
				}
				for _, how := range st.namings(&r.principal) {
					if _, known := named[how]; !known {
						named[how] = s.as
					}
				}
			}
		}
	}
	withinBoundary := r.boundary == "" || allowedBy([]string{r.boundary})
	withinSession := !r.hasSession || allowedBy(r.session)
	limited := func(boundaryToo bool, granted policy.Type) verdict {
		if boundaryToo && !withinBoundary {
			return verdict{policy.ImplicitDeny, policy.PermissionsBoundary}
		}
		if !withinSession {
			return verdict{policy.ImplicitDeny, policy.SessionPolicy}
		}
		return verdict{policy.Allowed, granted}
	}
	sameAccount := inAccount && (r.resourceAccount == "" || r.resourceAccount == r.principal.Account)
	if len(named) == 0 && (!sameAccount || len(r.trust) > 0) {
		return verdict{policy.ImplicitDeny, resources}
	}
	if !inAccount {
		return verdict{policy.Allowed, named["itself"]}
	}
	if sameAccount {
		if as, ok := named["itself"]; ok {
			return verdict{policy.Allowed, as}
		}
		as, bySession := named["session"]
		if !bySession {
			as, bySession = named["everybody"]
		}
		if bySession {
			if all, ok := named["everybody"]; ok && as != all {
				as = min(as, all)
			}
			return limited(false, as)
		}
		if as, ok := named["role"]; ok {
			return limited(true, as)
		}
	}
	if r.principal.Type != policy.RootUser && !allowedBy(r.identity) {
		return verdict{policy.ImplicitDeny, policy.IdentityBased}
	}
	return limited(true, policy.IdentityBased)
}

type refStatement struct {
	version   string
	effect    string
	lists     map[string][]string // Action, NotAction, Resource, NotResource
	principal map[string][]string
	negated   bool // NotPrincipal
	condition map[string]map[string][]string
}

func refStatements(document string) []refStatement {
	var d struct {
		Version   string
		Statement json.RawMessage
	}
	must(json.Unmarshal([]byte(document), &d))
	var list []map[string]json.RawMessage
	if json.Unmarshal(d.Statement, &list) != nil {
		list = make([]map[string]json.RawMessage, 1)
		must(json.Unmarshal(d.Statement, &list[0]))
	}
	var statements []refStatement
	for _, raw := range list {
		s := refStatement{version: d.Version, lists: map[string][]string{}}
		for name, value := range raw {
			switch name {
			case "Effect":
				must(json.Unmarshal(value, &s.effect))
			case "Action", "NotAction":
				s.lists[name] = refStrings(value)
			case "Resource", "NotResource":
				s.lists[name] = refStrings(value)
				for i, arn := range s.lists[name] {
					for arn != "*" && strings.Count(arn, ":") < 5 {
						arn += ":*"
					}
					s.lists[name][i] = arn
				}
			case "Principal", "NotPrincipal":
				s.negated = name == "NotPrincipal"
				s.principal = map[string][]string{"AWS": {"*"}}
				var byType map[string]json.RawMessage
				if json.Unmarshal(value, &byType) == nil {
					s.principal = map[string][]string{}
					for kind, values := range byType {
						s.principal[kind] = refStrings(values)
					}
				}
			case "Condition":
				var operators map[string]map[string]json.RawMessage
				must(json.Unmarshal(value, &operators))
				s.condition = map[string]map[string][]string{}
				for op, byKey := range operators {
					s.condition[op] = map[string][]string{}
					for key, values := range byKey {
						s.condition[op][key] = refStrings(values)
					}
				}
			}
		}
		statements = append(statements, s)
	}
	return statements
}

func refStrings(raw json.RawMessage) []string {
	var many []any
	if json.Unmarshal(raw, &many) != nil {
		many = make([]any, 1)
		must(json.Unmarshal(raw, &many[0]))
	}
	texts := []string{}
	for _, v := range many {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		} else {
			b, err := json.Marshal(v)
			must(err)
			texts = append(texts, string(b))
		}
	}
	return texts
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// denies reports whether a Deny applies to the principal.
func (s *refStatement) denies(r *request) bool {
	if s.principal == nil {
		return true
	}
	everybody := slices.Contains(s.principal["AWS"], "*")
	if !s.negated {
		return everybody || len(s.namings(&r.principal)) > 0
	}
	if r.boundary != "" {
		return true
	}
	if everybody {
		return false
	}
	// Spared are those whose account and identity are both named.
	how := s.namings(&r.principal)
	switch r.principal.Type {
	case policy.RootUser:
		return !slices.Contains(how, "account")
	case policy.User, policy.FederatedUser:
		return !slices.Contains(how, "account") || !slices.Contains(how, "itself")
	case policy.RoleSession:
		return !slices.Contains(how, "account") || !slices.Contains(how, "role") || !slices.Contains(how, "session")
	}
	return len(how) == 0
}

// namings returns every way in which Principal or NotPrincipal names who.
func (s *refStatement) namings(who *policy.Principal) []string {
	var how []string
	switch who.Type {
	case policy.Service:
		if slices.Contains(s.principal["Service"], who.Provider) {
			how = append(how, "itself")
		}
		return how
	case policy.WebIdentity:
		if slices.Contains(s.principal["Federated"], who.Provider) {
			how = append(how, "itself")
		}
		return how
	case policy.Anonymous:
		if slices.Contains(s.principal["AWS"], "*") {
			how = append(how, "itself")
		}
		return how
	}
	for _, name := range s.principal["AWS"] {
		switch {
		case name == "*":
			how = append(how, "everybody")
		case name == who.Account, name == "arn:aws:iam::"+who.Account+":root":
			how = append(how, "account")
		case who.Type == policy.RoleSession && (name == who.ARN || name == who.UniqueID+":"+who.ARN[strings.LastIndex(who.ARN, "/")+1:]):
			how = append(how, "session")
		case who.Type == policy.RoleSession && (name == who.RoleARN || name == who.UniqueID):
			how = append(how, "role")
		case (who.Type == policy.User || who.Type == policy.FederatedUser) && (name == who.ARN || name == who.UniqueID):
			how = append(how, "itself")
		}
	}
	return how
}

// applies is about everything but the principal.
func (s *refStatement) applies(r *request) bool {
	if actions, ok := s.lists["Action"]; ok && !refAction(actions, r.action) {
		return false
	}
	if actions, ok := s.lists["NotAction"]; ok && refAction(actions, r.action) {
		return false
	}
	if resources, ok := s.lists["Resource"]; ok {
		if m := s.anyLike(resources, r.resource, r.keys, "*?"); !s.takes(m, m == "yes") {
			return false
		}
	}
	if resources, ok := s.lists["NotResource"]; ok {
		if m := s.anyLike(resources, r.resource, r.keys, "*?"); !s.takes(m, m == "no") {
			return false
		}
	}
	for op, byKey := range s.condition {
		for key, wanted := range byKey {
			if !s.holds(op, strings.ToLower(key), wanted, r.keys) {
				return false
			}
		}
	}
	return true
}

// takes is what holds, or for a comparison that cannot be made whether the
// statement denies.
func (s *refStatement) takes(m string, holds bool) bool {
	if m == "undecided" {
		return s.effect == "Deny"
	}
	return holds
}

func refAction(patterns []string, action string) bool {
	for _, p := range patterns {
		var tokens []token
		for _, c := range strings.ToLower(p) {
			tokens = append(tokens, token{c, c == '*' || c == '?'})
		}
		if like(tokens, strings.ToLower(action)) {
			return true
		}
	}
	return false
}

// A token is a character of a pattern, or a wildcard.
type token struct {
	r    rune
	wild bool
}

// like is the textbook's table: reach[j] says whether the tokens so far can
// stand for the first j characters.
func like(tokens []token, s string) bool {
	subject := []rune(s)
	reach := make([]bool, len(subject)+1)
	reach[0] = true
	for _, t := range tokens {
		next := make([]bool, len(subject)+1)
		for j := range next {
			switch {
			case t.wild && t.r == '*':
				next[j] = reach[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = reach[j-1] && (t.wild || t.r == subject[j-1])
			}
		}
		reach = next
	}
	return reach[len(subject)]
}

// tokens replaces the variables, and says whether all have a value. The
// characters of wild are wildcards.
func (s *refStatement) tokens(pattern string, k keys, wild string) ([]token, bool) {
	var tokens []token
	for pattern != "" {
		if s.version == "2012-10-17" && strings.HasPrefix(pattern, "${") {
			inside, rest, _ := strings.Cut(pattern[2:], "}")
			pattern = rest
			value := inside
			if inside != "*" && inside != "?" && inside != "$" {
				key, fallback, hasDefault := strings.Cut(inside, ",")
				values := k[strings.ToLower(key)]
				switch {
				case len(values) == 1:
					value = values[0]
				case len(values) == 0 && hasDefault:
					value = strings.Trim(strings.TrimSpace(fallback), "'")
				default:
					return nil, false
				}
			}
			for _, c := range value {
				tokens = append(tokens, token{c, false})
			}
			continue
		}
		c := []rune(pattern)[0]
		tokens = append(tokens, token{c, strings.ContainsRune(wild, c)})
		pattern = pattern[len(string(c)):]
	}
	return tokens, true
}

func (s *refStatement) anyLike(patterns []string, subject string, k keys, wild string) string {
	answer := "no"
	for _, p := range patterns {
		tokens, ok := s.tokens(p, k, wild)
		switch {
		case !ok:
			answer = "undecided"
		case like(tokens, subject):
			return "yes"
		}
	}
	return answer
}

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

func parse(t tb, document string, kind policy.Kind) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(document, kind)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return p
}

func parseAll(t tb, documents []string, kind policy.Kind) []*policy.Policy {
	t.Helper()
	var policies []*policy.Policy
	for _, d := range documents {
		policies = append(policies, parse(t, d, kind))
	}
	return policies
}
