// Package npm reads npm registries: the document of a package, from which installers
// choose a version ([source.Codec]).
//
// It asks for the full document. The abbreviated one, which is smaller, has no times, and
// clients that hold new versions back need them.
package npm

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Codec implements [source.Codec].
type Codec struct{}

const mediaType = "application/json"

// form is that of documents with attestations: see [source.KnownValidators].
const form = 1

// Package implements [source.Codec].
func (Codec) Package(ctx context.Context, r *source.Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error) {
	if _, ok := packument.ParseName(packument.FullName(id)); !ok {
		return nil, "", packages.ErrNoRemotePackage // and it could lead elsewhere in an address
	}
	validators, err := source.KnownValidators(known, form)
	if err != nil {
		return nil, "", err
	}
	answer, err := r.Get(ctx, path(id), mediaType, []string{mediaType, "application/vnd.npm.install-v1+json"}, validators)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body := &source.FailingReader{R: answer.Body}
	d := document{id: id, from: answer.URL, times: map[string]time.Time{}}
	if err := d.read(jsontext.NewDecoder(body, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))); err != nil {
		return nil, "", source.ReadError(err, body, "it is not the document of a package")
	}
	p, err := d.finish()
	if err != nil {
		return nil, "", err
	}
	validators = source.ValidatorsOf(answer)
	validators.Form = form
	text, err := json.Marshal(validators)
	return p, string(text), err
}

// Document implements [source.DocumentCodec].
func (Codec) Document(_ context.Context, _ *source.Registry, d packages.DocumentRequest) (*source.DocumentPlace, error) {
	switch d.Kind {
	case packages.SigningKeys:
		return source.JSONPlace("-/npm/v1/keys", "keys"), nil
	case packages.Attestations:
		// Clients take only the path of the address, below that of the registry.
		u, err := url.Parse(d.Address)
		if err != nil {
			return nil, packages.ErrNoRemotePackage
		}
		path, ok := strings.CutPrefix(u.EscapedPath(), "/-/npm/v1/attestations/")
		if !ok || path == "" || strings.Contains(path, "..") {
			return nil, packages.ErrNoRemotePackage
		}
		return source.JSONPlace("-/npm/v1/attestations/"+path, "attestations"), nil
	case packages.SearchResults:
		return searchPlace(d.Search), nil
	}
	return nil, packages.ErrNoRemotePackage
}

// Describe implements [source.Codec].
func (Codec) Describe(_ packages.PackageID, metadata json.RawMessage) *packages.Description {
	manifest, err := packument.ParseObject(metadata)
	if err != nil {
		return &packages.Description{}
	}
	return packument.Description(manifest, nil)
}

// path is the address of a document below the registry's. The scope's slash is escaped, as
// clients do it.
func path(id packages.PackageID) string {
	if id.Namespace == "" {
		return url.PathEscape(id.Name)
	}
	return "@" + url.PathEscape(id.Namespace) + "%2f" + url.PathEscape(id.Name)
}

// A document is what was read of a packument so far.
type document struct {
	id   packages.PackageID
	from string // its address

	name       string
	tags       map[string]string
	times      map[string]time.Time // of versions, and created and modified
	modified   time.Time            // of abbreviated documents
	versions   []packages.RemoteVersion
	attributes packument.Object
}

// read reads the document member by member: it is never in memory as a whole.
func (d *document) read(dec *jsontext.Decoder) error {
	if err := open(dec); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if err := d.readMember(name.String(), dec); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	// The end belongs to it: before that, the sum of a compressed answer is not checked.
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return cmp.Or(err, errMore)
	}
	return nil
}

var errMore = errors.New("something follows the object")

var errNoObject = errors.New("an object is expected")

// open reads the beginning of an object.
func open(dec *jsontext.Decoder) error {
	t, err := dec.ReadToken()
	if err == nil && t.Kind() != '{' {
		err = errNoObject
	}
	return err
}

func (d *document) readMember(name string, dec *jsontext.Decoder) error {
	if name == "versions" && dec.PeekKind() == '{' {
		return d.readVersions(dec)
	}
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch {
	case name == "name":
		d.name = packument.StringValue(value)
	case name == "dist-tags":
		d.tags = map[string]string{}
		return packument.EachMember(value, func(tag string, v []byte) error {
			d.tags[tag] = packument.StringValue(v)
			return nil
		})
	case name == "time":
		return packument.EachMember(value, func(version string, v []byte) error {
			d.times[version] = source.ParseTime(packument.StringValue(v))
			return nil
		})
	case name == "modified":
		d.modified = source.ParseTime(packument.StringValue(value))
	case packument.Attributes[name]:
		d.attributes = append(d.attributes, packument.Member{Name: name, Value: append(json.RawMessage(nil), value...)})
	}
	return nil
}

func (d *document) readVersions(dec *jsontext.Decoder) error {
	if err := open(dec); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		version, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := version.String()
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if v, ok := d.version(name, value); ok {
			d.versions = append(d.versions, v)
		}
	}
	_, err := dec.ReadToken()
	return err
}

// version makes a version of its object; ok is false if clients could not install it.
func (d *document) version(version string, value []byte) (v packages.RemoteVersion, ok bool) {
	manifest, err := packument.ParseObject(value)
	if err != nil || !packument.ValidVersion(version) || packument.StringValue(manifest.Get("version")) != version {
		return v, false
	}
	dist, err := packument.ParseObject(manifest.Get("dist"))
	if err != nil {
		return v, false
	}
	tarball, err := d.resolve(packument.StringValue(dist.Get("tarball")))
	if err != nil {
		return v, false
	}
	asset := packages.RemoteAsset{Name: packument.AssetName, URL: tarball, SHA1: hexHash(packument.StringValue(dist.Get("shasum")), 20)}
	for hash := range strings.FieldsSeq(packument.StringValue(dist.Get("integrity"))) {
		hash, _, _ = strings.Cut(hash, "?")
		switch algorithm, value, _ := strings.Cut(hash, "-"); algorithm {
		case "sha512":
			asset.SHA512 = base64Hash(value, 64)
		case "sha256":
			asset.SHA256 = base64Hash(value, 32)
		case "sha1":
			if asset.SHA1 == "" {
				asset.SHA1 = base64Hash(value, 20)
			}
		}
	}
	if asset.SHA1 == "" && asset.SHA256 == "" && asset.SHA512 == "" {
		return v, false // nothing says what the right bytes are
	}
	// What the renderer computes from the asset, and what belongs to the registry's address.
	metadata := packument.Metadata(manifest, dist.Without("tarball", "shasum", "integrity", "npm-signature"))
	if string(manifest.Get("hasInstallScript")) == "true" { // it may be without the script: in an abbreviated object, or by its gypfile
		kept, err := packument.ParseObject(metadata)
		if err != nil {
			return v, false
		}
		metadata = append(kept.Without("hasInstallScript"), packument.Member{Name: "hasInstallScript", Value: json.RawMessage("true")}).Encode()
	}
	return packages.RemoteVersion{Version: version, Status: packages.Published, Metadata: metadata, Assets: []packages.RemoteAsset{asset}}, true
}

// resolve returns the absolute address of a file.
func (d *document) resolve(address string) (string, error) {
	base, err := url.Parse(d.from)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(address)
	if err != nil {
		return "", err
	}
	if address == "" || u.Host == "" || u.User != nil {
		return "", errors.New("not the address of a file")
	}
	return u.String(), nil
}

// finish makes the package of what was read.
func (d *document) finish() (*packages.RemotePackage, error) {
	if want := packument.FullName(d.id); d.name != want {
		return nil, &source.BadAnswer{What: "it is the document of " + quoteName(d.name) + " and not of " + want}
	}
	if len(d.versions) == 0 { // every version was unpublished
		return nil, packages.ErrNoRemotePackage
	}
	p := &packages.RemotePackage{Created: d.times["created"], Modified: d.times["modified"], Tags: d.tags, Versions: d.versions}
	if p.Modified.IsZero() {
		p.Modified = d.modified
	}
	for i := range p.Versions {
		v := &p.Versions[i]
		v.Published = d.times[v.Version]
	}
	if len(d.attributes) > 0 {
		p.Attributes = d.attributes.Encode()
	}
	return p, nil
}

func quoteName(name string) string {
	if len(name) > 100 {
		name = name[:100]
	}
	if name == "" {
		return "an unnamed package"
	}
	return string(packument.AppendString(nil, name))
}

// hexHash returns a hash in lower-case hex, or "" if it is not one.
func hexHash(s string, size int) string {
	if b, err := hex.DecodeString(s); err != nil || len(b) != size {
		return ""
	}
	return strings.ToLower(s)
}

// base64Hash returns a hash in hex, or "" if it is not one.
func base64Hash(s string, size int) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != size {
		return ""
	}
	return hex.EncodeToString(b)
}
