// Package retentionrule decides which versions of a package may be removed from a
// repository: the rules that its owner declares ([Document], [Parse]) and what no rule
// ever removes ([Evaluate]). It is pure: it reads no clock and no database.
//
// The package must not import package packages, which uses it.
package retentionrule

import (
	"fmt"
	"strings"
	"time"
)

// Quiet is how long a version must have been unchanged before it can be removed. So a
// version whose files come one by one, or that is being copied, is safe.
const Quiet = time.Hour

// A Package names the package whose versions are evaluated.
type Package struct{ Format, Namespace, Name string }

// A Version is what the rules need to know of a version.
type Version struct {
	Version string
	// Arrived is when the version came into the repository, and Changed when it last got
	// a file.
	Arrived, Changed time.Time
	// LastUse is the time of the last download; the zero time if there was none.
	LastUse time.Time
	// Listed means that clients see the version, and Available that they can download it.
	Listed, Available bool
	Unfinished        bool
	Prerelease        bool
	// Tag is a tag that clients use and that points to the version, or "".
	Tag string
	// Lock is the name of a lock list that has the version, or "".
	Lock string
	// Snapshot is the snapshot of which the version is a build, or "".
	Snapshot string
}

// A Protection says why a version stays although a rule selects it.
type Protection struct {
	Kind ProtectionKind
	// By is the tag, the lock list or the snapshot.
	By string
}

// A ProtectionKind is one reason why no rule removes a version.
type ProtectionKind string

// The kinds.
const (
	NotProtected ProtectionKind = ""
	ByStatus     ProtectionKind = "unfinished"   // its publication is not finished
	ByChange     ProtectionKind = "recent"       // it arrived or changed within the last hour
	ByTag        ProtectionKind = "tag"          // a tag points to it
	ByLock       ProtectionKind = "lock"         // a lock list has it
	ByBuild      ProtectionKind = "newest-build" // it is the newest build of a snapshot
	ByLast       ProtectionKind = "last-version" // clients would have none of the package
)

// A Verdict is about a version that a rule selects. It is removed unless it is protected.
type Verdict struct {
	// Index is the version's in the list that was evaluated.
	Index int
	Rule  *Rule
	// Reason says in words why the rule selects the version.
	Reason string
	Protection
}

// Removed reports whether the version is to be removed.
func (v *Verdict) Removed() bool { return v.Kind == NotProtected }

// Evaluate returns the verdicts about those versions of a package that a rule selects.
// The versions must be in order, the newest first.
func Evaluate(rules []Rule, p Package, versions []Version, now time.Time) []Verdict {
	var verdicts []Verdict
	e := evaluation{now: now, newer: make([]int, len(rules)), builds: map[string]bool{}}
	for i := range rules {
		e.rules = append(e.rules, candidate{&rules[i], rules[i].Matches(p)})
	}
	for i := range versions {
		v := &versions[i]
		rule, reason := e.selecting(v)
		protection := e.protection(v)
		if rule != nil {
			verdicts = append(verdicts, Verdict{i, rule, reason, protection})
		}
	}
	keepLast(versions, verdicts)
	return verdicts
}

// An evaluation is the state of Evaluate after the versions that are newer than the next
// one.
type evaluation struct {
	now    time.Time
	rules  []candidate
	newer  []int           // for each rule, how many newer versions count
	builds map[string]bool // snapshots of which a build was seen
}

type candidate struct {
	rule    *Rule
	applies bool // to the package
}

// selecting returns the first rule that selects the version, or nil.
func (e *evaluation) selecting(v *Version) (rule *Rule, reason string) {
	for i, c := range e.rules {
		if !c.applies || !c.rule.matchesVersion(v) {
			continue
		}
		if rule == nil && c.rule.holds(v, e.newer[i], e.now) {
			rule, reason = c.rule, c.rule.reason(v)
		}
		if v.Available && !v.Unfinished {
			e.newer[i]++
		}
	}
	return rule, reason
}

// protection returns why no rule removes the version, apart from [ByLast].
func (e *evaluation) protection(v *Version) Protection {
	newestBuild := v.Snapshot != "" && v.Available && !e.builds[v.Snapshot]
	if newestBuild {
		e.builds[v.Snapshot] = true
	}
	switch {
	case v.Unfinished:
		return Protection{ByStatus, ""}
	case e.now.Sub(v.Arrived) < Quiet || e.now.Sub(v.Changed) < Quiet:
		return Protection{ByChange, ""}
	case v.Tag != "":
		return Protection{ByTag, v.Tag}
	case v.Lock != "":
		return Protection{ByLock, v.Lock}
	case newestBuild:
		return Protection{ByBuild, v.Snapshot}
	}
	return Protection{}
}

// keepLast protects the newest version if clients would have none any more: none that is
// listed, if there is a listed one, and otherwise none that they can download, and
// otherwise none at all.
func keepLast(versions []Version, verdicts []Verdict) {
	removed := make(map[int]*Verdict, len(verdicts))
	for i := range verdicts {
		if verdicts[i].Removed() {
			removed[verdicts[i].Index] = &verdicts[i]
		}
	}
	for _, counts := range []func(*Version) bool{
		func(v *Version) bool { return v.Listed },
		func(v *Version) bool { return v.Available },
		func(*Version) bool { return true },
	} {
		newest := -1
		for i := range versions {
			if !counts(&versions[i]) {
				continue
			}
			if removed[i] == nil {
				return // it stays
			}
			if newest < 0 {
				newest = i
			}
		}
		if newest >= 0 {
			removed[newest].Protection = Protection{ByLast, ""}
			return
		}
	}
}

// Matches reports whether the rule is about the package.
func (r *Rule) Matches(p Package) bool {
	if len(r.Formats) > 0 {
		found := false
		for _, f := range r.Formats {
			found = found || f == p.Format
		}
		if !found {
			return false
		}
	}
	return Match(r.Namespace, p.Namespace) && Match(r.Package, p.Name)
}

func (r *Rule) matchesVersion(v *Version) bool {
	return (!r.Prereleases || v.Prerelease) && Match(r.Version, v.Version)
}

// holds reports whether the conditions hold for a version that the patterns match. newer
// is how many newer versions count.
func (r *Rule) holds(v *Version, newer int, now time.Time) bool {
	if r.KeepNewest != nil && newer < *r.KeepNewest {
		return false
	}
	if r.OlderThan > 0 && now.Sub(v.Arrived) < time.Duration(r.OlderThan) {
		return false
	}
	return r.NotDownloadedFor == 0 || now.Sub(v.lastNeeded()) >= time.Duration(r.NotDownloadedFor)
}

// lastNeeded is the last download, or the arrival if that is later.
func (v *Version) lastNeeded() time.Time {
	if v.LastUse.After(v.Arrived) {
		return v.LastUse
	}
	return v.Arrived
}

// reason says why the rule selects a version for which it holds.
func (r *Rule) reason(v *Version) string {
	var parts []string
	if r.KeepNewest != nil {
		parts = append(parts, fmt.Sprintf("not among the newest %d", *r.KeepNewest))
	}
	if r.OlderThan > 0 {
		parts = append(parts, fmt.Sprintf("older than %s: it came on %s", r.OlderThan, v.Arrived.UTC().Format(time.DateOnly)))
	}
	if r.NotDownloadedFor > 0 {
		last := "never"
		if !v.LastUse.IsZero() {
			last = "last on " + v.LastUse.UTC().Format(time.DateOnly)
		}
		parts = append(parts, fmt.Sprintf("not downloaded for %s: %s", r.NotDownloadedFor, last))
	}
	return strings.Join(parts, "; ")
}

// Match reports whether a text matches a pattern with "*" for any text. An empty pattern
// matches every text.
func Match(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) || len(text) < len(first)+len(last) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}
