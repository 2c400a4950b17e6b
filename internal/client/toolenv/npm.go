package toolenv

import (
	"fmt"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login/npmrc"
)

// npm is for npm, pnpm, Yarn 1 and bun, all of which read the user's npmrc and
// expand ${VARIABLES} in it. Of variables alone they agree on no more than
// npm_config_registry: pnpm and Yarn 1 find no token in them, bun no scope.
//
// So they get an npmrc that is the person's own with the repositories added. A
// password of another registry that the person's has in it becomes a variable,
// as the file holds none.
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
			s.set("npm_config_registry", e.Endpoint.String()) // over a project's npmrc
		}
		for _, scope := range e.Scopes {
			line(scope+":registry", e.Endpoint.String())
		}
		if e.Token.Password != "" {
			address := strings.TrimPrefix(e.Endpoint.String(), e.Endpoint.Scheme+":")
			line(address+":_authToken", "${"+tokenVariable(e)+"}")
			line(address+":always-auth", "true") // Yarn 1 sends it for scopes alone otherwise
			// What else the person has for the address would go first.
			for _, k := range []string{"_auth", "username", "_password"} {
				ours[address+":"+k] = true
			}
		}
	}
	text := s.others(string(own), ours) + strings.Join(lines, "\n") + "\n"
	s.set("npm_config_userconfig", s.file("npmrc", text))
}

// others are the lines of the person's npmrc but for the keys that are ours, and
// with references for what is secret. An npmrc has one key=value a line
// (docs of npm's `ini`).
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

// secretKey reports whether npm's setting has a secret for its value.
func secretKey(key string) bool {
	last := key[strings.LastIndexByte(key, ':')+1:]
	switch strings.ToLower(strings.Trim(last, `"'`)) {
	case "_authtoken", "_auth", "_password", "password", "key", "otp", "proxy", "https-proxy", "http-proxy":
		return true // an address of a proxy may have a password in it
	}
	return false
}
