package login

import (
	"regexp"
	"strings"
)

var (
	scopeForm = regexp.MustCompile(`^@[A-Za-z0-9~-][A-Za-z0-9._~-]*$`)
	nameForm  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,62}$`)
)

// IsScope reports whether a text is what npm takes for a scope (npm's
// documentation, "scope"), with its @. Swift's are within them.
func IsScope(s string) bool { return scopeForm.MatchString(s) }

// IsName reports whether a text can be a [Target]'s Name: letters, digits and
// dashes after a letter, at most 63 of them, which is a name in every tool's
// configuration and in variables of the environment.
func IsName(s string) bool { return nameForm.MatchString(s) }

// NameOf is what tools call a repository that is given no other name:
// DOMAIN-REPOSITORY, with dashes for what names of repositories may have besides.
func NameOf(domain, repository string) string {
	return domain + "-" + strings.NewReplacer(".", "-", "_", "-").Replace(repository)
}
