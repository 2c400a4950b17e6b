package toml

import (
	"fmt"
	"slices"
	"strings"
)

// Upsert returns the text with an element in an array of tables, whether it is
// written as [[table]] or inline: the first whose key has the string id, with the
// given values set in it. Where there is none, one is added at the end, with the
// key first and the values in their order. A text that has all that comes back as
// it is.
//
// The error says what is wrong with the text, with the line, or that the path
// names something that is no array of tables.
func Upsert(text []byte, table []string, key, id string, pairs ...Pair) ([]byte, error) {
	pairs = append([]Pair{{key, id}}, pairs...)
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	old, state := reach(d.values, table)
	list, ok := old.([]any)
	if len(table) == 0 || state == blocked || state == there && !ok {
		return nil, fmt.Errorf("%s cannot be added to: it is no array of tables", dotted(table))
	}
	if position(list, key, id) < 0 {
		return d.appendElement(table, pairs)
	}
	for _, p := range pairs[1:] { // the offsets are others after each
		if text, err = setInElement(text, table, key, id, p); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// Drop returns the text without the elements of an array of tables whose key has
// the string id. A text that has none comes back as it is. Drop undoes an
// [Upsert] that added an element, to the byte.
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

// position finds the element whose key has a string; -1 where there is none.
func position(list []any, key, id string) int {
	return slices.IndexFunc(list, func(element any) bool {
		table, _ := element.(map[string]any)
		return table[key] == id
	})
}

func (d *document) appendElement(table []string, pairs []Pair) ([]byte, error) {
	element := map[string]any{}
	lines := make([]string, len(pairs))
	for i, p := range pairs {
		literal, value, err := encode(p.Value)
		if err != nil {
			return nil, err
		}
		element[p.Key] = value
		lines[i] = dotted([]string{p.Key}) + " = " + literal
	}
	var text []byte
	if p, ok := d.find(table); ok {
		text = d.intoInline(p.entry(), "{ "+strings.Join(lines, ", ")+" }")
	} else {
		text = d.atEnd("[[" + dotted(table) + "]]" + d.newline + strings.Join(lines, d.newline))
	}
	return d.checked(text, func(values map[string]any) {
		old, _ := reach(values, table)
		list, _ := old.([]any)
		put(values, table, append(list, element))
	})
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
	element := list[i].(map[string]any)
	if had, ok := element[p.Key]; ok && equal(had, value) {
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
	return d.checked(changed, func(map[string]any) { element[p.Key] = value })
}

// element finds the entries of an array's element, and says whether they are
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
	for n := end - 1; n >= first; n-- { // from behind, so that offsets stay
		s := d.sections[n]
		if _, ok := below(s.path, table); ok {
			text.text = text.cut(s.start-d.blankBefore(s.start), d.endOf(s))
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

// endOf returns the end of a section's last line that is no comment.
func (d *document) endOf(s section) int {
	if len(s.entries) == 0 {
		return s.body
	}
	return d.nextLine(s.entries[len(s.entries)-1].end)
}
