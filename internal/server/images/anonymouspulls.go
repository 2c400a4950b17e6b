package images

import (
	"context"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// anonymousPulls is the account setting that opens a registry to pulls without a token, an
// extension of Gatehouse. It allows nothing by itself: a resource policy must allow the
// principal "*" each of the actions.
const anonymousPulls = "ANONYMOUS_PULLS"

// anonymousActions are the actions of a pull. A resource policy cannot give others to a
// caller without a token.
var anonymousActions = []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}

// AllowsAnonymousPulls reports whether policies of a registry can allow pulls without a
// token. It does not authorize: whether they can is not a secret.
func (s *Service) AllowsAnonymousPulls(id RegistryID) bool {
	return s.registries.get(id).accountSetting(anonymousPulls) == enabled
}

// checkAnonymous refuses a caller without a token everything but pulls from a registry that
// is open to them. Fault: AccessDenied.
func (s *Service) checkAnonymous(ctx context.Context, id RegistryID, action string) error {
	if !authn.IsAnonymous(ctx) || slices.Contains(anonymousActions, action) && s.AllowsAnonymousPulls(id) {
		return nil
	}
	return fault.New(fault.Denied, "AccessDenied", "A request without a token is not authorized to perform: %s", action)
}
