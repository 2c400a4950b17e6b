package retentionrule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages/retentionrule"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func parse(t testing.TB, document string) *retentionrule.Document {
	t.Helper()
	d, err := retentionrule.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// version returns a published version that came that many days ago.
func version(name string, days int, change ...func(*retentionrule.Version)) retentionrule.Version {
	at := now.Add(-time.Duration(days) * day)
	v := retentionrule.Version{Version: name, Arrived: at, Changed: at, Listed: true, Available: true, Prerelease: strings.Contains(name, "-")}
	for _, c := range change {
		c(&v)
	}
	return v
}

func tagged(tag string) func(*retentionrule.Version) {
	return func(v *retentionrule.Version) { v.Tag = tag }
}

func used(days int) func(*retentionrule.Version) {
	return func(v *retentionrule.Version) { v.LastUse = now.Add(-time.Duration(days) * day) }
}

func archived(v *retentionrule.Version) { v.Listed, v.Available = false, false }

// shown writes verdicts as "VERSION RULE" or "VERSION RULE PROTECTION".
func shown(versions []retentionrule.Version, verdicts []retentionrule.Verdict) string {
	var out []string
	for _, v := range verdicts {
		s := versions[v.Index].Version + " " + v.Rule.Name
		if !v.Removed() {
			s += " " + string(v.Kind)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestEvaluate(t *testing.T) {
	lib := retentionrule.Package{Format: "npm", Name: "lib"}
	five := []retentionrule.Version{version("5.0", 1), version("4.0", 10), version("3.0", 20), version("2.0", 30), version("1.0", 40)}
	for _, c := range []struct {
		name, rules string
		versions    []retentionrule.Version
		want        string
	}{
		{"keep newest", `[{name: r, keep_newest: 3}]`, five, "2.0 r, 1.0 r"},
		{"keep more than there are", `[{name: r, keep_newest: 9}]`, five, ""},
		{"age", `[{name: r, older_than: 25d}]`, five, "2.0 r, 1.0 r"},
		{"an age that is just reached", `[{name: r, older_than: 30d}]`, five, "2.0 r, 1.0 r"},
		{"all conditions", `[{name: r, older_than: 15d, keep_newest: 4}]`, five, "1.0 r"},
		{"several rules: the first that selects", `[{name: a, older_than: 35d}, {name: b, keep_newest: 3}]`, five, "2.0 b, 1.0 a"},
		{"last download", `[{name: r, not_downloaded_for: 25d}]`, []retentionrule.Version{version("3.0", 1), version("2.0", 60, used(10)), version("1.0", 60, used(40)), version("0.9", 60)}, "1.0 r, 0.9 r"},
		{"a download before the arrival", `[{name: r, not_downloaded_for: 25d}]`, []retentionrule.Version{version("2.0", 1), version("1.0", 10, used(40))}, ""},
		{"prereleases only", `[{name: r, prereleases: true, keep_newest: 1}]`, []retentionrule.Version{version("3.0-b", 1), version("3.0-a", 2), version("2.0", 3), version("2.0-a", 4)}, "3.0-a r, 2.0-a r"},
		{"version pattern", `[{name: r, version: "*-a", older_than: 2h}]`, []retentionrule.Version{version("3.0-b", 1), version("3.0-a", 2)}, "3.0-a r"},
		{"other format", `[{name: r, formats: [pypi, maven], older_than: 1d}]`, five, ""},
		{"this format", `[{name: r, formats: [pypi, npm], older_than: 35d}]`, five, "1.0 r"},
		{"other package", `[{name: r, package: "lib?", older_than: 1d}, {name: s, namespace: "x*", older_than: 1d}]`, five, ""},
		{"package pattern", `[{name: r, package: "l*b", older_than: 35d}]`, five, "1.0 r"},
		{"archived ones do not count", `[{name: r, keep_newest: 1}]`, []retentionrule.Version{version("3.0", 1, archived), version("2.0", 2), version("1.0", 3, archived)}, "1.0 r"},

		{"tag", `[{name: r, older_than: 25d}]`, []retentionrule.Version{version("3.0", 1), version("2.0", 30, tagged("latest")), version("1.0", 40)}, "2.0 r tag, 1.0 r"},
		{"unfinished", `[{name: r, older_than: 1d}]`, []retentionrule.Version{version("2.0", 1, tagged("x")), version("1.0", 30, func(v *retentionrule.Version) { v.Listed, v.Unfinished = false, true })}, "2.0 r tag, 1.0 r unfinished"},
		{"a file came just now", `[{name: r, older_than: 1d}]`, []retentionrule.Version{version("2.0", 0, tagged("x")), version("1.0", 30, func(v *retentionrule.Version) { v.Changed = now.Add(-time.Minute) })}, "1.0 r recent"},
		{"it came just now", `[{name: r, keep_newest: 1}]`, []retentionrule.Version{version("2.0", 0), version("1.0", 0)}, "1.0 r recent"},
		{"it comes in the future", `[{name: r, keep_newest: 1}]`, []retentionrule.Version{version("2.0", -400), version("1.0", -500)}, "1.0 r recent"},
		{"lock list", `[{name: r, older_than: 25d}]`, []retentionrule.Version{version("3.0", 1), version("2.0", 30, func(v *retentionrule.Version) { v.Lock = "app" }), version("1.0", 40)}, "2.0 r lock, 1.0 r"},
		{"the last one", `[{name: r, older_than: 5d}]`, []retentionrule.Version{version("2.0", 10), version("1.0", 20)}, "2.0 r last-version, 1.0 r"},
		{"the last listed one", `[{name: r, older_than: 5d}]`, []retentionrule.Version{version("2.0", 1, archived), version("1.0", 20), version("0.9", 30)}, "1.0 r last-version, 0.9 r"},
		{"the last of those that cannot be downloaded", `[{name: r, older_than: 5d}]`, []retentionrule.Version{version("2.0", 10, archived), version("1.0", 20, archived)}, "2.0 r last-version, 1.0 r"},
		{
			"builds of a snapshot", `[{name: r, version: "1.1-2*", older_than: 1d}]`,
			[]retentionrule.Version{version("1.1-SNAPSHOT", 5), version("1.1-20260105.1-2", 5, buildOf("1.1-SNAPSHOT")), version("1.1-20260104.1-1", 6, buildOf("1.1-SNAPSHOT"))},
			"1.1-20260105.1-2 r newest-build, 1.1-20260104.1-1 r",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := parse(t, "rules: "+c.rules)
			if got := shown(c.versions, retentionrule.Evaluate(d.Rules, lib, c.versions, now)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func buildOf(snapshot string) func(*retentionrule.Version) {
	return func(v *retentionrule.Version) { v.Snapshot, v.Listed = snapshot, false }
}

func TestEvaluate_Reason(t *testing.T) {
	d := parse(t, `rules: [{name: r, keep_newest: 1, older_than: 2w, not_downloaded_for: 12d}]`)
	versions := []retentionrule.Version{version("2.0", 1), version("1.0", 30, used(20)), version("0.9", 30)}
	verdicts := retentionrule.Evaluate(d.Rules, retentionrule.Package{}, versions, now)
	for i, want := range []string{
		"not among the newest 1; older than 14d: it came on 2026-05-02; not downloaded for 12d: last on 2026-05-12",
		"not among the newest 1; older than 14d: it came on 2026-05-02; not downloaded for 12d: never",
	} {
		if verdicts[i].Reason != want {
			t.Errorf("%s", verdicts[i].Reason)
		}
	}
}

// reference is Evaluate, written for each version alone.
func reference(rules []retentionrule.Rule, versions []retentionrule.Version, now time.Time) map[string]string {
	selects := func(r retentionrule.Rule, i int) bool {
		v := versions[i]
		if r.Prereleases && !v.Prerelease || !matchSlowly(r.Version, v.Version) {
			return false
		}
		if r.KeepNewest != nil {
			newer := 0
			for _, w := range versions[:i] {
				if (!r.Prereleases || w.Prerelease) && matchSlowly(r.Version, w.Version) && w.Available && !w.Unfinished {
					newer++
				}
			}
			if newer < *r.KeepNewest {
				return false
			}
		}
		if r.OlderThan != 0 && v.Arrived.Add(time.Duration(r.OlderThan)).After(now) {
			return false
		}
		if r.NotDownloadedFor != 0 {
			for _, at := range []time.Time{v.Arrived, v.LastUse} {
				if at.Add(time.Duration(r.NotDownloadedFor)).After(now) {
					return false
				}
			}
		}
		return true
	}
	out := map[string]string{}
	for i, v := range versions {
		for _, r := range rules {
			if !selects(r, i) {
				continue
			}
			out[v.Version] = r.Name
			recent := v.Arrived.Add(time.Hour).After(now) || v.Changed.Add(time.Hour).After(now)
			if v.Unfinished || recent || v.Tag != "" || v.Lock != "" {
				out[v.Version] += " protected"
			}
			break
		}
	}
	left := func(counts func(retentionrule.Version) bool) (all, left int) {
		for _, v := range versions {
			if counts(v) {
				all++
				if w := out[v.Version]; w == "" || strings.HasSuffix(w, "protected") {
					left++
				}
			}
		}
		return all, left
	}
	for _, counts := range []func(retentionrule.Version) bool{
		func(v retentionrule.Version) bool { return v.Listed },
		func(v retentionrule.Version) bool { return v.Available },
		func(retentionrule.Version) bool { return true },
	} {
		all, n := left(counts)
		if all == 0 {
			continue
		}
		if n == 0 {
			i := slices.IndexFunc(versions, counts)
			out[versions[i].Version] += " protected"
		}
		break
	}
	return out
}

// matchSlowly is Match by trying every length of the first "*".
func matchSlowly(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	var match func(p, s string) bool
	match = func(p, s string) bool {
		switch {
		case p == "":
			return s == ""
		case p[0] == '*':
			for i := range len(s) + 1 {
				if match(p[1:], s[i:]) {
					return true
				}
			}
			return false
		}
		return s != "" && p[0] == s[0] && match(p[1:], s[1:])
	}
	return match(pattern, text)
}

func TestEvaluate_LikeReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		age := rapid.SampledFrom([]retentionrule.Age{0, 0, retentionrule.Age(2 * time.Hour), retentionrule.Age(10 * day), retentionrule.Age(20 * day)})
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) retentionrule.Rule {
			r := retentionrule.Rule{
				Name: rapid.StringMatching(`[a-z]{8}`).Draw(t, "name"), Version: rapid.SampledFrom([]string{"", "*", "1*", "*a*", "*-*b", "1.*.2"}).Draw(t, "pattern"),
				Prereleases: rapid.Bool().Draw(t, "prereleases"), OlderThan: age.Draw(t, "older"), NotDownloadedFor: age.Draw(t, "unused"),
			}
			if n := rapid.IntRange(0, 4).Draw(t, "keep"); n > 0 {
				r.KeepNewest = &n
			}
			return r
		}), 1, 4).Draw(t, "rules")
		hours := rapid.IntRange(-10, 24*40)
		ago := func(label string) time.Time { return now.Add(-time.Duration(hours.Draw(t, label)) * time.Hour) }
		var versions []retentionrule.Version
		for i := range rapid.IntRange(0, 12).Draw(t, "versions") {
			status := rapid.IntRange(0, 4).Draw(t, "status")
			v := retentionrule.Version{
				Version: fmt.Sprintf("%d.%d.%d", rapid.IntRange(0, 2).Draw(t, "major"), i, rapid.IntRange(0, 3).Draw(t, "patch")), Arrived: ago("arrived"),
				Listed: status < 2, Available: status < 4, Unfinished: status == 3, Prerelease: rapid.Bool().Draw(t, "pre"),
			}
			if v.Prerelease {
				v.Version += rapid.SampledFrom([]string{"-a", "-b"}).Draw(t, "suffix")
			}
			if v.Changed = v.Arrived; rapid.Bool().Draw(t, "changed") {
				v.Changed = ago("change")
			}
			if rapid.Bool().Draw(t, "used") {
				v.LastUse = ago("use")
			}
			v.Tag, v.Lock = rapid.SampledFrom([]string{"", "", "", "latest"}).Draw(t, "tag"), rapid.SampledFrom([]string{"", "", "", "app"}).Draw(t, "lock")
			versions = append(versions, v)
		}
		slices.SortStableFunc(versions, func(a, b retentionrule.Version) int { return b.Arrived.Compare(a.Arrived) })

		want := reference(rules, versions, now)
		verdicts := retentionrule.Evaluate(rules, retentionrule.Package{Format: "npm", Name: "lib"}, versions, now)
		if len(verdicts) != len(want) {
			t.Fatalf("%d verdicts: %s, want %v", len(verdicts), shown(versions, verdicts), want)
		}
		for _, v := range verdicts {
			got := v.Rule.Name
			if !v.Removed() {
				got += " protected"
			}
			if got != want[versions[v.Index].Version] {
				t.Fatalf("%s: %s, want %s", versions[v.Index].Version, got, want[versions[v.Index].Version])
			}
		}
	})
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything", true},
		{"*", "", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c", "ac", true},
		{"aba*aba", "aba", false},
		{"a*b*c", "a1b2c", true},
		{"a*b*c", "a1c2b", false},
		{"abc", "abcd", false},
		{"a.c", "abc", false},
	} {
		if got := retentionrule.Match(c.pattern, c.text); got != c.want || c.pattern != "" && got != matchSlowly(c.pattern, c.text) {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
	}
}
