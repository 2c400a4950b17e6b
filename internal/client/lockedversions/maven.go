package lockedversions

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"strings"
)

// A pomProject is what is read of a POM. A library would have the whole model, but those
// that there are resolve properties in exponential time if the POM is made for it.
type pomProject struct {
	XMLName    xml.Name        `xml:"project"`
	GroupID    string          `xml:"groupId"`
	ArtifactID string          `xml:"artifactId"`
	Version    string          `xml:"version"`
	Parent     pomDependency   `xml:"parent"`
	Properties pomProperties   `xml:"properties"`
	Managed    []pomDependency `xml:"dependencyManagement>dependencies>dependency"`
	Direct     []pomDependency `xml:"dependencies>dependency"`
	Plugins    []pomDependency `xml:"build>plugins>plugin"`
}

type pomProperties struct {
	All []struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	} `xml:",any"`
}

type pomDependency struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
	Version    string `xml:"version"`
	Type       string `xml:"type"`
	Classifier string `xml:"classifier"`
	Scope      string `xml:"scope"`
	line       int
}

// UnmarshalXML notes where the dependency is.
func (p *pomDependency) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	type plain pomDependency
	p.line, _ = d.InputPos()
	return d.DecodeElement((*plain)(p), &start)
}

// pom reads the dependencies, the plugins and the parent that a pom.xml declares, with the
// properties and the dependencyManagement that the file itself has. What they depend on
// themselves is not in the file.
func pom(l *Lock, content []byte) error {
	var p pomProject
	d := xml.NewDecoder(bytes.NewReader(content))
	if err := d.Decode(&p); err != nil {
		line, _ := d.InputPos()
		return atLine(line, fmt.Errorf("the file is not a valid POM: %w", err))
	}
	r := pomReader{lock: l, properties: map[string]string{}, managed: map[string]string{}}
	r.readProperties(&p)
	for _, m := range p.Managed {
		if err := r.resolve(&m); err != nil {
			return err
		}
		if _, ok := r.managed[m.key()]; !ok && m.Scope != "import" {
			r.managed[m.key()] = m.Version
		}
	}
	if p.Parent.Version != "" {
		p.Parent.Type = "pom"
		if err := r.add(p.Parent); err != nil {
			return err
		}
	}
	for _, plugin := range p.Plugins {
		plugin.GroupID = cmp.Or(plugin.GroupID, "org.apache.maven.plugins")
		if err := r.add(plugin); err != nil {
			return err
		}
	}
	for _, dep := range p.Direct {
		if err := r.add(dep); err != nil {
			return err
		}
	}
	l.note(r.unknown, "dependencies or plugins whose version a parent, an imported POM or a range decides, which are left out")
	if len(l.Versions) > 0 {
		l.Notes = append(l.Notes, "a POM names direct dependencies only; list the others as maven/GROUP/ARTIFACT@VERSION in a file of their own")
	}
	return nil
}

type pomReader struct {
	lock       *Lock
	properties map[string]string
	managed    map[string]string // version by key
	unknown    int
}

func (r *pomReader) readProperties(p *pomProject) {
	for _, property := range p.Properties.All {
		r.properties[property.XMLName.Local] = strings.TrimSpace(property.Value)
	}
	for _, prefix := range []string{"project.", "pom."} {
		r.properties[prefix+"version"] = cmp.Or(p.Version, p.Parent.Version)
		r.properties[prefix+"groupId"] = cmp.Or(p.GroupID, p.Parent.GroupID)
		r.properties[prefix+"artifactId"] = p.ArtifactID
		r.properties[prefix+"parent.version"] = p.Parent.Version
		r.properties[prefix+"parent.groupId"] = p.Parent.GroupID
	}
}

func (d *pomDependency) key() string {
	return d.GroupID + ":" + d.ArtifactID + ":" + cmp.Or(d.Type, "jar") + ":" + d.Classifier
}

// resolve puts the values of properties into the texts of a dependency.
func (r *pomReader) resolve(d *pomDependency) error {
	for _, text := range []*string{&d.GroupID, &d.ArtifactID, &d.Version, &d.Type, &d.Classifier} {
		budget := 100
		resolved, err := r.interpolate(strings.TrimSpace(*text), &budget)
		if err != nil {
			return atLine(d.line, err)
		}
		*text = resolved
	}
	return nil
}

// interpolate replaces ${NAME}. budget is how many may be replaced, so that a POM whose
// properties refer to each other cannot take long.
func (r *pomReader) interpolate(text string, budget *int) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if out.WriteString(before); out.Len() > maxName {
			return "", fmt.Errorf("a name or a version is longer than %d bytes with its properties", maxName)
		}
		name, after, closed := strings.Cut(rest, "}")
		if !found {
			return out.String(), nil
		}
		value, known := r.properties[name]
		if *budget--; *budget < 0 || out.Len() > maxName {
			return "", fmt.Errorf("the property %.100q refers to itself, or to too many others", name)
		}
		if !closed || !known {
			out.WriteString("${" + rest)
			return out.String(), nil
		}
		value, err := r.interpolate(value, budget)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = after
	}
}

func (r *pomReader) add(d pomDependency) error {
	if err := r.resolve(&d); err != nil {
		return err
	}
	d.Version = cmp.Or(d.Version, r.managed[d.key()])
	if d.Version == "" || strings.ContainsAny(d.GroupID+d.ArtifactID+d.Version, "[](),$") {
		r.unknown++
		return nil
	}
	v := Version{Format: "maven", Namespace: d.GroupID, Name: d.ArtifactID, Version: d.Version, Line: d.line}
	base := d.ArtifactID + "-" + d.Version
	v.Files = []File{{Name: base + ".pom"}}
	if d.Type != "pom" {
		suffix, extension := "", cmp.Or(d.Type, "jar")
		if d.Classifier != "" {
			suffix = "-" + d.Classifier
		}
		switch d.Type { // Maven's default artifact handlers
		case "test-jar":
			suffix, extension = cmp.Or(suffix, "-tests"), "jar"
		case "maven-plugin", "ejb", "bundle":
			extension = "jar"
		}
		v.Files = append(v.Files, File{Name: base + suffix + "." + extension})
	}
	return r.lock.add(v)
}
