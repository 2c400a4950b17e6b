package policy

import (
	"slices"
	"strings"
)

// Some condition keys have a value for each of many things that one request reads: the
// age of a version, if the request reads a package with a hundred versions. [Evaluate]
// decides about the request as a whole and cannot test them. Input.Deferred names such
// keys. Evaluate then leaves out every statement that has a condition on one of them, and
// the caller of Evaluate takes [DeferredDenies] and tests each rule for each thing.
//
// An Allow with such a condition allows nothing: what one version is allowed must not open
// the whole request.

// defers reports whether a statement is left out of the decision about the whole request.
func (in *Input) defers(s *statement) bool {
	return in.Deferred != nil && slices.ContainsFunc(s.conditions, func(c condition) bool { return in.Deferred(c.key) })
}

// A Rule is a Deny whose conditions on deferred keys have not been tested yet. Everything
// else in it applies to the request. Rules are comparable: equal ones decide equally about
// the same request.
type Rule struct {
	// Type is the role that the policy plays.
	Type      Type
	statement *statement
	text      string
	source    Source
	variables bool
}

// SID is the Sid of the statement, or empty.
func (r Rule) SID() string { return r.statement.sid }

// Index is the index of the statement in its policy.
func (r Rule) Index() int { return r.statement.index }

// Source is where the policy came from.
func (r Rule) Source() Source { return r.source }

// Varies reports whether the result may depend on more than the deferred keys, because a
// variable stands in a condition.
func (r Rule) Varies() bool { return r.variables }

// DeferredDenies returns the statements that deny the request if their conditions on
// deferred keys hold too. A statement is about the request if its Resource element names
// in.Resource or one of also. There are no rules if in.Deferred is nil.
func DeferredDenies(in *Input, also ...string) []Rule {
	return in.deferredDenies(func(s *statement) bool { return s.mayBeAbout(in, also) })
}

// AllDeferredDenies is [DeferredDenies] for whatever resource.
func AllDeferredDenies(in *Input) []Rule {
	return in.deferredDenies(func(*statement) bool { return true })
}

// DeferredSIDs returns the Sids of all statements that deny by a condition on a deferred
// key, whatever the request and the principal.
func (in *Input) DeferredSIDs() (sids []string) {
	if in.Deferred == nil {
		return nil
	}
	in.each(func(_ Type, p *Policy) {
		for i := range p.denies {
			if s := &p.denies[i]; s.sid != "" && in.defers(s) && !slices.Contains(sids, s.sid) {
				sids = append(sids, s.sid)
			}
		}
	})
	slices.Sort(sids)
	return sids
}

// HasDeferred reports whether a policy of the input has a condition on a deferred key.
// There are no rules if none has.
func (in *Input) HasDeferred() (has bool) {
	if in.Deferred == nil {
		return false
	}
	in.each(func(_ Type, p *Policy) { has = has || slices.ContainsFunc(p.keys, in.Deferred) })
	return has
}

func (in *Input) deferredDenies(about func(*statement) bool) (rules []Rule) {
	if in.Deferred == nil {
		return nil
	}
	in.each(func(as Type, p *Policy) {
		if !slices.ContainsFunc(p.keys, in.Deferred) {
			return
		}
		for i := range p.denies {
			s := &p.denies[i]
			if in.defers(s) && about(s) && s.appliesBeforeDeferred(in) && s.appliesTo(in) {
				text := p.StatementText(s.index)
				rules = append(rules, Rule{as, s, text, p.source, p.replacesVariables && strings.Contains(text, "${")})
			}
		}
	})
	return rules
}

// mayBeAbout reports whether the statement names in.Resource or one of also. What cannot
// be decided denies, as in applies.
func (s *statement) mayBeAbout(in *Input, also []string) bool {
	if s.resources == nil {
		return true
	}
	named, known := false, true
	for _, resource := range append([]string{in.Resource}, also...) {
		switch matchAny(s.resources, resource, in.Context) {
		case yes:
			named = true
		case undecided:
			known = false
		}
	}
	return !named && !known || named != s.notResources
}

// appliesBeforeDeferred is applies without the resource and without the conditions on
// deferred keys.
func (s *statement) appliesBeforeDeferred(in *Input) bool {
	if matchAction(s.actions, in.Action) == s.notActions {
		return false
	}
	for i := range s.conditions {
		if c := &s.conditions[i]; !in.Deferred(c.key) && !c.satisfied(in.Context, deny) {
			return false
		}
	}
	return true
}

// Denies reports whether the conditions on deferred keys hold. ctx has all keys of the
// request, with the values of the deferred ones for the thing in question.
func (r Rule) Denies(ctx Context, deferred func(key string) bool) bool {
	for i := range r.statement.conditions {
		if c := &r.statement.conditions[i]; deferred(c.key) && !c.satisfied(ctx, deny) {
			return false
		}
	}
	return true
}

// Keys are the keys of the statement's conditions, in lower case.
func (r Rule) Keys() []string {
	keys := make([]string, len(r.statement.conditions))
	for i := range r.statement.conditions {
		keys[i] = r.statement.conditions[i].key
	}
	return keys
}
