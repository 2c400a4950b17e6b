package document

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/net/html/charset"
)

// MaxIndex is the largest maven-metadata.xml that clients may put, in bytes.
const MaxIndex = 4 << 20

// An Index is a maven-metadata.xml (Maven Repository Metadata, version 1.1.0). One
// document can be the index of a group and of an artifact, since both may have the
// same address.
type Index struct {
	XMLName    xml.Name    `xml:"metadata"`
	GroupID    string      `xml:"groupId"`
	ArtifactID string      `xml:"artifactId"`
	Version    string      `xml:"version"`
	Versioning *Versioning `xml:"versioning"`
	Plugins    []Plugin    `xml:"plugins>plugin"`
}

// Versioning says which versions an artifact has, or which builds a snapshot.
type Versioning struct {
	Latest           string            `xml:"latest"`
	Release          string            `xml:"release"`
	Snapshot         *Snapshot         `xml:"snapshot"`
	Versions         []string          `xml:"versions>version"`
	LastUpdated      string            `xml:"lastUpdated"`
	SnapshotVersions []SnapshotVersion `xml:"snapshotVersions>snapshotVersion"`
}

// A Snapshot names the newest build of a snapshot.
type Snapshot struct {
	Timestamp string `xml:"timestamp"`
	// BuildNumber is a number. It is a text, so that a document without one, or with
	// something else, can be read.
	BuildNumber string `xml:"buildNumber"`
}

// A SnapshotVersion names the newest build that has a part.
type SnapshotVersion struct {
	Classifier string `xml:"classifier"`
	Extension  string `xml:"extension"`
	Value      string `xml:"value"`
	Updated    string `xml:"updated"`
}

// A Plugin says which plug-in of a group has a prefix.
type Plugin struct {
	Name       string `xml:"name" json:"name,omitempty"`
	Prefix     string `xml:"prefix" json:"prefix"`
	ArtifactID string `xml:"artifactId" json:"artifactId"`
}

// Plugins is what is kept, as JSON, of the index of a group in another repository.
type Plugins struct {
	Plugins []Plugin `json:"plugins"`
}

// ParseIndex reads a maven-metadata.xml. It goes by the local names of elements: Maven
// 4 writes a namespace, Maven 3 does not.
func ParseIndex(text []byte) (*Index, error) {
	var x Index
	if err := DecodeXML(bytes.NewReader(text), &x); err != nil {
		return nil, err
	}
	x.GroupID, x.ArtifactID, x.Version = strings.TrimSpace(x.GroupID), strings.TrimSpace(x.ArtifactID), strings.TrimSpace(x.Version)
	if v := x.Versioning; v != nil {
		v.Latest, v.Release = strings.TrimSpace(v.Latest), strings.TrimSpace(v.Release)
		for i, version := range v.Versions {
			v.Versions[i] = strings.TrimSpace(version)
		}
		if s := v.Snapshot; s != nil {
			s.Timestamp, s.BuildNumber = strings.TrimSpace(s.Timestamp), strings.TrimSpace(s.BuildNumber)
		}
		for i := range v.SnapshotVersions {
			v.SnapshotVersions[i].Value = strings.TrimSpace(v.SnapshotVersions[i].Value)
		}
	}
	for i := range x.Plugins {
		p := &x.Plugins[i]
		p.Name, p.Prefix, p.ArtifactID = strings.TrimSpace(p.Name), strings.TrimSpace(p.Prefix), strings.TrimSpace(p.ArtifactID)
	}
	return &x, nil
}

// Builds returns the versions of all builds that the index of a snapshot names.
func (x *Index) Builds(snapshotVersion string) []string {
	v := x.Versioning
	if v == nil {
		return nil
	}
	var all []string
	if s := v.Snapshot; s != nil && s.Timestamp != "" && s.BuildNumber != "" {
		all = append(all, strings.TrimSuffix(snapshotVersion, "SNAPSHOT")+s.Timestamp+"-"+s.BuildNumber)
	}
	for _, s := range v.SnapshotVersions {
		all = append(all, s.Value)
	}
	return Distinct(all)
}

// Listed returns all versions that the index of an artifact names.
func (x *Index) Listed() []string {
	v := x.Versioning
	if v == nil {
		return nil
	}
	return Distinct(append([]string{v.Latest, v.Release}, v.Versions...))
}

// Distinct returns the texts that are not empty, each once.
func Distinct(all []string) []string {
	seen := map[string]bool{"": true}
	var out []string
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// Render writes the index as Maven 3 does. The same index always gives the same bytes:
// clients ask for its checksum in another request.
func (x *Index) Render() []byte {
	w := &indexWriter{}
	w.WriteString(xml.Header)
	w.element("metadata", ` modelVersion="1.1.0"`, func() {
		w.text("groupId", x.GroupID)
		w.text("artifactId", x.ArtifactID)
		w.text("version", x.Version)
		if x.Versioning != nil {
			w.element("versioning", "", func() { x.Versioning.render(w) })
		}
		if len(x.Plugins) > 0 {
			w.element("plugins", "", func() {
				for _, p := range x.Plugins {
					w.element("plugin", "", func() {
						w.text("name", p.Name)
						w.text("prefix", p.Prefix)
						w.text("artifactId", p.ArtifactID)
					})
				}
			})
		}
	})
	return w.Bytes()
}

func (v *Versioning) render(w *indexWriter) {
	w.text("latest", v.Latest)
	w.text("release", v.Release)
	if s := v.Snapshot; s != nil {
		w.element("snapshot", "", func() {
			w.text("timestamp", s.Timestamp)
			w.text("buildNumber", s.BuildNumber)
		})
	}
	if len(v.Versions) > 0 {
		w.element("versions", "", func() {
			for _, version := range v.Versions {
				w.text("version", version)
			}
		})
	}
	w.text("lastUpdated", v.LastUpdated)
	if len(v.SnapshotVersions) > 0 {
		w.element("snapshotVersions", "", func() {
			for _, s := range v.SnapshotVersions {
				w.element("snapshotVersion", "", func() {
					w.text("classifier", s.Classifier)
					w.text("extension", s.Extension)
					w.text("value", s.Value)
					w.text("updated", s.Updated)
				})
			}
		})
	}
}

// An indexWriter writes indented XML. It leaves elements without a text out.
type indexWriter struct {
	bytes.Buffer
	depth int
}

func (w *indexWriter) element(name, attributes string, content func()) {
	indent := strings.Repeat("  ", w.depth)
	w.WriteString(indent + "<" + name + attributes + ">\n")
	w.depth++
	content()
	w.depth--
	w.WriteString(indent + "</" + name + ">\n")
}

func (w *indexWriter) text(name, text string) {
	if text == "" {
		return
	}
	w.WriteString(strings.Repeat("  ", w.depth) + "<" + name + ">")
	_ = xml.EscapeText(w, []byte(text)) // a bytes.Buffer takes everything
	w.WriteString("</" + name + ">\n")
}

// timestamp is the layout of times in an index.
const timestamp = "20060102150405"

// Timestamp is the form of times in an index. It is empty for the zero time.
func Timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timestamp)
}

// LastUpdated is when the index of an artifact was changed; zero if it does not tell.
func (x *Index) LastUpdated() time.Time {
	if x.Versioning == nil {
		return time.Time{}
	}
	t, err := time.Parse(timestamp, strings.TrimSpace(x.Versioning.LastUpdated))
	if err != nil || t.Year() < 1 {
		return time.Time{}
	}
	return t
}

// DecodeXML reads one document with the root element of into, in any charset, with or
// without a DOCTYPE. No entity is expanded but those of HTML, which old POMs use: what
// a DOCTYPE defines or includes is ignored.
func DecodeXML(r io.Reader, into any) error {
	d := xml.NewDecoder(r)
	d.Entity = xml.HTMLEntity
	d.CharsetReader = charset.NewReaderLabel
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("it has no element")
		}
		return fmt.Errorf("line %s", lineOf(d, err))
	}
	return nil
}

// lineOf says where the decoder is and what it found there.
func lineOf(d *xml.Decoder, err error) string {
	line, _ := d.InputPos()
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%d: %s", syntax.Line, syntax.Msg)
	}
	return fmt.Sprintf("%d: %v", line, err)
}
