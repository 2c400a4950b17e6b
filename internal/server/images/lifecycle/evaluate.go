package lifecycle

import (
	"slices"
	"time"
)

// An Image is what rules look at.
type Image struct {
	Tags         []string
	StorageClass StorageClass
	// Since is the time that decides about age and order: when the image was pushed, or
	// when it was archived or restored last.
	Since time.Time
	// Pulled is when the image was last pulled, and zero if that is not known.
	Pulled time.Time
	// ListedBy is the digest of a manifest list that needs the image, or empty. Such an
	// image is not removed before the list.
	ListedBy string
	// Follows is the digest of the image that this one refers to, as a signature does, if
	// that image exists. It is removed with that one, and by no rule.
	Follows string
}

// Dependent reports whether no rule identifies the image because it belongs to another
// one: an untagged image of a manifest list, or a referrer of an image that exists.
// Otherwise the ten images that a rule keeps could be one release and its parts.
func (img *Image) Dependent() bool {
	return img.Follows != "" || img.ListedBy != "" && len(img.Tags) == 0
}

// An Evaluation applies a policy to the images of a repository. The images of each storage
// class must come in order, the youngest first; those of equal age by descending digest.
type Evaluation struct {
	policy *Policy
	now    time.Time
	// younger has how many images each rule has identified so far.
	younger []int
}

// Evaluate begins an evaluation as of a moment.
func (p *Policy) Evaluate(now time.Time) *Evaluation {
	return &Evaluation{p, now, make([]int, len(p.Rules))}
}

// Younger returns how many images each rule has identified so far, for [Evaluation.Resume].
func (e *Evaluation) Younger() []int { return slices.Clone(e.younger) }

// Resume goes on with an evaluation of the same policy. What it does not know of a rule
// counts as none.
func (e *Evaluation) Resume(younger []int) { copy(e.younger, younger) }

// A Finding is what one rule says about an image.
type Finding struct {
	Rule       *Rule
	Identified bool
	// Marked is true if the image is too old for the rule, or one too many.
	Marked bool
	// Younger is how many younger images the rule identifies.
	Younger int
	// Shielded is true if a rule with a smaller number identifies the image, so that this
	// one does not act on it.
	Shielded bool
}

// Next returns the rule that acts on the next image, or nil. A rule acts on an image that a
// manifest list needs only after the list is gone: the caller must leave such an image.
func (e *Evaluation) Next(img *Image) (acting *Rule) {
	e.visit(img, func(f Finding) {
		if f.Marked && !f.Shielded {
			acting = f.Rule
		}
	})
	return acting
}

// Explain is [Evaluation.Next] with what every rule says, in the order of the rules.
func (e *Evaluation) Explain(img *Image) (acting *Rule, findings []Finding) {
	findings = make([]Finding, len(e.policy.Rules))
	for i := range findings {
		findings[i].Rule = &e.policy.Rules[i]
	}
	i := 0
	e.visit(img, func(f Finding) {
		if f.Marked && !f.Shielded {
			acting = f.Rule
		}
		for findings[i].Rule != f.Rule {
			i++
		}
		findings[i] = f
	})
	return acting, findings
}

// visit calls found with what each rule says that identifies the image.
func (e *Evaluation) visit(img *Image, found func(Finding)) {
	if img.Dependent() {
		return
	}
	shielded := false
	for i := range e.policy.Rules {
		r := &e.policy.Rules[i]
		if !r.Selection.identifies(img) {
			continue
		}
		found(Finding{r, true, e.marks(&r.Selection, img, e.younger[i]), e.younger[i], shielded})
		e.younger[i]++
		shielded = true
	}
}

func (e *Evaluation) marks(s *Selection, img *Image, younger int) bool {
	switch s.CountType {
	case ImageCountMoreThan:
		return younger >= s.Count
	case SinceImagePulled:
		since := img.Since
		if img.Pulled.After(since) {
			since = img.Pulled
		}
		return e.now.Sub(since) > s.period()
	default:
		return e.now.Sub(img.Since) > s.period()
	}
}
