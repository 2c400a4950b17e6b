package nuget

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
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

func parseQuery(q url.Values) (searchQuery, error) {
	s := searchQuery{
		packageType: q.Get("packageType"), prerelease: strings.EqualFold(q.Get("prerelease"), "true"),
		semVer2: strings.HasPrefix(q.Get("semVerLevel"), "2."),
		skip:    formats.QueryInt(q, "skip", 0, maxSkip), take: formats.QueryInt(q, "take", defaultTake, maxTake),
	}
	words, err := formats.SearchWords(q.Get("q"))
	if err != nil {
		return s, err
	}
	for _, word := range words {
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
	return s, nil
}

// matches reports whether a package can be among the results. text is what searchText
// made of its newest push.
func (s searchQuery) matches(id, text string) bool {
	if s.id != "" && id != s.id {
		return false
	}
	if s.packageType != "" && !strings.Contains(text, nupkg.TypeLine+strings.ToLower(s.packageType)+"\n") {
		return false
	}
	return formats.ContainsAll(id+"\n"+text, s.words)
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

// mayShow reports whether the results can have a version, as far as that is known without
// its manifest.
func (s searchQuery) mayShow(v *packages.Version) bool {
	return v.Status == packages.Published && (s.prerelease || !strings.Contains(v.Version, "-"))
}

// find returns one page of the packages that match, and their number on all pages, as far
// as it is known: packages after the page count even if none of their versions is shown.
// own are all that match, shown or not.
func (h *Handler) find(r *formats.Request, s searchQuery) (page []searchResult, total int, own []packages.PackageID, err error) {
	own, total, err = h.Packages.Search(r.Context(), r.Repository, packages.NuGet, packages.SearchPage{Size: maxMatches}, func(id packages.PackageID, text string) bool {
		return s.matches(id.Name, text)
	})
	if err != nil {
		return nil, 0, nil, err
	}
	slices.SortStableFunc(own, func(a, b packages.PackageID) int { return cmp.Compare(s.rank(a.Name), s.rank(b.Name)) })
	skipped := 0
	for _, id := range own {
		if len(page) == s.take {
			break
		}
		versions, newest, err := h.listed(r, id, s)
		if err != nil {
			return nil, 0, nil, err
		}
		switch {
		case newest == nil:
			total--
		case skipped < s.skip:
			skipped++
		default:
			// Only what the answer says is kept: a manifest has up to 512 KiB.
			result, err := newResult(r, s.semVer2, versions, *newest)
			if err != nil {
				return nil, 0, nil, err
			}
			page = append(page, result)
		}
	}
	return page, total, own, nil
}

// listed returns the versions of a package that the results may show, in NuGet's order, and
// the newest that they do show, or nil if there is none. It reads no other manifests.
func (h *Handler) listed(r *formats.Request, id packages.PackageID, s searchQuery) (versions []*packages.Version, newest *entry, err error) {
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if formats.IsNotFound(err) {
		return nil, nil, nil // deleted since its name was found
	}
	if err != nil {
		return nil, nil, err
	}
	return s.listed(p)
}

// listed is [Handler.listed] of a package that was read.
func (s searchQuery) listed(p *packages.Package) (versions []*packages.Version, newest *entry, err error) {
	versions = sortedVersions(p, s.mayShow)
	for i, v := range slices.Backward(versions) {
		e, err := newEntry(v)
		if err != nil {
			return nil, nil, err
		}
		if !s.semVer2 && e.Manifest.NeedsSemVer2() {
			continue
		}
		if s.packageType != "" && !e.HasType(s.packageType) {
			break
		}
		return versions[:i+1], &e, nil
	}
	return nil, nil, nil
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
	return h.serveFound(w, r, "", func(found []searchResult, total int) any {
		return searchAnswer{TotalHits: total, Data: found}
	})
}

// serveFound answers what a search finds: here first, and then what the service of an
// external registry finds. Few searches run at a time: one may read the versions of a
// thousand packages.
func (h *Handler) serveFound(w http.ResponseWriter, r *formats.Request, service string, answer func(found []searchResult, total int) any) error {
	s, err := parseQuery(r.URL.Query())
	if err != nil {
		return err
	}
	doc, err := h.Documents.Render(r.Context(), func() (*formats.Document, error) {
		found, total, own, err := h.find(r, s)
		if err != nil {
			return nil, err
		}
		remote, more, err := h.findRemotely(r, s, service, len(found), total, own)
		if err != nil {
			return nil, err
		}
		return newJSON(answer(append(append([]searchResult{}, found...), remote...), total+more))
	})
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// newResult describes a package by its newest version.
func newResult(r *formats.Request, semVer2 bool, versions []*packages.Version, e entry) (searchResult, error) {
	l := &listing{base: r.Base, semVer2: semVer2, id: packageID(e.ID).Name}
	s := describe(r, semVer2, e.Manifest)
	for _, v := range versions {
		e, err := newEntry(v)
		if err != nil {
			return s, err
		}
		if semVer2 || !e.Manifest.NeedsSemVer2() {
			s.Versions = append(s.Versions, searchVersion{Version: e.Manifest.Version, ID: l.leafURL(e.version)})
		}
	}
	return s, nil
}

type autocompleteAnswer struct {
	TotalHits int      `json:"totalHits"`
	Data      []string `json:"data"`
}

// autocomplete answers the ids that begin with or contain a text, or with ?id= the
// versions of a package.
func (h *Handler) autocomplete(w http.ResponseWriter, r *formats.Request, _ route) error {
	if id := r.URL.Query().Get("id"); id != "" {
		return h.completeVersion(w, r, id)
	}
	return h.serveFound(w, r, nupkg.Complete, func(found []searchResult, total int) any {
		answer := autocompleteAnswer{TotalHits: total, Data: []string{}}
		for _, result := range found {
			answer.Data = append(answer.Data, result.Name)
		}
		return answer
	})
}

func (h *Handler) completeVersion(w http.ResponseWriter, r *formats.Request, id string) error {
	s, err := parseQuery(r.URL.Query())
	if err != nil {
		return err
	}
	answer := autocompleteAnswer{Data: []string{}}
	if nupkg.ValidID(id) {
		r.About(packageID(id), "")
		versions, newest, err := h.listed(r, packageID(id), s)
		if err != nil {
			return err
		}
		if newest != nil {
			result, err := newResult(r, s.semVer2, versions, *newest)
			if err != nil {
				return err
			}
			for _, v := range result.Versions {
				answer.Data = append(answer.Data, v.Version)
			}
		}
	}
	answer.TotalHits = len(answer.Data)
	return serveJSON(w, r, answer)
}
