// Package traits reads in the metadata of every format what rules about versions look at:
// licences, attestations, signatures and install scripts. It implements [packages.Traits].
//
// Metadata of stored versions and of those that external registries have are of the same
// form, so one reader serves both. What a format's metadata do not tell is not known, which
// is not the same as no: docs/admission.md has the table of what is known for each format.
//
// Package app gives it to package packages, which must not know formats. It imports the
// packages that describe the metadata of each format, and no handlers.
package traits

import (
	"encoding/json"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	pypi "github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Reader implements [packages.Traits].
type Reader struct{}

// Licenses implements [packages.Traits]. Metadata that cannot be read name none. Maven's and
// PyPI's have no licences; the description of a stored version has them.
func (Reader) Licenses(f packages.Format, v *packages.Version) []string {
	switch f {
	case packages.NPM:
		return npmLicenses(v.Metadata)
	case packages.Cargo:
		if c, err := stored.Decode(v.Metadata); err == nil && c.About.License != "" {
			return []string{c.About.License}
		}
	case packages.NuGet:
		var m nupkg.Manifest
		if json.Unmarshal(v.Metadata, &m) == nil && m.LicenseExpression != "" {
			return []string{m.LicenseExpression}
		}
	case packages.Ruby:
		for i := range v.Assets {
			if g, ok := gemOf(&v.Assets[i]); ok && len(g.Licenses) > 0 {
				return g.Licenses
			}
		}
	}
	return nil
}

// npmLicenses reads "license", and "licenses" of old packages (npm Docs, "package.json").
func npmLicenses(metadata []byte) []string {
	manifest, err := packument.ParseObject(metadata)
	if err != nil {
		return nil
	}
	var all []string
	for _, member := range []string{"license", "licenses"} {
		raw := manifest.Get(member)
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			list = []json.RawMessage{raw}
		}
		for _, one := range list {
			if name := npmLicense(one); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

func npmLicense(raw []byte) string {
	if name := packument.StringValue(raw); name != "" {
		return name
	}
	o, err := packument.ParseObject(raw)
	if err != nil {
		return ""
	}
	return packument.StringValue(o.Get("type"))
}

// File implements [packages.Traits].
func (Reader) File(f packages.Format, v *packages.Version, file *packages.Asset) packages.FileTraits {
	switch f {
	case packages.NPM:
		return npmTraits(v)
	case packages.PyPI:
		return pypiTraits(file)
	case packages.Maven:
		return packages.FileTraits{Signed: mavenSigned(v, file)}
	case packages.NuGet:
		var about nupkg.FileMetadata
		if len(file.Metadata) > 0 && json.Unmarshal(file.Metadata, &about) == nil {
			return packages.FileTraits{Signed: packages.AnswerOf(about.Signed)}
		}
	case packages.Cargo:
		return packages.FileTraits{InstallScripts: cargoScripts(v)}
	case packages.Ruby:
		if g, ok := gemOf(file); ok && g.Extensions != nil {
			return packages.FileTraits{InstallScripts: packages.AnswerOf(*g.Extensions)}
		}
	}
	return packages.FileTraits{}
}

// npmTraits reads what a registry says in "dist" of a version from there, and what lies
// beside one that was published here. The store keeps no "attestations" of publishers.
func npmTraits(v *packages.Version) (t packages.FileTraits) {
	manifest, err := packument.ParseObject(v.Metadata)
	if err != nil {
		return t
	}
	dist, _ := packument.ParseObject(manifest.Get("dist"))
	var signatures []json.RawMessage
	signed := v.External() && json.Unmarshal(dist.Get("signatures"), &signatures) == nil && len(signatures) > 0
	attested := v.External() && isObject(dist.Get("attestations")) || v.Sidecar(packument.AssetName+".sigstore") != nil
	return packages.FileTraits{
		Attested: packages.AnswerOf(attested), Signed: packages.AnswerOf(signed),
		InstallScripts: packages.AnswerOf(string(manifest.Get("hasInstallScript")) == "true" || string(manifest.Get("gypfile")) == "true"),
	}
}

func isObject(raw []byte) bool {
	o, err := packument.ParseObject(raw)
	return err == nil && len(o) > 0
}

// pypiTraits tells wheels, which are unpacked, from source distributions, whose build
// backend runs when they are installed.
func pypiTraits(file *packages.Asset) (t packages.FileTraits) {
	if file.Name == "" {
		return t
	}
	var about pypi.File
	if len(file.Metadata) == 0 || json.Unmarshal(file.Metadata, &about) == nil {
		t.Attested = packages.AnswerOf(about.Provenance != "")
	}
	t.InstallScripts = packages.AnswerOf(!strings.HasSuffix(file.Name, ".whl"))
	return t
}

// mavenSigned looks for the signature beside the file. A registry that is not asked for a
// signature does not tell whether it has one.
func mavenSigned(v *packages.Version, file *packages.Asset) packages.Answer {
	switch {
	case file.Name == "":
		return packages.NotKnown
	case strings.HasSuffix(file.Name, ".asc"), v.Asset(file.Name+".asc") != nil:
		return packages.Yes
	case v.External():
		return packages.NotKnown
	}
	return packages.No
}

// cargoScripts reads the line of the index. A crate that links a library has a build script.
// Of others, the index does not tell.
func cargoScripts(v *packages.Version) packages.Answer {
	c, err := stored.Decode(v.Metadata)
	var line struct {
		Links *string `json:"links"`
	}
	if err == nil && json.Unmarshal(c.Index, &line) == nil && line.Links != nil && *line.Links != "" {
		return packages.Yes
	}
	return packages.NotKnown
}

func gemOf(file *packages.Asset) (g rubygem.Gem, ok bool) {
	ok = len(file.Metadata) > 0 && json.Unmarshal(file.Metadata, &g) == nil
	return g, ok
}
