package lifecycle

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/images/wildcard"
)

// A Policy is a lifecycle policy that is valid.
type Policy struct {
	// Rules are in the order of their priorities, the smallest number first.
	Rules []Rule
}

// A Rule is one rule of a policy.
type Rule struct {
	Priority    int
	Description string
	Selection   Selection
	Action      Action
}

// A Selection says which images a rule identifies, and which of them it marks.
type Selection struct {
	TagStatus TagStatus
	// Patterns and Prefixes are what tags of the image must match: each of them must
	// match some tag. A rule has one of the two lists if TagStatus is Tagged, and none
	// otherwise.
	Patterns, Prefixes []string
	StorageClass       StorageClass
	CountType          CountType
	// Count is a number of images or of days.
	Count int
}

// A TagStatus says which images a rule identifies by their tags.
type TagStatus string

// The tag statuses.
const (
	Any      TagStatus = "any"
	Tagged   TagStatus = "tagged"
	Untagged TagStatus = "untagged"
)

// A StorageClass is where an image is.
type StorageClass string

// The storage classes.
const (
	Standard StorageClass = "standard"
	Archive  StorageClass = "archive"
)

// A CountType says what a rule counts.
type CountType string

// The count types. All but the first count days.
const (
	ImageCountMoreThan     CountType = "imageCountMoreThan"
	SinceImagePushed       CountType = "sinceImagePushed"
	SinceImagePulled       CountType = "sinceImagePulled"
	SinceImageTransitioned CountType = "sinceImageTransitioned"
)

// An Action is what a rule does with the images that it acts on.
type Action string

// The actions. The target of a transition is always the archive.
const (
	Expire     Action = "expire"
	Transition Action = "transition"
)

// UsesPullTime reports whether a rule looks at when images were pulled.
func (p *Policy) UsesPullTime() bool {
	return slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Selection.CountType == SinceImagePulled })
}

// identifies reports whether the rule identifies an image.
func (s *Selection) identifies(img *Image) bool {
	if img.StorageClass != s.StorageClass {
		return false
	}
	switch s.TagStatus {
	case Any:
		return true
	case Untagged:
		return len(img.Tags) == 0
	}
	return everyMatches(s.Patterns, img.Tags, wildcard.Match) &&
		everyMatches(s.Prefixes, img.Tags, func(prefix, tag string) bool { return strings.HasPrefix(tag, prefix) })
}

// everyMatches reports whether each entry matches some tag.
func everyMatches(entries, tags []string, match func(entry, tag string) bool) bool {
	for _, entry := range entries {
		if !slices.ContainsFunc(tags, func(tag string) bool { return match(entry, tag) }) {
			return false
		}
	}
	return true
}

const day = 24 * time.Hour

// period is the age in days as a duration.
func (s *Selection) period() time.Duration {
	if int64(s.Count) > int64(math.MaxInt64/day) {
		return math.MaxInt64
	}
	return time.Duration(s.Count) * day
}
