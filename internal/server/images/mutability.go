package images

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/wildcard"
)

// A Mutability says whether a tag of a repository may be moved to another
// image. The names are the same as in ECR's ImageTagMutability.
type Mutability string

// The four modes. In the modes with exclusion, the opposite rule applies to the
// tags that one of the repository's exclusion filters matches.
const (
	Mutable                Mutability = "MUTABLE"
	Immutable              Mutability = "IMMUTABLE"
	MutableWithExclusion   Mutability = "MUTABLE_WITH_EXCLUSION"
	ImmutableWithExclusion Mutability = "IMMUTABLE_WITH_EXCLUSION"
)

// maxExclusions is the number of exclusion filters that a repository may have
// (Amazon ECR User Guide, "Preventing image tags from being overwritten").
const maxExclusions = 5

// exclusionFilter is the form of a filter: 1 to 128 characters of a tag, with at
// most two wildcards (ImageTagMutabilityExclusionFilterValue).
var exclusionFilter = lazyregexp.New(`^[0-9a-zA-Z._*-]{1,128}$`)

// immutable reports whether tag cannot be moved once it is set.
func (s *Settings) immutable(tag string) bool {
	switch s.Mutability {
	case Immutable:
		return true
	case ImmutableWithExclusion:
		return !s.excluded(tag)
	case MutableWithExclusion:
		return s.excluded(tag)
	default:
		return false
	}
}

func (s *Settings) excluded(tag string) bool {
	for _, filter := range s.Exclusions {
		if wildcard.Match(filter, tag) {
			return true
		}
	}
	return false
}

// checkMutability returns InvalidParameter if the mode does not allow the filters.
func checkMutability(mode Mutability, filters []string) error {
	switch mode {
	case Mutable, Immutable:
		if len(filters) > 0 {
			return invalidParameter("imageTagMutabilityExclusionFilters", "Exclusion filters need the mode MUTABLE_WITH_EXCLUSION or IMMUTABLE_WITH_EXCLUSION")
		}
	case MutableWithExclusion, ImmutableWithExclusion:
		if len(filters) < 1 || len(filters) > maxExclusions {
			return invalidParameter("imageTagMutabilityExclusionFilters", "Member must have between 1 and 5 exclusion filters")
		}
	default:
		return invalidParameter("imageTagMutability", "Member must satisfy enum value set: [MUTABLE, IMMUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]")
	}
	for _, f := range filters {
		if !exclusionFilter.MatchString(f) || strings.Count(f, "*") > 2 {
			return invalidParameter("imageTagMutabilityExclusionFilters", "A filter has 1 to 128 letters, digits, '.', '_', '-' and at most two '*'")
		}
	}
	return nil
}
