package iniedit

import (
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

// A header opens a section, which extends to the next header.
type header struct {
	name   string
	line   int
	indent string
}

// An entry is a key with its value, and their position.
type entry struct {
	section, key, value string
	block               int    // the header above it; -1 for none
	line                int    // of the key
	more                []int  // lines that continue the value
	indent              string // before the key
	separator           string // between key and value; "" if there is no value
	from, to            int    // the part of the value on the first line
}

// last is the entry's last line.
func (e *entry) last() int {
	if len(e.more) > 0 {
		return e.more[len(e.more)-1]
	}
	return e.line
}

// A document is a parsed text.
type document struct {
	grammar
	*lines.Text
	headers []header
	entries []entry
}

func (d Dialect) parse(text []byte) (*document, error) {
	doc := &document{grammar: d.grammar(), Text: lines.Split(text)}
	var err error
	doc.headers, doc.entries, err = doc.grammar.parse(doc.Lines)
	return doc, err
}

// find returns the entry that counts: the last one, if there are several.
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

// others returns the values of every other key.
func (doc *document) others(section, key string) []Entry {
	var out []Entry
	for i := range doc.entries {
		if e := &doc.entries[i]; !doc.is(e, section, key) {
			out = append(out, Entry{e.section, e.key, e.value})
		}
	}
	return out
}

// insert adds an entry for a key that the text does not have.
func (doc *document) insert(section, key, value string) {
	block, at, indent := doc.place(section)
	if block < 0 && section != "" {
		if len(doc.Lines) > 0 {
			doc.Insert(len(doc.Lines), "")
		}
		doc.Insert(len(doc.Lines), "["+section+"]")
		at, indent = len(doc.Lines), ""
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
	doc.Insert(at, texts...)
}

// place finds where a new key of a section goes: the section's header, the line
// to insert the key at, and its indentation. The indentation must be the
// previous entry's, or one would continue the other.
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
		at = len(doc.Lines)
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

// style is the separator of the section's last entry, or the file's, or the
// grammar's default.
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

// replace gives an entry another value. Lines that the old and the new value
// have in common at the start and the end stay as they are.
func (doc *document) replace(e *entry, value string) {
	values := doc.value(value)
	text := doc.Lines[e.line].Text
	before, after := text[:e.from], text[e.to:]
	switch {
	case e.separator == "": // a key alone
		before += doc.separator()
	case e.from == e.to && values[0] != "" && strings.HasPrefix(doc.separator(), " ") && !strings.HasSuffix(before, " "):
		before += " "
	}
	doc.Lines[e.line].Text = before + values[0] + after

	old, next := e.more, values[1:]
	same := 0
	for same < len(old) && same < len(next) && strings.TrimSpace(doc.Lines[old[same]].Text) == next[same] {
		same++
	}
	end := 0
	for end < len(old)-same && end < len(next)-same &&
		strings.TrimSpace(doc.Lines[old[len(old)-1-end]].Text) == next[len(next)-1-end] {
		end++
	}
	indent, at := e.indent+"    ", e.line+1
	if len(old) > 0 {
		first := doc.Lines[old[0]].Text
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
	// The lines to drop come after the added ones, so their numbers have
	// shifted.
	doc.Insert(at, texts...)
	shifted := make(map[int]bool, len(gone))
	for _, n := range gone {
		shifted[n+len(texts)] = true
	}
	doc.Drop(shifted)
}

func continued(indent, text string) string {
	if text == "" {
		return ""
	}
	return indent + text
}

// remove drops the entries of a key, and sections that then have no lines left.
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
		end := len(doc.Lines)
		if i+1 < len(doc.headers) {
			end = doc.headers[i+1].line
		}
		left := 0
		for n := h.line + 1; n < end; n++ {
			if !gone[n] {
				left++
			}
		}
		// An indented header would continue the value above the removed entry.
		deep := i+1 < len(doc.headers) && doc.headers[i+1].indent != ""
		if !touched[i] || left > 0 || deep {
			continue
		}
		gone[h.line] = true
		if h.line > 0 && doc.Lines[h.line-1].Text == "" {
			gone[h.line-1] = true
		}
	}
	doc.Drop(gone)
}
