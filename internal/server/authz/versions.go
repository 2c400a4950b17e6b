package authz

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// Condition keys of package versions and of images. One request reads a package with many
// versions, and each has values of its own; and an image is known only after the request was
// authorized. So a Deny that looks at one of these keys does not decide about the request but
// about single versions and images: see [RulesForVersions].
const (
	// VersionAge is the number of whole days since the version was published.
	VersionAge = "gatehouse:VersionAge"
	// PackageOrigin is "internal" for a version that was published to this server, and
	// "external" for one that came through an external connection.
	PackageOrigin = "gatehouse:PackageOrigin"
	// ExternalConnection is the connection through which the version came, such as
	// public:npmjs. An internal version does not have the key.
	ExternalConnection = "gatehouse:ExternalConnection"
	// PackageGroup is the pattern of the package group that the package belongs to.
	PackageGroup = "gatehouse:PackageGroup"
	// AdvisorySeverity is the worst severity of the advisories about the version: low,
	// moderate, high or critical; "unknown" if none of them has one, and "none" if there
	// is no advisory.
	AdvisorySeverity = "gatehouse:AdvisorySeverity"
	// Malware is "true" if an advisory says that the version is malicious.
	Malware = "gatehouse:Malware"
	// License has the licences among which the user of the version may choose, as package
	// spdx reads them; "unknown" if its metadata name none. It may have several values.
	License = "gatehouse:License"
	// Attested is "true" if there is an attestation of how the file was made, and Signed if
	// there is a signature of it. InstallScripts is "true" if installing the file runs code
	// that is in it. Each is "false" if there is none, and missing if that is not known.
	Attested       = "gatehouse:Attested"
	Signed         = "gatehouse:Signed"
	InstallScripts = "gatehouse:InstallScripts"
	// SimilarToInternal is "true" if the name of the package is easily taken for the one of
	// an internal package of the domain.
	SimilarToInternal = "gatehouse:SimilarToInternal"
	// SignedBy has the signing profiles whose valid signatures an image has, as ARNs. An image
	// without one does not have the key. It may have several values.
	SignedBy = "gatehouse:SignedBy"
	// ImageAge is the number of whole days since an image was pushed.
	ImageAge = "gatehouse:ImageAge"
	// ScanSeverity is the worst severity of the findings of an image, with the words of
	// AdvisorySeverity. An image without the result of a scan does not have the key.
	ScanSeverity = "gatehouse:ScanSeverity"
	// ReportOnly is "false" when a version is decided about, and "true" when the server
	// asks what would be denied.
	ReportOnly = "gatehouse:ReportOnly"
)

// versionKeys has the names of the keys by their form in lower case.
var versionKeys = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		VersionAge, PackageOrigin, ExternalConnection, PackageGroup, AdvisorySeverity, Malware,
		License, Attested, Signed, InstallScripts, SimilarToInternal, SignedBy, ImageAge, ScanSeverity, ReportOnly,
	} {
		names[strings.ToLower(name)] = name
	}
	return names
}()

// VersionKey returns the name of a condition key of package versions. ok is false if the
// key, which is in lower case, is another one.
func VersionKey(lower string) (name string, ok bool) {
	if !strings.HasPrefix(lower, "gatehouse:") {
		return "", false
	}
	name, ok = versionKeys[lower]
	return name, ok
}

func isVersionKey(lower string) bool {
	_, ok := VersionKey(lower)
	return ok
}

// perVersion are the actions that are decided about for each version or image.
var perVersion = []string{"codeartifact:ReadFromRepository", "codeartifact:GetPackageVersionAsset", "ecr:BatchGetImage", "ecr:PutImage"}

// readsVersions reports whether an action reads versions or images that are decided about one
// by one.
func readsVersions(action string) bool {
	return slices.ContainsFunc(perVersion, func(a string) bool { return strings.EqualFold(a, action) })
}

// VersionRules are the rules that may deny versions to one caller.
type VersionRules struct {
	Rules []policy.Rule
	rest  conditionKeys
}

// MayHaveVersionRules reports whether a policy of the caller in a context, or one of the
// resource, looks at a key of versions. If it is false, RulesForVersions returns nil
// whatever the request is, and the request need not be made.
func MayHaveVersionRules(ctx context.Context, resource []*policy.Policy) bool {
	caller := authn.FromContext(ctx)
	if caller == nil || caller.Principal == nil {
		return false
	}
	return deferredInput(caller.Principal, resource).HasDeferred()
}

// VersionRuleSIDs returns the Sids of the rules about versions in the policies of the caller
// in a context, and in those of the resources, also of rules for other principals.
func VersionRuleSIDs(ctx context.Context, resources []*policy.Policy) []string {
	caller := authn.FromContext(ctx)
	if caller == nil || caller.Principal == nil {
		return nil
	}
	return deferredInput(caller.Principal, resources).DeferredSIDs()
}

// deferredInput has the policies of a caller and of resources, and no request.
func deferredInput(p *authn.Principal, resources []*policy.Policy) *policy.Input {
	return &policy.Input{
		Principal: policy.Principal{Account: p.Account},
		Identity:  p.Policies, Boundary: p.Boundary, Guardrail: p.Guardrail, Session: p.SessionPolicies,
		Resources: resources, Deferred: isVersionKey,
	}
}

// RulesForVersions returns the rules by which versions are denied to the caller in a
// context. A rule is a Deny statement with a condition on a key of versions. A statement
// is about a version if its Resource element names req.Resource or one of also: a version
// belongs to its package and to its repository. The request itself must have been
// authorized with PerVersion. It is nil if there is no rule, which is the usual case and
// costs little.
func RulesForVersions(ctx context.Context, req *Request, also ...string) *VersionRules {
	caller := authn.FromContext(ctx)
	if caller == nil || caller.Principal == nil {
		return nil // and so authorized for nothing
	}
	v := &VersionRules{rest: conditionKeys{caller: caller, req: req}}
	in := input(caller.Principal, req, &v.rest)
	in.Deferred = isVersionKey
	if v.Rules = policy.DeferredDenies(in, also...); len(v.Rules) == 0 {
		return nil
	}
	return v
}

// AllRulesForVersions returns the rules that may deny versions of any package to the
// caller. It is for what tells documents about all packages apart.
func AllRulesForVersions(ctx context.Context, req *Request) []policy.Rule {
	caller := authn.FromContext(ctx)
	if caller == nil || caller.Principal == nil {
		return nil
	}
	in := input(caller.Principal, req, &conditionKeys{caller: caller, req: req})
	in.Deferred = isVersionKey
	return policy.AllDeferredDenies(in)
}

// LookAt reports whether a rule has a condition on one of the keys of versions.
func (v *VersionRules) LookAt(names ...string) bool {
	for _, rule := range v.Rules {
		for _, lower := range rule.Keys() {
			if name, ok := VersionKey(lower); ok && slices.Contains(names, name) {
				return true
			}
		}
	}
	return false
}

// Denies reports whether a rule denies a version, whose keys are given.
func (v *VersionRules) Denies(r policy.Rule, version policy.Context) bool {
	return r.Denies(versionContext{version, &v.rest}, isVersionKey)
}

// A versionContext has the keys of a version and those of the request.
type versionContext struct{ version, request policy.Context }

// Lookup implements [policy.Context].
func (c versionContext) Lookup(key string) ([]string, bool) {
	if isVersionKey(key) {
		return c.version.Lookup(key)
	}
	return c.request.Lookup(key)
}

// RuleName says in words which statement of which policy a rule is.
func RuleName(r policy.Rule) string {
	text := "statement " + strconv.Itoa(r.Index())
	if sid := r.SID(); sid != "" {
		text = "the rule " + sid
	}
	from := r.Source()
	text += " of the " + r.Type.String()
	if of := cmp.Or(from.Name, from.ARN); of != "" {
		text += " " + of
	}
	return text
}
