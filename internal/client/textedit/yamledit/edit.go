package yamledit

import (
	"cmp"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// replace replaces a scalar. style gets the old one as it is written.
func (d *document) replace(at place, style func(old string) string) {
	entry, limit := at.chain[len(at.chain)-1], at.limits[len(at.limits)-1]
	first, from := line(at.value), d.column(at.value)
	text := d.Lines[first].Text
	if last := d.last(entry, limit); last > first && !at.flow { // a scalar of many lines
		d.Lines[first].Text = text[:from] + style("")
		d.dropLines(first+1, last+1)
		return
	}
	n := scalarLength(text[from:], at.flow)
	d.Lines[first].Text = text[:from] + style(text[from:from+n]) + text[from+n:]
}

// insert adds what is missing of a path. value follows the last key's colon: a
// space and a scalar, or "" and the lines in below.
func (d *document) insert(at place, value string, below ...string) error {
	if at.flow {
		n := ast.Node(d.root)
		if len(at.chain) > 0 {
			n = at.chain[len(at.chain)-1].Key
		}
		return d.wrong(n, "%s is in braces; write one key per line", cmp.Or(strings.Join(keys(at), ": "), "the text"))
	}
	var row int
	var indent string
	switch m, isMap := at.value.(*ast.MappingNode); {
	case len(at.missing) == 0: // a key without a value
		entry := at.chain[len(at.chain)-1]
		indent = strings.Repeat(" ", d.column(entry.Key))
		if err := d.fill(entry, value); err != nil {
			return err
		}
		d.Insert(line(entry.Key)+1, d.indented(indent, below)...)
		return nil
	case isMap && len(m.Values) > 0:
		limit := d.end
		if len(at.limits) > 0 {
			limit = at.limits[len(at.limits)-1]
		}
		last := m.Values[len(m.Values)-1]
		row, indent = d.last(last, limit)+1, d.Lines[line(last.Key)].Text[:d.column(last.Key)]
	case len(at.chain) > 0: // a key without a value
		entry := at.chain[len(at.chain)-1]
		if err := d.fill(entry, ""); err != nil {
			return err
		}
		row, indent = line(entry.Key)+1, strings.Repeat(" ", d.column(entry.Key)+d.unit())
	default: // nothing at all
		row = d.end
	}
	var texts []string
	for i, key := range at.missing {
		if i > 0 {
			indent += strings.Repeat(" ", d.unit())
		}
		text := indent + quote(key, "") + ":"
		if i == len(at.missing)-1 {
			text += value
		}
		texts = append(texts, text)
	}
	d.Insert(row, append(texts, d.indented(indent, below)...)...)
	return nil
}

// indented returns lines with the indentation below a key.
func (d *document) indented(indent string, texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = indent + strings.Repeat(" ", d.unit()) + text
	}
	return out
}

// fill adds a value to a key without one. A written null is refused.
func (d *document) fill(entry *ast.MappingValueNode, value string) error {
	text := d.Lines[line(entry.Key)].Text
	colon := entry.Start.Position
	if colon == nil || colon.Line-1 != line(entry.Key) {
		return d.wrong(entry.Key, "the colon of the key is on another line")
	}
	after := byteIndex(text, colon.Column)
	rest := strings.TrimSpace(text[after:])
	if rest != "" && rest[0] != '#' {
		return d.wrong(entry.Key, "%s is null; remove it", keyText(entry))
	}
	d.Lines[line(entry.Key)].Text = text[:after] + value + text[after:]
	return nil
}

// unit is how much deeper a map's keys are than their parent's key.
func (d *document) unit() int {
	if d.root != nil {
		for _, v := range d.root.Values {
			if m, ok := v.Value.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
				return max(1, d.column(m.Values[0].Key)-d.column(v.Key))
			}
		}
	}
	return 2
}

// remove drops an entry, or the outermost entry on its path that has nothing
// else.
func (d *document) remove(at place) {
	i := len(at.chain) - 1
	first, last := d.span(at, i)
	for i > 0 && len(at.maps[i].Values) == 1 && !d.noted(at, i-1, first, last) {
		i--
		first, last = d.span(at, i)
	}
	d.dropLines(first, last+1)
}

func (d *document) span(at place, i int) (first, last int) {
	return line(at.chain[i].Key), d.last(at.chain[i], at.limits[i])
}

// noted reports whether an entry has comments above, below or between the lines
// of its only child.
func (d *document) noted(at place, i, first, last int) bool {
	entry := at.chain[i]
	indent := d.column(entry.Key)
	for n := line(entry.Key) + 1; n < at.limits[i]; n++ {
		text := strings.TrimLeft(d.Lines[n].Text, " \t")
		if (n < first || n > last) && strings.HasPrefix(text, "#") && len(d.Lines[n].Text)-len(text) > indent {
			return true
		}
	}
	head := d.Lines[line(entry.Key)].Text
	return strings.Contains(head[d.column(entry.Key):], " #")
}

// dropLines drops the lines from first up to end, without end.
func (d *document) dropLines(first, end int) {
	gone := map[int]bool{}
	for i := first; i < end; i++ {
		gone[i] = true
	}
	d.Drop(gone)
}

func keys(at place) []string {
	var out []string
	for _, v := range at.chain {
		out = append(out, keyText(v))
	}
	return out
}
