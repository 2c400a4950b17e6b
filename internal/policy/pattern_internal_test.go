package policy

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// matchTable is the textbook's answer: reach[j] says whether the elements so far
// can stand for the first j characters.
func matchTable(elements []element, subject string) bool {
	s := []rune(subject)
	reach := make([]bool, len(s)+1)
	reach[0] = true
	step := func(wild elementKind, r rune) {
		next := make([]bool, len(s)+1)
		for j := range next {
			switch {
			case wild == anyRun:
				next[j] = reach[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = reach[j-1] && (wild == anyOne || r == s[j-1])
			}
		}
		reach = next
	}
	for _, e := range elements {
		if e.kind != text {
			step(e.kind, 0)
			continue
		}
		for _, r := range e.text {
			step(text, r)
		}
	}
	return reach[len(s)]
}

// Subjects have stars and question marks of their own.
func TestMatch_Table(t *testing.T) {
	letters := rapid.SampledFrom([]rune("aab*?/:ä€"))
	rapid.Check(t, func(t *rapid.T) {
		source := rapid.StringOfN(letters, 0, 14, -1).Draw(t, "pattern")
		p, err := compilePattern(source, wildcards)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			subject := rapid.StringOfN(letters, 0, 20, -1).Draw(t, "subject")
			if got, want := p.match(subject, nil) == yes, matchTable(p.elements, subject); got != want {
				t.Fatalf("%q on %q: %v, want %v", source, subject, got, want)
			}
		}
		// A pattern always matches itself, for a star stands for a star too.
		if p.match(source, nil) != yes {
			t.Fatalf("%q does not match itself", source)
		}
	})
}

func TestMatch_QuestionMarkIsOneCharacter(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             match
	}{
		{"?", "€", yes}, {"??", "€", no}, {"*?", "€", yes}, {"*??", "€", no}, {"*??", "a€", yes}, {"a*€", "aa€", yes}, {"?", "\xff", yes},
	} {
		p, err := compilePattern(c.pattern, wildcards)
		if err != nil || p.match(c.subject, nil) != c.want {
			t.Errorf("%q on %q: %v, %v, want %v", c.pattern, c.subject, p.match(c.subject, nil), err, c.want)
		}
	}
}

func TestMatch_ASCIICaseFolding(t *testing.T) {
	letters := rapid.SampledFrom([]rune("aAbB*?kK\u212a"))
	rapid.Check(t, func(t *rapid.T) {
		source := rapid.StringOfN(rapid.SampledFrom([]rune("abk*?")), 0, 10, -1).Draw(t, "pattern")
		subject := rapid.StringOfN(letters, 0, 14, -1).Draw(t, "subject")
		p, err := compilePattern(source, wildcards)
		if err != nil {
			t.Fatal(err)
		}
		folded := strings.Map(func(r rune) rune {
			if r < utf8.RuneSelf {
				return rune(lower(byte(r)))
			}
			return r
		}, subject)
		if got, want := matchElements(p.elements, subject, &foldingCase), matchTable(p.elements, folded); got != want {
			t.Fatalf("%q on %q: %v, want %v", source, subject, got, want)
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{"*", ""}, {"a*b?c", "aXXbYc"}, {"secret*", "secret*"}, {"**??", "ab"}, {"*a*a*a*b", "aaaaaaaaac"}, {"ä?", "äö"}, {"?", "\xff"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, source, subject string) {
		if len(source) > 200 || len(subject) > 400 || !utf8.ValidString(source) || !utf8.ValidString(subject) {
			return // a policy is valid UTF-8, and so is what comes from a request's names
		}
		p, err := compilePattern(source, wildcards)
		if err != nil {
			t.Fatal("without variables every text is a pattern: ", err)
		}
		if got, want := p.match(subject, nil) == yes, matchTable(p.elements, subject); got != want {
			t.Fatalf("%q on %q: %v, want %v", source, subject, got, want)
		}
	})
}

func TestDecimal_Compare(t *testing.T) {
	order := []string{"-10", "-9.5", "-9", "-0.01", "0", "0.001", "0.01", "1", "1.5", "9", "10", "10.0000000000000000001", "123456789012345678901234567890"}
	for i, a := range order {
		for j, b := range order {
			x, ok1 := parseDecimal(a)
			y, ok2 := parseDecimal(b)
			if c := x.compare(y); !ok1 || !ok2 || (c < 0) != (i < j) || (c == 0) != (i == j) {
				t.Errorf("%s compared with %s is %d", a, b, c)
			}
		}
	}
	for _, same := range [][2]string{{"-0", "0"}, {"+1", "1.0"}, {".5", "0.50"}, {"-00.10", "-.1"}} {
		x, ok1 := parseDecimal(same[0])
		y, ok2 := parseDecimal(same[1])
		if !ok1 || !ok2 || x.compare(y) != 0 {
			t.Errorf("%s is not %s", same[0], same[1])
		}
	}
	for _, none := range []string{"", "-", ".", "1.", "1e3", "0x1", "1_0", "--1", "1.2.3", "NaN", " 1"} {
		if _, ok := parseDecimal(none); ok {
			t.Errorf("%q is a number", none)
		}
	}
}
