package doctor

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// findLogins returns the logins that gatehouse login made and that were not undone.
func (m *Machine) findLogins() ([]login.Recorded, error) {
	return m.logins.get(m.Logins)
}

// checkLogins compares the recorded logins with the configurations: whether each
// token is still valid, and whether the configuration still has it.
func (m *Machine) checkLogins(context.Context) []Finding {
	logins, err := m.findLogins()
	if err != nil {
		return []Finding{failed("", "%v", err)}
	}
	if len(logins) == 0 {
		return []Finding{passed("none")}
	}
	var found []Finding
	for _, l := range logins {
		found = append(found, m.login(l).withSubject(l.Tool))
	}
	return found
}

func (m *Machine) login(l login.Recorded) Finding {
	endpoint := l.Target.Endpoint.String()
	switch {
	case !m.stillConfigured(l):
		return warning(logoutLine(l), "%s is recorded, but is not in the configuration any more", endpoint)
	case l.Expires.IsZero():
		return passed("%s, without a token in the configuration", endpoint)
	case !l.Expires.After(m.Now()):
		return failed(recordedLine(l), "%s, with a token until %s", endpoint, identity.Until(l.Expires, m.Now()))
	}
	return passed("%s, with a token until %s", endpoint, identity.Until(l.Expires, m.Now()))
}

// stillConfigured reports whether the tool's configuration still has a login, as far
// as that can be determined: it names the address, or its addresses cannot be
// read.
func (m *Machine) stillConfigured(l login.Recorded) bool {
	if !slices.ContainsFunc(l.Files, func(path string) bool { _, err := m.Stat(path); return err == nil }) {
		return false
	}
	for _, c := range m.configured() {
		if c.tool.Name != l.Tool || c.tool.Addresses == nil || c.err != nil {
			continue
		}
		read := slices.ContainsFunc(c.files, func(f file) bool { return slices.Contains(l.Files, f.path) })
		return !read || slices.ContainsFunc(c.addresses, func(address string) bool {
			k, _ := keyOf(c.tool, address)
			recorded, _ := keyOf(c.tool, l.Target.Endpoint.String())
			return k == recorded
		})
	}
	return true
}

// usesHelper reports whether a tool was logged in to an address with a helper.
func (m *Machine) usesHelper(tool, address string) bool {
	logins, err := m.findLogins()
	return err == nil && slices.ContainsFunc(logins, func(l login.Recorded) bool {
		return l.Tool == tool && l.Expires.IsZero() && authtoken.Host(l.Target.Endpoint.String()) == authtoken.Host(address)
	})
}

// recordedExpiry is when the token expires that a login has put into a file. It is
// the zero Time if none is recorded, or several are.
func (m *Machine) recordedExpiry(path string) time.Time {
	logins, err := m.findLogins()
	if err != nil {
		return time.Time{}
	}
	var until time.Time
	for _, l := range logins {
		if l.Expires.IsZero() || !slices.Contains(l.Files, path) {
			continue
		}
		if !until.IsZero() && !until.Equal(l.Expires) {
			return time.Time{}
		}
		until = l.Expires
	}
	return until
}

// recordedLine is the command that repeats a login.
func recordedLine(l login.Recorded) string {
	t := l.Target
	words := []string{"gatehouse", "login", l.Tool}
	for _, f := range [][2]string{
		{"--domain", t.Domain},
		{"--domain-owner", t.Owner},
		{"--repository", t.Repository},
		{"--variable", t.Variable},
		{"--profile", t.AWS.Profile},
		{"--region", t.AWS.Region},
		{"--endpoint-url", t.AWS.EndpointURL},
	} {
		if f[1] != "" {
			words = append(words, f[0], f[1])
		}
	}
	if t.Domain != "" && t.Name != login.NameOf(t.Domain, t.Repository) {
		words = append(words, "--name", t.Name)
	}
	for _, scope := range t.Scopes {
		words = append(words, "--scope", scope)
	}
	if t.Placement == login.Add {
		words = append(words, "--extra")
	}
	if t.Duration != 0 {
		words = append(words, "--duration", strconv.Itoa(int(t.Duration.Seconds())))
	}
	return shellquote.Line(words...)
}

func logoutLine(l login.Recorded) string {
	words := []string{"gatehouse", "logout", l.Tool}
	if l.Target.Domain != "" {
		words = append(words, "--domain", l.Target.Domain, "--repository", l.Target.Repository)
	} else {
		words = append(words, "--host", l.Target.Endpoint.Host)
	}
	return shellquote.Line(words...)
}
