package npm_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestConformance(t *testing.T) {
	formatstest.Conformance(t, formatstest.Format{
		Open:    func(p *packages.Service) formats.Protocol { return npm.New(formats.ProtocolConfig{Packages: p}) },
		Package: packages.PackageID{Format: packages.NPM, Name: "sample"},
		Version: func(n int) string { return fmt.Sprintf("1.%d.0", n) },
		Publish: func(t testing.TB, version, content string) []formatstest.Call {
			return []formatstest.Call{{Method: "PUT", Path: "sample", Body: encode(t, document("sample", version, "latest", []byte(content)))}}
		},
		Published: 201, Conflict: 409,
		Document: formatstest.Call{Method: "GET", Path: "sample"},
		Lists: func(t testing.TB, document, version string) bool {
			var doc struct{ Versions map[string]any }
			if err := json.Unmarshal([]byte(document), &doc); err != nil {
				t.Fatal(err)
			}
			return doc.Versions[version] != nil
		},
		Asset: func(version string) string { return "sample/-/sample-" + version + ".tgz" },
		Refusal: func(t testing.TB, r formatstest.Response) string {
			message, _ := decode(t, r)["error"].(string)
			return message
		},
		// Without a tarball it is a change of metadata.
		Body: func(t testing.TB, r formats.RouteInfo) (string, []string) {
			if r.Method == "PUT" && r.Example == "sample" {
				return encode(t, document("sample", "1.1.0", "latest", []byte("another"))), nil
			}
			return "", nil
		},
	})
}
