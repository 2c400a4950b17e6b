// Package pypi reads indexes of Python projects: the simple API in its JSON form (PEP 691,
// 700, 740, 792), or in HTML (PEP 503, 592) if an index has no other. It implements
// [source.Codec].
package pypi

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/url"
	"slices"
	"strings"

	"deps.dev/util/pypi"
	"deps.dev/util/semver"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Codec implements [source.Codec].
type Codec struct{}

// The media types of a page (PEP 691). JSON has sizes and times, so it is preferred.
const (
	mediaJSON = "application/vnd.pypi.simple.v1+json"
	mediaHTML = "application/vnd.pypi.simple.v1+html"
	mediaText = "text/html"
	accept    = mediaJSON + ", " + mediaHTML + ";q=0.2, " + mediaText + ";q=0.01"
)

// form is that of documents with core metadata: see [source.KnownValidators].
const form = 1

// Package implements [source.Codec].
func (Codec) Package(ctx context.Context, r *source.Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error) {
	validators, err := source.KnownValidators(known, form)
	if err != nil {
		return nil, "", err
	}
	answer, err := r.Get(ctx, url.PathEscape(id.Name)+"/", accept, []string{mediaJSON, mediaHTML, mediaText}, validators)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	p, err := read(answer, id)
	if err != nil {
		return nil, "", err
	}
	if pypi.CanonPackageName(p.Name) != id.Name {
		return nil, "", &source.BadAnswer{What: "it is the page of another project and not of " + id.Name}
	}
	if major, _, _ := strings.Cut(p.Meta.Version, "."); major != "1" {
		return nil, "", &source.BadAnswer{What: "it has a version of the simple API that is not known"}
	}
	out, err := p.remote(id, answer.URL)
	if err != nil {
		return nil, "", err
	}
	validators = source.ValidatorsOf(answer)
	validators.Form = form
	validator, err := json.Marshal(validators)
	return out, string(validator), err
}

// read reads a page in the form that it has.
func read(answer *egress.Response, id packages.PackageID) (*page, error) {
	body := &source.FailingReader{R: answer.Body}
	media, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err == nil && (media == mediaHTML || media == mediaText) {
		return readHTML(body, id, answer.URL, media == mediaHTML)
	}
	// All of it is read: before the end, the sum of a compressed answer is not checked.
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, source.ReadError(err, body, "it cannot be read")
	}
	var p page
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, &source.BadAnswer{What: "it is not the page of a project", Err: err}
	}
	return &p, nil
}

// Describe implements [source.Codec]. A page says nothing about what a project is.
func (Codec) Describe(id packages.PackageID, _ json.RawMessage) *packages.Description {
	return &packages.Description{DisplayName: id.Name}
}

// A page is the page of a project (PEP 691, "Project Detail").
type page struct {
	Meta struct {
		Version string `json:"api-version"`
	} `json:"meta"`
	Name   string        `json:"name"`
	Status stored.Status `json:"project-status"` // PEP 792
	Files  []file        `json:"files"`
}

type file struct {
	Name           string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	RequiresPython string            `json:"requires-python"`
	Size           int64             `json:"size"`
	Uploaded       string            `json:"upload-time"`
	Yanked         any               `json:"yanked"` // a boolean, or the reason
	Provenance     string            `json:"provenance"`
	CoreMetadata   any               `json:"core-metadata"`      // a boolean, or hashes (PEP 714)
	DistInfo       any               `json:"dist-info-metadata"` // the same by its older name (PEP 658)
}

// yanked returns the reason for which a file was yanked, or nil.
func (f *file) yanked() *string {
	switch v := f.Yanked.(type) {
	case string:
		return &v
	case bool:
		if v {
			return new(string)
		}
	}
	return nil
}

// remote makes the package of a page. Files that installers do not take, or that have no
// SHA-256, are left out. from is the address of the page.
func (p *page) remote(id packages.PackageID, from string) (*packages.RemotePackage, error) {
	base, err := url.Parse(from)
	if err != nil {
		return nil, err
	}
	var order []string
	releases := map[string]*release{}
	for i := range p.Files {
		f := &p.Files[i]
		version, ok := versionOf(id, f.Name)
		if !ok {
			continue
		}
		asset, err := f.asset(base)
		if err != nil {
			continue
		}
		key := pypi.CanonVersion(version)
		if releases[key] == nil {
			releases[key] = &release{version: version, reason: f.yanked(), yanked: true}
			order = append(order, key)
		}
		releases[key].add(f, asset)
	}
	if len(order) == 0 {
		return nil, packages.ErrNoRemotePackage
	}
	out := &packages.RemotePackage{}
	if p.Status.Known() {
		if out.Attributes, err = json.Marshal(stored.Project{Status: &p.Status}); err != nil {
			return nil, err
		}
	}
	for _, key := range order {
		v, err := releases[key].remote()
		if err != nil {
			return nil, err
		}
		out.Versions = append(out.Versions, v)
	}
	return out, nil
}

// versionOf returns the version in the name of a wheel or a source distribution.
func versionOf(id packages.PackageID, name string) (string, bool) {
	var project, version string
	switch {
	case strings.HasSuffix(name, ".whl"):
		w, err := pypi.ParseWheelName(name)
		if err != nil {
			return "", false
		}
		project, version = w.Name, w.Version
	case strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".zip"):
		var err error
		if project, version, err = pypi.SdistVersion(id.Name, name); err != nil {
			return "", false
		}
	default:
		return "", false
	}
	_, err := semver.PyPI.Parse(version)
	return version, err == nil && pypi.CanonPackageName(project) == id.Name
}

var errUnusable = errors.New("the file cannot be used")

func (f *file) asset(base *url.URL) (packages.RemoteAsset, error) {
	u, err := base.Parse(f.URL)
	if err != nil {
		return packages.RemoteAsset{}, err
	}
	u.Fragment = ""
	sum := strings.ToLower(f.Hashes["sha256"])
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 || u.Host == "" || u.User != nil || f.Size < 0 {
		return packages.RemoteAsset{}, errUnusable
	}
	metadata, err := json.Marshal(stored.File{RequiresPython: f.RequiresPython, Provenance: f.provenance(base)})
	if err != nil {
		return packages.RemoteAsset{}, err
	}
	return packages.RemoteAsset{
		Name: f.Name, URL: u.String(), Size: f.Size, SHA256: sum, Metadata: metadata, Published: source.ParseTime(f.Uploaded),
	}, nil
}

// coreMetadata returns the file with the core metadata beside a file, or nil if the index
// tells none, or no hash of it.
func (f *file) coreMetadata(of packages.RemoteAsset) *packages.RemoteAsset {
	for _, said := range []any{f.CoreMetadata, f.DistInfo} {
		hashes, ok := said.(map[string]any)
		if !ok {
			continue
		}
		sum, _ := hashes["sha256"].(string)
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			continue
		}
		u, err := url.Parse(of.URL)
		if err != nil {
			return nil
		}
		u.Path += stored.MetadataSuffix
		if u.RawPath != "" {
			u.RawPath += stored.MetadataSuffix
		}
		return &packages.RemoteAsset{
			Name: of.Name + stored.MetadataSuffix, Beside: of.Name, URL: u.String(), SHA256: strings.ToLower(sum), Published: of.Published,
		}
	}
	return nil
}

// Document implements [source.DocumentCodec].
func (Codec) Document(_ context.Context, _ *source.Registry, d packages.DocumentRequest) (*source.DocumentPlace, error) {
	if d.Kind != packages.CoreMetadata {
		return nil, packages.ErrNoRemotePackage
	}
	return &source.DocumentPlace{Path: d.Address, Read: func(body []byte) ([]byte, error) { return body, nil }}, nil
}

// provenance returns the address of the attestations of a file (PEP 740), or "".
func (f *file) provenance(base *url.URL) string {
	u, err := base.Parse(f.Provenance)
	if f.Provenance == "" || err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	return u.String()
}

// A release is the files of a version. It is yanked if all of them are.
type release struct {
	version string
	assets  []packages.RemoteAsset
	yanked  bool
	reason  *string
}

func (r *release) add(f *file, asset packages.RemoteAsset) {
	if f.yanked() == nil {
		r.yanked = false
	}
	if slices.ContainsFunc(r.assets, func(a packages.RemoteAsset) bool { return a.Name == asset.Name }) {
		return
	}
	r.assets = append(r.assets, asset)
	if beside := f.coreMetadata(asset); beside != nil {
		r.assets = append(r.assets, *beside)
	}
}

func (r *release) remote() (packages.RemoteVersion, error) {
	v := packages.RemoteVersion{Version: r.version, Status: packages.Published, Assets: r.assets}
	var about stored.Version
	if r.yanked {
		about.Yanked = r.reason
	}
	var err error
	if v.Metadata, err = json.Marshal(about); err != nil {
		return v, err
	}
	for _, a := range r.assets {
		if !a.Published.IsZero() && (v.Published.IsZero() || a.Published.Before(v.Published)) {
			v.Published = a.Published
		}
	}
	return v, nil
}
