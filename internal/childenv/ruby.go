package childenv

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/project"
)

// gem sends GEM_HOST_API_KEY to whatever host it pushes to, which RUBYGEMS_HOST
// makes ours. It has no variable for what it installs from.
func gem(s *setter) {
	s.set("RUBYGEMS_HOST", strings.TrimSuffix(s.first().Endpoint.String(), "/"))
	if s.first().Token.Password == "" {
		s.set("GEM_HOST_API_KEY", "none") // it insists on one
		return
	}
	s.secret("GEM_HOST_API_KEY", "Bearer "+s.first().Token.Password, s.first())
}

// bundler has passwords by host, so that of several domains on one host the
// first's is set. A Gemfile names the source.
func bundler(s *setter) {
	seen := make(map[string]bool)
	for _, e := range s.endpoints {
		name := bundlerKey(e)
		if !seen[name] {
			s.secret(name, e.Token.Username+":"+e.Token.Password, e)
		}
		seen[name] = true
	}
}

// bundlerKey is the name of Bundler's setting for a host (bundle config, "Remote
// sources"): "." becomes "__" and "-" becomes "___".
func bundlerKey(e project.Endpoint) string {
	host := strings.ReplaceAll(e.Endpoint.Hostname(), "-", "___")
	return "BUNDLE_" + strings.ToUpper(strings.ReplaceAll(host, ".", "__"))
}
