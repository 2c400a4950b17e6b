// Package resourcetags checks and merges the tags of AWS resources: the limits
// that ECR repositories, CodeArtifact domains and repositories, and IAM entities
// have in common (Tagging AWS Resources User Guide, "Tag naming limits and
// requirements").
//
// It returns what is wrong as an [*Error]; each service answers that with its own
// error code and sentence. It imports nothing of the server.
package resourcetags

import (
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// The limits: tags of one resource, and characters.
const (
	MaxTags        = 50
	MaxKeyLength   = 128
	MaxValueLength = 256
)

// A Tag is a key with a value, for services that keep tags in order.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// A Reason says which rule a tag breaks.
type Reason int

// The reasons.
const (
	TooMany       Reason = iota + 1 // more than MaxTags
	KeyLength                       // empty, or more than MaxKeyLength characters
	ValueLength                     // more than MaxValueLength characters
	ReservedKey                     // begins with aws:
	BadCharacters                   // only if the service restricts them: see [MergeOrdered]
	DuplicateKey                    // twice in one request, only in [MergeOrdered]
)

// An Error is a rule that a set of tags breaks.
type Error struct {
	Reason Reason
	Key    string // of the tag; empty for TooMany
	Count  int    // of tags, for TooMany
}

func (e *Error) Error() string {
	switch e.Reason {
	case TooMany:
		return fmt.Sprintf("%d tags: a resource has at most %d", e.Count, MaxTags)
	case KeyLength:
		return fmt.Sprintf("the tag key %q must have 1 to %d characters", e.Key, MaxKeyLength)
	case ValueLength:
		return fmt.Sprintf("the value of the tag %q must have at most %d characters", e.Key, MaxValueLength)
	case ReservedKey:
		return fmt.Sprintf("the tag key %q begins with aws:, which is reserved", e.Key)
	case BadCharacters:
		return fmt.Sprintf("the tag %q has characters other than letters, digits, spaces and _.:/=+-@", e.Key)
	case DuplicateKey:
		return fmt.Sprintf("the tag key %q is given twice", e.Key)
	}
	return "invalid tag"
}

// Merge returns a new map of old with added put over it. Keys are case sensitive.
func Merge(old, added map[string]string) (map[string]string, *Error) {
	merged := make(map[string]string, len(old)+len(added))
	maps.Copy(merged, old)
	for key, value := range added {
		if err := checkTag(key, value); err != nil {
			return nil, err
		}
		merged[key] = value
	}
	if len(merged) > MaxTags {
		return nil, &Error{Reason: TooMany, Count: len(merged)}
	}
	return merged, nil
}

// allowed are the characters that IAM and STS accept in keys and values.
var allowed = lazyregexp.New(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// MergeOrdered is Merge as IAM and STS do it: the order of the tags stays, keys
// that differ only in case are the same key, one request must not have a key
// twice, and the characters are restricted (IAM API Reference, Tag).
func MergeOrdered(old, added []Tag) ([]Tag, *Error) {
	merged := append([]Tag(nil), old...)
	seen := make(map[string]bool, len(added))
	for _, t := range added {
		if err := checkTag(t.Key, t.Value); err != nil {
			return nil, err
		}
		if !allowed.MatchString(t.Key) || !allowed.MatchString(t.Value) {
			return nil, &Error{Reason: BadCharacters, Key: t.Key}
		}
		folded := strings.ToLower(t.Key)
		if seen[folded] {
			return nil, &Error{Reason: DuplicateKey, Key: t.Key}
		}
		seen[folded] = true
		if i := Index(merged, t.Key); i >= 0 {
			merged[i] = t
		} else {
			merged = append(merged, t)
		}
	}
	if len(merged) > MaxTags {
		return nil, &Error{Reason: TooMany, Count: len(merged)}
	}
	return merged, nil
}

func checkTag(key, value string) *Error {
	switch {
	case key == "" || utf8.RuneCountInString(key) > MaxKeyLength:
		return &Error{Reason: KeyLength, Key: key}
	case len(key) >= 4 && strings.EqualFold(key[:4], "aws:"):
		return &Error{Reason: ReservedKey, Key: key}
	case utf8.RuneCountInString(value) > MaxValueLength:
		return &Error{Reason: ValueLength, Key: key}
	}
	return nil
}

// Index returns the position of a key, whose case does not matter, or -1.
func Index(tags []Tag, key string) int {
	for i, t := range tags {
		if strings.EqualFold(t.Key, key) {
			return i
		}
	}
	return -1
}

// Without returns the tags that have none of the keys, whose case does not matter.
func Without(tags []Tag, keys []string) []Tag {
	var kept []Tag
	for _, t := range tags {
		if !containsFold(keys, t.Key) {
			kept = append(kept, t)
		}
	}
	return kept
}

func containsFold(list []string, s string) bool {
	for _, x := range list {
		if strings.EqualFold(x, s) {
			return true
		}
	}
	return false
}

// Map returns the tags as a map, nil if there are none.
func Map(tags []Tag) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}
