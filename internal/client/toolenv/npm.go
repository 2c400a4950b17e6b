package toolenv

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login/npmrc"
)

// npm is for npm, pnpm, Yarn 1 and bun, all of which read the user's npmrc and expand
// ${VARIABLES} in it. Variables alone are not enough: the only one that all read is
// npm_config_registry; pnpm and Yarn 1 read no token from variables, bun no scope.
//
// So they get a copy of the person's npmrc with the repositories added. Passwords of
// other registries in it become variables, since the file must hold no secret.
func npm(s *setter) {
	path, err := npmrc.Path(s.Places)
	if err != nil {
		s.err = err
		return
	}
	own, err := s.ReadFile.Text(path)
	if err != nil {
		s.err = err
		return
	}
	ours := make(map[string]bool)
	var lines []string
	line := func(key, value string) {
		ours[key] = true
		lines = append(lines, key+"="+value)
	}
	s.unset("npm_config_registry")
	for _, e := range s.endpoints {
		if len(e.Scopes) == 0 {
			line("registry", e.Endpoint.String())
			s.set("npm_config_registry", e.Endpoint.String()) // overrides a project's npmrc
		}
		for _, scope := range e.Scopes {
			line(scope+":registry", e.Endpoint.String())
		}
		if e.Token.Password != "" {
			address := strings.TrimPrefix(e.Endpoint.String(), e.Endpoint.Scheme+":")
			line(address+":_authToken", "${"+tokenVariable(e)+"}")
			if s.yarn1MayRun() { // which otherwise sends the token for packages with a scope only
				line(address+":always-auth", "true")
			}
			// Other credentials of the person for this address would come first.
			for _, k := range []string{"_auth", "username", "_password"} {
				ours[address+":"+k] = true
			}
		}
	}
	if !s.hasTokens() {
		// Behind the proxy, addresses are good for one run: npm 8.6 and later then
		// writes none into the lock file, and asks the registry for them.
		s.set("npm_config_omit_lockfile_registry_resolved", "true")
	}
	text := s.others(string(own), ours) + strings.Join(lines, "\n") + "\n"
	s.set("npm_config_userconfig", s.file("npmrc", text))
}

// lockFiles are the lock files of the clients that read an npmrc, except Yarn.
var lockFiles = []string{"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "bun.lock", "bun.lockb"}

// yarn1MayRun reports whether the command may start Yarn 1, as far as its name and
// the project's lock file tell. npm 11 and later warn about settings that they do
// not know, so what Yarn 1 alone reads is left out if it does not run.
func (s *setter) yarn1MayRun() bool {
	name := strings.ToLower(strings.TrimSuffix(filepath.Base(s.Program), ".exe"))
	switch {
	case strings.HasPrefix(name, "yarn"):
		return true
	case slices.Contains([]string{"npm", "npx", "pnpm", "pnpx", "bun", "bunx"}, strings.TrimSuffix(name, ".cmd")):
		return false
	}
	has := func(file string) bool {
		_, err := s.ReadFile(filepath.Join(s.Places.Dir, file))
		return err == nil
	}
	return has("yarn.lock") || !slices.ContainsFunc(lockFiles, has)
}

// others are the lines of the person's npmrc without the keys that are set here, and
// with references in place of secrets. An npmrc has one key=value per line (npm's
// `ini`).
func (s *setter) others(text string, ours map[string]bool) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimRight(line, "\r\n")
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if ours[strings.Trim(key, `"'`)] {
			continue
		}
		if (secretKey(key) || password.MatchString(value)) && value != "" && !strings.HasPrefix(value, "${") {
			name := fmt.Sprintf("GATEHOUSE_NPMRC_%d", len(s.env.Variables))
			s.env.Variables = append(s.env.Variables, Variable{Name: name, Value: strings.Trim(value, `"'`), Secret: true})
			line = key + "=${" + name + "}"
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// secretKey reports whether the value of an npm setting is a secret.
func secretKey(key string) bool {
	last := key[strings.LastIndexByte(key, ':')+1:]
	switch strings.ToLower(strings.Trim(last, `"'`)) {
	case "_authtoken", "_auth", "_password", "password", "key", "otp", "proxy", "https-proxy", "http-proxy":
		return true // the address of a proxy may contain a password
	}
	return false
}
