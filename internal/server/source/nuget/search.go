package nuget

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// searchPlace is the place of the results of a search (Microsoft Learn, "Search" and
// "Autocomplete"). A registry without completion is asked for what it finds.
func (s *service) searchPlace(q packages.RemoteSearch) (*source.DocumentPlace, error) {
	address := s.search
	if q.Service == nupkg.Complete && s.complete != "" {
		address = s.complete
	}
	if address == "" {
		return nil, packages.ErrNoRemotePackage
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	options, err := url.ParseQuery(q.Options)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	for name := range options {
		query.Set(name, options.Get(name))
	}
	query.Set("q", q.Text)
	query.Set("skip", strconv.Itoa(q.From))
	query.Set("take", strconv.Itoa(q.Size))
	u.RawQuery = query.Encode()
	return &source.DocumentPlace{Path: u.String(), Accept: "application/json", Types: mediaTypes, Read: readSearch}, nil
}

// A foundPackage is an entry of an answer: of a search an object, of a completion an id.
type foundPackage struct {
	ID           text     `json:"id"`
	Version      text     `json:"version"`
	Description  text     `json:"description"`
	Summary      text     `json:"summary"`
	Title        text     `json:"title"`
	IconURL      text     `json:"iconUrl"`
	LicenseURL   text     `json:"licenseUrl"`
	ProjectURL   text     `json:"projectUrl"`
	Tags         textList `json:"tags"`
	Authors      textList `json:"authors"`
	Downloads    int64    `json:"totalDownloads"`
	PackageTypes []struct {
		Name text `json:"name"`
	} `json:"packageTypes"`
	Versions []struct {
		Version   text  `json:"version"`
		Downloads int64 `json:"downloads"`
	} `json:"versions"`
}

// readSearch makes hits of an answer. What cannot be the id of a package is left out.
func readSearch(body []byte) ([]byte, error) {
	var answer struct {
		TotalHits int               `json:"totalHits"`
		Data      []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Data == nil {
		return nil, &source.BadAnswer{What: "it is not the answer to a search", Err: err}
	}
	found := packages.RemoteHits{Total: max(answer.TotalHits, len(answer.Data)), Hits: []packages.RemoteHit{}}
	for _, raw := range answer.Data {
		var f foundPackage
		if err := json.Unmarshal(raw, &f.ID); err != nil {
			return nil, err
		}
		if f.ID == "" && json.Unmarshal(raw, &f) != nil || !nupkg.ValidID(string(f.ID)) {
			continue
		}
		about, err := json.Marshal(f.kept())
		if err != nil {
			return nil, err
		}
		found.Hits = append(found.Hits, packages.RemoteHit{Package: packages.PackageID{Format: packages.NuGet, Name: string(f.ID)}, About: about})
	}
	return json.Marshal(found)
}

// kept is what clients are told of the package.
func (f *foundPackage) kept() *nupkg.Found {
	found := &nupkg.Found{Manifest: nupkg.Manifest{
		ID: string(f.ID), Version: string(f.Version), Title: f.Title.kept(), Description: f.Description.kept(), Summary: f.Summary.kept(),
		IconURL: nupkg.Address(string(f.IconURL)), LicenseURL: nupkg.Address(string(f.LicenseURL)), ProjectURL: nupkg.Address(string(f.ProjectURL)),
		Authors: text(strings.Join(f.Authors, ", ")).kept(), Tags: f.Tags.kept(),
	}, Downloads: max(f.Downloads, 0)}
	for _, t := range f.PackageTypes {
		found.PackageTypes = append(found.PackageTypes, t.Name.kept())
	}
	for _, v := range f.Versions {
		if _, ok := nupkg.ParseVersion(string(v.Version)); ok {
			found.Versions = append(found.Versions, nupkg.FoundVersion{Version: string(v.Version), Downloads: max(v.Downloads, 0)})
		}
	}
	return found
}
