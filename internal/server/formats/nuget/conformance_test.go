package nuget_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestConformance(t *testing.T) {
	form := func(t testing.TB, file []byte) (body string, headers []string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, err := w.CreateFormFile("package", "package.nupkg")
		if err == nil {
			_, err = part.Write(file)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.String(), []string{"Content-Type: " + w.FormDataContentType()}
	}
	formatstest.Conformance(t, formatstest.Format{
		Open:    func(p *packages.Service) formats.Protocol { return nuget.New(formats.ProtocolConfig{Packages: p}) },
		Package: packages.PackageID{Format: packages.NuGet, Name: "sample"},
		Version: func(n int) string { return fmt.Sprintf("1.%d.0", n) },
		Publish: func(t testing.TB, version, content string) []formatstest.Call {
			body, headers := form(t, nupkg(t, "Sample", version, "", "lib/a.dll", content))
			return []formatstest.Call{{Method: "PUT", Path: "v3/package/", Body: body, Headers: headers}}
		},
		Published: 201, Conflict: 409,
		Document: formatstest.Call{Method: "GET", Path: "v3/registration-semver2/sample/index.json"},
		Lists: func(t testing.TB, document, version string) bool {
			var index struct {
				Items []struct {
					Items []struct {
						CatalogEntry struct {
							Version string
							Listed  *bool
						}
					}
				}
			}
			if err := json.Unmarshal([]byte(document), &index); err != nil {
				t.Fatal(err)
			}
			for _, page := range index.Items {
				for _, leaf := range page.Items {
					if e := leaf.CatalogEntry; e.Version == version {
						return e.Listed == nil || *e.Listed
					}
				}
			}
			return false
		},
		Asset: func(version string) string {
			return "v3/flatcontainer/sample/" + version + "/sample." + version + ".nupkg"
		},
		Refusal: func(t testing.TB, r formatstest.Response) string {
			// Clients print only this header. What every restore sees has none.
			text, warning := strings.TrimSpace(r.Body), r.Header.Get("X-NuGet-Warning")
			if warning != text && !(warning == "" && (r.StatusCode == 401 || r.StatusCode == 404)) {
				t.Errorf("%d: the warning is %q, the text %q", r.StatusCode, warning, text)
			}
			return text
		},
		Body: func(t testing.TB, r formats.RouteInfo) (string, []string) {
			switch r.Kind {
			case "publish":
				return form(t, nupkg(t, "Sample", "1.1.0", ""))
			case "symbols":
				return form(t, nupkg(t, "Sample", "1.0.0", `<packageTypes><packageType name="SymbolsPackage"/></packageTypes>`))
			}
			return "", nil
		},
	})
}
