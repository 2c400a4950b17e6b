package python

import (
	"slices"
	"strings"
	"unicode"
)

// With adds an element to the value of an option that has several, separated by
// white space; on a line of its own, unless it is the first or there already.
func With(list, element string) string {
	switch {
	case slices.Contains(strings.Fields(list), element):
		return list
	case list == "":
		return element
	}
	return list + "\n" + element
}

// Without takes an element out, with the white space before it, or if it is the
// first, after it.
func Without(list, element string) string {
	for start := 0; element != ""; {
		i := strings.Index(list[start:], element)
		if i < 0 {
			return list
		}
		before, after := list[:start+i], list[start+i+len(element):]
		whole := strings.TrimRightFunc(before, unicode.IsSpace) != before || before == ""
		if rest := strings.TrimLeftFunc(after, unicode.IsSpace); whole && (rest != after || after == "") {
			if before == "" {
				return rest
			}
			return strings.TrimRightFunc(before, unicode.IsSpace) + after
		}
		start += i + len(element)
	}
	return list
}
