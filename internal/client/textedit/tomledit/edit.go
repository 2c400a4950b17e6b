package tomledit

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
)

var errChangesMore = errors.New("the change cannot be made without changing something else in the text: make it by hand")

// checked returns a changed text if its values are those that the change makes
// of the old ones.
func (d *document) checked(text []byte, change func(map[string]any)) ([]byte, error) {
	got, err := values(text)
	if err != nil {
		return nil, errChangesMore
	}
	change(d.values)
	if !equal(got, d.values) {
		return nil, errChangesMore
	}
	return slices.Concat(d.mark, text), nil
}

// splice returns the text with the bytes from start to end replaced.
func (d *document) splice(start, end int, with string) []byte {
	return slices.Concat(d.text[:start], []byte(with), d.text[end:])
}

// add returns the text with a value at a path that has none.
func (d *document) add(path []string, literal string) []byte {
	parent, key := path[:len(path)-1], path[len(path)-1:]
	for n := len(path) - 1; n > 0; n-- {
		if p, ok := d.find(path[:n]); ok { // an inline table, which cannot have a header
			return d.intoInline(p.entry(), dotted(path[n:])+" = "+literal)
		}
	}
	for i := range d.sections {
		if s := &d.sections[i]; !s.array && slices.Equal(s.path, parent) {
			return d.intoSection(s, dotted(key)+" = "+literal)
		}
	}
	if s, ok := d.dottedTable(parent); ok {
		rest, _ := below(path, s.path)
		return d.intoSection(s, dotted(rest)+" = "+literal)
	}
	return d.atEnd("[" + dotted(parent) + "]" + d.newline + dotted(key) + " = " + literal)
}

// dottedTable finds the section in which dotted keys form a table, or one above
// it. Such a table cannot have a header.
func (d *document) dottedTable(path []string) (*section, bool) {
	for n := len(path); n > 0; n-- {
		for i := range d.sections {
			s := &d.sections[i]
			rest, ok := below(path[:n], s.path)
			if !ok || len(rest) == 0 || s.array {
				continue
			}
			for _, e := range s.entries {
				if below, ok := below(e.key, rest); ok && len(below) > 0 {
					return s, true
				}
			}
		}
	}
	return nil, false
}

// intoSection adds a line at the end of a section, with the indentation of the
// line before.
func (d *document) intoSection(s *section, line string) []byte {
	if len(s.entries) > 0 {
		last := s.entries[len(s.entries)-1]
		return d.insertLine(d.nextLine(last.end), string(d.indentation(last.start))+line)
	}
	if s.path == nil && len(d.sections) > 1 { // above the first header and its comments
		at := d.aboveComments(1)
		return d.splice(at, at, line+d.newline+d.newline)
	}
	if s.path == nil {
		return d.insertLine(len(d.text), line)
	}
	return d.insertLine(s.body, line)
}

// aboveComments returns where the comments right above a section's header start.
func (d *document) aboveComments(i int) int {
	at, floor := d.sections[i].start, d.endOf(d.sections[i-1])
	for at > floor && bytes.HasPrefix(bytes.TrimLeft(d.text[d.line(at-1):at], " \t"), []byte("#")) {
		at = d.line(at - 1)
	}
	return at
}

// indentation returns the part of the line before an offset.
func (d *document) indentation(at int) []byte { return d.text[d.line(at):at] }

// insertLine adds a line at the start of another one, or at the end of the
// text, which keeps its last line with or without a newline.
func (d *document) insertLine(at int, line string) []byte {
	if at > 0 && d.text[at-1] != '\n' {
		return d.splice(at, at, d.newline+line)
	}
	return d.splice(at, at, line+d.newline)
}

// atEnd adds lines at the end of the text, after a blank line.
func (d *document) atEnd(lines string) []byte {
	if len(d.text) == 0 {
		return d.insertLine(0, lines)
	}
	return d.insertLine(len(d.text), d.newline+lines)
}

// intoInline adds a member to an inline table, or an element to an array.
func (d *document) intoInline(table *entry, member string) []byte {
	if len(table.below) > 0 {
		last := table.below[len(table.below)-1]
		return d.splice(last.end, last.end, ","+cmp.Or(d.lead(last.start), " ")+member)
	}
	at := table.value + 1
	if d.text[at] == ' ' {
		member = " " + member
	}
	return d.splice(at, at, member)
}

// lead returns the white space before an offset.
func (d *document) lead(at int) string {
	return string(d.text[len(bytes.TrimRight(d.text[:at], " \t\r\n")):at])
}

// remove returns the text without an entry.
func (d *document) remove(p place) []byte {
	if p.table != nil {
		return d.outOfInline(p)
	}
	e := p.entry()
	return d.cut(d.linesOf(p.section, e))
}

// linesOf returns the range of an entry's lines. It includes the header if
// nothing else is below it, or the blank line between the root's only key and
// the first header.
func (d *document) linesOf(s *section, e *entry) (start, end int) {
	start, end = d.line(e.start), d.nextLine(e.end)
	if len(s.entries) > 1 {
		return start, end
	}
	if s.path == nil {
		if len(d.sections) > 1 {
			end += blank(d.text[end:])
		}
		return start, end
	}
	commented := bytes.IndexByte(d.text[s.start:start], '#') >= 0 || bytes.IndexByte(d.text[e.end:end], '#') >= 0 ||
		bytes.HasPrefix(bytes.TrimLeft(d.text[end:], " \t"), []byte("#"))
	if start == s.body && !commented && !s.array {
		start = s.start - d.blankBefore(s.start)
	}
	return start, end
}

// cut removes whole lines. At the end of a text without a last newline, the
// newline before them is removed too.
func (d *document) cut(start, end int) []byte {
	if end == len(d.text) && end > 0 && d.text[end-1] != '\n' && start > 0 {
		start--
		if start > 0 && d.text[start-1] == '\r' {
			start--
		}
	}
	return d.splice(start, end, "")
}

// blank returns the length of the newline with which a text starts.
func blank(text []byte) int {
	switch {
	case bytes.HasPrefix(text, []byte("\n")):
		return 1
	case bytes.HasPrefix(text, []byte("\r\n")):
		return 2
	}
	return 0
}

// blankBefore returns the length of the empty line before an offset.
func (d *document) blankBefore(at int) int {
	if at == 0 {
		return 0
	}
	return blank(d.text[d.line(at-1):at])
}

// outOfInline removes a member of an inline table, or an element of an array,
// with the comma before or after it.
func (d *document) outOfInline(p place) []byte {
	e := p.entry()
	switch {
	case p.index > 0:
		before := p.among[p.index-1].end
		if bytes.IndexByte(d.text[before:e.start], '#') >= 0 { // a comment on the one before
			end := e.end
			if d.text[end] == ',' {
				end++
			}
			return d.splice(e.start, end, "")
		}
		return d.splice(before, e.end, "")
	case len(p.among) > 1:
		return d.splice(e.start, p.among[1].start, "")
	case d.text[d.skip(e.end, " \t\r\n")] == ',': // it has a comma with nothing after it
		return d.splice(e.start, d.skip(e.end, " \t\r\n")+1, "")
	case d.text[e.start-1] == ' ' && d.text[e.end] == ' ': // { } and [ ] stay as wide as they were
		return d.splice(e.start-1, e.end, "")
	}
	return d.splice(e.start, e.end, "")
}
