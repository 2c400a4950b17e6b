package tomledit

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// encode writes a value as TOML, and returns it as the parser would.
func encode(value any) (literal string, parsed any, err error) {
	switch v := value.(type) {
	case string:
		return quote(v), v, utf8Only(v)
	case bool:
		return strconv.FormatBool(v), v, nil
	case int:
		return strconv.Itoa(v), int64(v), nil
	case int64:
		return strconv.FormatInt(v, 10), v, nil
	case []string:
		literals, list := make([]string, len(v)), make([]any, len(v))
		for i, element := range v {
			if literals[i], list[i], err = encode(element); err != nil {
				return "", nil, err
			}
		}
		return "[" + strings.Join(literals, ", ") + "]", list, nil
	}
	return "", nil, fmt.Errorf("a value of type %T cannot be written as TOML", value)
}

// utf8Only refuses keys and strings that TOML cannot represent.
func utf8Only(texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return errors.New("TOML is UTF-8, and a key or the value is not")
		}
	}
	return nil
}

// quote writes a basic string (TOML 1.0, String).
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// dotted writes a path as a key, bare if TOML allows it.
func dotted(path []string) string {
	parts := make([]string, len(path))
	for i, part := range path {
		if parts[i] = part; part == "" || strings.ContainsFunc(part, notBare) {
			parts[i] = quote(part)
		}
	}
	return strings.Join(parts, ".")
}

func notBare(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// A state is how far a path goes.
type state int

const (
	absent  state = iota
	there         // there is a value
	blocked       // it goes through a value that is not a table
)

func reach(values map[string]any, path []string) (any, state) {
	var v any = values
	for _, key := range path {
		table, ok := v.(map[string]any)
		if !ok {
			return nil, blocked
		}
		if v, ok = table[key]; !ok {
			return nil, absent
		}
	}
	return v, there
}

// put sets a value in parsed values. The path must not be blocked.
func put(values map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		next, ok := values[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			values[key] = next
		}
		values = next
	}
	values[path[len(path)-1]] = value
}

// cut removes a value from parsed values, if it is there.
func cut(values map[string]any, path []string) {
	table, _ := reach(values, path[:len(path)-1])
	delete(table.(map[string]any), path[len(path)-1])
}

// equal reports whether two parsed values are the same. A table without keys
// equals a missing one, and NaN equals itself.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(used(a), used(b), equal)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	}
	return reflect.DeepEqual(a, b)
}

// used returns a table without the empty tables in it.
func used(table map[string]any) map[string]any {
	kept := make(map[string]any, len(table))
	for key, value := range table {
		if below, ok := value.(map[string]any); !ok || len(used(below)) > 0 {
			kept[key] = value
		}
	}
	return kept
}
