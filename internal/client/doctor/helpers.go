package doctor

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// program is the import path of this program, which Go writes into the binary.
const program = "github.com/gatehouse-registry/gatehouse/cmd/gatehouse"

// checkHelpers checks whether the tools that ask a helper find this program under
// the helper's name.
func (m *Machine) checkHelpers(ctx context.Context) []Finding {
	grants := m.findGrants(ctx)
	var found []Finding
	seen := map[string]bool{}
	for _, c := range m.configured() {
		name := c.tool.Helper
		if name == "" || seen[name] || !m.uses(c, grants) || !m.needsHelper(c) {
			continue
		}
		seen[name] = true
		found = append(found, m.helper(c.tool).withSubject(name))
	}
	if len(found) == 0 {
		found = append(found, passed("no tool is configured to ask one"))
	}
	return found
}

// uses reports whether a tool is configured for an address that has a token from
// here.
func (m *Machine) uses(c configured, grants map[grantKey]grant) bool {
	for _, address := range c.addresses {
		if k, known := keyOf(c.tool, address); known && !grants[k].notOurs() {
			return true
		}
	}
	return false
}

// dockerHelper is the prefix of the names of docker's helpers. Docker's
// configuration has the rest of the name.
const dockerHelper = "docker-credential-"

// needsHelper reports whether a tool would ask the helper: it was logged in with it,
// or it is installed and its configuration holds no token.
func (m *Machine) needsHelper(c configured) bool {
	logins, _ := m.findLogins()
	if slices.ContainsFunc(logins, func(l login.Recorded) bool { return l.Tool == c.tool.Name && l.Expires.IsZero() }) {
		return true
	}
	if c.program == "" || slices.ContainsFunc(c.files, func(f file) bool { return len(findTokens(f.text)) > 0 }) {
		return false
	}
	suffix, docker := strings.CutPrefix(c.tool.Helper, dockerHelper)
	return !docker || slices.ContainsFunc(c.files, func(f file) bool { return bytes.Contains(f.text, []byte(strconv.Quote(suffix))) })
}

func (m *Machine) helper(t login.Tool) Finding {
	path, err := m.LookPath(t.Helper)
	switch {
	case err != nil:
		return failed(m.linkCommand(t.Helper), "%s asks it, but it is not on PATH", t.Name)
	case m.isThisProgram(path):
		return passed("%s is this program", path)
	case isOurs(path):
		return warning("", "%s is another gatehouse than %s", path, m.Places.Program)
	}
	return failed(m.linkCommand(t.Helper), "%s asks it, but %s is another program", t.Name, path)
}

// linkCommand links this program to a helper's name, in a folder that comes before
// every other program of that name.
func (m *Machine) linkCommand(helper string) string {
	dir := filepath.Join(m.Places.Home, ".local", "bin")
	lines := shellquote.Line("mkdir", "-p", dir) + "\n" + shellquote.Line("ln", "-sf", m.Places.Program, filepath.Join(dir, helper))
	if path := filepath.SplitList(m.Places.Getenv("PATH")); len(path) > 0 && filepath.Clean(path[0]) == dir {
		return lines
	}
	return lines + "\nexport PATH=" + shellquote.Quote(dir) + `:"$PATH"`
}

// isThisProgram reports whether a path leads to this program, directly or through
// links.
func (m *Machine) isThisProgram(path string) bool {
	a, err := m.Stat(path)
	if err != nil {
		return false
	}
	b, err := m.Stat(m.Places.Program)
	return err == nil && os.SameFile(a, b)
}

// isOurs reports whether a program was built from this module. It reads the file and
// does not run it.
func isOurs(path string) bool {
	info, err := buildinfo.ReadFile(path)
	return err == nil && info.Path == program
}
