package npm

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// metadata is what is kept of a version object: everything except the readme, which
// belongs to the package, with the given "dist", and with hasInstallScript, by which
// an installer knows that there is a script to run (npm docs, "package-metadata").
func metadata(manifest, dist object) json.RawMessage {
	kept := manifest.without("readme", "dist", "_attachments", "hasInstallScript")
	if hasInstallScript(manifest.get("scripts")) {
		kept = append(kept, member{"hasInstallScript", json.RawMessage("true")})
	}
	if len(dist) > 0 {
		kept = append(kept, member{"dist", dist.encode()})
	}
	return kept.encode()
}

func hasInstallScript(scripts []byte) bool {
	o, err := parseObject(scripts)
	return err == nil && (o.get("preinstall") != nil || o.get("install") != nil || o.get("postinstall") != nil)
}

// packageAttributes are the members of the version tagged "latest" that describe the
// package. Clients put the readme beside the versions or into the version.
func packageAttributes(manifest object, readme []byte) json.RawMessage {
	var o object
	for _, m := range manifest {
		if attributes[m.name] && (m.name != "readme" || readme == nil) {
			o = append(o, m)
		}
	}
	if readme != nil {
		o = append(o, member{"readme", readme})
	}
	return o.encode()
}

// maxSearchText bounds the text of a package that searches look in, in bytes.
const maxSearchText = 4 << 10

// searchText is the description and the keywords of a version, in lower case.
func searchText(manifest object) string {
	words := []string{stringValue(manifest.get("description"))}
	var keywords []string
	if json.Unmarshal(manifest.get("keywords"), &keywords) == nil {
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

// description is what the CodeArtifact API answers about a version.
func description(manifest object, readme []byte) *packages.Description {
	d := &packages.Description{
		DisplayName:          stringValue(manifest.get("name")),
		Summary:              stringValue(manifest.get("description")),
		HomePage:             stringValue(manifest.get("homepage")),
		SourceCodeRepository: stringOrField(manifest.get("repository"), "url"),
		Readme:               stringValue(readme),
	}
	if d.Readme == "" {
		d.Readme = stringValue(manifest.get("readme"))
	}
	if l := stringOrField(manifest.get("license"), "type"); l != "" {
		d.Licenses = []packages.License{{Name: l}}
	}
	for _, t := range dependencyTypes {
		var wanted map[string]string
		if raw := manifest.get(t.field); raw == nil || json.Unmarshal(raw, &wanted) != nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			id, ok := parseName(name)
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
	if s := stringValue(raw); s != "" {
		return s
	}
	o, err := parseObject(raw)
	if err != nil {
		return ""
	}
	return stringValue(o.get(field))
}
