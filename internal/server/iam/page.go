package iam

import "strings"

// A Page asks for a part of a list, in the order of the names.
type Page struct {
	// PathPrefix, if it is not empty, is what paths begin with.
	PathPrefix string
	// After is [Listing.Next] of the page before, or empty.
	After string
	// Limit is the greatest number of entries; 0 means 100.
	Limit int
}

// A Listing is one page of a list.
type Listing[E any] struct {
	Entries []E
	// Next continues the list; empty on the last page.
	Next string
}

const DefaultPage = 100

// page returns the entities of a kind that want accepts.
func page[E Entity](sn *Snapshot, account string, kind Kind, p Page, want func(E) bool) Listing[E] {
	if p.Limit == 0 {
		p.Limit = DefaultPage
	}
	var l Listing[E]
	for e := range list[E](sn, account, kind, p.After) {
		if !strings.HasPrefix(e.Base().Path, p.PathPrefix) || !want(e) {
			continue
		}
		if len(l.Entries) == p.Limit {
			l.Next = l.Entries[p.Limit-1].Base().Name
			break
		}
		l.Entries = append(l.Entries, e)
	}
	return l
}

func all[E any](E) bool { return true }
