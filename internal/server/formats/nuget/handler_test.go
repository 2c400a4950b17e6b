package nuget_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func start(t testing.TB) (s *formatstest.Server, app string) {
	t.Helper()
	s = formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.NuGet: nuget.New(formats.ProtocolConfig{Packages: p, MaxAsset: 1 << 20})}
	})
	return s, s.Endpoint(formatstest.App, packages.NuGet)
}

// nupkg returns a package with a manifest, whose further elements are more, and files,
// which are pairs of name and content.
func nupkg(t testing.TB, id, version, more string, files ...string) []byte {
	t.Helper()
	manifest := fmt.Sprintf(`<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"><metadata><id>%s</id><version>%s</version><authors>Ann</authors><description>A library</description>%s</metadata></package>`, id, version, more)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for files := append([]string{id + ".nuspec", manifest}, files...); len(files) > 0; files = files[2:] {
		w, err := z.Create(files[0])
		if err == nil {
			_, err = io.WriteString(w, files[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// push pushes a package as dotnet does.
func push(t testing.TB, s *formatstest.Server, u formatstest.User, url string, file []byte) formatstest.Response {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("package", "package.nupkg")
	if err == nil {
		_, err = part.Write(file)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.Do(u, "PUT", url, b.String(), `Content-Type: multipart/form-data; boundary="`+form.Boundary()+`"`)
}

func mustPush(t testing.TB, s *formatstest.Server, endpoint string, file []byte) {
	t.Helper()
	if r := push(t, s, formatstest.Admin, endpoint+"v3/package/", file); r.StatusCode != http.StatusCreated {
		t.Fatalf("push: %s %s", r.Status, r.Body)
	}
}

// get decodes the JSON of an answer.
func get(t testing.TB, s *formatstest.Server, url string) (v map[string]any) {
	t.Helper()
	r := s.Do(formatstest.Reader, "GET", url, "")
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %s %s", url, r.Status, r.Body)
	}
	if err := json.Unmarshal([]byte(r.Body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// at walks through decoded JSON: strings are keys, numbers are indexes.
func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			v = v.(map[string]any)[s]
		case int:
			v = v.([]any)[s]
		}
	}
	return v
}

func resourceOf(t testing.TB, s *formatstest.Server, endpoint, kind string) string {
	t.Helper()
	for _, r := range get(t, s, endpoint+"v3/index.json")["resources"].([]any) {
		if at(t, r, "@type") == kind {
			return at(t, r, "@id").(string)
		}
	}
	t.Fatalf("the service index has no %s", kind)
	return ""
}

// The requests of NuGet 5.4 and 5.8 in their order: restore, install, search, push.
func TestClients(t *testing.T) {
	s, app := start(t)
	for _, kind := range []string{
		"PackageBaseAddress/3.0.0", "RegistrationsBaseUrl", "RegistrationsBaseUrl/3.4.0", "RegistrationsBaseUrl/3.6.0", "RegistrationsBaseUrl/Versioned",
		"SearchQueryService", "SearchQueryService/3.0.0-beta", "SearchAutocompleteService/3.0.0-beta", "PackagePublish/2.0.0", "SymbolPackagePublish/4.9.0",
	} {
		if address := resourceOf(t, s, app, kind); !strings.HasPrefix(address, app+"v3/") {
			t.Errorf("%s is at %s, which clients send no credentials to", kind, address)
		}
	}
	file := nupkg(t, "Acme.Lib", "1.02.0-Beta", "", "readme.md", "read me")
	mustPush(t, s, app, file)

	flat := resourceOf(t, s, app, "PackageBaseAddress/3.0.0")
	if got := fmt.Sprint(get(t, s, flat+"acme.lib/index.json")["versions"]); got != "[1.2.0-beta]" {
		t.Errorf("versions %s", got)
	}
	r := s.Do(formatstest.Reader, "GET", flat+"acme.lib/1.2.0-beta/acme.lib.1.2.0-beta.nupkg", "")
	if r.Body != string(file) {
		t.Errorf("download: %s, %d bytes", r.Status, len(r.Body))
	}
	if r := s.Do(formatstest.Reader, "GET", flat+"acme.lib/1.2.0-beta/acme.lib.nuspec", ""); !strings.Contains(r.Body, "<id>Acme.Lib</id>") {
		t.Errorf("manifest: %s %s", r.Status, r.Body)
	}
	for _, missing := range []string{"other/index.json", "acme.lib/9.0.0/acme.lib.9.0.0.nupkg", "acme.lib/1.2.0-beta/other.nupkg", "acme.lib/x/acme.lib.x.nupkg", "acme.lib/1.2.0-beta/readme"} {
		if r := s.Do(formatstest.Reader, "GET", flat+missing, ""); r.StatusCode != http.StatusNotFound || r.Header.Get("X-NuGet-Warning") != "" {
			t.Errorf("%s: %s, warning %q", missing, r.Status, r.Header.Get("X-NuGet-Warning"))
		}
	}
	found := get(t, s, resourceOf(t, s, app, "SearchQueryService")+"?q=lib&prerelease=true")
	if found["totalHits"] != 1.0 || at(t, found, "data", 0, "id") != "Acme.Lib" || at(t, found, "data", 0, "version") != "1.02.0-Beta" {
		t.Errorf("search: %v", found)
	}
}

func TestPush_Again(t *testing.T) {
	s, app := start(t)
	file := nupkg(t, "Acme.Lib", "1.0", "")
	mustPush(t, s, app, file)
	mustPush(t, s, app, file)
	for name, other := range map[string][]byte{"other bytes": nupkg(t, "Acme.Lib", "1.0", "", "a", "b"), "another spelling": nupkg(t, "acme.LIB", "1.0.0.0+build", "")} {
		r := push(t, s, formatstest.Admin, app+"v3/package", other)
		if r.StatusCode != http.StatusConflict || !strings.Contains(r.Header.Get("X-NuGet-Warning"), "1.0.0 exists already") {
			t.Errorf("%s: %s, warning %q", name, r.Status, r.Header.Get("X-NuGet-Warning"))
		}
	}
	if n := s.Objects(); n != 1 {
		t.Errorf("%d objects are left", n)
	}
}

func TestPush_Refused(t *testing.T) {
	s, app := start(t)
	good := nupkg(t, "Acme.Lib", "1.0.0", "")
	for name, c := range map[string]struct {
		user   formatstest.User
		file   []byte
		status int
	}{
		"not a package":    {formatstest.Admin, []byte("hello"), http.StatusBadRequest},
		"no manifest":      {formatstest.Admin, nupkg(t, "a/b", "1.0.0", ""), http.StatusBadRequest},
		"a version of *":   {formatstest.Admin, nupkg(t, "Acme.Lib", "1.*", ""), http.StatusBadRequest},
		"too large":        {formatstest.Admin, append(good, make([]byte, 1<<20)...), http.StatusRequestEntityTooLarge},
		"symbols":          {formatstest.Admin, nupkg(t, "Acme.Lib", "1.0.0", symbolsType), http.StatusBadRequest},
		"without password": {"", good, http.StatusUnauthorized},
		"a reader":         {formatstest.Reader, good, http.StatusForbidden},
	} {
		r := push(t, s, c.user, app+"v3/package", c.file)
		if r.StatusCode != c.status || (c.user != "") != (r.Header.Get("X-NuGet-Warning") != "") {
			t.Errorf("%s: %s, warning %q", name, r.Status, r.Header.Get("X-NuGet-Warning"))
		}
	}
	for _, contentType := range []string{"application/octet-stream", "multipart/form-data", "multipart/form-data; boundary=x"} {
		if r := s.Do(formatstest.Admin, "PUT", app+"v3/package", string(good), "Content-Type: "+contentType); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", contentType, r.Status)
		}
	}
	if n := s.Objects(); n != 0 {
		t.Errorf("%d objects are left of what was refused", n)
	}
}

// The key of a push is ignored beside Basic credentials, and is a token without them.
func TestPush_APIKey(t *testing.T) {
	s, app := start(t)
	send := func(headers ...string) formatstest.Response {
		return s.Do("", "PUT", app+"v3/package", "--x\r\nContent-Disposition: form-data; name=package\r\n\r\n"+string(nupkg(t, "Acme.Lib", "1.0.0", ""))+"\r\n--x--\r\n",
			append([]string{"Content-Type: multipart/form-data; boundary=x"}, headers...)...)
	}
	if r := send("X-NuGet-ApiKey: any"); r.StatusCode != http.StatusUnauthorized || r.Header.Get("X-NuGet-Warning") == "" {
		t.Errorf("a wrong key: %s", r.Status)
	}
	if r := send("X-NuGet-ApiKey: any", "Authorization: Bearer "+s.Token(formatstest.Admin, formatstest.Domain)); r.StatusCode != http.StatusCreated {
		t.Errorf("a token beside a key: %s %s", r.Status, r.Body)
	}
	if r := send("X-NuGet-ApiKey: " + s.Token(formatstest.Admin, formatstest.Domain)); r.StatusCode != http.StatusCreated {
		t.Errorf("a token as key: %s %s", r.Status, r.Body)
	}
}

const symbolsType = `<packageTypes><packageType name="SymbolsPackage" /></packageTypes>`

func TestSymbols(t *testing.T) {
	s, app := start(t)
	symbols := nupkg(t, "Acme.Lib", "1.0.0", symbolsType, "lib/a.pdb", "x")
	if r := push(t, s, formatstest.Admin, app+"v3/symbolpackage/", symbols); r.StatusCode != http.StatusNotFound {
		t.Errorf("before the package: %s %s", r.Status, r.Body)
	}
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.0.0", ""))
	if r := push(t, s, formatstest.Admin, app+"v3/symbolpackage/", nupkg(t, "Acme.Lib", "1.0.0", "")); r.StatusCode != http.StatusBadRequest {
		t.Errorf("no package of symbols: %s %s", r.Status, r.Body)
	}
	for range 2 {
		if r := push(t, s, formatstest.Admin, app+"v3/symbolpackage/", symbols); r.StatusCode != http.StatusCreated {
			t.Errorf("symbols: %s %s", r.Status, r.Body)
		}
	}
	if r := push(t, s, formatstest.Admin, app+"v3/symbolpackage/", nupkg(t, "Acme.Lib", "1.0.0", symbolsType)); r.StatusCode != http.StatusConflict {
		t.Errorf("other symbols: %s %s", r.Status, r.Body)
	}
	if r := s.Do(formatstest.Reader, "GET", app+"v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.snupkg", ""); r.Body != string(symbols) {
		t.Errorf("download: %s", r.Status)
	}
	v, err := s.Packages.VersionAssets(authn.WithCaller(t.Context(), s.Caller(formatstest.Admin)), formatstest.App, packages.PackageID{Format: packages.NuGet, Name: "acme.lib"}, "1.0.0")
	if err != nil || len(v.Assets) != 1 || v.Assets[0].Name != "acme.lib.1.0.0.nupkg" {
		t.Errorf("assets of the API: %+v, %v", v, err)
	}
}

func TestRegistration(t *testing.T) {
	s, app := start(t)
	about := `<tags>a b</tags><license type="expression">MIT</license><readme>r.md</readme><dependencies><group targetFramework="net8.0"><dependency id="Other.Lib" version="1.0" /></group></dependencies>`
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.10.0", about, "r.md", "# Acme"))
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.9.0", ""))
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "2.0.0-rc.1+build", ""))

	all := get(t, s, app+"v3/registration-semver2/acme.lib/index.json")
	page := at(t, all, "items", 0)
	if at(t, page, "lower") != "1.9.0" || at(t, page, "upper") != "2.0.0-rc.1" || at(t, page, "count") != 3.0 || at(t, page, "parent") != all["@id"] {
		t.Errorf("page %v", page)
	}
	if at(t, page, "items", 2, "catalogEntry", "version") != "2.0.0-rc.1+build" || !strings.HasSuffix(at(t, page, "items", 2, "packageContent").(string), "/2.0.0-rc.1/acme.lib.2.0.0-rc.1.nupkg") {
		t.Errorf("leaf %v", at(t, page, "items", 2))
	}
	entry := at(t, page, "items", 1, "catalogEntry")
	dep := at(t, entry, "dependencyGroups", 0, "dependencies", 0)
	if at(t, entry, "id") != "Acme.Lib" || at(t, entry, "listed") != true || at(t, entry, "licenseExpression") != "MIT" || at(t, entry, "dependencyGroups", 0, "targetFramework") != "net8.0" ||
		at(t, dep, "id") != "Other.Lib" || at(t, dep, "range") != "[1.0, )" || at(t, dep, "registration") != app+"v3/registration-semver2/other.lib/index.json" {
		t.Errorf("entry %v", entry)
	}
	if r := s.Do(formatstest.Reader, "GET", at(t, entry, "readmeUrl").(string), ""); r.Body != "# Acme" {
		t.Errorf("readme %q", r.Body)
	}
	// Older clients do not see what they cannot read.
	old := get(t, s, app+"v3/registration/acme.lib/index.json")
	if at(t, old, "items", 0, "upper") != "1.10.0" || at(t, old, "items", 0, "count") != 2.0 {
		t.Errorf("older clients: %v", old)
	}
	leaf := get(t, s, app+"v3/registration-semver2/acme.lib/1.9.0.json")
	if leaf["listed"] != true || leaf["registration"] != all["@id"] || leaf["@id"] != at(t, page, "items", 0, "@id") {
		t.Errorf("leaf %v", leaf)
	}
	for _, missing := range []string{"registration/acme.lib/2.0.0-rc.1.json", "registration/acme.lib/x.json", "registration/none/index.json", "registration/acme.lib/page/3.0.0/4.0.0.json", "registration/acme.lib/page/x/y.json"} {
		if r := s.Do(formatstest.Reader, "GET", app+"v3/"+missing, ""); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", missing, r.Status)
		}
	}
	r := s.Do(formatstest.Reader, "GET", app+"v3/registration-semver2/acme.lib/index.json", "", "Accept-Encoding: gzip")
	z, err := gzip.NewReader(strings.NewReader(r.Body))
	if err != nil || r.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("not compressed: %v", err)
	}
	if plain, _ := io.ReadAll(z); !json.Valid(plain) {
		t.Errorf("not JSON: %s", plain)
	}
}

// From 128 versions on, the index has the addresses of pages.
func TestRegistration_Pages(t *testing.T) {
	s, app := start(t)
	for i := range 128 {
		mustPush(t, s, app, nupkg(t, "Acme.Lib", fmt.Sprintf("1.%d.0", i), ""))
	}
	index := get(t, s, app+"v3/registration/acme.lib/index.json")
	if index["count"] != 2.0 {
		t.Fatalf("%v pages", index["count"])
	}
	seen := 0
	for _, page := range index["items"].([]any) {
		if at(t, page, "items") != nil || at(t, page, "count") != 64.0 {
			t.Errorf("page %v", page)
		}
		whole := get(t, s, at(t, page, "@id").(string))
		leaves := whole["items"].([]any)
		if whole["@id"] != at(t, page, "@id") || at(t, leaves[0], "catalogEntry", "version") != at(t, page, "lower") || at(t, leaves[len(leaves)-1], "catalogEntry", "version") != at(t, page, "upper") {
			t.Errorf("page %v", whole["@id"])
		}
		seen += len(leaves)
	}
	if seen != 128 {
		t.Errorf("%d versions on all pages", seen)
	}
}

func TestUnlist(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.0.0", ""))
	version, leaf := app+"v3/package/Acme.Lib/1.0", app+"v3/registration/acme.lib/1.0.0.json"
	status := func(method string, want int) {
		t.Helper()
		if r := s.Do(formatstest.Admin, method, version, ""); r.StatusCode != want {
			t.Errorf("%s: %s %s", method, r.Status, r.Body)
		}
	}
	search := func() any { return get(t, s, app+"v3/query?q=acme")["totalHits"] }
	status("DELETE", http.StatusNoContent)
	status("DELETE", http.StatusNoContent)
	if get(t, s, leaf)["listed"] != false || get(t, s, leaf)["published"] != "1900-01-01T00:00:00+00:00" || search() != 0.0 {
		t.Error("the version is still listed")
	}
	if r := s.Do(formatstest.Reader, "GET", app+"v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg", ""); r.StatusCode != http.StatusOK {
		t.Errorf("whoever has locked the version does not get it: %s", r.Status)
	}
	if got := fmt.Sprint(get(t, s, app+"v3/flatcontainer/acme.lib/index.json")["versions"]); got != "[1.0.0]" {
		t.Errorf("versions %s", got)
	}
	status("POST", http.StatusOK)
	if get(t, s, leaf)["listed"] != true || search() != 1.0 {
		t.Error("the version is not listed again")
	}
	ctx := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	id := packages.PackageID{Format: packages.NuGet, Name: "acme.lib"}
	if _, err := s.Packages.UpdateVersionsStatus(ctx, formatstest.App, id, packages.Selection{Versions: []string{"1.0.0"}}, packages.Archived); err != nil {
		t.Fatal(err)
	}
	status("DELETE", http.StatusConflict)
	status("POST", http.StatusConflict)
	for _, url := range []string{leaf, app + "v3/flatcontainer/acme.lib/index.json", app + "v3/registration/acme.lib/index.json", app + "v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg"} {
		if r := s.Do(formatstest.Reader, "GET", url, ""); r.StatusCode != http.StatusNotFound {
			t.Errorf("an archived version at %s: %s", url, r.Status)
		}
	}
	for _, missing := range []string{"acme.lib/9.0.0", "none/1.0.0", "acme.lib/x"} {
		if r := s.Do(formatstest.Admin, "DELETE", app+"v3/package/"+missing, ""); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", missing, r.Status)
		}
	}
	if r := s.Do(formatstest.Reader, "DELETE", version, ""); r.StatusCode != http.StatusForbidden {
		t.Errorf("a reader unlists: %s", r.Status)
	}
}

func TestSearch(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.0.0", ""))
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "2.0.0-beta", ""))
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "2.0.0-rc.1", ""))
	mustPush(t, s, app, nupkg(t, "Other.Acme.Lib", "1.0.0", "<tags>network</tags>"))
	mustPush(t, s, app, nupkg(t, "Only.Beta", "1.0.0-beta", ""))
	mustPush(t, s, app, nupkg(t, "Acme.Tool", "1.0.0", `<packageTypes><packageType name="DotnetTool" /></packageTypes>`))
	for query, want := range map[string]string{
		"":                                     "Acme.Lib 1.0.0, Acme.Tool 1.0.0, Other.Acme.Lib 1.0.0",
		"q=acme.lib":                           "Acme.Lib 1.0.0, Other.Acme.Lib 1.0.0",
		"q=LIB+network":                        "Other.Acme.Lib 1.0.0",
		"q=packageid:acme.lib":                 "Acme.Lib 1.0.0",
		"q=tags:network":                       "Other.Acme.Lib 1.0.0",
		"q=beta&prerelease=true":               "Only.Beta 1.0.0-beta",
		"q=packageid:acme.lib&prerelease=true": "Acme.Lib 2.0.0-beta",
		"q=packageid:acme.lib&prerelease=true&semVerLevel=2.0.0": "Acme.Lib 2.0.0-rc.1",
		"packageType=dotnettool":                                 "Acme.Tool 1.0.0",
		"skip=1&take=1":                                          "Acme.Tool 1.0.0",
		"q=nothing":                                              "",
	} {
		var got []string
		answer := get(t, s, app+"v3/query?"+query)
		for _, d := range answer["data"].([]any) {
			got = append(got, fmt.Sprint(at(t, d, "id"), " ", at(t, d, "version")))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	for query, want := range map[string]string{"q=acme": "[Acme.Lib Acme.Tool Other.Acme.Lib]", "id=acme.lib&prerelease=true": "[1.0.0 2.0.0-beta]", "id=none": "[]", "id=a/b": "[]"} {
		if got := fmt.Sprint(get(t, s, app+"v3/autocomplete?"+query)["data"]); got != want {
			t.Errorf("autocomplete %s: %s, want %s", query, got, want)
		}
	}
}

func TestUpstream(t *testing.T) {
	s, app := start(t)
	shared := s.Endpoint(formatstest.Shared, packages.NuGet)
	file := nupkg(t, "Acme.Lib", "1.0.0", "")
	mustPush(t, s, shared, file)
	if r := s.Do(formatstest.Reader, "GET", app+"v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg", ""); r.Body != string(file) {
		t.Fatalf("download: %s %s", r.Status, r.Body)
	}
	if got := at(t, get(t, s, app+"v3/registration/acme.lib/index.json"), "items", 0, "items", 0, "packageContent"); got != app+"v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg" {
		t.Errorf("the package is at %v", got)
	}
	if r := push(t, s, formatstest.Admin, app+"v3/package", nupkg(t, "Acme.Lib", "2.0.0", "")); r.StatusCode == http.StatusCreated {
		t.Error("a package from upstream takes a version that is pushed downstream")
	}
}

func TestVersion2(t *testing.T) {
	s, app := start(t)
	for _, path := range []string{"", "$metadata", "Packages()", "FindPackagesById()?id='x'", "api/v2/package", "Search()?q=x"} {
		r := s.Do(formatstest.Reader, "GET", app+path, "")
		if r.StatusCode != http.StatusBadRequest || !strings.Contains(r.Header.Get("X-NuGet-Warning"), app+"v3/index.json") {
			t.Errorf("%q: %s, warning %q", path, r.Status, r.Header.Get("X-NuGet-Warning"))
		}
	}
}

func TestWriteError_Warning(t *testing.T) {
	s, app := start(t)
	token := s.Token(formatstest.Reader, formatstest.Domain)
	s.Advance(13 * time.Hour)
	r := s.Do("", "GET", app+"v3/index.json", "", "Authorization: Bearer "+token)
	if r.StatusCode != http.StatusUnauthorized || !strings.Contains(r.Header.Get("X-NuGet-Warning"), "login --tool dotnet") {
		t.Errorf("expired: %s, warning %q", r.Status, r.Header.Get("X-NuGet-Warning"))
	}
	if r := s.Do("", "GET", app+"v3/index.json", ""); r.StatusCode != http.StatusUnauthorized || r.Header.Get("X-NuGet-Warning") != "" {
		t.Errorf("the first request of a client: %s, warning %q", r.Status, r.Header.Get("X-NuGet-Warning"))
	}
}

func TestDescription(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, nupkg(t, "Acme.Lib", "1.0.0", `<license type="expression">MIT</license><readme>r.md</readme><projectUrl>https://acme.example</projectUrl><repository url="https://git.example/a" /><dependencies><dependency id="Other" version="[1,2)" /></dependencies>`, "r.md", "# Acme"))
	ctx := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	_, d, err := s.Packages.DescribeVersion(ctx, formatstest.App, packages.PackageID{Format: packages.NuGet, Name: "ACME.Lib"}, "1.0.0.0")
	if err != nil || d.DisplayName != "Acme.Lib" || d.Summary != "A library" || d.HomePage != "https://acme.example" || d.SourceCodeRepository != "https://git.example/a" ||
		d.Licenses[0].Name != "MIT" || d.Readme != "# Acme" || d.Dependencies[0] != (packages.Dependency{Package: "other", VersionRequirement: "[1,2)"}) {
		t.Errorf("%+v, %v", d, err)
	}
}
