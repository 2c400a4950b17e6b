package policy

import (
	"strings"
	"unicode/utf8"
)

// A match is the answer of a comparison. The zero value is no.
type match uint8

const (
	no match = iota
	yes
	// undecided is the answer of a comparison that cannot be made: with a
	// variable whose key the request lacks, or of a text that should be a number.
	// A statement that depends on it applies if it denies and not if it
	// allows.
	undecided
)

func matchOf(b bool) match {
	if b {
		return yes
	}
	return no
}

// features are what a text may hold beside itself.
type features uint8

const (
	wildcards      features = 1 << iota // * and ?
	variables                           // ${key}, since version 2012-10-17
	incompleteARNs                      // less than the six parts of an ARN, in Resource
)

type elementKind uint8

const (
	text     elementKind = iota // itself
	anyRun                      // *: any run of characters, the empty one too
	anyOne                      // ?: any one character
	variable                    // ${key}: the value of a key, as itself
)

type element struct {
	kind elementKind
	// text is a text's, or a variable's key in lower case.
	text string
	// fallback is a variable's default, if it has one.
	fallback    string
	hasFallback bool
}

// A pattern is a compiled text with wildcards and variables. Neighbouring texts
// are one element, and so are neighbouring stars.
type pattern struct {
	elements []element
	dynamic  bool // has variables
}

// compilePattern reads s. IAM User Guide, "IAM JSON policy elements: Variables
// and tags", for ${…}: a key, a default after a comma in single quotes, and
// ${*}, ${?} and ${$} for the characters themselves.
func compilePattern(s string, with features) (pattern, error) {
	if !strings.ContainsAny(s, "*?$") && s != "" { // most texts
		return pattern{elements: []element{{kind: text, text: s}}}, nil
	}
	var p pattern
	var run strings.Builder // the text that is being read
	flush := func() {
		if run.Len() > 0 {
			p.elements = append(p.elements, element{kind: text, text: run.String()})
			run.Reset()
		}
	}
	for i := 0; i < len(s); {
		switch {
		case with&variables != 0 && strings.HasPrefix(s[i:], "${"):
			v, length, err := readVariable(s[i:])
			if err != nil {
				return pattern{}, err
			}
			if v.kind == text {
				run.WriteString(v.text)
			} else {
				flush()
				p.elements = append(p.elements, v)
				p.dynamic = true
			}
			i += length
		case with&wildcards != 0 && s[i] == '*':
			flush()
			if n := len(p.elements); n == 0 || p.elements[n-1].kind != anyRun {
				p.elements = append(p.elements, element{kind: anyRun})
			}
			i++
		case with&wildcards != 0 && s[i] == '?':
			flush()
			p.elements = append(p.elements, element{kind: anyOne})
			i++
		default:
			run.WriteByte(s[i])
			i++
		}
	}
	flush()
	return p, nil
}

// A comparison says when two texts are the same.
type comparison struct {
	hasPrefix func(s, prefix string) bool
	index     func(s, substr string) int
}

var (
	// exactly is the comparison of everything but actions.
	exactly = comparison{strings.HasPrefix, strings.Index}
	// foldingCase is for actions, whose patterns are in lower case.
	foldingCase = comparison{hasPrefixFold, indexFold}
)

// match reports whether the whole of s is what the pattern describes. At worst
// it takes time in proportion to the product of both lengths, whatever the
// pattern, and memory only for one of many elements that has variables.
func (p *pattern) match(s string, ctx Context) match {
	if !p.dynamic {
		return matchOf(matchElements(p.elements, s, &exactly))
	}
	var few [8]element
	resolved, ok := p.resolve(few[:0], ctx)
	if !ok {
		return undecided
	}
	return matchOf(matchElements(resolved, s, &exactly))
}

// matchAny reports whether one of the patterns describes s.
func matchAny(patterns []pattern, s string, ctx Context) match {
	answer := no
	for i := range patterns {
		switch patterns[i].match(s, ctx) {
		case yes:
			return yes
		case undecided:
			answer = undecided
		}
	}
	return answer
}

// matchElements walks both sides at once and remembers only the last star: what
// an earlier one has swallowed never needs to change, for the last one can
// swallow as much. So no star multiplies the work of another.
func matchElements(elements []element, s string, same *comparison) bool {
	at, i := 0, 0            // in s, in elements
	star, swallowed := -1, 0 // the element after the last star, and where in s it starts
	for {
		ok := false
		switch {
		case i == len(elements):
			if at == len(s) {
				return true
			}
		case elements[i].kind == anyRun:
			star, swallowed = i+1, at
			if star == len(elements) {
				return true
			}
			i, ok = star, true
		case elements[i].kind == anyOne:
			if ok = at < len(s); ok {
				at += runeLength(s[at:])
				i++
			}
		case i == star: // a text right after a star: find it
			found := same.index(s[at:], elements[i].text)
			if found < 0 {
				return false
			}
			swallowed = at + found
			at = swallowed + len(elements[i].text)
			i, ok = i+1, true
		default:
			if ok = same.hasPrefix(s[at:], elements[i].text); ok {
				at += len(elements[i].text)
				i++
			}
		}
		if ok {
			continue
		}
		if star < 0 || swallowed >= len(s) {
			return false
		}
		swallowed += runeLength(s[swallowed:])
		at, i = swallowed, star
	}
}

func runeLength(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// lower maps an ASCII letter to lower case and leaves every other byte: actions
// are ASCII, and a letter such as K (the Kelvin sign) does not match k.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if lower(s[i]) != prefix[i] {
			return false
		}
	}
	return true
}

func indexFold(s, substr string) int {
	for i := 0; i+len(substr) <= len(s); i++ {
		if hasPrefixFold(s[i:], substr) {
			return i
		}
	}
	return -1
}
