package mirror

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"deps.dev/util/pypi"
	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

// npmReader reads the abbreviated document of a package.
type npmReader struct {
	endpoint *Endpoint
	doc      *npmDocument
}

type npmDocument struct {
	Versions map[string]struct {
		Dist struct {
			Tarball   string `json:"tarball"`
			Integrity string `json:"integrity"`
			Shasum    string `json:"shasum"`
		} `json:"dist"`
	} `json:"versions"`
}

func (r *npmReader) files(ctx context.Context, v *lockedversions.Version) ([]remoteFile, error) {
	name := v.Name
	if v.Namespace != "" {
		name = "@" + v.Namespace + "/" + v.Name
	}
	if r.doc == nil {
		u, err := r.endpoint.Resolve(strings.ReplaceAll(url.PathEscape(name), "%40", "@"))
		if err != nil {
			return nil, err
		}
		doc := new(npmDocument)
		if err := r.endpoint.Document(ctx, u, "application/vnd.npm.install-v1+json, application/json;q=0.5", doc); err != nil {
			return nil, err
		}
		r.doc = doc
	}
	found, ok := r.doc.Versions[v.Version]
	if !ok {
		return nil, fmt.Errorf("version %s of %s: %w", v.Version, name, errNoFile)
	}
	u, err := r.endpoint.Resolve(found.Dist.Tarball)
	if err != nil {
		return nil, err
	}
	f := remoteFile{name: path.Base(u.Path), url: u}
	for text := range strings.FieldsSeq(found.Dist.Integrity) {
		algorithm, digest, _ := strings.Cut(text, "-")
		if b, err := base64.StdEncoding.DecodeString(digest); err == nil {
			f.hashes = append(f.hashes, lockedversions.Hash{Algorithm: algorithm, Hex: hex.EncodeToString(b)})
		}
	}
	if found.Dist.Shasum != "" {
		f.hashes = append(f.hashes, lockedversions.Hash{Algorithm: "sha1", Hex: strings.ToLower(found.Dist.Shasum)})
	}
	return []remoteFile{f}, nil
}

// pypiReader reads the index of a project as JSON (PEP 691).
type pypiReader struct {
	endpoint *Endpoint
	index    *url.URL
	doc      *pypiDocument
}

type pypiDocument struct {
	Files []struct {
		Filename string            `json:"filename"`
		URL      string            `json:"url"`
		Hashes   map[string]string `json:"hashes"`
	} `json:"files"`
}

func (r *pypiReader) files(ctx context.Context, v *lockedversions.Version) (all []remoteFile, err error) {
	name := pypi.CanonPackageName(v.Name)
	if r.doc == nil {
		if r.index, err = r.endpoint.Resolve("simple/" + url.PathEscape(name) + "/"); err != nil {
			return nil, err
		}
		doc := new(pypiDocument)
		if err := r.endpoint.Document(ctx, r.index, "application/vnd.pypi.simple.v1+json", doc); err != nil {
			return nil, err
		}
		r.doc = doc
	}
	for _, f := range r.doc.Files {
		if !isOfVersion(name, f.Filename, v.Version) {
			continue
		}
		u, err := r.index.Parse(f.URL)
		if err != nil {
			return nil, fmt.Errorf("the index has an address that cannot be read: %.200q", f.URL)
		}
		file := remoteFile{name: f.Filename, url: u}
		for algorithm, digits := range f.Hashes {
			file.hashes = append(file.hashes, lockedversions.Hash{Algorithm: algorithm, Hex: strings.ToLower(digits)})
		}
		all = append(all, file)
	}
	return all, nil
}

// isOfVersion reports whether a file belongs to a version, by its name.
func isOfVersion(project, file, version string) bool {
	if w, err := pypi.ParseWheelName(file); err == nil {
		return pypi.CanonVersion(w.Version) == pypi.CanonVersion(version)
	}
	if _, of, err := pypi.SdistVersion(project, file); err == nil {
		return pypi.CanonVersion(of) == pypi.CanonVersion(version)
	}
	return false
}

// mavenReader has no list of the files of a version: it takes those that the lock file
// names, or the POM and what its packaging says.
type mavenReader struct{ endpoint *Endpoint }

func (r *mavenReader) files(ctx context.Context, v *lockedversions.Version) (all []remoteFile, err error) {
	base := v.Name + "-" + v.Version
	wanted := make([]string, 0, 2)
	for _, f := range v.Files {
		wanted = append(wanted, f.Name)
	}
	if len(wanted) == 0 {
		wanted = append(wanted, base+".pom")
		packaging, err := r.packaging(ctx, v, base+".pom")
		if err != nil {
			return nil, err
		}
		if packaging != "pom" {
			wanted = append(wanted, base+"."+packaging)
		}
	}
	for _, name := range wanted {
		u, err := r.address(v, name)
		if err != nil {
			return nil, err
		}
		all = append(all, remoteFile{name: name, url: u})
	}
	return all, nil
}

func (r *mavenReader) address(v *lockedversions.Version, name string) (*url.URL, error) {
	parts := append(strings.Split(v.Namespace, "."), v.Name, v.Version, name)
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return r.endpoint.Resolve("./" + strings.Join(parts, "/"))
}

// packaging reads a POM and returns the extension of the artifact.
func (r *mavenReader) packaging(ctx context.Context, v *lockedversions.Version, name string) (string, error) {
	u, err := r.address(v, name)
	if err != nil {
		return "", err
	}
	body, err := r.endpoint.Get(ctx, u, "")
	if err != nil {
		return "", err
	}
	defer body.Close()
	var pom struct {
		Packaging string `xml:"packaging"`
	}
	if err := xml.NewDecoder(io.LimitReader(body, maxPOM)).Decode(&pom); err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", u.Redacted(), err)
	}
	if _, err := io.Copy(io.Discard, body); err != nil { // what follows, so that the repository keeps it
		return "", err
	}
	switch packaging := strings.TrimSpace(pom.Packaging); packaging {
	case "", "maven-plugin", "bundle", "ejb", "eclipse-plugin":
		return "jar", nil
	default:
		if strings.ContainsAny(packaging, "/\\ ") {
			return "", fmt.Errorf("the packaging %.100q of %s is not an extension", packaging, name)
		}
		return packaging, nil
	}
}

// maxPOM bounds a POM, in bytes.
const maxPOM = 16 << 20

// nugetReader reads the service index once, and then knows the addresses.
type nugetReader struct {
	endpoint *Endpoint
	content  *url.URL // PackageBaseAddress
}

func (r *nugetReader) files(ctx context.Context, v *lockedversions.Version) ([]remoteFile, error) {
	if r.content == nil {
		u, err := r.endpoint.Resolve("v3/index.json")
		if err != nil {
			return nil, err
		}
		var index struct {
			Resources []struct {
				ID   string `json:"@id"`
				Type string `json:"@type"`
			} `json:"resources"`
		}
		if err := r.endpoint.Document(ctx, u, "", &index); err != nil {
			return nil, err
		}
		for _, resource := range index.Resources {
			if strings.HasPrefix(resource.Type, "PackageBaseAddress/3") {
				if r.content, err = u.Parse(strings.TrimSuffix(resource.ID, "/") + "/"); err != nil {
					return nil, err
				}
			}
		}
		if r.content == nil {
			return nil, fmt.Errorf("%s names no PackageBaseAddress", u.Redacted())
		}
	}
	id, version := strings.ToLower(v.Name), strings.ToLower(v.Version)
	version, _, _ = strings.Cut(version, "+")
	name := id + "." + version + ".nupkg"
	u, err := r.content.Parse("./" + url.PathEscape(id) + "/" + url.PathEscape(version) + "/" + url.PathEscape(name))
	return []remoteFile{{name: name, url: u}}, err
}

// cargoReader reads the sparse index.
type cargoReader struct {
	endpoint *Endpoint
	download string // the template of addresses
	lines    map[string]string
}

func (r *cargoReader) files(ctx context.Context, v *lockedversions.Version) ([]remoteFile, error) {
	if r.lines == nil {
		if err := r.read(ctx, v.Name); err != nil {
			return nil, err
		}
	}
	checksum, ok := r.lines[v.Version]
	if !ok {
		return nil, fmt.Errorf("version %s of %s: %w", v.Version, v.Name, errNoFile)
	}
	prefix := path.Dir(CratePath(v.Name))
	template := r.download
	if !strings.Contains(template, "{") {
		template = strings.TrimSuffix(template, "/") + "/{crate}/{version}/download"
	}
	address := strings.NewReplacer("{crate}", url.PathEscape(v.Name), "{version}", url.PathEscape(v.Version), "{prefix}", prefix,
		"{lowerprefix}", strings.ToLower(prefix), "{sha256-checksum}", checksum).Replace(template)
	u, err := r.endpoint.Resolve(address)
	f := remoteFile{name: v.Name + "-" + v.Version + ".crate", url: u, hashes: []lockedversions.Hash{{Algorithm: "sha256", Hex: checksum}}}
	return []remoteFile{f}, err
}

func (r *cargoReader) read(ctx context.Context, name string) error {
	u, err := r.endpoint.Resolve("config.json")
	if err != nil {
		return err
	}
	var config struct {
		Download string `json:"dl"`
	}
	if err := r.endpoint.Document(ctx, u, "", &config); err != nil {
		return err
	}
	r.download = config.Download
	if u, err = r.endpoint.Resolve("./" + strings.ToLower(CratePath(name))); err != nil {
		return err
	}
	body, err := r.endpoint.Get(ctx, u, "")
	if err != nil {
		return err
	}
	defer body.Close()
	r.lines = map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(body, maxDocument))
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var release struct {
			Version  string `json:"vers"`
			Checksum string `json:"cksum"`
		}
		if err := json.Unmarshal(lines.Bytes(), &release); err != nil {
			return fmt.Errorf("the index of %s cannot be read: %w", name, err)
		}
		r.lines[release.Version] = strings.ToLower(release.Checksum)
	}
	return lines.Err()
}

// CratePath is the path of a crate in an index (The Cargo Book, "Index files").
func CratePath(name string) string {
	escaped := url.PathEscape(name)
	switch len(name) {
	case 1, 2:
		return fmt.Sprintf("%d/%s", len(name), escaped)
	case 3:
		return "3/" + url.PathEscape(name[:1]) + "/" + escaped
	}
	return url.PathEscape(name[:2]) + "/" + url.PathEscape(name[2:4]) + "/" + escaped
}

// rubyReader takes the gems that the lock file names, one for each platform.
type rubyReader struct{ endpoint *Endpoint }

func (r *rubyReader) files(_ context.Context, v *lockedversions.Version) (all []remoteFile, err error) {
	names := make([]string, 0, 1)
	for _, f := range v.Files {
		names = append(names, f.Name)
	}
	if len(names) == 0 {
		names = append(names, v.Name+"-"+v.Version+".gem")
	}
	for _, name := range names {
		u, err := r.endpoint.Resolve("gems/" + url.PathEscape(name))
		if err != nil {
			return nil, err
		}
		all = append(all, remoteFile{name: name, url: u})
	}
	return all, nil
}
