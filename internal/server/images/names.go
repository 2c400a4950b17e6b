package images

import (
	_ "crypto/sha256" // go-digest's SHA256
	_ "crypto/sha512" // go-digest's SHA512
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// A RepositoryID names a repository. A registry is an account in a region.
type RepositoryID struct{ Account, Region, Name string }

// ARN is arn:aws:ecr:REGION:ACCOUNT:repository/NAME.
func (id RepositoryID) ARN() string {
	return arn.New("ecr", id.Region, id.Account, resourcePrefix+id.Name).String()
}

const resourcePrefix = "repository/"

// ParseRepositoryARN is the inverse of [RepositoryID.ARN]. Fault:
// InvalidParameter.
func ParseRepositoryARN(s string) (RepositoryID, error) {
	a, err := arn.Parse(s)
	name, ok := strings.CutPrefix(a.Resource, resourcePrefix)
	if err != nil || !ok || a.Partition != arn.Partition || a.Service != "ecr" || a.Region == "" || !arn.IsAccountID(a.AccountID) {
		return RepositoryID{}, invalidParameter("resourceArn", "Invalid ARN: want arn:aws:ecr:REGION:ACCOUNT:repository/NAME")
	}
	return RepositoryID{a.AccountID, a.Region, name}, nil
}

// compare orders by account, region and name, bytewise.
func (id RepositoryID) compare(other RepositoryID) int {
	if c := strings.Compare(id.Account, other.Account); c != 0 {
		return c
	}
	if c := strings.Compare(id.Region, other.Region); c != 0 {
		return c
	}
	return strings.Compare(id.Name, other.Name)
}

// A Reference names an image of a repository by tag, by digest, or by both. Tag and
// digest must then belong together.
type Reference struct {
	Tag    string
	Digest digest.Digest
}

var (
	// Pattern and length are from RepositoryName in ECR's model.
	repositoryName = lazyregexp.New(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)
	// OCI distribution-spec 1.1, Pulling manifests.
	tagName = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// ValidRepositoryName reports whether a repository may have the name: 2 to 256
// characters that match ECR's pattern.
func ValidRepositoryName(name string) bool {
	return len(name) >= 2 && len(name) <= 256 && repositoryName.MatchString(name)
}

func checkRepositoryName(name string) error {
	if ValidRepositoryName(name) {
		return nil
	}
	return invalidParameter("repositoryName", "must be 2 to 256 characters and satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'")
}

// ValidTag reports whether an image may have the tag: 1 to 128 characters that
// match the OCI specification's pattern.
func ValidTag(tag string) bool { return tagName.MatchString(tag) }

// CheckDigest returns the fault InvalidDigest if d is not a well-formed digest, and
// DigestUnsupported if its algorithm is neither sha256 nor sha512.
func CheckDigest(d digest.Digest) error {
	algorithm, _, ok := strings.Cut(string(d), ":")
	if !ok {
		return fault.New(fault.Invalid, "InvalidDigest", "The digest %q is not ALGORITHM:HEX.", d)
	}
	if err := checkAlgorithm(digest.Algorithm(algorithm)); err != nil {
		return err
	}
	if d.Validate() != nil {
		return fault.New(fault.Invalid, "InvalidDigest", "The digest %q is not a valid %s digest: it must have lower-case hexadecimal digits of the right number.", d, algorithm)
	}
	return nil
}

func checkAlgorithm(a digest.Algorithm) error {
	if a != digest.SHA256 && a != digest.SHA512 {
		return fault.New(fault.Invalid, "DigestUnsupported", "The digest algorithm %q is not supported: use sha256 or sha512.", a)
	}
	return nil
}
