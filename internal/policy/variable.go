package policy

import "strings"

const badDefault = "The default of policy variable ${%s} must be in single quotes"

// readVariable reads the variable that s begins with, and says how long it is.
func readVariable(s string) (v element, length int, err error) {
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return element{}, 0, malformed("A policy variable is not closed: ${ without }")
	}
	inside := s[len("${"):end]
	switch inside {
	case "*", "?", "$":
		return element{kind: text, text: inside}, end + 1, nil
	}
	key, _, hasDefault := strings.Cut(inside, ",")
	v = element{kind: variable, text: strings.ToLower(strings.TrimSpace(key)), hasFallback: hasDefault}
	if !prefixed(v.text) || strings.ContainsAny(v.text, "${' ") {
		return element{}, 0, malformed("Policy variable ${%s} does not name a condition key, such as aws:username", inside)
	}
	if hasDefault {
		// A default may hold a closing brace, so its quote decides where it ends.
		open := strings.IndexByte(s, '\'')
		if open < 0 || strings.TrimSpace(s[len("${")+len(key)+1:open]) != "" {
			return element{}, 0, malformed(badDefault, inside)
		}
		quoted, after, closed := strings.Cut(s[open+1:], "'")
		tail := strings.TrimLeft(after, " ")
		if !closed || !strings.HasPrefix(tail, "}") {
			return element{}, 0, malformed(badDefault, inside)
		}
		v.fallback = quoted
		end = len(s) - len(tail)
	}
	return v, end + 1, nil
}

// prefixed reports whether a key names who defines it: "aws:username".
func prefixed(key string) bool {
	before, after, ok := strings.Cut(key, ":")
	return ok && before != "" && after != ""
}

// resolve appends the elements with each variable replaced by its value, which
// is a text like any other: a star in it is a star. A key with several values
// cannot stand in a variable, and is as good as none.
func (p *pattern) resolve(into []element, ctx Context) ([]element, bool) {
	for _, e := range p.elements {
		if e.kind == variable {
			switch values, ok := lookup(ctx, e.text); {
			case ok && len(values) == 1:
				e = element{kind: text, text: values[0]}
			case !ok && e.hasFallback:
				e = element{kind: text, text: e.fallback}
			default:
				return nil, false
			}
		}
		into = append(into, e)
	}
	return into, true
}

// lookup is ctx.Lookup, with a key without values as a missing one.
func lookup(ctx Context, key string) ([]string, bool) {
	if ctx == nil {
		return nil, false
	}
	values, ok := ctx.Lookup(key)
	return values, ok && len(values) > 0
}
