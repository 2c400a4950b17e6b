package yamledit

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// scalar returns the text of a scalar.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.TagNode:
		return scalar(n.Value)
	case *ast.AnchorNode:
		return scalar(n.Value)
	}
	return "", false
}

// scalarLength is the number of bytes that a scalar takes at the start of a
// text.
func scalarLength(text string, flow bool) int {
	switch {
	case strings.HasPrefix(text, `"`):
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
	case strings.HasPrefix(text, `'`):
		for i := 1; i < len(text); i++ {
			if text[i] != '\'' {
				continue
			}
			if i+1 == len(text) || text[i+1] != '\'' {
				return i + 1
			}
			i++
		}
	}
	end := len(text)
	if i := strings.Index(text, " #"); i >= 0 {
		end = i
	}
	if i := strings.Index(text, "\t#"); i >= 0 && i < end {
		end = i
	}
	if flow {
		if i := strings.IndexAny(text[:end], ",]}"); i >= 0 {
			end = i
		}
	}
	return len(strings.TrimRight(text[:end], " \t"))
}

// quote writes a string in the quotes of the old one, or plain if possible.
func quote(value, old string) string {
	printable := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFEFF' || r == '\uFFFD' }) < 0
	switch {
	case printable && strings.HasPrefix(old, "'"):
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	case strings.HasPrefix(old, `"`) || !printable || !plain(value):
		return doubleQuote(value)
	}
	return value
}

// plain reports whether a string may stand without quotes, as a key and as a
// value, in any map: it consists of letters, digits and characters without a
// meaning in YAML, and no reader takes it for a number, a boolean, a date or a
// null.
func plain(value string) bool {
	if value == "" || strings.HasSuffix(value, ":") || strings.HasPrefix(value, "-") || strings.HasPrefix(value, "@") {
		return false
	}
	for _, r := range value {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._:@+-", r)) {
			return false
		}
	}
	switch strings.ToLower(value) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null": // YAML 1.1 too
		return false
	}
	if strings.Contains("0123456789.+", value[:1]) && strings.Trim(value, "0123456789._:+-xoabcdefABCDEFinT") == "" { // numbers, times, dates
		return false
	}
	file, err := parser.ParseBytes([]byte("k: "+value), 0)
	if err != nil || len(file.Docs) != 1 {
		return false
	}
	m, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok || len(m.Values) != 1 {
		return false
	}
	s, ok := m.Values[0].Value.(*ast.StringNode)
	return ok && s.Value == value
}

// doubleQuote uses the escapes that JSON and YAML have in common, and YAML's
// own for other characters that do not print.
func doubleQuote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\x` + strconv.FormatInt(int64(r)+0x100, 16)[1:])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
