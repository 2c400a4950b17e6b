package lifecycle_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
)

var now = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

const day = 24 * time.Hour

// rule returns a rule as JSON. Selection is what it has beside countNumber.
func rule(priority int, selection string, count int) string {
	return fmt.Sprintf(`{"rulePriority":%d,"selection":{%s,"countNumber":%d},"action":{"type":"expire"}}`, priority, selection, count)
}

func policy(t testing.TB, rules ...string) *lifecycle.Policy {
	t.Helper()
	p, err := lifecycle.Parse(`{"rules":[` + strings.Join(rules, ",") + `]}`)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	moreThan = `,"countType":"imageCountMoreThan"`
	pushed   = `,"countType":"sinceImagePushed","countUnit":"days"`
	pulled   = `,"countType":"sinceImagePulled","countUnit":"days"`
	alone    = `"tagStatus":"untagged"`
	all      = `"tagStatus":"any"`
)

func patterns(list ...string) string {
	return fmt.Sprintf(`"tagStatus":"tagged","tagPatternList":["%s"]`, strings.Join(list, `","`))
}

// An aged image is one of an example: "A beta-1 prod-1" is called A.
type aged struct {
	tags string
	days int
}

// actedOn evaluates a policy and returns "NAME:PRIORITY" of the images on which a rule
// acts, the oldest first.
func actedOn(p *lifecycle.Policy, images ...aged) string {
	slices.SortStableFunc(images, func(a, b aged) int { return cmp.Compare(a.days, b.days) })
	e := p.Evaluate(now)
	var acted []string
	for _, i := range images {
		name, tags, _ := strings.Cut(i.tags, " ")
		r := e.Next(&lifecycle.Image{Tags: strings.Fields(tags), StorageClass: lifecycle.Standard, Since: now.Add(-time.Duration(i.days) * day)})
		if r != nil {
			acted = append(acted, fmt.Sprint(name, ":", r.Priority))
		}
	}
	slices.Reverse(acted)
	return strings.Join(acted, " ")
}

// The worked examples of the Amazon ECR User Guide, "Examples of lifecycle policies in
// Amazon ECR".
func TestEvaluation_WorkedExamples(t *testing.T) {
	betaProd := []aged{{"A beta-1 prod-1", 10}, {"B beta-2 prod-2", 9}, {"C beta-3", 8}}
	for _, c := range []struct {
		name   string
		images []aged
		rules  []string
		want   string
	}{
		{"prod before beta", betaProd, []string{rule(1, patterns("prod*")+moreThan, 1), rule(2, patterns("beta*")+moreThan, 1)}, "A:1"},
		{"beta before prod", betaProd, []string{rule(1, patterns("beta*")+moreThan, 1), rule(2, patterns("prod*")+moreThan, 1)}, "A:1 B:1"},
		{"several patterns, by age", []aged{
			{"A alpha-1", 12}, {"B beta-1", 11}, {"C alpha-2 beta-2", 10}, {"D alpha-3", 4}, {"E beta-3", 3}, {"F alpha-4 beta-4", 2},
		}, []string{rule(1, patterns("alpha*", "beta*")+pushed, 5)}, "C:1"},
		{"several patterns, by number", []aged{
			{"A alpha-1 beta-1 gamma-1", 10}, {"B alpha-2 beta-2", 9}, {"C alpha-3 beta-3 gamma-2", 8},
		}, []string{rule(1, patterns("alpha*", "beta*")+moreThan, 1)}, "A:1 B:1"},
		{"any", []aged{{"A alpha-1", 4}, {"B beta-1", 3}, {"C", 2}, {"D alpha-2", 1}}, []string{rule(1, all+moreThan, 1)}, "A:1 B:1 C:1"},
		{
			"all kinds",
			[]aged{{"A alpha-1 beta-1", 4}, {"B", 3}, {"C alpha-2", 2}, {"D 0123abc", 1}, {"E", 1}},
			[]string{rule(1, patterns("alpha*")+moreThan, 1), rule(2, alone+pushed, 1), rule(3, all+moreThan, 1)},
			"A:1 B:2 D:3",
		},
	} {
		images := slices.Clone(c.images)
		if c.name == "all kinds" { // the guide says that E is younger than D
			images[3].days, images[4].days = 1, 1
			slices.Reverse(images)
		}
		if got := actedOn(policy(t, c.rules...), images...); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What ECR's users miss: a rule does not count the parts of a release, and last pulls are
// possible with every action.
func TestEvaluation_Extensions(t *testing.T) {
	p := policy(t, rule(1, all+moreThan, 1))
	e := p.Evaluate(now)
	for _, c := range []struct {
		img  lifecycle.Image
		acts bool
	}{
		{lifecycle.Image{Tags: []string{"v2"}}, false},
		{lifecycle.Image{Follows: "sha256:2"}, false},
		{lifecycle.Image{ListedBy: "sha256:2"}, false},
		{lifecycle.Image{Tags: []string{"v1"}}, true},
		{lifecycle.Image{Tags: []string{"v1-arm"}, ListedBy: "sha256:1"}, true}, // and the caller leaves it
		{lifecycle.Image{StorageClass: lifecycle.Archive}, false},
	} {
		img := c.img
		img.StorageClass, img.Since = cmp.Or(img.StorageClass, lifecycle.Standard), now
		if r := e.Next(&img); (r != nil) != c.acts {
			t.Errorf("%+v: %v", img, r)
		}
	}
	p = policy(t, rule(1, all+pulled, 30))
	if !p.UsesPullTime() {
		t.Error("UsesPullTime")
	}
	for _, c := range []struct {
		since, pulled time.Duration
		acts          bool
	}{{31 * day, 29 * day, false}, {31 * day, 31 * day, true}, {31 * day, 0, true}, {29 * day, 40 * day, false}, {30 * day, 0, false}} {
		img := lifecycle.Image{StorageClass: lifecycle.Standard, Since: now.Add(-c.since)}
		if c.pulled > 0 {
			img.Pulled = now.Add(-c.pulled)
		}
		if r := p.Evaluate(now).Next(&img); (r != nil) != c.acts {
			t.Errorf("%+v: %v", c, r)
		}
	}
	never := policy(t, rule(1, all+pushed, 1<<31-1))
	if r := never.Evaluate(now).Next(&lifecycle.Image{StorageClass: lifecycle.Standard}); r != nil {
		t.Error("an age that is longer than a duration can be")
	}
}

func TestEvaluation_Explain(t *testing.T) {
	e := policy(t, rule(1, patterns("v*")+moreThan, 1), rule(2, alone+pushed, 1), rule(3, all+moreThan, 1)).Evaluate(now)
	young, old := &lifecycle.Image{Tags: []string{"v2"}, StorageClass: lifecycle.Standard, Since: now}, &lifecycle.Image{Tags: []string{"v1"}, StorageClass: lifecycle.Standard, Since: now.Add(-day)}
	if acting, _ := e.Explain(young); acting != nil {
		t.Error("the youngest is acted on")
	}
	acting, findings := e.Explain(old)
	if acting == nil || acting.Priority != 1 || len(findings) != 3 {
		t.Fatal(acting, findings)
	}
	want := []lifecycle.Finding{
		{Rule: findings[0].Rule, Identified: true, Marked: true, Younger: 1},
		{Rule: findings[1].Rule},
		{Rule: findings[2].Rule, Identified: true, Marked: true, Younger: 1, Shielded: true},
	}
	if !slices.Equal(findings, want) || findings[2].Rule.Priority != 3 {
		t.Errorf("%+v", findings)
	}
}

// The reference evaluates as the guide describes it: each rule on its own over a list of
// all images, then the rules by priority.
func reference(p *lifecycle.Policy, images []lifecycle.Image) map[int]int {
	identified, marked := map[[2]int]bool{}, map[[2]int]bool{}
	for r, rule := range p.Rules {
		var mine []int
		for i, img := range images {
			match := rule.Selection.StorageClass == img.StorageClass
			switch rule.Selection.TagStatus {
			case lifecycle.Untagged:
				match = match && len(img.Tags) == 0
			case lifecycle.Tagged:
				for _, prefix := range append(slices.Clone(rule.Selection.Prefixes), rule.Selection.Patterns...) {
					found := false
					for _, tag := range img.Tags {
						found = found || slowMatch(prefix, tag) || rule.Selection.Prefixes != nil && slowMatch(prefix+"*", tag)
					}
					match = match && found
				}
			}
			if match {
				mine = append(mine, i)
				identified[[2]int{r, i}] = true
			}
		}
		slices.SortStableFunc(mine, func(a, b int) int { return images[b].Since.Compare(images[a].Since) })
		for place, i := range mine {
			age := images[i].Since
			if rule.Selection.CountType == lifecycle.SinceImagePulled && images[i].Pulled.After(age) {
				age = images[i].Pulled
			}
			old := age.Add(time.Duration(rule.Selection.Count) * day).Before(now)
			if rule.Selection.CountType == lifecycle.ImageCountMoreThan {
				old = place >= rule.Selection.Count
			}
			marked[[2]int{r, i}] = old
		}
	}
	acted := map[int]int{}
	for i := range images {
	rules:
		for r, rule := range p.Rules {
			if !marked[[2]int{r, i}] {
				continue
			}
			for earlier := range r {
				if identified[[2]int{earlier, i}] {
					continue rules
				}
			}
			acted[i] = rule.Priority
			break
		}
	}
	return acted
}

// slowMatch tries every length for each asterisk.
func slowMatch(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] != '*' {
		return s != "" && s[0] == pattern[0] && slowMatch(pattern[1:], s[1:])
	}
	for i := range len(s) + 1 {
		if slowMatch(pattern[1:], s[i:]) {
			return true
		}
	}
	return false
}

func TestEvaluation_AgainstReference(t *testing.T) {
	const policies, sets = 5_000, 24 // 120,000 comparisons
	r := rand.New(rand.NewPCG(1, 2))
	entries := []string{"a*", "b*", "*1", "a*1", "*a*b*", "a1", "*", "b", "a"}
	tags := []string{"a1", "a2", "b1", "b2", "ab1", "ba", "c"}
	pick := func(from []string, n int) []string {
		out := slices.Clone(from)
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		return out[:n]
	}
	acted := 0
	for range policies {
		p := new(lifecycle.Policy)
		for i := range 1 + r.IntN(4) {
			s := lifecycle.Selection{
				TagStatus: []lifecycle.TagStatus{lifecycle.Any, lifecycle.Tagged, lifecycle.Tagged, lifecycle.Untagged}[r.IntN(4)], StorageClass: lifecycle.Standard,
				CountType: []lifecycle.CountType{lifecycle.ImageCountMoreThan, lifecycle.ImageCountMoreThan, lifecycle.SinceImagePushed, lifecycle.SinceImagePulled}[r.IntN(4)], Count: 1 + r.IntN(4),
			}
			if s.TagStatus == lifecycle.Tagged {
				if r.IntN(2) == 0 {
					s.Patterns = pick(entries, 1+r.IntN(2))
				} else {
					s.Prefixes = pick([]string{"a", "b", "a1", "c"}, 1+r.IntN(2))
				}
			}
			p.Rules = append(p.Rules, lifecycle.Rule{Priority: 10 * (i + 1), Selection: s, Action: lifecycle.Expire})
		}
		for range sets {
			images := make([]lifecycle.Image, r.IntN(9))
			for i := range images {
				images[i] = lifecycle.Image{Tags: pick(tags, r.IntN(4)), StorageClass: lifecycle.Standard, Since: now.Add(-time.Duration(i) * day * 2 / 3)}
				if r.IntN(3) == 0 {
					images[i].Pulled = images[i].Since.Add(time.Duration(r.IntN(3)) * day)
				}
			}
			want, e := reference(p, images), p.Evaluate(now)
			for i := range images {
				got := 0
				if rule := e.Next(&images[i]); rule != nil {
					got = rule.Priority
				}
				if got != want[i] {
					t.Fatalf("%+v\n%+v\nimage %d: rule %d, want %d", p.Rules, images, i, got, want[i])
				}
			}
			acted += len(want)
		}
	}
	if acted < policies {
		t.Errorf("only %d images were acted on: the cases are too tame", acted)
	}
}
