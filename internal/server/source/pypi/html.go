package pypi

import (
	"errors"
	"io"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// maxTag bounds a tag or a text of a page, in bytes.
const maxTag = 1 << 20

// An htmlPage is the page of a project in its HTML form (PEP 503), while it is read.
type htmlPage struct {
	page
	base *url.URL // of links
	// declared means that the page says that it belongs to the simple API (PEP 629). A page
	// that does not, and has no files, may be anything, such as a login page.
	declared bool
}

// parseHTML reads a page that came from an address. It reads it to its end.
func parseHTML(r io.Reader, from string, declared bool) (*page, error) {
	base, err := url.Parse(from)
	if err != nil {
		return nil, err
	}
	p := &htmlPage{base: base, declared: declared}
	p.Meta.Version = "1.0"
	z := html.NewTokenizer(r)
	z.SetMaxBuf(maxTag)
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return nil, err
			}
			if !p.declared && !p.hasFiles() {
				return nil, &source.BadAnswer{What: "it is a web page that lists no files; check that the url of the upstream is that of an index, which usually ends with /simple/"}
			}
			return &p.page, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			p.tag(token.DataAtom, attributesOf(token))
		}
	}
}

// hasFiles reports whether a link leads to something that can be a file with a hash.
func (p *htmlPage) hasFiles() bool {
	for i := range p.Files {
		if p.Files[i].Hashes["sha256"] != "" {
			return true
		}
	}
	return false
}

// attributesOf returns the attributes by name; the first of a name counts.
func attributesOf(t html.Token) map[string]string {
	out := map[string]string{}
	for _, a := range t.Attr {
		if _, ok := out[a.Key]; !ok {
			out[a.Key] = a.Val
		}
	}
	return out
}

func (p *htmlPage) tag(a atom.Atom, attributes map[string]string) {
	switch a {
	case atom.Base:
		if u, err := p.base.Parse(attributes["href"]); err == nil && u.Host != "" {
			p.base = u
		}
	case atom.Meta:
		p.meta(attributes["name"], attributes["content"])
	case atom.A:
		p.link(attributes)
	}
}

func (p *htmlPage) meta(name, content string) {
	switch name {
	case "pypi:repository-version":
		p.Meta.Version, p.declared = content, true
	case "pypi:project-status":
		p.Status.Status = content
	case "pypi:project-status-reason":
		p.Status.Reason = content
	}
}

// link reads a link to a file. Its name is the last part of the address, as for pip.
func (p *htmlPage) link(attributes map[string]string) {
	u, err := p.base.Parse(strings.TrimSpace(attributes["href"]))
	if err != nil || u.Host == "" {
		return
	}
	if u.User != nil {
		return
	}
	f := file{Name: path.Base(u.Path), RequiresPython: attributes["data-requires-python"], Provenance: attributes["data-provenance"], Hashes: map[string]string{}}
	if algorithm, sum, ok := strings.Cut(u.Fragment, "="); ok {
		f.Hashes[strings.ToLower(algorithm)] = sum
	}
	u.Fragment, u.RawFragment = "", ""
	f.URL = u.String()
	f.CoreMetadata, f.DistInfo = hashOf(attributes["data-core-metadata"]), hashOf(attributes["data-dist-info-metadata"])
	if reason, ok := attributes["data-yanked"]; ok {
		f.Yanked = reason
	}
	p.Files = append(p.Files, f)
}

// hashOf returns what an attribute such as sha256=HEX says, in the form of JSON; nil if it has
// no hash.
func hashOf(attribute string) any {
	algorithm, sum, ok := strings.Cut(attribute, "=")
	if !ok {
		return nil
	}
	return map[string]any{strings.ToLower(algorithm): sum}
}

// readHTML reads the HTML form of a page.
func readHTML(body *source.FailingReader, id packages.PackageID, from string, declared bool) (*page, error) {
	p, err := parseHTML(body, from, declared)
	bad := (*source.BadAnswer)(nil)
	switch {
	case errors.As(err, &bad):
		return nil, err
	case err != nil:
		return nil, source.ReadError(err, body, "it is not the page of a project")
	}
	p.Name = id.Name // the form does not tell it
	return p, nil
}
