package nuget

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Bounds of a search. The public gallery has the same.
const (
	defaultTake = 20
	maxTake     = 1000
	maxSkip     = 3000
	maxMatches  = 50_000 // packages that match, before their versions are looked at
)

// A searchQuery is what a client searches for (Microsoft Learn, "Search").
type searchQuery struct {
	words       []string // in lower case; all must be found
	id          string   // packageid:ID, in lower case
	packageType string
	prerelease  bool
	semVer2     bool
	skip, take  int
}

func parseQuery(q url.Values) searchQuery {
	s := searchQuery{
		packageType: q.Get("packageType"), prerelease: strings.EqualFold(q.Get("prerelease"), "true"),
		semVer2: strings.HasPrefix(q.Get("semVerLevel"), "2."),
		skip:    queryInt(q, "skip", 0, maxSkip), take: queryInt(q, "take", defaultTake, maxTake),
	}
	for _, word := range strings.Fields(strings.ToLower(q.Get("q"))) {
		field, value, ok := strings.Cut(word, ":")
		value = strings.Trim(value, `"`)
		switch {
		case !ok:
			s.words = append(s.words, strings.Trim(word, `"`))
		case field == "packageid":
			s.id = value
		default: // id:, title:, tags: and so on
			s.words = append(s.words, value)
		}
	}
	return s
}

// queryInt is a number of the query, at most most, or the fallback if the query does not
// have it.
func queryInt(q url.Values, name string, fallback, most int) int {
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 0 {
		return fallback
	}
	return min(n, most)
}

// matches reports whether a package can be among the results. text is what searchText
// made of its newest push.
func (s searchQuery) matches(id, text string) bool {
	if s.id != "" && id != s.id {
		return false
	}
	if s.packageType != "" && !strings.Contains(text, typeLine+strings.ToLower(s.packageType)+"\n") {
		return false
	}
	return !slices.ContainsFunc(s.words, func(word string) bool { return !strings.Contains(id+"\n"+text, word) })
}

// rank orders the results: the package with the name that was searched for, names that
// begin with it, names that contain it, and the others.
func (s searchQuery) rank(id string) int {
	if len(s.words) == 0 {
		return 0
	}
	switch word := s.words[0]; {
	case id == word:
		return 0
	case strings.HasPrefix(id, word):
		return 1
	case strings.Contains(id, word):
		return 2
	}
	return 3
}

// shows reports whether the results have a version.
func (s searchQuery) shows(e entry) bool {
	return e.Status == packages.Published && (s.prerelease || !e.version.prerelease()) && (s.semVer2 || !e.nuspec.semVer2())
}

// A match is a package with the versions that the client asked for, in NuGet's order.
type match struct {
	*listing
}

func (m match) newest() entry { return m.entries[len(m.entries)-1] }

// find returns one page of the packages that match, and their number on all pages, as far
// as it is known: packages after the page count even if none of their versions is shown.
func (h *Handler) find(r *formats.Request, s searchQuery) (page []match, total int, err error) {
	ids, total, err := h.packages.Search(r.Context(), r.Repository, packages.NuGet, packages.SearchPage{Size: maxMatches}, func(id packages.PackageID, text string) bool {
		return s.matches(id.Name, text)
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortStableFunc(ids, func(a, b packages.PackageID) int { return cmp.Compare(s.rank(a.Name), s.rank(b.Name)) })
	skipped := 0
	for _, id := range ids {
		if len(page) == s.take {
			break
		}
		l, err := h.listed(r, id, s)
		if err != nil {
			return nil, 0, err
		}
		switch {
		case l == nil:
			total--
		case skipped < s.skip:
			skipped++
		default:
			page = append(page, match{l})
		}
	}
	return page, total, nil
}

// listed returns the versions of a package that the results show, or nil if there are
// none.
func (h *Handler) listed(r *formats.Request, id packages.PackageID, s searchQuery) (*listing, error) {
	p, err := h.packages.Package(r.Context(), r.Repository, id)
	if e := fault.From(err); e != nil && e.Kind == fault.NotFound {
		return nil, nil // deleted since its name was found
	}
	if err != nil {
		return nil, err
	}
	l, err := newListing(r, p, s.semVer2)
	if err != nil {
		return nil, err
	}
	l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return !s.shows(e) })
	if len(l.entries) == 0 || s.packageType != "" && !l.entries[len(l.entries)-1].hasType(s.packageType) {
		return nil, nil
	}
	return l, nil
}

type (
	searchAnswer struct {
		TotalHits int            `json:"totalHits"`
		Data      []searchResult `json:"data"`
	}
	searchResult struct {
		ID             string          `json:"@id"`
		Type           string          `json:"@type"`
		Registration   string          `json:"registration"`
		Name           string          `json:"id"`
		Version        string          `json:"version"`
		Description    string          `json:"description"`
		Summary        string          `json:"summary"`
		Title          string          `json:"title"`
		IconURL        string          `json:"iconUrl,omitempty"`
		LicenseURL     string          `json:"licenseUrl,omitempty"`
		ProjectURL     string          `json:"projectUrl,omitempty"`
		Tags           []string        `json:"tags"`
		Authors        []string        `json:"authors"`
		TotalDownloads int64           `json:"totalDownloads"`
		Verified       bool            `json:"verified"`
		PackageTypes   []packageType   `json:"packageTypes"`
		Versions       []searchVersion `json:"versions"`
	}
	searchVersion struct {
		Version   string `json:"version"`
		Downloads int64  `json:"downloads"`
		ID        string `json:"@id"`
	}
)

// search answers one page of the packages that match.
func (h *Handler) search(w http.ResponseWriter, r *formats.Request, _ route) error {
	found, total, err := h.find(r, parseQuery(r.URL.Query()))
	if err != nil {
		return err
	}
	answer := searchAnswer{TotalHits: total, Data: []searchResult{}}
	for _, m := range found {
		answer.Data = append(answer.Data, m.result())
	}
	return serveJSON(w, r, answer)
}

func (m match) result() searchResult {
	e := m.newest()
	s := searchResult{
		ID: m.index(m.id), Type: "Package", Registration: m.index(m.id), Name: e.ID, Version: e.nuspec.Version,
		Description: e.Description, Summary: e.Summary, Title: cmp.Or(e.Title, e.ID), IconURL: e.IconURL, LicenseURL: e.LicenseURL, ProjectURL: e.ProjectURL,
		Tags: e.Tags, Authors: []string{},
	}
	if s.Tags == nil {
		s.Tags = []string{}
	}
	for _, author := range strings.Split(e.Authors, ",") {
		if author = strings.TrimSpace(author); author != "" {
			s.Authors = append(s.Authors, author)
		}
	}
	for _, t := range e.types() {
		s.PackageTypes = append(s.PackageTypes, packageType{t})
	}
	for _, e := range m.entries {
		s.Versions = append(s.Versions, searchVersion{Version: e.nuspec.Version, ID: m.leafURL(e.version)})
	}
	return s
}

type autocompleteAnswer struct {
	TotalHits int      `json:"totalHits"`
	Data      []string `json:"data"`
}

// autocomplete answers the ids that begin with or contain a text, or with ?id= the
// versions of a package.
func (h *Handler) autocomplete(w http.ResponseWriter, r *formats.Request, _ route) error {
	s := parseQuery(r.URL.Query())
	if id := r.URL.Query().Get("id"); id != "" {
		return h.completeVersion(w, r, id, s)
	}
	found, total, err := h.find(r, s)
	if err != nil {
		return err
	}
	answer := autocompleteAnswer{TotalHits: total, Data: []string{}}
	for _, m := range found {
		answer.Data = append(answer.Data, m.newest().ID)
	}
	return serveJSON(w, r, answer)
}

func (h *Handler) completeVersion(w http.ResponseWriter, r *formats.Request, id string, s searchQuery) error {
	answer := autocompleteAnswer{Data: []string{}}
	if validID(id) {
		r.About(packageID(id), "")
		l, err := h.listed(r, packageID(id), s)
		if err != nil {
			return err
		}
		if l != nil {
			for _, e := range l.entries {
				answer.Data = append(answer.Data, e.nuspec.Version)
			}
		}
	}
	answer.TotalHits = len(answer.Data)
	return serveJSON(w, r, answer)
}
