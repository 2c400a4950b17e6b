package childenv

import "strings"

// yarn is for Yarn 2 and later, which reads no npmrc.
//
// The token is in the address of the registry. YARN_NPM_AUTH_TOKEN would be for
// every registry that a project's .yarnrc.yml names and that has no token of its
// own. A registry for a scope alone cannot be named in variables at all: a
// project names it in .yarnrc.yml, with npmAuthToken: "${CODEARTIFACT_AUTH_TOKEN-}".
func yarn(s *setter) {
	for _, e := range s.endpoints {
		if len(e.Scopes) > 0 {
			continue
		}
		s.set("YARN_NPM_ALWAYS_AUTH", "true")
		s.addressed("YARN_NPM_REGISTRY_SERVER", strings.TrimSuffix(withUser(e, ""), "/"), e)
		s.unset("YARN_NPM_AUTH_TOKEN", "YARN_NPM_AUTH_IDENT", "YARN_NPM_PUBLISH_REGISTRY")
		if e.Endpoint.Scheme == "http" {
			s.set("YARN_UNSAFE_HTTP_WHITELIST", e.Endpoint.Hostname())
		}
	}
}
