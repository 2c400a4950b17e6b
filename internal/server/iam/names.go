package iam

import (
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// The patterns of names and paths (IAM API Reference, the parameters of
// CreateUser, CreateRole, CreateGroup, CreatePolicy, PutUserPolicy).
var (
	namePattern  = lazyregexp.New(`^[\w+=,.@-]+$`)
	pathPattern  = lazyregexp.New(`^/(?:[\x21-\x7e]+/)?$`)
	aliasPattern = lazyregexp.New(`^[a-z0-9](?:[a-z0-9]|-(?:[a-z0-9]))*$`)
)

// maxName is the longest name of each kind.
var maxName = map[Kind]int{KindUser: 64, KindGroup: 128, KindRole: 64, KindPolicy: 128}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "ValidationError", format, args...)
}

func CheckName(kind Kind, name string) error {
	if len(name) == 0 || len(name) > maxName[kind] || !namePattern.MatchString(name) {
		return invalid("The specified value for %sName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-, and be at most %d characters long.", kind.Noun(), maxName[kind])
	}
	return nil
}

// CheckPath returns the path, "/" if it is empty.
func CheckPath(path string) (string, error) {
	if path == "" {
		return "/", nil
	}
	if len(path) > 512 || !pathPattern.MatchString(path) {
		return "", invalid("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters, at most 512 of them.")
	}
	return path, nil
}

// MergeTags returns old with the tags added; the same key takes the new value.
// Keys that differ only in case are the same key.
func MergeTags(old, added []Tag) ([]Tag, error) {
	merged, err := resourcetags.MergeOrdered(old, added)
	if err == nil {
		return merged, nil
	}
	switch err.Reason {
	case resourcetags.TooMany:
		return nil, limit("The number of tags has reached the maximum limit of %d.", resourcetags.MaxTags)
	case resourcetags.ReservedKey:
		return nil, fault.New(fault.Invalid, "InvalidInput", "Tag keys that begin with aws: are reserved for AWS.")
	case resourcetags.DuplicateKey:
		return nil, fault.New(fault.Invalid, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	default:
		return nil, invalid("The tag %q is invalid: a key has 1 to %d and a value at most %d letters, digits, spaces or characters of _.:/=+-@", err.Key, resourcetags.MaxKeyLength, resourcetags.MaxValueLength)
	}
}
