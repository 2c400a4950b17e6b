package grouppattern_test

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages/grouppattern"
)

// formats are npm, which has namespaces, and pypi, which has none and normalizes names.
func formats(name string) (grouppattern.Format, bool) {
	switch name {
	case "npm":
		return grouppattern.Format{Namespaces: true, Normalize: func(s string) string { return s }}, true
	case "pypi":
		return grouppattern.Format{Normalize: strings.ToLower}, true
	}
	return grouppattern.Format{}, false
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"/*": "/*", "/npm/*": "/npm/*", "/npm//*": "/npm//*", "/npm/space/*": "/npm/space/*", "/npm/space~": "/npm/space~", "/npm/com.any.*": "/npm/com.any.*",
		"/npm/space/ui~": "/npm/space/ui~", "/npm/space/ui-*": "/npm/space/ui-*", "/npm//lodash$": "/npm//lodash$", "/pypi//Django$": "/pypi//django$", "/pypi/*": "/pypi/*",
		"/npm/space/über~": "/npm/space/über~",
	} {
		p, err := grouppattern.Parse(text, formats)
		if err != nil || p.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{
		"", "*", "/", "/npm", "/npm/", "/npm*", "/npm~", "npm/*", "/deb/*", "//*", "/npm/space/ui", "/npm/space/ui*", "/npm/space/ui-~", "/npm/space/~", "/npm/space$", "/npm/space/$", "/npm//$",
		"/npm/a/b/c$", "/npm/a b/*", "/npm/a#/*", "/npm/space/ui~~", "/pypi/space/x$", "/pypi/space~", "/npm/\x80/*", "/npm/" + strings.Repeat("a", 520) + "/*",
	} {
		if p, err := grouppattern.Parse(text, formats); err == nil {
			t.Errorf("%q is accepted as %s", text, p)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, strong, weak, none string
	}{
		{"/*", "/npm//a /pypi//b", "", ""},
		{"/npm/*", "/npm//a /npm/s/a", "", "/pypi//a"},
		{"/npm//*", "/npm//a", "", "/npm/s/a"},
		{"/npm/space~", "/npm/space/a /npm/space.x/a /npm/space-x/a", "/npm/Space/a", "/npm/spaceship/a /npm//space"},
		{"/npm/space/ui~", "/npm/space/ui /npm/space/ui-core /npm/space/ui.x", "/npm/space/UI-core /npm/Space/ui /npm/space/uі", "/npm/space/uikit /npm/space/ui2 /npm/space/ui\u0301 /npm//ui"},
		{"/npm/space/ui-*", "/npm/space/ui-core /npm/space/ui--x", "/npm/space/ui_core /npm/space/UI.core", "/npm/space/ui /npm/space/uikit"},
		{"/npm//lodash$", "/npm//lodash", "/npm//Lodash /npm//1odash /npm//lodаsh /npm//l0dash", "/npm//lodash-es /npm/x/lodash /npm//l-odash"},
		{"/npm//my-lib$", "/npm//my-lib", "/npm//my_lib /npm//my.lib /npm//my--lib /npm//ｍy-lib", "/npm//mylib /npm//my-lib-"},
	} {
		p, err := grouppattern.Parse(c.pattern, formats)
		if err != nil {
			t.Fatal(err)
		}
		for kind, paths := range map[[2]bool]string{{true, true}: c.strong, {false, true}: c.weak, {false, false}: c.none} {
			for path := range strings.FieldsSeq(paths) {
				if got := [2]bool{p.Matches(path), p.MatchesFolded(grouppattern.Fold(path))}; got != kind {
					t.Errorf("%s and %s: strong %t, weak %t", c.pattern, path, got[0], got[1])
				}
			}
		}
	}
}

// reference is the definition of a match, as a regular expression.
func reference(p grouppattern.Pattern) *regexp.Regexp {
	text := p.String()
	prefix, suffix := regexp.QuoteMeta(text[:len(text)-1]), text[len(text)-1]
	return regexp.MustCompile(`(?s)^` + prefix + map[byte]string{'$': `$`, '~': `($|[^\p{L}\p{N}\p{M}])`, '*': ``}[suffix])
}

var (
	word  = rapid.SampledFrom([]string{"ui", "UI", "u1", "ul", "a", "а", "lib", "1ib", "é"})
	glue  = rapid.SampledFrom([]string{"-", "_", ".", "--", ""})
	part  = rapid.Custom(func(t *rapid.T) string { return word.Draw(t, "w") + glue.Draw(t, "g") + word.Draw(t, "w") })
	space = rapid.SampledFrom([]string{"", "ui", "UI", "a.b"})
	path  = rapid.Custom(func(t *rapid.T) string {
		return "/npm/" + space.Draw(t, "namespace") + "/" + part.Draw(t, "name")
	})
	pattern = rapid.Custom(func(t *rapid.T) grouppattern.Pattern {
		whole := path.Draw(t, "path")
		runes := []rune(whole)
		for {
			n := rapid.IntRange(1, len(runes)).Draw(t, "length")
			suffix := rapid.SampledFrom([]string{"$", "~", "*"}).Draw(t, "suffix")
			if p, err := grouppattern.Parse(string(runes[:n])+suffix, formats); err == nil {
				return p
			}
		}
	})
)

// The keys of a path find the most specific pattern of a set: the same one as comparing
// all of them does.
func TestKeys_MostSpecific(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := path.Draw(t, "path")
		folded := grouppattern.Fold(path)
		all := rapid.SliceOfDistinct(pattern, grouppattern.Pattern.String).Draw(t, "patterns")
		byKey := map[grouppattern.Key]bool{}
		var matching []grouppattern.Pattern
		for _, p := range all {
			byKey[p.Key()] = true
			strong, weak := p.Matches(path), p.MatchesFolded(folded)
			if strong != reference(p).MatchString(path) {
				t.Fatalf("%s matches %s strongly: %t", p, path, strong)
			}
			if strong && !weak {
				t.Fatalf("%s matches %s strongly and not weakly", p, path)
			}
			if weak {
				matching = append(matching, p)
			}
		}
		slices.SortFunc(matching, func(a, b grouppattern.Pattern) int { // the longest first, $ before ~
			return cmp.Or(cmp.Compare(len(b.Key()), len(a.Key())), cmp.Compare(rank(a), rank(b)))
		})
		var got, want grouppattern.Key
		for key := range grouppattern.Keys(folded) {
			if byKey[key] {
				got = key
				break
			}
		}
		if len(matching) > 0 {
			want = matching[0].Key()
		}
		if got != want {
			t.Fatalf("the most specific of %v for %s is %q, want %q", all, path, got, want)
		}
	})
}

func rank(p grouppattern.Pattern) int { return strings.IndexByte("$~*", p.String()[len(p.String())-1]) }

// Contains is the subset relation: it agrees with the paths that the patterns match, and
// what contains a pattern is among its PathKeys.
func TestContains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outer, inner := pattern.Draw(t, "outer"), pattern.Draw(t, "inner")
		contains := outer.Contains(inner)
		if contains && inner.Contains(outer) {
			t.Fatalf("%s and %s contain each other", outer, inner)
		}
		if contains && !slices.Contains(slices.Collect(inner.PathKeys()), outer.Key()) {
			t.Fatalf("%s is not among the keys of %s", outer, inner)
		}
		text := inner.String()
		samples := []string{text[:len(text)-1]}
		if text[len(text)-1] != '$' {
			for _, tail := range []string{"-x", "/x", ".x/y"} {
				samples = append(samples, samples[0]+tail)
			}
		}
		for _, sample := range append(samples, path.Draw(t, "path")) {
			if contains && inner.Matches(sample) && !outer.Matches(sample) {
				t.Fatalf("%s contains %s, but does not match %s", outer, inner, sample)
			}
		}
		if !contains && outer != inner && outer.Matches(samples[0]) && inner.Matches(samples[0]) && outer.Matches(samples[len(samples)-1]) && rank(outer) > 0 {
			t.Fatalf("%s does not contain %s", outer, inner)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"/*", "/npm/space/ui~", "/pypi//x$", "/npm/ｕi-*", "/npm/\xff/*"} {
		f.Add(text, "/npm/space/ui-core")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := grouppattern.Parse(text, formats)
		if err != nil {
			return
		}
		again, err := grouppattern.Parse(p.String(), formats)
		if err != nil || again != p {
			t.Fatalf("%q parses to %s, and that to %s, %v", text, p, again, err)
		}
		if p.Matches(path) && !p.MatchesFolded(grouppattern.Fold(path)) {
			t.Fatalf("%s matches %q strongly and not weakly", p, path)
		}
	})
}

func ExamplePattern_Matches() {
	p, _ := grouppattern.Parse("/npm/space/ui~", formats)
	fmt.Println(p.Matches("/npm/space/ui-core"), p.Matches("/npm/space/uikit"))
	// Output: true false
}
