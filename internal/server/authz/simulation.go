package authz

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// A Simulation is a request that no one makes: it asks what would be decided, and
// why. It is what IAM's policy simulator answers from.
type Simulation struct {
	Principal *authn.Principal
	Request   Request
	// Keys are condition keys, by their names in lower case. They win over what
	// follows from the principal and from Request.
	Keys map[string][]string
}

// Explain decides as [Decide] does, and says why. What a request has by its
// circumstances (aws:SourceIp, aws:CurrentTime, aws:SecureTransport…) is there
// only if Keys has it; what follows from the principal (aws:PrincipalArn,
// aws:PrincipalTag/*, aws:username…) is there by itself.
//
// A statement about package versions (see [RulesForVersions]) counts only if Keys has a key
// of versions. Without one, the answer is about the request itself, as for a client.
func (s *Simulation) Explain() *policy.Trace {
	s.Request.PerVersion = readsVersions(s.Request.Action) && !s.namesVersion()
	keys := &simulatedKeys{given: s.Keys, rest: conditionKeys{caller: &authn.Caller{Principal: s.Principal}, req: &s.Request}}
	return policy.Explain(input(s.Principal, &s.Request, keys))
}

func (s *Simulation) namesVersion() bool {
	for key := range s.Keys {
		if isVersionKey(key) {
			return true
		}
	}
	return false
}

// simulatedKeys are the condition keys of a simulation.
type simulatedKeys struct {
	given map[string][]string
	rest  conditionKeys
	value [1]string
}

// Lookup implements [policy.Context].
func (k *simulatedKeys) Lookup(key string) ([]string, bool) {
	if values, ok := k.given[key]; ok {
		return values, true
	}
	if strings.HasPrefix(key, principalTag) || strings.HasPrefix(key, resourceTag) {
		return k.rest.Lookup(key)
	}
	if value := k.rest.ofPrincipal(key); value != "" {
		k.value[0] = value
		return k.value[:], true
	}
	return nil, false
}
