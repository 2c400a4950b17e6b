package packument

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Attributes are the members of a document that describe the package as a whole.
// They come from the version with the tag "latest".
var Attributes = map[string]bool{
	"description": true, "readme": true, "readmeFilename": true, "homepage": true, "keywords": true, "repository": true,
	"author": true, "bugs": true, "license": true, "maintainers": true, "contributors": true,
}

// AssetName is what CodeArtifact calls the one asset of an npm version.
const AssetName = "package.tgz"

// Metadata is what is kept of a version object: everything except the readme, which
// belongs to the package, with the given "dist", and with hasInstallScript, by which
// an installer knows that there is a script to run (npm docs, "package-metadata").
func Metadata(manifest, dist Object) json.RawMessage {
	kept := manifest.Without("readme", "dist", "_attachments", "hasInstallScript")
	if hasInstallScript(manifest.Get("scripts")) {
		kept = append(kept, Member{"hasInstallScript", json.RawMessage("true")})
	}
	if len(dist) > 0 {
		kept = append(kept, Member{"dist", dist.Encode()})
	}
	return kept.Encode()
}

func hasInstallScript(scripts []byte) bool {
	o, err := ParseObject(scripts)
	return err == nil && (o.Get("preinstall") != nil || o.Get("install") != nil || o.Get("postinstall") != nil)
}

// PackageAttributes are the members of the version tagged "latest" that describe the
// package. Clients put the readme beside the versions or into the version.
func PackageAttributes(manifest Object, readme []byte) json.RawMessage {
	var o Object
	for _, m := range manifest {
		if Attributes[m.Name] && (m.Name != "readme" || readme == nil) {
			o = append(o, m)
		}
	}
	if readme != nil {
		o = append(o, Member{"readme", readme})
	}
	return o.Encode()
}

// maxSearchText bounds the text of a package that searches look in, in bytes.
const maxSearchText = 4 << 10

// SearchText is the description and the keywords of a version, in lower case.
func SearchText(manifest Object) string {
	words := []string{StringValue(manifest.Get("description"))}
	var keywords []string
	if json.Unmarshal(manifest.Get("keywords"), &keywords) == nil {
		words = append(words, keywords...)
	}
	text := strings.ToLower(strings.Join(words, " "))
	return strings.ToValidUTF8(text[:min(len(text), maxSearchText)], "")
}

// dependencyTypes are the members of a version object that name dependencies,
// and what CodeArtifact calls them (API reference, PackageDependency).
var dependencyTypes = [...]struct{ field, name string }{
	{"dependencies", "regular"}, {"devDependencies", "dev"}, {"peerDependencies", "peer"}, {"optionalDependencies", "optional"},
}

// Description is what the CodeArtifact API answers about a version.
func Description(manifest Object, readme []byte) *packages.Description {
	d := &packages.Description{
		DisplayName:          StringValue(manifest.Get("name")),
		Summary:              StringValue(manifest.Get("description")),
		HomePage:             StringValue(manifest.Get("homepage")),
		SourceCodeRepository: stringOrField(manifest.Get("repository"), "url"),
		Readme:               StringValue(readme),
	}
	if d.Readme == "" {
		d.Readme = StringValue(manifest.Get("readme"))
	}
	if l := stringOrField(manifest.Get("license"), "type"); l != "" {
		d.Licenses = []packages.License{{Name: l}}
	}
	for _, t := range dependencyTypes {
		var wanted map[string]string
		if raw := manifest.Get(t.field); raw == nil || json.Unmarshal(raw, &wanted) != nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			id, ok := ParseName(name)
			if !ok {
				continue
			}
			d.Dependencies = append(d.Dependencies, packages.Dependency{
				Namespace: id.Namespace, Package: id.Name, Type: t.name, VersionRequirement: wanted[name],
			})
		}
	}
	return d
}

// stringOrField reads a member that package.json may have as a string or as an
// object with the field: repository and license.
func stringOrField(raw []byte, field string) string {
	if s := StringValue(raw); s != "" {
		return s
	}
	o, err := ParseObject(raw)
	if err != nil {
		return ""
	}
	return StringValue(o.Get(field))
}
