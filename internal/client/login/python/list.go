package python

import (
	"slices"
	"strings"
	"unicode"
)

// With adds an element to a list in which elements are separated by white
// space. It is on its own line unless it is the first. A list that has it stays
// as it is.
func With(list, element string) string {
	switch {
	case slices.Contains(strings.Fields(list), element):
		return list
	case list == "":
		return element
	}
	return list + "\n" + element
}

// Without removes an element with the white space before it, or after it if it
// is the first.
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
