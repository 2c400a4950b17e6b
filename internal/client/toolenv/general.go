package toolenv

import (
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

// general sets variables for scripts and configurations of any tool:
//
//	CODEARTIFACT_AUTH_TOKEN      the token of the first repository, by the name that
//	                             AWS's documentation uses throughout
//	GATEHOUSE_<NAME>_TOKEN       the token of each repository
//	GATEHOUSE_<NAME>_<FORMAT>_URL  its address
//	ECR_REGISTRY, ECR_PASSWORD   the first registry, as `gatehouse token` prints it
//	GATEHOUSE_ECR_2_REGISTRY, …  the other registries
func general(s *setter) {
	seen := make(map[string]bool)
	packages, registries := 0, 0
	for _, e := range s.endpoints {
		name := variable(e.Name)
		if e.Registry() {
			prefix := "ECR"
			if registries++; registries > 1 {
				prefix = "GATEHOUSE_" + name
			}
			s.set(prefix+"_REGISTRY", e.Endpoint.Host)
			s.secret(prefix+"_PASSWORD", e.Token.Password, e)
			continue
		}
		if packages++; packages == 1 {
			s.secret("CODEARTIFACT_AUTH_TOKEN", e.Token.Password, e)
		}
		if !seen[name] {
			s.secret(tokenVariable(e), e.Token.Password, e)
		}
		seen[name] = true
		s.set("GATEHOUSE_"+name+"_"+strings.ToUpper(e.Format)+"_URL", e.Endpoint.String())
	}
}

// tokenVariable is the name of the variable that has an endpoint's token.
func tokenVariable(e project.Endpoint) string { return "GATEHOUSE_" + variable(e.Name) + "_TOKEN" }

// variable is a name in the form of environment variables: ACME_LIB for acme-lib.
func variable(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// camel is a name in camel case: acmeLib for acme-lib.
func camel(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' })
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

func userinfo(e project.Endpoint) *url.Userinfo {
	return url.UserPassword(e.Token.Username, e.Token.Password)
}
