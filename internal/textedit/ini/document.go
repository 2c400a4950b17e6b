package ini

import (
	"bytes"
	"slices"
	"strings"
)

const byteOrderMark = "\uFEFF"

// A line is its text and what ends it: "\n", "\r\n", "\r", or "" for the last
// one.
type line struct{ text, end string }

// A header opens a section, which goes as far as the next header.
type header struct {
	name   string
	line   int
	indent string
}

// An entry is a key with its value, and where both are.
type entry struct {
	section, key, value string
	block               int    // the header above it; -1 for none
	line                int    // that of the key
	more                []int  // those that continue the value
	indent              string // before the key
	separator           string // between key and value; "" where there is no value
	from, to            int    // the value's part on the first line
}

// last is the entry's last line.
func (e *entry) last() int {
	if len(e.more) > 0 {
		return e.more[len(e.more)-1]
	}
	return e.line
}

// A document is a text, taken apart.
type document struct {
	grammar
	mark    string
	lines   []line
	headers []header
	entries []entry
}

func (d Dialect) parse(text []byte) (*document, error) {
	doc := &document{grammar: d.grammar()}
	rest, marked := bytes.CutPrefix(text, []byte(byteOrderMark))
	if marked {
		doc.mark = byteOrderMark
	}
	doc.lines = split(string(rest))
	var err error
	doc.headers, doc.entries, err = doc.grammar.parse(doc.lines)
	return doc, err
}

func split(text string) []line {
	var lines []line
	for text != "" {
		i := strings.IndexAny(text, "\r\n")
		if i < 0 {
			return append(lines, line{text: text})
		}
		n := 1
		if strings.HasPrefix(text[i:], "\r\n") {
			n = 2
		}
		lines = append(lines, line{text[:i], text[i : i+n]})
		text = text[i+n:]
	}
	return lines
}

func (doc *document) bytes() []byte {
	var b bytes.Buffer
	b.WriteString(doc.mark)
	for _, l := range doc.lines {
		b.WriteString(l.text)
		b.WriteString(l.end)
	}
	return b.Bytes()
}

// find returns the entry that holds: of several, the last.
func (doc *document) find(section, key string) *entry {
	for i := range slices.Backward(doc.entries) {
		if e := &doc.entries[i]; doc.is(e, section, key) {
			return e
		}
	}
	return nil
}

func (doc *document) is(e *entry, section, key string) bool {
	return e.section == section && doc.fold(e.key) == doc.fold(key)
}

// others is what the text says about every other key.
func (doc *document) others(section, key string) []Entry {
	var out []Entry
	for i := range doc.entries {
		if e := &doc.entries[i]; !doc.is(e, section, key) {
			out = append(out, Entry{e.section, e.key, e.value})
		}
	}
	return out
}

// insert adds an entry for a key that is not there.
func (doc *document) insert(section, key, value string) {
	block, at, indent := doc.place(section)
	if block < 0 && section != "" {
		if len(doc.lines) > 0 {
			doc.add(len(doc.lines), "")
		}
		doc.add(len(doc.lines), "["+section+"]")
		at, indent = len(doc.lines), ""
	}
	values := doc.value(value)
	separator := doc.style(block)
	if values[0] == "" {
		separator = strings.TrimRight(separator, " \t")
	}
	texts := []string{indent + doc.key(key) + separator + values[0]}
	for _, v := range values[1:] {
		texts = append(texts, continued(indent+"    ", v))
	}
	doc.add(at, texts...)
}

// place finds where a new key of a section goes: the section's header, the line
// to insert it at, and its indentation, which must be that of its predecessor
// for neither to continue the other.
func (doc *document) place(section string) (block, at int, indent string) {
	block = -1
	for i, h := range doc.headers {
		if h.name != section {
			continue
		}
		block, at, indent = i, h.line+1, h.indent
		if i+1 < len(doc.headers) && len(doc.headers[i+1].indent) > len(indent) {
			indent = doc.headers[i+1].indent
		}
	}
	if block < 0 && section == "" {
		at = len(doc.lines)
		if len(doc.headers) > 0 {
			at = doc.headers[0].line
		}
	}
	for i := range doc.entries {
		if e := &doc.entries[i]; e.block == block && e.section == section {
			at, indent = e.last()+1, e.indent
		}
	}
	return block, at, indent
}

// style is the separator of the section's last entry, or else of the file's, or
// else the grammar's own.
func (doc *document) style(block int) string {
	found, same := "", false
	for _, e := range doc.entries {
		usable := e.to > e.from && strings.Trim(e.separator, " \t") != "" && len(e.separator) <= 8
		if usable && (e.block == block || !same) {
			found, same = e.separator, e.block == block
		}
	}
	if found == "" {
		return doc.separator()
	}
	return found
}

// replace gives an entry another value. Lines that the old one and the new one
// have in common at their start and end stay as they are.
func (doc *document) replace(e *entry, value string) {
	values := doc.value(value)
	text := doc.lines[e.line].text
	before, after := text[:e.from], text[e.to:]
	switch {
	case e.separator == "": // a key alone
		before += doc.separator()
	case e.from == e.to && values[0] != "" && strings.HasPrefix(doc.separator(), " ") && !strings.HasSuffix(before, " "):
		before += " "
	}
	doc.lines[e.line].text = before + values[0] + after

	old, next := e.more, values[1:]
	same := 0
	for same < len(old) && same < len(next) && strings.TrimSpace(doc.lines[old[same]].text) == next[same] {
		same++
	}
	end := 0
	for end < len(old)-same && end < len(next)-same &&
		strings.TrimSpace(doc.lines[old[len(old)-1-end]].text) == next[len(next)-1-end] {
		end++
	}
	indent, at := e.indent+"    ", e.line+1
	if len(old) > 0 {
		first := doc.lines[old[0]].text
		if body := strings.TrimLeft(first, " \t"); body != "" && body != first {
			indent = first[:len(first)-len(body)]
		}
	}
	if same > 0 {
		at = old[same-1] + 1
	}
	gone := old[same : len(old)-end]
	var texts []string
	for _, v := range next[same : len(next)-end] {
		texts = append(texts, continued(indent, v))
	}
	// What goes comes after what is added, so that its line numbers shift at once.
	doc.add(at, texts...)
	shifted := make(map[int]bool, len(gone))
	for _, n := range gone {
		shifted[n+len(texts)] = true
	}
	doc.drop(shifted)
}

func continued(indent, text string) string {
	if text == "" {
		return ""
	}
	return indent + text
}

// remove drops the entries of a key, and sections that then have no line left.
func (doc *document) remove(section, key string) {
	gone, touched := map[int]bool{}, map[int]bool{}
	for i := range doc.entries {
		if e := &doc.entries[i]; doc.is(e, section, key) {
			touched[e.block], gone[e.line] = true, true
			for _, n := range e.more {
				gone[n] = true
			}
		}
	}
	for i, h := range doc.headers {
		end := len(doc.lines)
		if i+1 < len(doc.headers) {
			end = doc.headers[i+1].line
		}
		left := 0
		for n := h.line + 1; n < end; n++ {
			if !gone[n] {
				left++
			}
		}
		// An indented header would continue the value above the one that goes.
		deep := i+1 < len(doc.headers) && doc.headers[i+1].indent != ""
		if !touched[i] || left > 0 || deep {
			continue
		}
		gone[h.line] = true
		if h.line > 0 && doc.lines[h.line-1].text == "" {
			gone[h.line-1] = true
		}
	}
	doc.drop(gone)
}

// add inserts lines before the one numbered at. A file without a newline at its
// end stays one.
func (doc *document) add(at int, texts ...string) {
	if len(texts) == 0 {
		return
	}
	end := doc.ending(at)
	added := make([]line, len(texts))
	for i, text := range texts {
		added[i] = line{text, end}
	}
	if at > 0 && doc.lines[at-1].end == "" {
		doc.lines[at-1].end = end
		added[len(added)-1].end = ""
	}
	doc.lines = slices.Insert(doc.lines, at, added...)
}

// ending is how lines end just above the one numbered at, or else anywhere.
func (doc *document) ending(at int) string {
	for _, l := range slices.Backward(doc.lines[:at]) {
		if l.end != "" {
			return l.end
		}
	}
	if at < len(doc.lines) && doc.lines[at].end != "" {
		return doc.lines[at].end
	}
	return "\n"
}

// drop removes lines by their numbers. A file without a newline at its end stays
// one.
func (doc *document) drop(gone map[int]bool) {
	open := len(doc.lines) > 0 && doc.lines[len(doc.lines)-1].end == ""
	kept := doc.lines[:0]
	for i, l := range doc.lines {
		if !gone[i] {
			kept = append(kept, l)
		}
	}
	doc.lines = kept
	if open && len(kept) > 0 {
		kept[len(kept)-1].end = ""
	}
}
