package packages

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// versionKeys answers for the condition keys of one version.
type versionKeys struct {
	*admission
	version    *Version
	since      time.Time
	reportOnly bool
	file       FileTraits
	value      [1]string // what Lookup returned last
}

func (a *admission) keys(v *Version, file *Asset) *versionKeys {
	k := &versionKeys{admission: a, version: v, since: v.fileSince(file)}
	if a.byFile {
		k.file = a.traits.File(a.id.Format, v, file)
	}
	return k
}

// Lookup implements [policy.Context].
func (k *versionKeys) Lookup(lower string) ([]string, bool) {
	name, ok := authz.VersionKey(lower)
	if !ok {
		return nil, false
	}
	switch name {
	case authz.VersionAge:
		k.value[0] = strconv.FormatInt(int64(age(k.since, k.now.Earliest)/day), 10)
	case authz.PackageOrigin:
		k.value[0] = "internal"
		if k.version.External() {
			k.value[0] = "external"
		}
	case authz.ExternalConnection:
		if !k.version.External() {
			return nil, false
		}
		k.value[0] = k.version.EntryPoint
	case authz.PackageGroup:
		k.value[0] = k.group
	case authz.AdvisorySeverity:
		k.value[0] = k.severity()
	case authz.Malware:
		k.value[0] = strconv.FormatBool(slices.ContainsFunc(k.advisories(k.id, k.version.Version), func(a *Advisory) bool { return a.Malware }))
	case authz.License:
		return k.licenses(), true
	case authz.Attested:
		return k.answer(k.file.Attested)
	case authz.Signed:
		return k.answer(k.file.Signed)
	case authz.InstallScripts:
		return k.answer(k.file.InstallScripts)
	case authz.SimilarToInternal:
		k.value[0] = strconv.FormatBool(k.similar != nil)
	case authz.ReportOnly:
		k.value[0] = strconv.FormatBool(k.reportOnly)
	default:
		return nil, false
	}
	return k.value[:], true
}

func (k *versionKeys) answer(a Answer) ([]string, bool) {
	if a == NotKnown {
		return nil, false
	}
	k.value[0] = strconv.FormatBool(a == Yes)
	return k.value[:], true
}

// severity is the value of gatehouse:AdvisorySeverity.
func (k *versionKeys) severity() string {
	about := k.advisories(k.id, k.version.Version)
	if len(about) == 0 {
		return "none"
	}
	worst := slices.MaxFunc(about, func(a, b *Advisory) int { return cmp.Compare(a.Severity, b.Severity) }).Severity
	return cmp.Or(worst.String(), "unknown")
}

// describe lists the keys of versions that a rule looks at, with their values.
func (k *versionKeys) describe(rule policy.Rule) string {
	var out []string
	for _, lower := range rule.Keys() {
		name, ok := authz.VersionKey(lower)
		if !ok || name == authz.ReportOnly {
			continue
		}
		text := name + " is missing"
		if values, ok := k.Lookup(lower); ok {
			text = fmt.Sprintf("%s is %s", name, strings.Join(values, ", "))
			if name == authz.VersionAge && !k.now.Trusted() {
				text += fmt.Sprintf(" because the clock of the server was set or stood still, and it may be %s", k.now.Earliest.UTC().Format(time.RFC3339))
			}
			if name == authz.SimilarToInternal && k.similar != nil {
				text += " because of the " + k.similar.String()
			}
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}
