package events

import (
	"fmt"
	"slices"
	"strings"
)

// A Filter chooses events. Each list has the values of which an event must have one; an
// empty list allows all.
type Filter struct {
	Sources      []string // such as "aws.codeartifact"
	DetailTypes  []string
	Accounts     []string
	Domains      []string
	Repositories []string
}

// A criterion is one list of a filter.
type criterion struct {
	column  string
	allowed []string
	value   func(*stored) string
}

func (f *Filter) criteria() []criterion {
	return []criterion{
		{"source", f.Sources, func(s *stored) string { return s.source }},
		{"detail_type", f.DetailTypes, func(s *stored) string { return s.detailType }},
		{"account", f.Accounts, func(s *stored) string { return s.account }},
		{"domain", f.Domains, func(s *stored) string { return s.domain }},
		{"repository", f.Repositories, func(s *stored) string { return s.repository }},
	}
}

func (f *Filter) matches(s *stored) bool {
	for _, c := range f.criteria() {
		if len(c.allowed) > 0 && !slices.Contains(c.allowed, c.value(s)) {
			return false
		}
	}
	return true
}

// condition returns the SQL condition of the filter, which begins with AND if there is
// one, and its arguments. used is how many placeholders precede it.
func (f *Filter) condition(used int) (sql string, args []any) {
	for _, c := range f.criteria() {
		if len(c.allowed) == 0 {
			continue
		}
		var places []string
		for _, v := range c.allowed {
			args = append(args, v)
			places = append(places, fmt.Sprintf("$%d", used+len(args)))
		}
		sql += " AND " + c.column + " IN (" + strings.Join(places, ", ") + ")"
	}
	return sql, args
}
