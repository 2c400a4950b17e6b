package policy

// Evaluate decides. The rules, in their order (IAM User Guide, "Policy
// evaluation logic"):
//
//  1. A Deny in any policy decides.
//  2. The guardrail of the principal's account, if there is one, must allow.
//  3. Inside one account, what a resource-based policy allows depends on whom it
//     names. A user's or federated user's own ARN: allowed. A session's ARN or
//     "*": allowed, unless the session has session policies that do not allow
//     (the guide is of two minds about that; this is the stricter). A role's ARN:
//     takes the place of the identity-based policies, and the permissions
//     boundary and the session policies must allow. An account: nothing yet.
//  4. Otherwise identity-based policies must allow, or the principal must be the
//     account's root, and so must the permissions boundary and the session
//     policies, if there are any.
//  5. Across accounts a resource-based policy must allow, whomever it names, and
//     then rule 4 holds as well.
//  6. A role's trust policy must allow in any case.
//
// A principal without an account of this server (a web identity, a service, no one) needs a
// resource-based policy's permission and no more.
func Evaluate(in *Input) Decision {
	if d, denied := explicitDeny(in); denied {
		return d
	}
	account := in.Principal.account()
	if in.Guardrail != nil && account != "" {
		if _, ok := in.Guardrail.allowing(in); !ok {
			return Decision{Type: ServiceControl}
		}
	}
	granted, as := grantedByResource(in)
	local := account != "" && (in.ResourceAccount == "" || in.ResourceAccount == account)
	switch {
	case as == notNamed && (!local || resourceType(in) == RoleTrust):
		return Decision{Type: resourceType(in)}
	case account == "":
		return granted
	case local && as == self:
		return granted
	case local && as == asSession:
		return limitedBySession(in, granted)
	case local && as == asRole:
		return limitedByBoundaryAndSession(in, granted)
	}
	identity := grantedByIdentity(in)
	if !identity.Allowed() {
		return identity
	}
	return limitedByBoundaryAndSession(in, identity)
}

// explicitDeny looks for a Deny in every policy.
func explicitDeny(in *Input) (Decision, bool) {
	if in.Guardrail != nil && in.Principal.account() != "" {
		if i, ok := in.Guardrail.denying(in); ok {
			return Decision{ExplicitDeny, ServiceControl, in.Guardrail, i}, true
		}
	}
	for _, p := range in.Resources {
		if i, ok := p.denying(in); ok {
			return Decision{ExplicitDeny, p.resourceType(), p, i}, true
		}
	}
	for _, p := range in.Identity {
		if i, ok := p.denying(in); ok {
			return Decision{ExplicitDeny, IdentityBased, p, i}, true
		}
	}
	if in.Boundary != nil {
		if i, ok := in.Boundary.denying(in); ok {
			return Decision{ExplicitDeny, PermissionsBoundary, in.Boundary, i}, true
		}
	}
	for _, p := range in.Session {
		if i, ok := p.denying(in); ok {
			return Decision{ExplicitDeny, SessionPolicy, p, i}, true
		}
	}
	return Decision{}, false
}

// denying returns the index of a Deny that applies.
func (p *Policy) denying(in *Input) (int, bool) {
	for i := range p.denies {
		if s := &p.denies[i]; !in.defers(s) && s.applies(in) && s.appliesTo(in) {
			return s.index, true
		}
	}
	return 0, false
}

// allowing returns the index of an Allow of an identity-based policy that applies.
func (p *Policy) allowing(in *Input) (int, bool) {
	if p.kind.namesPrincipals() {
		return 0, false
	}
	for i := range p.allows {
		if s := &p.allows[i]; !in.defers(s) && s.applies(in) {
			return s.index, true
		}
	}
	return 0, false
}

// grantedByResource finds the Allow of a resource-based policy that names the
// principal most strongly.
func grantedByResource(in *Input) (granted Decision, as nameForm) {
	for _, p := range in.Resources {
		for i := range p.allows {
			s := &p.allows[i]
			if n := s.nameForm(&in.Principal); n > as && !in.defers(s) && s.applies(in) {
				granted, as = Decision{Allowed, p.resourceType(), p, s.index}, n
			}
		}
	}
	return granted, as
}

// grantedByIdentity decides by the identity-based policies alone. Root needs
// none.
func grantedByIdentity(in *Input) Decision {
	if in.Principal.Type == RootUser {
		return Decision{Outcome: Allowed, Type: IdentityBased}
	}
	for _, p := range in.Identity {
		if i, ok := p.allowing(in); ok {
			return Decision{Allowed, IdentityBased, p, i}
		}
	}
	return Decision{Type: IdentityBased}
}

func limitedByBoundaryAndSession(in *Input, granted Decision) Decision {
	if in.Boundary != nil {
		if _, ok := in.Boundary.allowing(in); !ok {
			return Decision{Type: PermissionsBoundary}
		}
	}
	return limitedBySession(in, granted)
}

// limitedBySession is what was granted, if the session has no policies or one
// of them allows.
func limitedBySession(in *Input, granted Decision) Decision {
	if in.Session == nil {
		return granted
	}
	for _, p := range in.Session {
		if _, ok := p.allowing(in); ok {
			return granted
		}
	}
	return Decision{Type: SessionPolicy}
}

// resourceType is what the policy is among resource-based policies.
func (p *Policy) resourceType() Type {
	if p.kind == Trust {
		return RoleTrust
	}
	return ResourceBased
}

// resourceType is the type of resource-based policy that the resource has.
func resourceType(in *Input) Type {
	for _, p := range in.Resources {
		if p.kind == Trust {
			return RoleTrust
		}
	}
	return ResourceBased
}
