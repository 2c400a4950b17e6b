package npm

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The media types of a document (npm docs, "package-metadata").
const (
	mediaFull        = "application/json"
	mediaAbbreviated = "application/vnd.npm.install-v1+json"
)

// abbreviatedFields are the members of a version object that an installer needs.
var abbreviatedFields = map[string]bool{
	"name": true, "version": true, "deprecated": true, "dist": true, "bin": true, "directories": true,
	"dependencies": true, "optionalDependencies": true, "devDependencies": true, "acceptDependencies": true,
	"bundleDependencies": true, "bundledDependencies": true, "peerDependencies": true, "peerDependenciesMeta": true,
	"engines": true, "os": true, "cpu": true, "libc": true, "funding": true, "hasInstallScript": true, "_hasShrinkwrap": true,
}

// A renderer writes a document of one package. base is the address of the endpoint,
// ending in "/".
type renderer struct {
	base string
	p    *packages.Package
	out  []byte
}

// full writes the document with everything that is known about the package.
func (d *renderer) full() ([]byte, error) {
	name := packument.FullName(d.p.ID)
	d.out = append(d.out, `{"_id":`...)
	d.quote(name)
	d.out = append(d.out, `,"_rev":`...)
	d.quote(documentRev(d.p))
	d.out = append(d.out, `,"name":`...)
	d.quote(name)
	if err := packument.EachMember(d.p.Attributes, func(name string, value []byte) error {
		if packument.Attributes[name] {
			d.member(name, value)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return d.finish(func(string) bool { return true })
}

// abbreviated writes the document for an installer. "time" is not part of this form
// on the public registry. It is added because Yarn and pnpm hold back versions
// whose age they cannot see.
func (d *renderer) abbreviated() ([]byte, error) {
	d.out = append(d.out, `{"name":`...)
	d.quote(packument.FullName(d.p.ID))
	d.out = append(d.out, `,"modified":`...)
	d.quote(timestamp(d.p.Modified))
	return d.finish(func(field string) bool { return abbreviatedFields[field] })
}

// finish writes the part that both documents have: tags, times and versions.
func (d *renderer) finish(keep func(field string) bool) ([]byte, error) {
	d.out = append(d.out, `,"dist-tags":`...)
	d.tags()
	d.out = append(d.out, `,"time":{"created":`...)
	d.quote(timestamp(d.p.Created))
	d.out = append(d.out, `,"modified":`...)
	d.quote(timestamp(d.p.Modified))
	for _, v := range d.p.Versions {
		if v.Published.IsZero() {
			continue // a registry does not tell it; any time here would deceive clients that wait for an age
		}
		d.out = append(d.out, ',')
		d.quote(v.Version)
		d.out = append(d.out, ':')
		d.quote(timestamp(v.Published))
	}
	d.out = append(d.out, `},"versions":{`...)
	for i, v := range d.p.Versions {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.quote(v.Version)
		d.out = append(d.out, ':')
		if err := d.version(v, keep); err != nil {
			return nil, err
		}
	}
	return append(d.out, "}}"...), nil
}

func (d *renderer) tags() {
	d.out = append(d.out, '{')
	for i, tag := range slices.Sorted(maps.Keys(d.p.Tags)) {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.quote(tag)
		d.out = append(d.out, ':')
		d.quote(d.p.Tags[tag])
	}
	d.out = append(d.out, '}')
}

// version writes a version object: what was published, with a "dist" that describes
// the stored tarball and its address at this endpoint.
func (d *renderer) version(v *packages.Version, keep func(field string) bool) error {
	d.out = append(d.out, `{"name":`...)
	d.quote(packument.FullName(d.p.ID))
	d.out = append(d.out, `,"version":`...)
	d.quote(v.Version)
	var dist []byte
	err := packument.EachMember(v.Metadata, func(name string, value []byte) error {
		switch {
		case name == "dist":
			dist = bytes.Clone(value)
		case name != "name" && name != "version" && keep(name):
			d.member(name, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.dist(v, dist); err != nil {
		return err
	}
	d.out = append(d.out, '}')
	return nil
}

func (d *renderer) dist(v *packages.Version, published []byte) error {
	d.out = append(d.out, `,"dist":{"tarball":`...)
	d.quote(d.base + packument.FullName(d.p.ID) + "/-/" + tarballName(d.p.ID, v.Version))
	if a := v.Asset(packument.AssetName); a != nil { // an upstream may not tell both
		if a.SHA1 != "" {
			d.out = append(d.out, `,"shasum":`...)
			d.quote(a.SHA1)
		}
		if a.SHA512 != "" {
			d.out = append(d.out, `,"integrity":`...)
			d.quote(integrity(a.SHA512))
		}
	}
	if a := v.Sidecar(provenanceName); a != nil {
		d.out = append(d.out, `,"attestations":{"url":`...)
		d.quote(attestationsURL(d.base, d.p.ID, v.Version))
		d.out = append(d.out, `,"provenance":{"predicateType":`...)
		d.quote(predicateType(a))
		d.out = append(d.out, "}}"...)
	}
	err := packument.EachMember(published, func(name string, value []byte) error {
		switch {
		case !ownDist[name] || name == "signatures" && v.External():
			d.member(name, value)
		case name == "attestations" && v.External():
			return d.attestations(v, value)
		}
		return nil
	})
	d.out = append(d.out, '}')
	return err
}

// attestations writes what an upstream says of the attestations of a version, with the
// address at this endpoint.
func (d *renderer) attestations(v *packages.Version, value []byte) error {
	about, err := packument.ParseObject(value)
	if err != nil || len(about.Get("url")) == 0 {
		return nil // they cannot be asked for
	}
	d.out = append(d.out, `,"attestations":{"url":`...)
	d.quote(attestationsURL(d.base, d.p.ID, v.Version))
	for _, m := range about.Without("url") {
		d.member(m.Name, m.Value)
	}
	d.out = append(d.out, '}')
	return nil
}

// ownDist are the members of "dist" that are not taken from the publisher.
var ownDist = map[string]bool{"tarball": true, "shasum": true, "integrity": true, "signatures": true, "attestations": true, "npm-signature": true}

func (d *renderer) member(name string, value []byte) {
	d.out = append(d.out, ',')
	d.quote(name)
	d.out = append(d.out, ':')
	d.out = append(d.out, value...)
}

func (d *renderer) quote(s string) { d.out = packument.AppendString(d.out, s) }

// integrity is a Subresource Integrity value of a hash given in hex.
func integrity(sha512 string) string {
	b, _ := hex.DecodeString(sha512) // always hex: the store computed it
	return "sha512-" + base64.StdEncoding.EncodeToString(b)
}

// timestamp is the form of Date.prototype.toISOString.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// documentRev is the _rev of a document. Clients send it back with a change.
func documentRev(p *packages.Package) string { return "1-" + p.Revision }
