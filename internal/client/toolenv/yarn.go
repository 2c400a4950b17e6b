package toolenv

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

// yarn is for Yarn 2 and later, which reads no npmrc.
//
// YARN_NPM_AUTH_TOKEN would be sent to every registry without its own token that a
// project's .yarnrc.yml names, and variables cannot set scopes at all. So a plug-in,
// named by YARN_PLUGINS, adds the registries to Yarn's configuration, each with the
// name of the variable that has its token.
func yarn(s *setter) {
	registries := make(map[string]string) // by address without its scheme: the token's variable
	scopes := make(map[string]string)     // by name without its @: the address
	var plain []string                    // hosts without TLS
	s.unset("YARN_NPM_REGISTRY_SERVER", "YARN_NPM_ALWAYS_AUTH", "YARN_NPM_AUTH_TOKEN", "YARN_NPM_AUTH_IDENT", "YARN_NPM_PUBLISH_REGISTRY")
	for _, e := range s.endpoints {
		address := strings.TrimSuffix(e.Endpoint.String(), "/")
		if e.Token.Password != "" {
			registries[strings.TrimPrefix(address, e.Endpoint.Scheme+":")] = tokenVariable(e)
		}
		for _, scope := range e.Scopes {
			scopes[strings.TrimPrefix(scope, "@")] = address
		}
		if len(e.Scopes) == 0 {
			s.set("YARN_NPM_REGISTRY_SERVER", address)
		}
		if host := e.Endpoint.Hostname(); e.Endpoint.Scheme == "http" && !slices.Contains(plain, host) {
			plain = append(plain, host)
		}
	}
	if len(plain) > 0 {
		s.set("YARN_UNSAFE_HTTP_WHITELIST", strings.Join(plain, ","))
	}
	plugin := s.file("yarn-plugin.cjs", strings.NewReplacer("REGISTRIES", literal(registries), "SCOPES", literal(scopes)).Replace(yarnPlugin))
	if own := s.Places.Getenv("YARN_PLUGINS"); own != "" {
		plugin = own + ";" + plugin
	}
	s.set("YARN_PLUGINS", plugin)
}

//go:embed yarn-plugin.cjs
var yarnPlugin string

// literal is a map as a JavaScript literal. Addresses and names were checked before,
// and JavaScript reads everything that JSON escapes.
func literal(m map[string]string) string {
	text, err := json.Marshal(m)
	if err != nil { // encoding strings does not fail
		panic(err)
	}
	return string(text)
}
