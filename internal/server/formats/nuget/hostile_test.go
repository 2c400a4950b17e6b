package nuget_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

// A manifest is XML that a publisher wrote, so it can contain a page with scripts.
func TestContent_NoScripts(t *testing.T) {
	s, app := start(t)
	script := `<releaseNotes><script xmlns="http://www.w3.org/1999/xhtml">alert(1)</script></releaseNotes><readme>r.md</readme>`
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.0.0", script, "r.md", "<script>alert(1)</script>"))
	for _, file := range []string{"acme.lib.nuspec", "readme", "acme.lib.1.0.0.nupkg"} {
		r := s.Do(formatstest.Reader, "GET", app+"v3/flatcontainer/acme.lib/1.0.0/"+file, "")
		if r.StatusCode != http.StatusOK || !strings.Contains(r.Header.Get("Content-Security-Policy"), "sandbox") || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s %v", file, r.Status, r.Header)
		}
	}
}

// Nothing of the form is read before the caller is authorized: what precedes the first
// part has no bound.
func TestPush_AuthorizedFirst(t *testing.T) {
	s, app := start(t)
	for _, path := range []string{"v3/package", "v3/symbolpackage"} {
		r := s.Do(formatstest.Stranger, "PUT", app+path, strings.Repeat("no part\r\n", 1000), "Content-Type: multipart/form-data; boundary=x")
		if r.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s %s", path, r.Status, r.Body)
		}
	}
}

func TestSearch_ManyWords(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.0.0", ""))
	var words strings.Builder
	for i := range 100 {
		fmt.Fprintf(&words, "w%d+", i)
	}
	for _, path := range []string{"v3/query", "v3/autocomplete"} {
		if r := s.Do(formatstest.Reader, "GET", app+path+"?q="+words.String(), ""); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", path, r.Status, r.Body)
		}
		if r := s.Do(formatstest.Reader, "GET", app+path+"?q="+strings.Repeat("acme+", 1000), ""); !strings.Contains(r.Body, "Acme.Lib") {
			t.Errorf("%s: %s %s", path, r.Status, r.Body)
		}
	}
}

// The types are part of the text that a search reads of every package.
func TestPush_ManyTypes(t *testing.T) {
	s, app := start(t)
	types := "<packageTypes>" + strings.Repeat(`<packageType name="T"/>`, 51) + "</packageTypes>"
	if r := push(t, s, formatstest.Admin, app+"v3/package", nupkg(t, "Acme.Lib", "1.0.0", types)); r.StatusCode != http.StatusBadRequest {
		t.Errorf("%s %s", r.Status, r.Body)
	}
}

// Documents about one version, or about a page of them, do not read the manifests of all.
func TestRegistration_Missing(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.0.0-Beta", ""))
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "2.0.0", ""))
	for path, want := range map[string]int{
		"1.0.0-beta.json": http.StatusOK, "1.0.0-BETA.json": http.StatusOK, "9.0.0.json": http.StatusNotFound,
		"page/0.1.0/1.0.0-beta.json": http.StatusOK, "page/8.0.0/9.0.0.json": http.StatusNotFound,
	} {
		if r := s.Do(formatstest.Reader, "GET", app+"v3/registration/acme.lib/"+path, ""); r.StatusCode != want {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}
