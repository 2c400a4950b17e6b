package project

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// Formats are the package formats of CodeArtifact that tools can be configured for.
// Generic packages have no address; they are only available through the API.
var Formats = []string{"npm", "pypi", "maven", "nuget", "cargo", "ruby", "swift"}

var (
	domainPattern  = lazyregexp.New(`^[a-z][a-z0-9-]{0,48}[a-z0-9]$`)
	namePattern    = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{1,99}$`)
	accountPattern = lazyregexp.New(`^[0-9]{12}$`)
	// regionPattern keeps a region from changing the rest of a host name.
	regionPattern  = lazyregexp.New(`^[a-z][a-z0-9-]{0,62}$`)
	profilePattern = lazyregexp.New(`^[^\x00-\x1f\x7f]{1,128}$`)
)

// Validate checks everything that can be checked without a request. The error names
// the line.
func (p Project) Validate() error {
	if len(p.Repositories)+len(p.Registries) == 0 {
		return errors.New("there is no [[repository]] and no [[registry]]")
	}
	for i, r := range p.Repositories {
		if err := p.check(fmt.Sprintf("repository[%d]", i), r.fields()); err != nil {
			return err
		}
	}
	for i, r := range p.Registries {
		fields := append([]field{{"id", []string{r.ID}, accountPattern.MatchString, "a 12-digit account", false}}, r.Account.fields()...)
		if err := p.check(fmt.Sprintf("registry[%d]", i), fields); err != nil {
			return err
		}
	}
	return p.checkTogether()
}

// A field is a setting with the form of its values.
type field struct {
	name     string
	values   []string
	valid    func(string) bool
	what     string
	required bool
}

func (r Repository) fields() []field {
	return append([]field{
		{"domain", []string{r.Domain}, domainPattern.MatchString, "the name of a domain", true},
		{"name", []string{r.Name}, namePattern.MatchString, "the name of a repository", true},
		{"domain_owner", []string{r.DomainOwner}, accountPattern.MatchString, "a 12-digit account", false},
		{"formats", r.Formats, isFormat, "one of " + strings.Join(Formats, ", "), false},
		{"scopes", r.Scopes, login.IsScope, "a scope such as @acme", false},
		{"alias", []string{r.Alias}, login.IsName, "a name of letters, digits and dashes", false},
	}, r.Account.fields()...)
}

func (a Account) fields() []field {
	return []field{
		{"profile", []string{a.Profile}, profilePattern.MatchString, "the name of a profile", false},
		{"region", []string{a.Region}, regionPattern.MatchString, "a region", false},
	}
}

func isFormat(s string) bool { return slices.Contains(Formats, s) }

func (p Project) check(table string, fields []field) error {
	for _, f := range fields {
		for _, v := range f.values {
			if v == "" && f.required {
				return fmt.Errorf("%s%s is missing", p.lines.prefix(table, f.name), f.name)
			}
			if v != "" && !f.valid(v) {
				return fmt.Errorf("%s%s: %q is not %s", p.lines.prefix(table, f.name), f.name, v, f.what)
			}
		}
	}
	return nil
}

// checkTogether checks endpoints, and conflicts between repositories.
func (p Project) checkTogether() error {
	names := make(map[string]string)
	var everything string // the repository of all npm packages
	scopes := make(map[string]bool)
	for i, r := range p.Repositories {
		table := fmt.Sprintf("repository[%d]", i)
		if err := checkEndpoint(r.EndpointURL); err != nil {
			return fmt.Errorf("%sendpoint_url: %w", p.lines.prefix(table, "endpoint_url"), err)
		}
		name := r.alias()
		if other, taken := names[variableName(name)]; taken {
			return fmt.Errorf("%s%s and %s would have the same name in tools' configurations: give one an alias", p.lines.prefix(table, "alias"), other, name)
		}
		names[variableName(name)] = name
		if !slices.Contains(r.formats(), "npm") {
			if len(r.Scopes) > 0 {
				return fmt.Errorf("%sscopes are for npm, which is not among the formats", p.lines.prefix(table, "scopes"))
			}
			continue
		}
		if len(r.Scopes) == 0 && everything != "" {
			return fmt.Errorf("%snpm has one registry for all packages, and %s is that already: give this one scopes, or formats without npm", p.lines.prefix(table, "formats"), everything)
		}
		if len(r.Scopes) == 0 {
			everything = name
		}
		for _, s := range r.Scopes {
			if scopes[s] {
				return fmt.Errorf("%sthe scope %s has another repository already", p.lines.prefix(table, "scopes"), s)
			}
			scopes[s] = true
		}
	}
	for i, r := range p.Registries {
		if err := checkEndpoint(r.EndpointURL); err != nil {
			return fmt.Errorf("%sendpoint_url: %w", p.lines.prefix(fmt.Sprintf("registry[%d]", i), "endpoint_url"), err)
		}
	}
	return nil
}

func checkEndpoint(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not an https or http address", address)
	}
	return nil
}

// alias is the repository's name in tools' configurations.
func (r Repository) alias() string {
	if r.Alias != "" {
		return r.Alias
	}
	return login.NameOf(r.Domain, r.Name)
}

// formats are the formats that tools are configured for.
func (r Repository) formats() []string {
	if len(r.Formats) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(r.Formats)))
	}
	return Formats
}

// variableName is a name in the form of environment variables, which have no lower
// case and no dashes.
func variableName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }
