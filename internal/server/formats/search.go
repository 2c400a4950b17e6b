package formats

import (
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxSearchWords bounds the different words of a search, each of which is looked for in
// the text of every package.
const maxSearchWords = 32

// SearchWords returns the words of a search in lower case, each once. Fault TooManyWords:
// there are more than 32.
func SearchWords(text string) ([]string, error) {
	var words []string
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		if slices.Contains(words, word) {
			continue
		}
		if len(words) == maxSearchWords {
			return nil, fault.New(fault.Invalid, "TooManyWords", "Search for at most %d words at a time.", maxSearchWords)
		}
		words = append(words, word)
	}
	return words, nil
}

// QueryInt is a number of a query, at most most, or the fallback if the query does not have
// it.
func QueryInt(q url.Values, name string, fallback, most int) int {
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 0 {
		return fallback
	}
	return min(n, most)
}

// ContainsAll reports whether a text in lower case contains all words.
func ContainsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}

// SearchRemote returns what the external registry behind the repository finds, to follow
// what [Base.Search] found: own is how many of the page it returned, total their number on
// all pages, name the name of a package as people write it. A package that is kept here and
// matches by its name alone is left out, since the own search found it.
func (b *Base[P]) SearchRemote(r *Request, q packages.RemoteSearch, own, total int, name func(packages.PackageID) string) (packages.RemoteHits, error) {
	q.From, q.Size = max(0, q.From-total), q.Size-own
	found, err := b.Packages.SearchRemote(r.Context(), r.Repository, r.Format, q)
	if err != nil {
		return found, err
	}
	words, err := SearchWords(q.Text)
	found.Hits = slices.DeleteFunc(found.Hits, func(hit packages.RemoteHit) bool {
		return hit.Held && ContainsAll(strings.ToLower(name(hit.Package)), words) // the own search found it
	})
	return found, err
}

// Search returns one page of the packages of a format whose name or text contains every
// word of a search, and their number on all pages: see [packages.Service.Search]. name is
// the name of a package as people write it. The packages are read one by one, while the
// answer is made; those that were deleted since they were found are left out.
func (b *Base[P]) Search(r *Request, f packages.Format, text string, page packages.SearchPage, name func(packages.PackageID) string) (found iter.Seq2[*packages.Package, error], total int, err error) {
	words, err := SearchWords(text)
	if err != nil {
		return nil, 0, err
	}
	ids, total, err := b.Packages.Search(r.Context(), r.Repository, f, page, func(id packages.PackageID, text string) bool {
		return ContainsAll(strings.ToLower(name(id))+"\n"+text, words)
	})
	return func(yield func(*packages.Package, error) bool) {
		for _, id := range ids {
			p, err := b.Packages.Package(r.Context(), r.Repository, id)
			if IsNotFound(err) {
				continue
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}, total, err
}
