package login

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

var (
	scopeForm = lazyregexp.New(`^@[A-Za-z0-9~-][A-Za-z0-9._~-]*$`)
	nameForm  = lazyregexp.New(`^[A-Za-z][A-Za-z0-9-]{0,62}$`)
)

// IsScope reports whether npm accepts a text, with its @, as a scope (npm's
// documentation, "scope"). Swift's scopes are a subset.
func IsScope(s string) bool { return scopeForm.MatchString(s) }

// IsName reports whether a text can be the Name of a [Target]: a letter, then
// letters, digits and dashes, at most 63 characters. This is valid as a name in
// every tool's configuration and in environment variables.
func IsName(s string) bool { return nameForm.MatchString(s) }

// NameOf is the default name of a repository in tools' configurations:
// DOMAIN-REPOSITORY, with dashes in place of other signs.
func NameOf(domain, repository string) string {
	return domain + "-" + strings.NewReplacer(".", "-", "_", "-").Replace(repository)
}
