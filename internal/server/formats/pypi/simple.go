package pypi

import (
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// apiVersion is the version of the simple API (PEP 629, 700, 708, 740, 792).
const apiVersion = "1.4"

// A file is what a project's page says of one file.
type file struct {
	name, url, sha256 string
	size              int64
	uploaded          time.Time
	requiresPython    string
	metadataSHA256    string // empty if the index has no metadata of the file
	yanked            *string
	provenance        string // where an upstream has the attestations of the file; empty if nowhere
}

// projectStatus returns what an upstream says about the project as a whole, or nil.
func projectStatus(p *packages.Package) (*stored.Status, error) {
	var about stored.Project
	err := unmarshal(p.Attributes, &about)
	return about.Status, err
}

// unlistedReason is why an Unlisted version is yanked, unless somebody gave a reason.
const unlistedReason = "unlisted in this repository"

// files lists the files of all versions in the order of publication. An Unlisted version
// is yanked: installers do not choose it, and whoever has it pinned still gets it. Without
// its files here it could not be installed: installers know no other way to a file.
func files(p *packages.Package) ([]file, error) {
	var out []file
	for _, v := range p.WithUnlisted() {
		var about stored.Version
		if err := unmarshal(v.Metadata, &about); err != nil {
			return nil, err
		}
		if reason := unlistedReason; v.Status == packages.Unlisted && about.Yanked == nil {
			about.Yanked = &reason
		}
		for _, a := range v.Assets {
			var own stored.File
			if err := unmarshal(a.Metadata, &own); err != nil {
				return nil, err
			}
			f := file{
				name: a.Name, url: url.PathEscape(v.Version) + "/" + url.PathEscape(a.Name), sha256: a.SHA256,
				size: a.Size, uploaded: a.Published, requiresPython: own.RequiresPython, yanked: about.Yanked, provenance: own.Provenance,
			}
			if m := v.Sidecar(a.Name + stored.MetadataSuffix); m != nil {
				f.metadataSHA256 = m.SHA256
			}
			out = append(out, f)
		}
	}
	return out, nil
}

func unmarshal(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// The JSON form (PEP 691, 700, 714, 740, 792).
type (
	simpleMeta struct {
		APIVersion string `json:"api-version"`
	}
	simpleIndex struct {
		Meta     simpleMeta      `json:"meta"`
		Projects []simpleProject `json:"projects"`
	}
	simpleProject struct {
		Name string `json:"name"`
	}
	simpleDetail struct {
		Meta     simpleMeta     `json:"meta"`
		Name     string         `json:"name"`
		Status   *stored.Status `json:"project-status,omitempty"`
		Versions []string       `json:"versions"`
		Files    []simpleFile   `json:"files"`
	}
	// CoreMetadata has the key of PEP 714. The older key of PEP 658,
	// dist-info-metadata, must not appear in JSON: pip 22.3 to 23.1.2 fail on its
	// value. Pages in HTML have both.
	simpleFile struct {
		Filename       string            `json:"filename"`
		URL            string            `json:"url"`
		Hashes         map[string]string `json:"hashes"`
		RequiresPython string            `json:"requires-python,omitempty"`
		CoreMetadata   any               `json:"core-metadata"`
		Size           int64             `json:"size"`
		UploadTime     string            `json:"upload-time"`
		Yanked         any               `json:"yanked"`
		Provenance     string            `json:"provenance,omitempty"`
	}
)

func detailJSON(p *packages.Package, name string) ([]byte, error) {
	all, err := files(p)
	if err != nil {
		return nil, err
	}
	status, err := projectStatus(p)
	if err != nil {
		return nil, err
	}
	versions := p.WithUnlisted()
	d := simpleDetail{Meta: simpleMeta{apiVersion}, Name: name, Status: status, Versions: make([]string, 0, len(versions)), Files: make([]simpleFile, 0, len(all))}
	for _, v := range versions {
		d.Versions = append(d.Versions, v.Version)
	}
	for _, f := range all {
		s := simpleFile{
			Filename: f.name, URL: f.url, Hashes: map[string]string{"sha256": f.sha256}, RequiresPython: f.requiresPython,
			CoreMetadata: false, Size: f.size, UploadTime: f.uploaded.UTC().Format("2006-01-02T15:04:05.000000Z"), Yanked: false, Provenance: f.provenance,
		}
		if f.metadataSHA256 != "" {
			s.CoreMetadata = map[string]string{"sha256": f.metadataSHA256}
		}
		if f.yanked != nil {
			s.Yanked = true
			if *f.yanked != "" {
				s.Yanked = *f.yanked
			}
		}
		d.Files = append(d.Files, s)
	}
	return json.Marshal(d)
}

func detailHTML(p *packages.Package, name string) ([]byte, error) {
	all, err := files(p)
	if err != nil {
		return nil, err
	}
	status, err := projectStatus(p)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	begin(&b, "Links for "+name, status)
	for _, f := range all {
		fmt.Fprintf(&b, `<a href="%s#sha256=%s"`, html.EscapeString(f.url), f.sha256)
		attribute(&b, "data-requires-python", f.requiresPython)
		if f.metadataSHA256 != "" {
			attribute(&b, "data-core-metadata", "sha256="+f.metadataSHA256)
			attribute(&b, "data-dist-info-metadata", "sha256="+f.metadataSHA256)
		}
		attribute(&b, "data-provenance", f.provenance)
		if f.yanked != nil {
			fmt.Fprintf(&b, ` data-yanked="%s"`, html.EscapeString(*f.yanked))
		}
		fmt.Fprintf(&b, ">%s</a><br>\n", html.EscapeString(f.name))
	}
	return end(&b), nil
}

func indexJSON(names []string) ([]byte, error) {
	i := simpleIndex{Meta: simpleMeta{apiVersion}, Projects: make([]simpleProject, 0, len(names))}
	for _, n := range names {
		i.Projects = append(i.Projects, simpleProject{n})
	}
	return json.Marshal(i)
}

func indexHTML(names []string) ([]byte, error) {
	var b strings.Builder
	begin(&b, "Simple index", nil)
	for _, n := range names {
		fmt.Fprintf(&b, "<a href=\"%s/\">%s</a><br>\n", html.EscapeString(url.PathEscape(n)), html.EscapeString(n))
	}
	return end(&b), nil
}

func begin(b *strings.Builder, title string, status *stored.Status) {
	title = html.EscapeString(title)
	fmt.Fprintf(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	meta(b, "repository-version", apiVersion)
	if status != nil {
		meta(b, "project-status", status.Status)
		if status.Reason != "" {
			meta(b, "project-status-reason", status.Reason)
		}
	}
	fmt.Fprintf(b, "<title>%s</title>\n</head>\n<body>\n<h1>%s</h1>\n", title, title)
}

func meta(b *strings.Builder, name, content string) {
	fmt.Fprintf(b, "<meta name=\"pypi:%s\" content=\"%s\">\n", name, html.EscapeString(content))
}

func end(b *strings.Builder) []byte {
	b.WriteString("</body>\n</html>\n")
	return []byte(b.String())
}

// attribute writes an attribute unless its value is empty.
func attribute(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, ` %s="%s"`, name, html.EscapeString(value))
	}
}
