package pypi_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestConformance(t *testing.T) {
	upload := func(t testing.TB, version, content string) (body string, headers []string) {
		body, contentType := wheelForm(t, "sample", version, content).encode(t)
		return body, []string{"Content-Type: " + contentType}
	}
	formatstest.Conformance(t, formatstest.Format{
		Open:    func(p *packages.Service) formats.Protocol { return pypi.New(formats.ProtocolConfig{Packages: p}) },
		Package: packages.PackageID{Format: packages.PyPI, Name: "sample"},
		Version: func(n int) string { return fmt.Sprintf("1.%d", n) },
		Publish: func(t testing.TB, version, content string) []formatstest.Call {
			body, headers := upload(t, version, content)
			return []formatstest.Call{{Method: "POST", Body: body, Headers: headers}}
		},
		Published: 200, Conflict: 409,
		Document: formatstest.Call{Method: "GET", Path: "simple/sample/", Headers: []string{jsonForm}},
		Lists: func(t testing.TB, document, version string) bool {
			var p struct {
				Files []struct {
					Filename string
					Yanked   any
				}
			}
			if err := json.Unmarshal([]byte(document), &p); err != nil {
				t.Fatal(err)
			}
			for _, f := range p.Files {
				if f.Filename == "sample-"+version+"-py3-none-any.whl" {
					return f.Yanked == false
				}
			}
			return false
		},
		Asset: func(version string) string {
			return "simple/sample/" + version + "/sample-" + version + "-py3-none-any.whl"
		},
		Refusal: func(t testing.TB, r formatstest.Response) string {
			if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("a refusal is %s", r.Header.Get("Content-Type"))
			}
			return r.Body
		},
		Body: func(t testing.TB, r formats.RouteInfo) (string, []string) {
			if r.Method == "POST" {
				return upload(t, "1.1", "another")
			}
			return "", nil
		},
	})
}
