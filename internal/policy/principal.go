package policy

import (
	"slices"
	"strings"
)

// A nameForm says as whom a statement names a principal. What a resource's policy
// gives depends on it (see [Evaluate]). They are in ascending order of strength.
type nameForm uint8

const (
	notNamed nameForm = iota
	// asAccount: by the account's id or its root's ARN, which stands for the
	// account. It leaves the decision to the account's own policies.
	asAccount
	// asRole: by the ARN of the role that a session is of.
	asRole
	// asSession: by the ARN of the session itself, or as one of everyone.
	asSession
	// self: a user, a federated user, a service or a web identity.
	self
)

// principals is a Principal or NotPrincipal element. A user, a role or a role's
// session that is named by unique id (AIDA…, AROA…, AROA…:SESSION) is meant itself:
// whoever gets the name of a deleted one does not get its id.
type principals struct {
	everyone  bool
	accounts  []string
	users     []string // ARNs and unique ids
	roles     []string // likewise
	sessions  []string // ARNs of role sessions and of federated users, AROA…:SESSION
	services  []string
	federated []string
}

// nameForm returns the strongest way in which p names who. A star names every
// AWS principal and the anonymous one; it does not name a service or an
// outside identity, so that a trust policy which is open to all accounts is not
// open to every OIDC provider as well.
func (p *principals) nameForm(who *Principal) nameForm {
	switch who.Type {
	case Service:
		return nameFormIf(slices.Contains(p.services, who.Provider), self)
	case WebIdentity:
		return nameFormIf(slices.Contains(p.federated, who.Provider), self)
	case Anonymous:
		return nameFormIf(p.everyone, self)
	}
	strongest := nameFormIf(who.Account != "" && slices.Contains(p.accounts, who.Account), asAccount)
	switch who.Type {
	case User:
		strongest = max(strongest, nameFormIf(names(p.users, who.ARN, who.UniqueID), self))
	case FederatedUser:
		strongest = max(strongest, nameFormIf(slices.Contains(p.sessions, who.ARN), self))
	case RoleSession:
		strongest = max(strongest,
			nameFormIf(names(p.roles, who.RoleARN, who.UniqueID), asRole),
			nameFormIf(p.namesSession(who), asSession))
	}
	return max(strongest, nameFormIf(p.everyone, asSession))
}

// exempts reports whether a Deny with NotPrincipal p leaves who alone. The
// account must be named beside the user, and beside a role's session both the
// account and the role (IAM User Guide, "AWS JSON policy elements: NotPrincipal":
// the account is looked at first, then the role, then the session, and there is
// no way to name all sessions).
func (p *principals) exempts(who *Principal) bool {
	if p.everyone {
		return true
	}
	switch who.Type {
	case Anonymous:
		return false
	case Service, WebIdentity:
		return p.nameForm(who) != notNamed
	case RootUser:
		return p.nameForm(who) == asAccount
	}
	if !slices.Contains(p.accounts, who.Account) {
		return false
	}
	switch who.Type {
	case RoleSession:
		return names(p.roles, who.RoleARN, who.UniqueID) && p.namesSession(who)
	case FederatedUser:
		return slices.Contains(p.sessions, who.ARN)
	}
	return names(p.users, who.ARN, who.UniqueID)
}

func nameFormIf(isNamed bool, n nameForm) nameForm {
	if isNamed {
		return n
	}
	return notNamed
}

// names reports whether a list of users or roles has the ARN or the id.
func names(list []string, arn, uniqueID string) bool {
	return slices.Contains(list, arn) || slices.Contains(list, uniqueID)
}

// namesSession reports whether a role session is named: by its ARN, or by the id of
// its role with its own name, which is its aws:userid.
func (p *principals) namesSession(who *Principal) bool {
	name := who.ARN[strings.LastIndexByte(who.ARN, '/')+1:]
	for _, s := range p.sessions {
		if s == who.ARN {
			return true
		}
		if id, of, ok := strings.Cut(s, ":"); ok && id == who.UniqueID && of == name && name != "" {
			return true
		}
	}
	return false
}

// count is how many principals are named one by one.
func (p *principals) count() int {
	return len(p.accounts) + len(p.users) + len(p.roles) + len(p.sessions) + len(p.services) + len(p.federated)
}

func (p *principals) add(kind, value string) error {
	invalid := malformed("Invalid principal in policy: %q:%q", kind, value)
	switch kind {
	case "AWS":
		if !p.addAWS(value) {
			return invalid
		}
	case "Service":
		if !isHostName(value) {
			return invalid
		}
		p.services = append(p.services, value)
	case "Federated":
		account, resource, ok := cutIAM(value, "iam")
		// The URL of an OIDC issuer may end with a slash, and its provider's ARN then
		// does too.
		isProvider := ok && isAccountID(account) &&
			(hasName(strings.TrimSuffix(resource, "/"), "oidc-provider/") || hasName(resource, "saml-provider/"))
		if !isProvider && !isHostName(value) {
			return invalid
		}
		p.federated = append(p.federated, value)
	default:
		return malformed("Invalid principal type %s: want AWS, Service or Federated", kind)
	}
	return nil
}

// addAWS adds a principal of type AWS. No part of it may be a wildcard: a star
// stands alone or not at all.
func (p *principals) addAWS(value string) bool {
	switch {
	case value == "*":
		p.everyone = true
		return true
	case isAccountID(value):
		p.accounts = append(p.accounts, value)
		return true
	case isUniqueID(value, "AIDA"):
		p.users = append(p.users, value)
		return true
	case isUniqueID(value, "AROA"):
		p.roles = append(p.roles, value)
		return true
	case strings.ContainsAny(value, "*?"):
		return false
	}
	if id, name, ok := strings.Cut(value, ":"); ok && isUniqueID(id, "AROA") && name != "" && consistsOf(name, isAlphanumeric, "_+=,.@-") {
		p.sessions = append(p.sessions, value)
		return true
	}
	if account, resource, ok := cutIAM(value, "iam"); ok && isAccountID(account) {
		switch {
		case resource == "root":
			p.accounts = append(p.accounts, account)
		case hasName(resource, "user/"):
			p.users = append(p.users, value)
		case hasName(resource, "role/"):
			p.roles = append(p.roles, value)
		default:
			return false
		}
		return true
	}
	if account, resource, ok := cutIAM(value, "sts"); ok && isAccountID(account) {
		switch {
		case hasName(resource, "assumed-role/") && strings.Count(resource, "/") == 2:
			p.sessions = append(p.sessions, value)
		case hasName(resource, "federated-user/") && strings.Count(resource, "/") == 1:
			p.sessions = append(p.sessions, value)
		default:
			return false
		}
		return true
	}
	return false
}

// cutIAM takes the account and the resource out of an ARN of iam or sts, which
// have no region.
func cutIAM(value, service string) (account, resource string, ok bool) {
	rest, ok := strings.CutPrefix(value, "arn:")
	if !ok {
		return "", "", false
	}
	partition, rest, ok := strings.Cut(rest, ":")
	if !ok || !strings.HasPrefix(partition, "aws") {
		return "", "", false
	}
	rest, ok = strings.CutPrefix(rest, service+"::")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}

func hasName(resource, kind string) bool {
	name, ok := strings.CutPrefix(resource, kind)
	return ok && name != "" && !strings.HasSuffix(name, "/") && !strings.HasPrefix(name, "/")
}

func isAccountID(s string) bool { return len(s) == 12 && consistsOf(s, isDigit, "") }

// isUniqueID reports whether s is an id with the prefix (IAM User Guide, "IAM
// identifiers", unique identifiers).
func isUniqueID(s, prefix string) bool {
	return len(s) >= 16 && len(s) <= 128 && strings.HasPrefix(s, prefix) && consistsOf(s, isAlphanumeric, "")
}

func isHostName(s string) bool {
	return strings.Contains(s, ".") && consistsOf(s, isAlphanumeric, ".-_/") && isAlphanumeric(s[0])
}
