package maven_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestConformance(t *testing.T) {
	asset := func(version string) string { return "com/acme/sample/" + version + "/sample-" + version + ".jar" }
	formatstest.Conformance(t, formatstest.Format{
		Open:    func(p *packages.Service) formats.Protocol { return maven.New(formats.ProtocolConfig{Packages: p}) },
		Package: packages.PackageID{Format: packages.Maven, Namespace: "com.acme", Name: "sample"},
		Version: func(n int) string { return fmt.Sprintf("1.%d", n) },
		Publish: func(_ testing.TB, version, content string) []formatstest.Call {
			return []formatstest.Call{
				{Method: "PUT", Path: asset(version), Body: content},
				{Method: "PUT", Path: strings.TrimSuffix(asset(version), ".jar") + ".pom", Body: pom("sample", version, "jar")},
				{Method: "PUT", Path: "com/acme/sample/maven-metadata.xml", Body: artifactIndex("sample", version)},
			}
		},
		Published: 201, Conflict: 409,
		Document: formatstest.Call{Method: "GET", Path: "com/acme/sample/maven-metadata.xml"},
		Lists: func(_ testing.TB, document, version string) bool {
			return strings.Contains(document, "<version>"+version+"</version>")
		},
		Asset: asset,
		Refusal: func(t testing.TB, r formatstest.Response) string {
			if r.StatusCode == 404 { // Maven takes a problem for a failure
				if got := r.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
					t.Fatalf("the 404 has the type %q", got)
				}
				return r.Body
			}
			var problem struct {
				Status int
				Detail string
			}
			if err := json.Unmarshal([]byte(r.Body), &problem); err != nil || r.Header.Get("Content-Type") != "application/problem+json" || problem.Status != r.StatusCode {
				t.Fatalf("%v, %v, %s", err, r.Header, r.Body)
			}
			return problem.Detail
		},
		Body: func(_ testing.TB, r formats.RouteInfo) (string, []string) {
			if strings.HasSuffix(r.Example, ".xml") {
				return artifactIndex("sample", "1.0"), nil
			}
			return pom("sample", "1.0", "jar"), nil
		},
	})
}
