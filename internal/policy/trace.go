package policy

import "slices"

// A Match is a statement that applies to a request: to its principal, action,
// resource and circumstances.
type Match struct {
	// Type is the role that the policy plays.
	Type      Type
	Policy    *Policy
	Statement int
	// Denies says that it is a Deny, and otherwise an Allow.
	Denies bool
}

// A Trace is a decision with everything that had a part in it.
type Trace struct {
	Decision
	// Matches are all statements that apply, those that deny first.
	Matches []Match
	// Missing are, for what is denied implicitly, the types of policies that would
	// each have to allow it, and do not: the one that decided comes first.
	Missing []Type
	// MissingKeys are the condition keys that policies look at and the request
	// does not have: sorted, in lower case.
	MissingKeys []string
}

// Explain is [Evaluate] with its reasons. It takes longer, and its memory.
func Explain(in *Input) *Trace {
	t := &Trace{Decision: Evaluate(in), Missing: missing(in)}
	in.each(func(as Type, p *Policy) {
		for i := range p.denies {
			if s := &p.denies[i]; !in.defers(s) && s.applies(in) && s.appliesTo(in) {
				t.Matches = append(t.Matches, Match{as, p, s.index, true})
			}
		}
	})
	in.each(func(as Type, p *Policy) {
		named := as == ResourceBased || as == RoleTrust
		if !named && p.kind.namesPrincipals() {
			return // out of its place: see Policy.allowing
		}
		for i := range p.allows {
			s := &p.allows[i]
			if !in.defers(s) && s.applies(in) && (!named || s.nameForm(&in.Principal) != notNamed) {
				t.Matches = append(t.Matches, Match{as, p, s.index, false})
			}
		}
	})
	in.each(func(_ Type, p *Policy) {
		for _, key := range p.keys {
			if _, ok := lookup(in.Context, key); !ok {
				t.MissingKeys = append(t.MissingKeys, key)
			}
		}
	})
	slices.Sort(t.MissingKeys)
	t.MissingKeys = slices.Compact(t.MissingKeys)
	return t
}

// each calls fn for every policy of the input that counts.
func (in *Input) each(fn func(Type, *Policy)) {
	if in.Guardrail != nil && in.Principal.account() != "" {
		fn(ServiceControl, in.Guardrail)
	}
	for _, p := range in.Resources {
		fn(p.resourceType(), p)
	}
	for _, p := range in.Identity {
		fn(IdentityBased, p)
	}
	if in.Boundary != nil {
		fn(PermissionsBoundary, in.Boundary)
	}
	for _, p := range in.Session {
		fn(SessionPolicy, p)
	}
}

// missing asks the evaluator itself: whatever it finds missing is added, until
// nothing is.
func missing(in *Input) (types []Type) {
	filled := *in
	for {
		d := Evaluate(&filled)
		if d.Outcome != ImplicitDeny || slices.Contains(types, d.Type) {
			return types
		}
		types = append(types, d.Type)
		filled.fill(d.Type)
	}
}

// fill adds a policy of the type that allows everything. One of a resource names
// the account, which leaves what the account's own policies have to allow.
func (in *Input) fill(t Type) {
	all := allowsEverything(Identity)
	switch t {
	case IdentityBased:
		in.Identity = append(slices.Clip(in.Identity), all)
	case PermissionsBoundary:
		in.Boundary = all
	case SessionPolicy:
		in.Session = append(slices.Clip(in.Session), all)
	case ServiceControl:
		in.Guardrail = all
	case ResourceBased, RoleTrust:
		kind := Resource
		if t == RoleTrust {
			kind = Trust
		}
		p := allowsEverything(kind)
		p.allows[0].principals = &principals{
			everyone: in.Principal.Type == Anonymous,
			accounts: []string{in.Principal.account()}, services: []string{in.Principal.Provider}, federated: []string{in.Principal.Provider},
		}
		in.Resources = append(slices.Clip(in.Resources), p)
	}
}

func allowsEverything(kind Kind) *Policy {
	everything := []element{{kind: anyRun}}
	s := statement{effect: allow, actions: []action{{everything}}}
	if !kind.namesPrincipals() {
		s.resources = []pattern{{elements: everything}}
	}
	return &Policy{kind: kind, allows: []statement{s}}
}
