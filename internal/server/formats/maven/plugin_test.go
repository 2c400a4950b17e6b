package maven

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven/document"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The plug-ins of the repository hide those of other registries, and the first registry
// those of the next.
func TestAddPlugins(t *testing.T) {
	group := func(plugins ...document.Plugin) *packages.RemotePackage {
		attributes, err := json.Marshal(document.Plugins{Plugins: plugins})
		if err != nil {
			t.Fatal(err)
		}
		return &packages.RemotePackage{Attributes: attributes}
	}
	x := document.Index{Plugins: []document.Plugin{{Prefix: "own", ArtifactID: "own-plugin"}}}
	err := addPlugins(&x, []*packages.RemotePackage{
		group(document.Plugin{Prefix: "own", ArtifactID: "evil"}, document.Plugin{Prefix: "evil", ArtifactID: "own-plugin"}, document.Plugin{Prefix: "a", ArtifactID: "a1"}),
		group(document.Plugin{Prefix: "a", ArtifactID: "a2"}, document.Plugin{Prefix: "b", ArtifactID: "b"}),
	})
	if got := fmt.Sprint(x.Plugins); err != nil || got != "[{ own own-plugin} { a a1} { b b}]" {
		t.Errorf("%s, %v", got, err)
	}
}
