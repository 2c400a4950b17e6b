package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

// indexes has, for each format of publications, what reads the index of a package as
// clients do. It returns the value of listedKey for each version that is listed.
var indexes = map[string]func(c *crawl, name string) (map[string]string, error){
	"maven":   (*crawl).mavenIndex,
	"cargo":   (*crawl).cargoIndex,
	"nuget":   (*crawl).nugetIndex,
	"ruby":    (*crawl).rubyIndex,
	"swift":   (*crawl).swiftIndex,
	"generic": (*crawl).genericIndex,
}

// listed reads the index of every package of a format.
func (c *crawl) listed(format string) error {
	names, err := c.packageNames(format)
	if err != nil {
		return err
	}
	for _, name := range names {
		name = name[strings.LastIndexByte(name, '/')+1:]
		versions, err := indexes[format](c, name)
		if err != nil {
			return err
		}
		for version, value := range versions {
			c.record(publishedVersion{format: format, name: name, version: version}.listedKey(), value)
		}
	}
	return nil
}

// files reads every file of these formats that was ever published.
func (c *crawl) files() error {
	for _, key := range c.ledger.mentioned() {
		path, ok := strings.CutPrefix(key, "file/")
		if !ok {
			continue
		}
		format, path, _ := strings.Cut(path, "/")
		get := c.get
		if format == "generic" {
			get = c.genericAsset
		}
		content, err := get(format, path)
		if err != nil {
			return err
		}
		if content != nil {
			c.record(key, hexSum(content))
		}
	}
	return nil
}

// get returns a document or a file, or nil if there is none.
func (c *crawl) get(format, path string) ([]byte, error) {
	a, err := c.do(c.request("GET", format, path), http.StatusOK, http.StatusNotFound)
	if err != nil || a.status == http.StatusNotFound {
		return nil, err
	}
	return a.body, nil
}

func (c *crawl) mavenIndex(name string) (map[string]string, error) {
	text, err := c.get("maven", mavenIndex(name))
	if err != nil || text == nil {
		return nil, err
	}
	var doc struct {
		Versions []string `xml:"versioning>versions>version"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	listed := map[string]string{}
	for _, version := range doc.Versions {
		listed[version] = present
	}
	return listed, nil
}

func (c *crawl) cargoIndex(name string) (map[string]string, error) {
	text, err := c.get("cargo", name[:2]+"/"+name[2:4]+"/"+name)
	if err != nil {
		return nil, err
	}
	listed := map[string]string{}
	for line := range bytes.Lines(text) {
		var v struct {
			Vers, Cksum string
			Yanked      bool
		}
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, err
		}
		if !v.Yanked {
			listed[v.Vers] = v.Cksum
		}
	}
	return listed, nil
}

func (c *crawl) nugetIndex(name string) (map[string]string, error) {
	listed := map[string]string{}
	type leaves []struct {
		CatalogEntry struct {
			Version string
			Listed  bool
		}
	}
	var index struct {
		Items []struct {
			ID    string `json:"@id"`
			Items leaves
		}
	}
	if err := c.json(c.request("GET", "nuget", "v3/registration-semver2/"+name+"/index.json"), &index); err != nil {
		return nil, err
	}
	for _, page := range index.Items {
		if page.Items == nil { // there are many versions
			r := c.request("GET", "nuget", "")
			r.url = page.ID
			if err := c.json(r, &page); err != nil {
				return nil, err
			}
		}
		for _, leaf := range page.Items {
			if e := leaf.CatalogEntry; e.Listed {
				listed[e.Version] = present
			}
		}
	}
	return listed, nil
}

func (c *crawl) rubyIndex(name string) (map[string]string, error) {
	text, err := c.get("ruby", "info/"+name)
	if err != nil {
		return nil, err
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(text)) {
		version, rest, ok := strings.Cut(line, " |checksum:")
		if !ok && line != "---\n" {
			return nil, fmt.Errorf("the index of the gem %s has the line %q", name, line)
		}
		if ok {
			listed[version], _, _ = strings.Cut(rest, ",")
		}
	}
	return listed, nil
}

func (c *crawl) swiftIndex(name string) (map[string]string, error) {
	text, err := c.get("swift", swiftPath(name))
	if err != nil || text == nil {
		return nil, err
	}
	var list struct {
		Releases map[string]struct{ URL string }
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	listed := map[string]string{}
	for version, release := range list.Releases {
		r := c.request("GET", "swift", "")
		r.url = release.URL
		var about struct{ Resources []struct{ Checksum string } }
		if err := c.json(r, &about); err != nil {
			return nil, err
		}
		if len(about.Resources) != 1 {
			return nil, fmt.Errorf("release %s of %s has %d archives", version, name, len(about.Resources))
		}
		listed[version] = about.Resources[0].Checksum
	}
	return listed, nil
}

// genericIndex is of the API, the only index of generic packages.
func (c *crawl) genericIndex(name string) (map[string]string, error) {
	pages := codeartifact.NewListPackageVersionsPaginator(codeartifact.NewFromConfig(c.aws), &codeartifact.ListPackageVersionsInput{
		Domain: aws.String(domain), Repository: aws.String(libRepository), Format: types.PackageFormatGeneric,
		Namespace: namespaceOf("generic"), Package: &name, Status: types.PackageVersionStatusPublished,
	})
	listed := map[string]string{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		if err != nil {
			return nil, err
		}
		for _, v := range page.Versions {
			listed[*v.Version] = present
		}
	}
	return listed, nil
}

// genericAsset returns an asset of NAME/VERSION/ASSET, or nil.
func (c *crawl) genericAsset(_, path string) ([]byte, error) {
	segments := strings.Split(path, "/")
	out, err := codeartifact.NewFromConfig(c.aws).GetPackageVersionAsset(c.ctx, &codeartifact.GetPackageVersionAssetInput{
		Domain: aws.String(domain), Repository: aws.String(libRepository), Format: types.PackageFormatGeneric, Namespace: namespaceOf("generic"),
		Package: &segments[0], PackageVersion: &segments[1], Asset: &segments[2],
	})
	if missing := (*types.ResourceNotFoundException)(nil); errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer out.Asset.Close()
	return io.ReadAll(out.Asset)
}
