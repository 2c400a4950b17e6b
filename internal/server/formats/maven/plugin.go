package maven

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven/document"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// pluginAttributes marks the package of a plug-in, so that the plug-ins of a group are
// found without looking at all its versions.
var pluginAttributes = json.RawMessage(`{"plugin":true}`)

func isPlugin(p packages.NamedPackage) bool { return string(p.Attributes) == string(pluginAttributes) }

// jarMetadata is kept with the jar of a plug-in.
type jarMetadata struct {
	// GoalPrefix is the prefix by which a command line names the plug-in: "hello" of
	// mvn hello:greet.
	GoalPrefix string `json:"goalPrefix"`
}

// descriptorFile is where a plug-in describes itself (Maven Plugin Tools, "Plugin
// Descriptor").
const descriptorFile = "META-INF/maven/plugin.xml"

// maxDescriptor is the largest descriptor that is read, in bytes.
const maxDescriptor = 4 << 20

// jarLimits bound what looking for a descriptor costs. Plug-ins are small.
var jarLimits = archive.Limits{Entries: 20_000, Directory: 2 << 20, Unpacked: maxDescriptor, Archives: 1, Time: 5 * time.Second}

// goalPrefix returns the prefix that the descriptor in a jar has. It is "" for a jar
// without one, and for a file that is not a jar: whatever has the extension is
// accepted. The error is a failure of the store, or of the limiter.
func goalPrefix(ctx context.Context, content *packages.Staged, archives *archive.Limiter) (string, error) {
	object, err := content.Open(ctx)
	if err != nil {
		return "", err
	}
	defer object.Close()
	release, err := archives.Acquire(ctx, content.Size, jarLimits)
	if err != nil {
		return "", err
	}
	defer release()
	prefix, err := readGoalPrefix(ctx, object, content.Size)
	if e := (*fault.Error)(nil); errors.As(err, &e) {
		return "", nil
	}
	return prefix, err
}

func readGoalPrefix(ctx context.Context, r io.ReaderAt, size int64) (string, error) {
	jar, err := archive.NewBudget(ctx, jarLimits).Zip(r, size)
	if err != nil {
		return "", err
	}
	_, descriptor, err := jar.Find("descriptor", maxDescriptor, func(name string) bool { return name == descriptorFile })
	if err != nil {
		return "", err
	}
	return parseDescriptor(bytes.NewReader(descriptor))
}

// parseDescriptor returns the prefix that a descriptor has.
func parseDescriptor(r io.Reader) (string, error) {
	var d struct {
		GoalPrefix string `xml:"goalPrefix"`
	}
	if err := document.DecodeXML(r, &d); err != nil {
		return "", fault.Wrap(err, fault.Invalid, "InvalidDescriptor", "The descriptor of the plug-in cannot be read.")
	}
	return truncate.Prefix(strings.TrimSpace(d.GoalPrefix), document.MaxKept), nil
}

// defaultPrefix is the prefix of a plug-in that does not define one: hello for
// hello-maven-plugin and maven-hello-plugin.
func defaultPrefix(artifact string) string {
	if artifact == "maven-plugin-plugin" {
		return "plugin"
	}
	for _, word := range []string{"maven", "plugin"} {
		for _, s := range []string{"-" + word + "-", "-" + word, word + "-", word} {
			artifact = strings.ReplaceAll(artifact, s, "")
		}
	}
	return artifact
}

// pluginEntry is the entry of a package in the index of its group. ok is false if no
// visible version is a plug-in.
func pluginEntry(p *packages.Package) (entry document.Plugin, ok bool) {
	var newest *packages.Version
	for _, v := range p.Versions {
		pom, _ := files(p.ID.Name, v)
		if pom.Packaging == document.PluginPackaging && (newest == nil || packages.Maven.Compare(newest.Version, v.Version) < 0) {
			newest = v
		}
	}
	if newest == nil {
		return document.Plugin{}, false
	}
	pom, jar := files(p.ID.Name, newest)
	return document.Plugin{Name: pom.Name, Prefix: cmp.Or(jar.GoalPrefix, defaultPrefix(p.ID.Name)), ArtifactID: p.ID.Name}, true
}

// addPlugins adds the plug-ins that other registries have in the group. One that comes
// earlier with the same prefix, or the same artifact, hides them: the group's own first.
func addPlugins(x *document.Index, remote []*packages.RemotePackage) error {
	for _, p := range remote {
		var of document.Plugins
		if err := json.Unmarshal(p.Attributes, &of); err != nil {
			return err
		}
		before := x.Plugins
		for _, plugin := range of.Plugins {
			if !slices.ContainsFunc(before, func(b document.Plugin) bool {
				return b.Prefix == plugin.Prefix || b.ArtifactID == plugin.ArtifactID
			}) {
				x.Plugins = append(x.Plugins, plugin)
			}
		}
	}
	return nil
}

// files returns what is kept with the POM and the main jar of a version. The packaging
// is "" without a POM.
func files(artifact string, v *packages.Version) (pom document.POMMetadata, jar jarMetadata) {
	for _, a := range v.Assets {
		if !strings.HasPrefix(a.Name, artifact+"-") || a.Metadata == nil {
			continue
		}
		// What cannot be read is as if it were not there: the store checks that it is JSON.
		switch {
		case strings.HasSuffix(a.Name, ".pom"):
			_ = json.Unmarshal(a.Metadata, &pom)
		case strings.HasSuffix(a.Name, ".jar"):
			_ = json.Unmarshal(a.Metadata, &jar)
		}
	}
	return pom, jar
}
