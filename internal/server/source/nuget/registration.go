package nuget

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Bounds of the registration of one package.
const (
	maxPages    = 1000 // with 64 versions each in the public gallery
	pagesAtOnce = 4    // and each of them may have a part of Registry.MaxDocument
)

type (
	// A registration is the index of a package (Microsoft Learn, "Package metadata").
	registration struct {
		Items []registrationPage `json:"items"`
	}
	registrationPage struct {
		ID string `json:"@id"`
		// Changed is the time of the last change. If it is there, the index changes with
		// every change of the page.
		Changed text               `json:"commitTimeStamp"`
		Items   []registrationLeaf `json:"items"`

		from string // the document that it is in
	}
	registrationLeaf struct {
		Entry   catalogEntry `json:"catalogEntry"`
		Content text         `json:"packageContent"`
	}
	catalogEntry struct {
		Address                  string            `json:"@id"`
		ID                       text              `json:"id"`
		Version                  text              `json:"version"`
		Title                    text              `json:"title"`
		Authors                  text              `json:"authors"`
		Description              text              `json:"description"`
		Summary                  text              `json:"summary"`
		Language                 text              `json:"language"`
		Tags                     textList          `json:"tags"`
		ProjectURL               text              `json:"projectUrl"`
		IconURL                  text              `json:"iconUrl"`
		LicenseExpression        text              `json:"licenseExpression"`
		LicenseURL               text              `json:"licenseUrl"`
		RequireLicenseAcceptance text              `json:"requireLicenseAcceptance"`
		MinClientVersion         text              `json:"minClientVersion"`
		Published                text              `json:"published"`
		Listed                   *bool             `json:"listed"`
		DependencyGroups         []dependencyGroup `json:"dependencyGroups"`
		PackageTypes             []struct {
			Name text `json:"name"`
		} `json:"packageTypes"`
		Deprecation     *deprecation    `json:"deprecation"`
		Vulnerabilities []vulnerability `json:"vulnerabilities"`
		packageHash
	}
	// A packageHash is in the catalog of the public gallery, and in registrations of some
	// other registries.
	packageHash struct {
		Algorithm text  `json:"packageHashAlgorithm"`
		Hash      text  `json:"packageHash"`
		Size      int64 `json:"packageSize"`
	}
	dependencyGroup struct {
		TargetFramework text `json:"targetFramework"`
		Dependencies    []struct {
			ID    text `json:"id"`
			Range text `json:"range"`
		} `json:"dependencies"`
	}
	deprecation struct {
		Reasons   textList `json:"reasons"`
		Message   text     `json:"message"`
		Alternate *struct {
			ID    text `json:"id"`
			Range text `json:"range"`
		} `json:"alternatePackage"`
	}
	vulnerability struct {
		AdvisoryURL text `json:"advisoryUrl"`
		Severity    text `json:"severity"`
	}
)

// validators are those of an index, and of the pages whose changes the index does not
// show.
type validators struct {
	Index source.Validators `json:"index"`
	Pages []pageValidators  `json:"pages,omitempty"`
}

type pageValidators struct {
	URL string `json:"url"`
	source.Validators
}

// A reading reads one registration.
type reading struct {
	registry *source.Registry
	service  *service
	id       packages.PackageID
}

// read returns source.ErrNotModified if nothing has changed since before.
func (g *reading) read(ctx context.Context, address string, before validators) (*packages.RemotePackage, validators, error) {
	var index registration
	from, now, err := getJSON(ctx, g.registry, address, before.Index, &index)
	if errors.Is(err, source.ErrNotModified) && len(before.Pages) > 0 {
		unchanged, pagesErr := g.pagesUnchanged(ctx, before.Pages)
		if pagesErr != nil {
			return nil, validators{}, pagesErr
		}
		if !unchanged {
			from, now, err = getJSON(ctx, g.registry, address, source.Validators{}, &index)
		}
	}
	if err != nil {
		return nil, validators{}, err
	}
	after := validators{Index: now}
	for i := range index.Items {
		index.Items[i].from = from
	}
	if after.Pages, err = g.followPages(ctx, index.Items); err != nil {
		return nil, validators{}, err
	}
	p := &packages.RemotePackage{}
	for i := range index.Items {
		page := &index.Items[i]
		for j := range page.Items {
			v, ok, err := g.version(page.from, &page.Items[j])
			if err != nil {
				return nil, validators{}, err
			}
			if ok {
				p.Versions = append(p.Versions, v)
			}
		}
	}
	if len(p.Versions) == 0 {
		return nil, validators{}, packages.ErrNoRemotePackage
	}
	return p, after, nil
}

// pagesUnchanged asks for pages of which the index does not say whether they have changed.
func (g *reading) pagesUnchanged(ctx context.Context, pages []pageValidators) (bool, error) {
	for _, page := range pages {
		switch _, _, err := getJSON(ctx, g.registry, page.URL, page.Validators, new(registrationPage)); {
		case errors.Is(err, source.ErrNotModified):
		case err == nil || errors.Is(err, packages.ErrNoRemotePackage):
			return false, nil
		default:
			return false, err
		}
	}
	return true, nil
}

// followPages reads the pages that the index only names.
func (g *reading) followPages(ctx context.Context, pages []registrationPage) ([]pageValidators, error) {
	if len(pages) > maxPages {
		return nil, &source.BadAnswer{What: fmt.Sprintf("its registration has more than %d pages", maxPages)}
	}
	part := *g.registry
	part.Settings.MaxDocument /= pagesAtOnce
	asked := make([]*pageValidators, len(pages))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pagesAtOnce)
	for i := range pages {
		page := &pages[i]
		if page.Items != nil {
			continue
		}
		group.Go(func() error {
			address := resolve(page.from, page.ID)
			if address == "" {
				return &source.BadAnswer{What: "its registration has a page without an address"}
			}
			var full registrationPage
			from, now, err := getJSON(ctx, &part, address, source.Validators{}, &full)
			if errors.Is(err, packages.ErrNoRemotePackage) {
				return &source.BadAnswer{What: "a page that its registration names does not exist"}
			}
			if err == nil && full.Items == nil {
				return &source.BadAnswer{What: "a page of its registration has no versions"}
			}
			page.Items, page.from = full.Items, from
			if page.Changed == "" {
				asked[i] = &pageValidators{address, now}
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var validators []pageValidators
	for _, v := range asked {
		if v != nil {
			validators = append(validators, *v)
		}
	}
	return validators, nil
}

// version makes a version of its leaf; ok is false if clients could not install it.
func (g *reading) version(from string, l *registrationLeaf) (v packages.RemoteVersion, ok bool, err error) {
	e := &l.Entry
	number, ok := nupkg.ParseVersion(string(e.Version))
	if !ok {
		return v, false, nil
	}
	if !strings.EqualFold(string(e.ID), g.id.Name) {
		return v, false, &source.BadAnswer{What: fmt.Sprintf("it is the registration of %.100q and not of %s", string(e.ID), g.id.Name)}
	}
	asset := packages.RemoteAsset{Name: nupkg.AssetName(g.id.Name, number), SHA512: e.sha512(), Size: max(e.Size, 0)}
	if asset.URL = resolve(from, string(l.Content)); asset.URL == "" {
		if g.service.flat == "" {
			return v, false, nil
		}
		asset.URL = g.service.flat + g.id.Name + "/" + number.Lower() + "/" + asset.Name
	}
	if asset.SHA512 == "" {
		asset.About = resolve(from, e.Address)
	}
	v = packages.RemoteVersion{Version: number.Normal, Status: packages.Published, Published: source.ParseTime(string(e.Published)), Assets: []packages.RemoteAsset{asset}}
	unlisted := v.Published.Year() == 1900 // how registries without the member say it
	if unlisted {
		v.Published = time.Time{}
	}
	if e.Listed != nil && !*e.Listed || e.Listed == nil && unlisted {
		v.Status = packages.Unlisted
	}
	v.Metadata, err = json.Marshal(e.manifest())
	return v, true, err
}

// manifest is what a push of the package would have stored, as far as the registry tells
// it.
func (e *catalogEntry) manifest() *nupkg.Manifest {
	m := &nupkg.Manifest{
		ID: string(e.ID), Version: string(e.Version), Title: e.Title.kept(), Authors: e.Authors.kept(), Description: e.Description.kept(),
		Summary: e.Summary.kept(), Language: e.Language.kept(), ProjectURL: nupkg.Address(string(e.ProjectURL)), IconURL: nupkg.Address(string(e.IconURL)),
		LicenseExpression: e.LicenseExpression.kept(), LicenseURL: nupkg.Address(string(e.LicenseURL)), MinClientVersion: e.MinClientVersion.kept(),
		RequireLicenseAcceptance: strings.EqualFold(string(e.RequireLicenseAcceptance), "true"), Tags: e.Tags.kept(),
	}
	for _, t := range e.PackageTypes {
		m.PackageTypes = append(m.PackageTypes, t.Name.kept())
	}
	for _, g := range e.DependencyGroups {
		group := nupkg.DependencyGroup{TargetFramework: g.TargetFramework.kept()}
		for _, d := range g.Dependencies {
			if nupkg.ValidID(string(d.ID)) {
				group.Dependencies = append(group.Dependencies, nupkg.Dependency{ID: string(d.ID), Range: d.Range.kept()})
			}
		}
		m.DependencyGroups = append(m.DependencyGroups, group)
	}
	if d := e.Deprecation; d != nil {
		m.Deprecation = &nupkg.Deprecation{Reasons: append([]string{}, d.Reasons...), Message: d.Message.kept()}
		if d.Alternate != nil && nupkg.ValidID(string(d.Alternate.ID)) {
			m.Deprecation.Alternate = &nupkg.Alternate{ID: string(d.Alternate.ID), Range: d.Alternate.Range.kept()}
		}
	}
	for _, v := range e.Vulnerabilities {
		if address := nupkg.Address(string(v.AdvisoryURL)); address != "" {
			m.Vulnerabilities = append(m.Vulnerabilities, nupkg.Vulnerability{AdvisoryURL: address, Severity: v.Severity.kept()})
		}
	}
	return m
}

// sha512 returns the hash in lower-case hex, or "" if there is none that can be compared.
func (h *packageHash) sha512() string {
	if !strings.EqualFold(string(h.Algorithm), "SHA512") {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(string(h.Hash))
	if err != nil || len(raw) != 64 {
		return ""
	}
	return hex.EncodeToString(raw)
}
