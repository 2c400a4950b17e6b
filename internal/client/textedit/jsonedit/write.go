package jsonedit

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// insert adds the first missing name, with the value inside objects for the
// others.
func (d document) insert(f found, value any) ([]byte, error) {
	for i := len(f.missing) - 1; i > 0; i-- {
		value = map[string]any{f.missing[i]: value}
	}
	if f.member.nameEnd > 0 { // a null
		return d.replace(f, value)
	}
	s := d.style(f.object)
	name, err := s.encode(f.missing[0])
	if err != nil {
		return nil, err
	}
	encoded, err := s.encode(value)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if n := len(f.object.members); n > 0 {
		b.WriteString("," + s.before)
		b.Write(name)
		b.WriteString(s.colon)
		b.Write(encoded)
		end := f.object.members[n-1].end
		return splice(d.text, end, end, b.Bytes()), nil
	}
	b.WriteString(s.before)
	b.Write(name)
	b.WriteString(s.colon)
	b.Write(encoded)
	b.WriteString(s.after)
	return splice(d.text, f.object.open+1, f.object.close, b.Bytes()), nil
}

func (d document) replace(f found, value any) ([]byte, error) {
	encoded, err := d.style(f.object).encode(value)
	if err != nil {
		return nil, err
	}
	return splice(d.text, f.member.start, f.member.end, encoded), nil
}

// cut removes the member, with the comma before it, or after it if it is the
// first.
func (d document) cut(f found) []byte {
	members := f.object.members
	for i, m := range members {
		switch {
		case m.nameAt != f.member.nameAt:
		case i > 0:
			return splice(d.text, members[i-1].end, m.end, nil)
		case len(members) > 1:
			return splice(d.text, m.nameAt, members[1].nameAt, nil)
		default:
			return splice(d.text, f.object.open+1, f.object.close, nil)
		}
	}
	return d.text
}

// A style is how a member is written in one object.
type style struct {
	before  string // between the { or the comma, and the name
	colon   string // between the name and the value, with the space around it
	after   string // before the } of an object that had no member
	newline string // "" if everything is on one line
	indent  string // of the line on which the name stands
	unit    string // one step of indentation
}

// style returns the style of the object's last member. If it has none, it
// returns the style of the text around it.
func (d document) style(o object) style {
	s := d.textStyle()
	if n := len(o.members); n > 0 {
		last, previous := o.members[n-1], o.open+1
		if n > 1 {
			previous = o.members[n-2].end
			previous += bytes.IndexByte(d.text[previous:], ',') + 1
		}
		s.before = string(d.text[previous:last.nameAt])
		if colon := string(d.text[last.nameEnd:last.start]); !strings.ContainsAny(colon, "\r\n") {
			s.colon = colon
		}
		if strings.Contains(s.before, "\n") {
			s.indent = blanks(s.before)
		} else {
			s.newline = ""
			if n == 1 && s.before == "" && strings.HasSuffix(s.colon, " ") {
				s.before = " "
			}
		}
		return s
	}
	if s.newline == "" {
		return s
	}
	outer := indentation(d.text[:o.open])
	s.indent = outer + s.unit
	s.before = s.newline + s.indent
	s.after = s.newline + outer
	return s
}

// textStyle returns the style of the whole text, which its first member shows.
func (d document) textStyle() style {
	s := style{colon: ": ", newline: "\n", unit: "\t"}
	if bytes.Contains(d.text, []byte("\r\n")) {
		s.newline = "\r\n"
	}
	if len(d.root.members) == 0 {
		return s
	}
	first := d.root.members[0]
	if colon := string(d.text[first.nameEnd:first.start]); !strings.ContainsAny(colon, "\r\n") {
		s.colon = colon
	}
	if !bytes.ContainsRune(d.text[d.root.open:d.root.close], '\n') {
		s.newline = ""
	} else if before := string(d.text[d.root.open+1 : first.nameAt]); strings.Contains(before, "\n") {
		s.unit = blanks(before)
	}
	return s
}

// blanks returns the spaces and tabs at the end of a text.
func blanks(text string) string { return text[len(strings.TrimRight(text, " \t")):] }

// indentation returns the indentation of the last line of a text.
func indentation(text []byte) string {
	line := text[bytes.LastIndexByte(text, '\n')+1:]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

func (s style) encode(value any) ([]byte, error) {
	spaced := strings.HasSuffix(s.colon, " ")
	options := []json.Options{json.Deterministic(true), jsontext.SpaceAfterColon(spaced)}
	if s.newline == "" {
		options = append(options, jsontext.SpaceAfterComma(spaced))
	} else {
		options = append(options, jsontext.WithIndentPrefix(s.indent), jsontext.WithIndent(s.unit))
	}
	text, err := json.Marshal(value, options...)
	if err != nil || s.newline != "\r\n" {
		return text, err
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), nil
}
