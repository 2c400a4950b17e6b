package policy

// An effect is what a statement does to the requests that it applies to.
type effect uint8

const (
	allow effect = iota
	deny
)

// A statement is one compiled statement. The element and its negation (Action
// and NotAction) are one field and a sign, for a statement has only one of them.
type statement struct {
	index  int
	sid    string
	effect effect
	// start and end are where it stands in the document, in bytes: from its
	// opening brace to after its closing one.
	start, end int

	actions    []action
	notActions bool

	// resources is nil in a statement without Resource or NotResource, which is
	// about whatever its policy belongs to.
	resources    []pattern
	notResources bool

	// principals is nil in an identity-based policy.
	principals    *principals
	notPrincipals bool

	conditions []condition
}

// applies reports whether the statement is about the action, the resource and
// the circumstances of the request; whom it names is [statement.nameForm].
func (s *statement) applies(in *Input) bool {
	if matchAction(s.actions, in.Action) == s.notActions {
		return false
	}
	if s.resources != nil {
		switch m := matchAny(s.resources, in.Resource, in.Context); {
		case m == undecided && s.effect == allow, m != undecided && (m == yes) == s.notResources:
			return false
		}
	}
	for i := range s.conditions {
		if !s.conditions[i].satisfied(in.Context, s.effect) {
			return false
		}
	}
	return true
}

// nameForm says how an Allow names the principal. NotPrincipal with Allow does not
// exist.
func (s *statement) nameForm(who *Principal) nameForm {
	if s.principals == nil || s.notPrincipals {
		return notNamed
	}
	return s.principals.nameForm(who)
}

// appliesTo reports whether a Deny is about the principal. A star denies all,
// also those whom it does not allow.
func (s *statement) appliesTo(in *Input) bool {
	switch {
	case s.principals == nil:
		return true
	case s.notPrincipals:
		// A principal with a permissions boundary is denied whatever is named
		// (IAM User Guide, "AWS JSON policy elements: NotPrincipal").
		return in.Boundary != nil || !s.principals.exempts(&in.Principal)
	}
	return s.principals.everyone || s.principals.nameForm(&in.Principal) != notNamed
}
