package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Warnings are about what is legal and seldom meant: what opens more than its
// author may think, or does nothing. Each is a sentence that names its statement.
// They do not decide anything.
func (p *Policy) Warnings() []string {
	var warnings []string
	for index := range p.Statements() {
		s := p.statement(index)
		if s == nil {
			continue
		}
		name := fmt.Sprintf("statement %d", index)
		if s.sid != "" {
			name += fmt.Sprintf(" (%s)", s.sid)
		}
		for _, w := range p.statementWarnings(s) {
			warnings = append(warnings, name+" "+w)
		}
	}
	return warnings
}

func (p *Policy) statementWarnings(s *statement) (warnings []string) {
	add := func(when bool, text string) {
		if when {
			warnings = append(warnings, text)
		}
	}
	for i := range s.conditions {
		c := &s.conditions[i]
		add(strings.HasPrefix(c.key, "gatehouse:") && !slices.Contains(gatehouseKeys, c.key), fmt.Sprintf("tests %s, which no request has; check its spelling", c.key))
		_, null := c.test.(nullTest)
		add(c.key == licenseKey && c.over == single && !null, "tests gatehouse:License, which may have several values, as if it had one; use ForAllValues: or ForAnyValue:")
		add(c.key == signedByKey && c.over == single && !null, "tests gatehouse:SignedBy, which may have several values, as if it had one; use ForAllValues: or ForAnyValue:")
	}
	if s.effect == allow {
		open := len(s.conditions) == 0
		add(p.kind == Identity && open && s.allActions() && s.allResources(), "allows every action on every resource")
		add(s.notActions && !s.notResources, "allows with NotAction every action that it does not name, including future ones")
		add(s.notResources, "allows with NotResource every resource that it does not name, including future ones")
		add(s.principals != nil && s.principals.everyone && open, "allows everyone, in every account, without a condition")
		add(p.kind == Identity && open && s.allResources() && !s.allActions() && s.names("iam:PassRole"), "allows passing every role")
		add(p.kind == Identity && open && s.allResources() && !s.allActions() && s.names("sts:AssumeRole"), "allows assuming every role that trusts the caller")
		for i := range s.conditions {
			c := &s.conditions[i]
			add(c.over == forAllValues && !s.requires(c.key), fmt.Sprintf("tests %s only with ForAllValues, which a request without that key passes; add Null", c.key))
		}
	}
	add(s.notPrincipals && len(s.principals.roles) > 0 && len(s.principals.sessions) == 0,
		"exempts a role with NotPrincipal but none of its sessions, so all of them are denied; use ArnNotEquals with aws:PrincipalArn")
	add(!p.replacesVariables && strings.Contains(p.StatementText(s.index), "${"), "has ${…}, which is replaced only in policies with Version 2012-10-17")
	return warnings
}

// licenseKey has several values if the user of a version may choose among licences.
const licenseKey = "gatehouse:license"

// signedByKey has several values if an image has several signatures.
const signedByKey = "gatehouse:signedby"

// gatehouseKeys are the condition keys that IAM does not have, in lower case. Package authz
// has what they mean, and its tests compare the two.
var gatehouseKeys = []string{
	"gatehouse:versionage", "gatehouse:packageorigin", "gatehouse:externalconnection", "gatehouse:packagegroup", "gatehouse:advisoryseverity", "gatehouse:malware",
	licenseKey, "gatehouse:attested", "gatehouse:signed", "gatehouse:installscripts", "gatehouse:similartointernal", signedByKey, "gatehouse:imageage", "gatehouse:scanseverity", "gatehouse:reportonly",
}

// allActions reports whether the statement is about every action.
func (s *statement) allActions() bool {
	return !s.notActions && slices.ContainsFunc(s.actions, func(a action) bool { return isEverything(a.elements) })
}

func (s *statement) allResources() bool {
	return !s.notResources && slices.ContainsFunc(s.resources, func(r pattern) bool { return isEverything(r.elements) })
}

// names reports whether the statement is about the action.
func (s *statement) names(requested string) bool {
	return matchAction(s.actions, requested) != s.notActions
}

// requires reports whether the statement applies only to requests that have the
// key.
func (s *statement) requires(key string) bool {
	return slices.ContainsFunc(s.conditions, func(c condition) bool {
		if c.key != key {
			return false
		}
		if null, ok := c.test.(nullTest); ok {
			return !slices.Contains(null.wantMissing, true)
		}
		return c.over == forAnyValue || c.over == single && !c.negated && !c.ifExists
	})
}

// isEverything reports whether a pattern matches every text: "*", and "*:*" of
// actions.
func isEverything(elements []element) bool {
	for _, e := range elements {
		if e.kind != anyRun && (e.kind != text || e.text != ":") {
			return false
		}
	}
	return len(elements) > 0 && elements[0].kind == anyRun
}
