package document

import (
	"cmp"
	"encoding/xml"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// PluginPackaging is the packaging of a plug-in of Maven.
const PluginPackaging = "maven-plugin"

// MaxPOM is the largest POM that is accepted, in bytes.
const MaxPOM = 4 << 20

// A POM is what the server reads of a project object model (Maven Model, version
// 4.0.0). What a project inherits is not looked up: CodeArtifact reports what the POM
// itself says.
type POM struct {
	XMLName      xml.Name        `xml:"project"`
	GroupID      string          `xml:"groupId"`
	ArtifactID   string          `xml:"artifactId"`
	Version      string          `xml:"version"`
	Packaging    string          `xml:"packaging"`
	Name         string          `xml:"name"`
	Description  string          `xml:"description"`
	URL          string          `xml:"url"`
	Parent       pomParent       `xml:"parent"`
	Properties   properties      `xml:"properties"`
	Licenses     []pomLicense    `xml:"licenses>license"`
	SCM          string          `xml:"scm>url"`
	Dependencies []pomDependency `xml:"dependencies>dependency"`
}

type pomParent struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
	Version    string `xml:"version"`
}

type pomLicense struct {
	Name string `xml:"name"`
	URL  string `xml:"url"`
}

type pomDependency struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
	Version    string `xml:"version"`
	Scope      string `xml:"scope"`
	Optional   string `xml:"optional"`
}

// properties are a POM's own, by name.
type properties map[string]string

// UnmarshalXML reads the elements of properties, whose names are the properties'.
func (p *properties) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	*p = properties{}
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			var value string
			if err := d.DecodeElement(&value, &t); err != nil {
				return err
			}
			(*p)[t.Name.Local] = strings.TrimSpace(value)
		case xml.EndElement:
			return nil
		}
	}
}

// ParsePOM reads a POM. The error says what is wrong with the document.
func ParsePOM(r io.Reader) (*POM, error) {
	var p POM
	if err := DecodeXML(r, &p); err != nil {
		return nil, err
	}
	if p.Properties == nil {
		p.Properties = properties{}
	}
	p.GroupID, p.Version = strings.TrimSpace(p.GroupID), strings.TrimSpace(p.Version)
	p.Parent.GroupID, p.Parent.Version = strings.TrimSpace(p.Parent.GroupID), strings.TrimSpace(p.Parent.Version)
	p.define("parent.groupId", p.Parent.GroupID)
	p.define("parent.version", p.Parent.Version)
	p.define("groupId", cmp.Or(p.GroupID, p.Parent.GroupID))
	p.define("version", cmp.Or(p.Version, p.Parent.Version))
	p.define("artifactId", strings.TrimSpace(p.ArtifactID))
	return &p, nil
}

// define sets the properties by which a POM refers to its own elements.
func (p *POM) define(element, value string) {
	if value != "" {
		p.Properties["project."+element], p.Properties["pom."+element] = value, value
	}
}

// Bounds on the replacement of properties in one text: a property may refer to others,
// and those to others again.
const (
	maxNested   = 8
	maxExpanded = 4 << 10 // bytes
)

// text returns an element's text with the properties that the POM itself defines
// replaced. Others stay as they are, ${like.this}.
func (p *POM) text(s string) string {
	s = strings.TrimSpace(s)
	for range maxNested {
		if !strings.Contains(s, "${") || len(s) > maxExpanded {
			break
		}
		next := p.expand(s)
		if next == s || len(next) > maxExpanded {
			break
		}
		s = next
	}
	return s
}

// expand replaces each property once.
func (p *POM) expand(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "${")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		value, known := p.Properties[name]
		switch {
		case !closed:
			b.WriteString("${" + rest)
			return b.String()
		case known:
			b.WriteString(value)
		default:
			b.WriteString("${" + name + "}")
		}
		if b.Len() > maxExpanded {
			return s
		}
		s = after
	}
}

// Describe returns what the CodeArtifact API answers about the version.
func (p *POM) Describe() *packages.Description {
	d := &packages.Description{
		DisplayName: cmp.Or(p.text(p.Name), p.text(p.ArtifactID)), Summary: p.text(p.Description),
		HomePage: p.text(p.URL), SourceCodeRepository: p.text(p.SCM),
	}
	for _, l := range p.Licenses {
		if name, address := p.text(l.Name), p.text(l.URL); name != "" || address != "" {
			d.Licenses = append(d.Licenses, packages.License{Name: name, URL: address})
		}
	}
	if p.Parent.ArtifactID != "" {
		d.Dependencies = append(d.Dependencies, packages.Dependency{
			Namespace: p.text(p.Parent.GroupID), Package: p.text(p.Parent.ArtifactID), Type: "parent", VersionRequirement: p.text(p.Parent.Version),
		})
	}
	for _, need := range p.Dependencies {
		d.Dependencies = append(d.Dependencies, packages.Dependency{
			Namespace: p.text(need.GroupID), Package: p.text(need.ArtifactID), Type: p.dependencyType(need), VersionRequirement: p.text(need.Version),
		})
	}
	return d
}

// dependencyType is one of CodeArtifact's types of dependencies of Maven: the scope,
// or optional.
func (p *POM) dependencyType(d pomDependency) string {
	if p.text(d.Optional) == "true" {
		return "optional"
	}
	switch scope := p.text(d.Scope); scope {
	case "runtime", "test", "provided", "system":
		return scope
	}
	return "compile"
}

// POMMetadata is kept with a POM whose packaging is not jar. Thus it is not necessary to read
// the POM again.
type POMMetadata struct {
	Packaging string `json:"packaging"`
	// Name is the name of a plug-in.
	Name string `json:"name,omitempty"`
}

// MaxKept bounds each text that is kept with a file, in bytes: all versions of a package
// are in memory together.
const MaxKept = 255

// Metadata is what is kept with the POM.
func (p *POM) Metadata() POMMetadata {
	m := POMMetadata{Packaging: truncate.Prefix(cmp.Or(p.text(p.Packaging), "jar"), MaxKept)}
	if m.Packaging == PluginPackaging {
		m.Name = truncate.Prefix(p.text(p.Name), MaxKept)
	}
	return m
}
