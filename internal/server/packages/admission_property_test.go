package packages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Whatever rules, exceptions, quarantines and time there are: a version is hidden exactly
// if its download is refused, also right after a change and when views are cached; an
// exception only ever admits; a quarantine only ever denies.
func TestAdmission_Property(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{Fresh: 1000 * time.Hour}, "app: npm-store")
	left := npm("left")
	versions := []string{"1.0.0", "1.1.0", "1.2.0", "2.0.0"}
	for i, v := range versions {
		r.times = h.now().Add(-time.Duration(i*i) * 24 * time.Hour)
		r.add("left", v, v)
	}
	start := h.clock.Load()
	bob := as(t, account, "bob", allowAll, `{"Version":"2012-10-17","Statement":{"Sid":"Bob","Effect":"Deny","Action":"*","Resource":"*","Condition":{"NumericLessThan":{"gatehouse:VersionAge":"3"}}}}`)
	rapid.Check(t, func(rt *rapid.T) {
		h.clock.Store(start)
		for _, repo := range []string{"app", "npm-store"} {
			_, _ = h.DeleteRepositoryPolicy(h.ctx, domain.Repository(repo), "")
		}
		entries, err := h.AdmissionEntries(h.ctx, domain, "")
		if err != nil {
			rt.Fatal(err)
		}
		for _, e := range entries {
			remove(rt, h, e)
		}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			before, _, err := h.visibleTo(h.ctx, "app", left, nil)
			if err != nil {
				rt.Fatal(err)
			}
			step := rapid.SampledFrom([]string{"policy", "exception", "quarantine", "remove", "time"}).Draw(rt, "step")
			switch step {
			case "policy":
				if _, err := h.SetRepositoryPolicy(h.ctx, domain.Repository("app"), drawRules(rt), ""); err != nil {
					rt.Fatal(err)
				}
			case "exception", "quarantine":
				n := packages.NewEntry{
					Domain: domain, Repository: rapid.SampledFrom([]string{"", "app", "npm-store"}).Draw(rt, "repository"), Package: left,
					Version: rapid.SampledFrom(append(versions, "")).Draw(rt, "version"), Until: h.now().Add(time.Duration(rapid.IntRange(1, 72).Draw(rt, "hours")) * time.Hour),
				}
				put := h.PutQuarantine
				if step == "exception" {
					put = h.PutException
					n.Rules = rapid.SampledFrom([][]string{nil, {"R0"}, {"R1", "Bob"}}).Draw(rt, "rules")
				}
				// One about the same versions would be replaced: that is another change.
				if slices.ContainsFunc(current(rt, h), func(e packages.AdmissionEntry) bool {
					return string(e.Kind) == step && e.Repository == n.Repository && e.Version == n.Version
				}) {
					continue
				}
				who := h.ctx
				if slices.Contains(n.Rules, "Bob") {
					who = bob // only he sees his policy
				}
				if _, err := put(who, n); fault.Is(err, "Validation") && len(n.Rules) > 0 {
					continue // there is no such rule now
				} else if err != nil {
					rt.Fatal(err)
				}
			case "remove":
				if all := current(rt, h); len(all) > 0 {
					remove(rt, h, rapid.SampledFrom(all).Draw(rt, "entry"))
				}
			case "time":
				h.pass(time.Duration(rapid.IntRange(0, 100).Draw(rt, "hours")) * time.Hour)
			}
			for _, ctx := range []context.Context{h.ctx, bob, h.ctx} {
				for _, repo := range []string{"app", "npm-store"} {
					seen, read, err := h.visibleTo(ctx, repo, left, versions)
					if err != nil {
						rt.Fatal(err)
					}
					if !slices.Equal(seen, read) {
						rt.Fatalf("after %s clients of %s see %v and can read %v", step, repo, seen, read)
					}
				}
			}
			after, _, err := h.visibleTo(h.ctx, "app", left, nil)
			if err != nil {
				rt.Fatal(err)
			}
			if step == "exception" && !contains(after, before) {
				rt.Fatalf("an exception hides: %v, then %v", before, after)
			}
			if step == "quarantine" && !contains(before, after) {
				rt.Fatalf("a quarantine shows: %v, then %v", before, after)
			}
		}
	})
}

func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(v string) bool { return !slices.Contains(all, v) })
}

func current(rt *rapid.T, h *fixture) []packages.AdmissionEntry {
	all, err := h.AdmissionEntries(h.ctx, domain, "")
	if err != nil {
		rt.Fatal(err)
	}
	return all
}

func remove(rt *rapid.T, h *fixture, e packages.AdmissionEntry) {
	end := h.DeleteException
	if e.Kind == packages.Quarantine {
		end = h.ReleaseQuarantine
	}
	if _, err := end(h.ctx, domain, e.Repository, e.ID); err != nil {
		rt.Fatal(err)
	}
}

// drawRules is a policy of up to three rules.
func drawRules(rt *rapid.T) string {
	statements := []map[string]any{}
	for i := range rapid.IntRange(1, 3).Draw(rt, "rules") {
		conditions := map[string]map[string]string{}
		if rapid.Bool().Draw(rt, "age") {
			operator := rapid.SampledFrom([]string{"NumericLessThan", "NumericGreaterThan", "NumericNotEquals", "NumericLessThanIfExists"}).Draw(rt, "operator")
			conditions[operator] = map[string]string{"gatehouse:VersionAge": strconv.Itoa(rapid.IntRange(0, 12).Draw(rt, "days"))}
		}
		if len(conditions) == 0 || rapid.Bool().Draw(rt, "origin") {
			operator := rapid.SampledFrom([]string{"StringEquals", "StringNotEquals", "StringLike"}).Draw(rt, "operator")
			conditions[operator] = map[string]string{"gatehouse:PackageOrigin": rapid.SampledFrom([]string{"internal", "external", "${aws:username}"}).Draw(rt, "origin")}
		}
		if rapid.Bool().Draw(rt, "who") {
			conditions["StringLikeIfExists"] = map[string]string{"aws:username": "bob"}
		}
		statements = append(statements, map[string]any{
			"Sid": fmt.Sprint("R", i), "Effect": "Deny", "Principal": "*", "Resource": "*", "Action": "codeartifact:ReadFromRepository", "Condition": conditions,
		})
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		rt.Fatal(err)
	}
	return string(text)
}
