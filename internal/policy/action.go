package policy

import "strings"

// noVendor is IAM's own text for an action or a key without prefix.
const noVendor = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."

// An action is the pattern of an Action or NotAction: "ecr:Get*". Its case does
// not matter (IAM User Guide, "IAM JSON policy elements: Action").
type action struct {
	elements []element // in lower case
}

func compileAction(s string) (action, error) {
	service, operation, ok := strings.Cut(s, ":")
	switch {
	case s == "*" || s == "*:*":
	case !ok || service == "" || operation == "":
		return action{}, detailed(noVendor, "%s", s)
	case !consistsOf(service, isAlphanumeric, "-."):
		return action{}, malformed("Vendor %s is not valid", service)
	case strings.Contains(operation, ":"):
		return action{}, malformed("Actions/Condition can contain only one colon.")
	}
	p, err := compilePattern(strings.ToLower(s), wildcards)
	return action{p.elements}, err
}

func (a *action) match(requested string) bool {
	// Most patterns begin with another service or verb.
	if first := &a.elements[0]; first.kind == text {
		if !hasPrefixFold(requested, first.text) {
			return false
		}
		if len(a.elements) == 1 {
			return len(requested) == len(first.text)
		}
	}
	return matchElements(a.elements, requested, &foldingCase)
}

func matchAction(actions []action, requested string) bool {
	for i := range actions {
		if actions[i].match(requested) {
			return true
		}
	}
	return false
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// consistsOf reports whether every byte of s is of the class or among others.
func consistsOf(s string, class func(byte) bool, others string) bool {
	for i := range len(s) {
		if !class(s[i]) && strings.IndexByte(others, s[i]) < 0 {
			return false
		}
	}
	return true
}

// GrantsService reports whether an Allow of the policy is about an action of the service,
// such as "ecr". It looks at the actions alone, as IAM's report of what was accessed last
// does: resources, conditions and Denies do not count.
func (p *Policy) GrantsService(service string) bool {
	for i := range p.allows {
		if s := &p.allows[i]; s.grantsService(strings.ToLower(service) + ":") {
			return true
		}
	}
	return false
}

// grantsService is [Policy.GrantsService] for a service with its colon.
func (s *statement) grantsService(prefix string) bool {
	for i := range s.actions {
		a := &s.actions[i]
		everything := a.elements[0].kind != text // "*" and "*:*"
		switch {
		case !s.notActions && (everything || strings.HasPrefix(a.elements[0].text, prefix)):
			return true
		case s.notActions && (everything || len(a.elements) == 2 && a.elements[0].text == prefix && a.elements[1].kind == anyRun):
			return false
		}
	}
	return s.notActions
}
