package tomledit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Upsert changes or adds an element of an array of tables, which the text may
// write as [[table]] or inline. The element is the first whose key has the
// string id. Upsert sets the given values in it. If there is no such element,
// Upsert adds one at the end, with the key first and the values in their order.
// A text that already has all this is returned as it is.
//
// The error says what is wrong with the text, with the line, or that the path
// names something other than an array of tables.
func Upsert(text []byte, table []string, key, id string, pairs ...Pair) ([]byte, error) {
	return upsert(text, table, key, id, pairs, (*document).appendElement)
}

// UpsertFirst is [Upsert], except that it adds a new element before the others.
func UpsertFirst(text []byte, table []string, key, id string, pairs ...Pair) ([]byte, error) {
	return upsert(text, table, key, id, pairs, (*document).prependElement)
}

// addition adds an element to a list of tables, in the text and in the list.
type addition func(d *document, table []string, list []any, e element) ([]byte, []any)

func upsert(text []byte, table []string, key, id string, pairs []Pair, add addition) ([]byte, error) {
	pairs = append([]Pair{{key, id}}, pairs...)
	if err := utf8Only(table...); err != nil {
		return nil, err
	}
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	old, state := reach(d.values, table)
	list, ok := old.([]any)
	if len(table) == 0 || state == blocked || state == there && !ok {
		return nil, fmt.Errorf("%s is not an array of tables", dotted(table))
	}
	if position(list, key, id) < 0 {
		e, err := newElement(pairs)
		if err != nil {
			return nil, err
		}
		text, list := add(d, table, list, e)
		return d.checked(text, func(values map[string]any) { put(values, table, list) })
	}
	for _, p := range pairs[1:] { // each change moves the offsets
		if text, err = setInElement(text, table, key, id, p); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// Drop returns the text without the elements of an array of tables whose key
// has the string id. A text without them is returned as it is. Drop undoes an
// [Upsert] that added an element, byte for byte.
//
// The error says what is wrong with the text, with the line.
func Drop(text []byte, table []string, key, id string) ([]byte, error) {
	for {
		d, err := parse(text)
		if err != nil {
			return nil, err
		}
		old, _ := reach(d.values, table)
		list, _ := old.([]any)
		i := position(list, key, id)
		if i < 0 || len(table) == 0 {
			return text, nil
		}
		if text, err = d.dropElement(table, list, i); err != nil {
			return nil, err
		}
	}
}

// position returns the index of the element whose key has a string; -1 if there
// is none.
func position(list []any, key, id string) int {
	return slices.IndexFunc(list, func(element any) bool {
		table, _ := element.(map[string]any)
		return table[key] == id
	})
}

// An element is a table of an array, and how its keys are written.
type element struct {
	values map[string]any
	lines  []string
}

func newElement(pairs []Pair) (element, error) {
	e := element{values: map[string]any{}}
	for _, p := range pairs {
		literal, value, err := encode(p.Value)
		if err = errors.Join(err, utf8Only(p.Key)); err != nil {
			return element{}, err
		}
		e.values[p.Key] = value
		e.lines = append(e.lines, dotted([]string{p.Key})+" = "+literal)
	}
	return e, nil
}

func (e element) inline() string { return "{ " + strings.Join(e.lines, ", ") + " }" }

func (e element) section(table []string, newline string) string {
	return "[[" + dotted(table) + "]]" + newline + strings.Join(e.lines, newline)
}

func (d *document) appendElement(table []string, list []any, e element) ([]byte, []any) {
	list = append(list, e.values)
	if p, ok := d.find(table); ok {
		return d.intoInline(p.entry(), e.inline()), list
	}
	return d.atEnd(e.section(table, d.newline)), list
}

func (d *document) prependElement(table []string, list []any, e element) ([]byte, []any) {
	if len(list) == 0 {
		return d.appendElement(table, list, e)
	}
	list = append([]any{e.values}, list...)
	if p, ok := d.find(table); ok {
		first := p.entry().below[0].start
		return d.splice(first, first, e.inline()+","+cmp.Or(d.lead(first), " ")), list
	}
	at := d.aboveComments(d.elementSections(table)[0])
	return d.splice(at, at, e.section(table, d.newline)+d.newline+d.newline), list
}

func setInElement(text []byte, table []string, key, id string, p Pair) ([]byte, error) {
	literal, value, err := encode(p.Value)
	if err != nil {
		return nil, err
	}
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	old, _ := reach(d.values, table)
	list := old.([]any)
	i := position(list, key, id)
	values := list[i].(map[string]any)
	if had, ok := values[p.Key]; ok && equal(had, value) {
		return text, nil
	}
	line := dotted([]string{p.Key}) + " = " + literal
	var changed []byte
	in, inline := d.element(table, i)
	switch at, ok := within(in, []string{p.Key}); {
	case ok:
		changed = d.splice(at.entry().value, at.entry().end, literal)
	case inline:
		changed = d.intoInline(in.table, line)
	default:
		changed = d.intoSection(in.section, line)
	}
	return d.checked(changed, func(map[string]any) { values[p.Key] = value })
}

// element finds the entries of an array's element, and reports whether they are
// inline.
func (d *document) element(table []string, i int) (p place, inline bool) {
	if array, ok := d.find(table); ok {
		e := &array.entry().below[i]
		return place{section: array.section, table: e, among: e.below}, true
	}
	s := &d.sections[d.elementSections(table)[i]]
	return place{section: s, among: s.entries}, false
}

// elementSections returns the indices of the sections [[table]].
func (d *document) elementSections(table []string) []int {
	var found []int
	for i, s := range d.sections {
		if s.array && slices.Equal(s.path, table) {
			found = append(found, i)
		}
	}
	return found
}

func (d *document) dropElement(table []string, list []any, i int) ([]byte, error) {
	if array, ok := d.find(table); ok {
		e := array.entry()
		return d.checked(d.outOfInline(place{table: e, among: e.below, index: i}), func(values map[string]any) {
			put(values, table, slices.Delete(slices.Clone(list), i, i+1))
		})
	}
	elements := d.elementSections(table)
	first, end := elements[i], len(d.sections)
	if i+1 < len(elements) {
		end = elements[i+1]
	}
	text := &document{text: d.text}
	for n := end - 1; n >= first; n-- { // backwards, so that offsets stay valid
		s := d.sections[n]
		if _, ok := below(s.path, table); ok {
			text.text = text.cut(text.withBlank(s.start, text.endOf(s)))
		}
	}
	return d.checked(text.text, func(values map[string]any) {
		if len(list) == 1 {
			cut(values, table)
			return
		}
		put(values, table, slices.Delete(slices.Clone(list), i, i+1))
	})
}

// withBlank extends a range of lines by the blank line before it or, if there
// is none, by the one after it.
func (d *document) withBlank(start, end int) (int, int) {
	if before := d.blankBefore(start); before > 0 {
		return start - before, end
	}
	return start, end + blank(d.text[end:])
}

// endOf returns the end of a section's last line that is not a comment.
func (d *document) endOf(s section) int {
	if len(s.entries) == 0 {
		return s.body
	}
	return d.nextLine(s.entries[len(s.entries)-1].end)
}
