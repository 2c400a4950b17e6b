package pypi_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func start(t testing.TB) (s *formatstest.Server, app string) {
	t.Helper()
	s = formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.PyPI: pypi.New(formats.ProtocolConfig{Packages: p, MaxAsset: 1 << 20})}
	})
	return s, s.Endpoint(formatstest.App, packages.PyPI)
}

const jsonForm = "Accept: application/vnd.pypi.simple.v1+json"

func metadata(name, version string) string {
	return fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nRequires-Python: >=3.8,<4\nRequires-Dist: six\n\n# %s\n", name, version, name)
}

// wheel returns a wheel with the METADATA and some content.
func wheel(t testing.TB, name, version, metadata, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, file := range []struct{ name, text string }{{name + "/__init__.py", content}, {name + "-" + version + ".dist-info/METADATA", metadata}} {
		w, err := z.Create(file.name)
		if err == nil {
			_, err = w.Write([]byte(file.text))
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

// sdistOf returns a .tar.gz of one file.
func sdistOf(t testing.TB, file, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	w := tar.NewWriter(g)
	err := w.WriteHeader(&tar.Header{Name: file, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))})
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err = errors.Join(err, w.Close(), g.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A form is an upload as twine sends it. A field with the value "-" is left out.
type form struct {
	name, version, fileType, file string
	content                       []byte
	fields                        map[string]string
}

func (f form) encode(t testing.TB) (body, contentType string) {
	t.Helper()
	fields := map[string]string{
		":action": "file_upload", "protocol_version": "1", "metadata_version": "2.1", "name": f.name, "version": f.version, "filetype": f.fileType,
		"pyversion": "py3", "summary": "", "requires_python": ">=3.8,<4",
	}
	for k, v := range f.fields {
		fields[k] = v
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for k, v := range fields {
		if v == "-" {
			continue
		}
		if err := w.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	if f.file != "" {
		p, err := w.CreateFormFile("content", f.file)
		if err == nil {
			_, err = p.Write(f.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func upload(t testing.TB, s *formatstest.Server, u formatstest.User, endpoint string, f form) formatstest.Response {
	t.Helper()
	body, contentType := f.encode(t)
	return s.Do(u, "POST", endpoint, body, "Content-Type: "+contentType)
}

// want fails the test unless the response has the status and contains the texts.
func want(t testing.TB, status int, r formatstest.Response, texts ...string) formatstest.Response {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d: %.300s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.Body)
	}
	for _, text := range texts {
		if !strings.Contains(r.Body, text) {
			t.Fatalf("%s %s: %q is not in %.800s", r.Request.Method, r.Request.URL, text, r.Body)
		}
	}
	return r
}

func wheelForm(t testing.TB, name, version, content string) form {
	escaped := strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(name))
	return form{
		name: name, version: version, fileType: "bdist_wheel", file: escaped + "-" + version + "-py3-none-any.whl",
		content: wheel(t, escaped, version, metadata(name, version), content),
	}
}

type simplePage struct {
	Meta struct {
		APIVersion string `json:"api-version"`
	}
	Name     string
	Versions []string
	Files    []struct {
		Filename       string
		URL            string
		Hashes         map[string]string
		RequiresPython string `json:"requires-python"`
		CoreMetadata   any    `json:"core-metadata"`
		Size           int64
		UploadTime     time.Time `json:"upload-time"`
		Yanked         any
	}
}

func page(t testing.TB, r formatstest.Response) (p simplePage) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Fatalf("%d %s: %v", r.StatusCode, r.Body, err)
	}
	return p
}

func TestUpload_ReadBack(t *testing.T) {
	s, app := start(t)
	whl := wheelForm(t, "My.Project", "1.0", "one")
	want(t, 200, upload(t, s, formatstest.Admin, app, whl))
	sdist := form{name: "My.Project", version: "1.0", fileType: "sdist", file: "my_project-1.0.tar.gz", content: sdistOf(t, "my_project-1.0/PKG-INFO", "Metadata-Version: 2.2\nName: my-project\nVersion: 1.0\n")}
	want(t, 200, upload(t, s, formatstest.Publisher, app+"legacy/", sdist))

	address := app + "simple/my-project/"
	p := page(t, want(t, 200, s.Do(formatstest.Reader, "GET", address, "", jsonForm)))
	if p.Meta.APIVersion != "1.4" || p.Name != "my-project" || len(p.Versions) != 1 || p.Versions[0] != "1.0" || len(p.Files) != 2 {
		t.Fatalf("%+v", p)
	}
	for i, f := range []form{whl, sdist} {
		got := p.Files[i]
		sum := sha256.Sum256(f.content)
		if got.Filename != f.file || got.Hashes["sha256"] != hex.EncodeToString(sum[:]) || got.Size != int64(len(f.content)) || got.Yanked != false {
			t.Errorf("%+v", got)
		}
		if age := s.Now().Sub(got.UploadTime); age < 0 || age > time.Minute {
			t.Errorf("uploaded %s ago", age)
		}
		if r := want(t, 200, s.Do(formatstest.Reader, "GET", address+got.URL, "")); r.Body != string(f.content) {
			t.Errorf("%s has other bytes", f.file)
		}
		about := want(t, 200, s.Do(formatstest.Reader, "GET", address+got.URL+".metadata", "", "Accept-Encoding: identity"), "Version: 1.0")
		sum = sha256.Sum256([]byte(about.Body))
		if m, _ := got.CoreMetadata.(map[string]any); m["sha256"] != hex.EncodeToString(sum[:]) {
			t.Errorf("core-metadata is %v", got.CoreMetadata)
		}
	}
	if p.Files[0].RequiresPython != ">=3.8,<4" || p.Files[1].RequiresPython != "" {
		t.Errorf("requires-python is that of the form, not of the file: %+v", p.Files)
	}
	want(t, 206, s.Do(formatstest.Reader, "GET", address+p.Files[0].URL, "", "Range: bytes=0-1"), "PK")

	html := want(t, 200, s.Do(formatstest.Reader, "GET", address, ""),
		`<a href="1.0/my_project-1.0-py3-none-any.whl#sha256=`, `data-requires-python="&gt;=3.8,&lt;4"`, `data-core-metadata="sha256=`, `content="1.4"`)
	if ct := html.Header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
		t.Error(ct)
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/", ""), `<a href="my-project/">my-project</a>`)
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/", "", jsonForm), `"projects":[{"name":"my-project"}]`)
	want(t, 304, s.Do(formatstest.Reader, "GET", address, "", "If-None-Match: "+html.Header.Get("ETag")))
}

func TestDetail_MediaTypes(t *testing.T) {
	s, app := start(t)
	want(t, 200, upload(t, s, formatstest.Admin, app, wheelForm(t, "p", "1.0", "")))
	for accept, contentType := range map[string]string{
		"application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01": "application/vnd.pypi.simple.v1+json",
		"application/vnd.pypi.simple.latest+json":                                                            "application/vnd.pypi.simple.v1+json",
		"application/vnd.pypi.simple.latest+html":                                                            "application/vnd.pypi.simple.v1+html",
		"application/vnd.pypi.simple.v1+html":                                                                "application/vnd.pypi.simple.v1+html",
		"text/html, application/xhtml+xml;q=0.9":                                                             "text/html; charset=utf-8",
		"*/*":                                                                                                "text/html; charset=utf-8",
		"application/vnd.pypi.simple.v1+json;q=.5":                                                           "application/vnd.pypi.simple.v1+json",
	} {
		r := want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/p/", "", "Accept: "+accept))
		if got := r.Header.Get("Content-Type"); got != contentType {
			t.Errorf("Accept %s: %s", accept, got)
		}
		if !strings.Contains(r.Header.Get("Vary"), "Accept") {
			t.Errorf("Vary: %s", r.Header.Get("Vary"))
		}
	}
}

func TestDetail_Redirect(t *testing.T) {
	s, app := start(t)
	want(t, 200, upload(t, s, formatstest.Admin, app, wheelForm(t, "My.Project", "1.0", "")))
	for _, spelling := range []string{"My.Project/", "my_project/", "MY--PROJECT/", "my-project", "My.Project"} {
		r := want(t, 301, s.Do(formatstest.Reader, "GET", app+"simple/"+spelling, ""))
		if to := r.Header.Get("Location"); to != app+"simple/my-project/" {
			t.Errorf("%s: to %s", spelling, to)
		}
	}
	index := want(t, http.StatusMovedPermanently, s.Do(formatstest.Reader, "GET", app+"simple", ""))
	if to := index.Header.Get("Location"); to != app+"simple/" {
		t.Errorf("simple: to %s", to)
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/My_Project/1.0/my_project-1.0-py3-none-any.whl", ""))
}

// pip 22.3 to 23.1.2 fail on the older key (PEP 714).
func TestDetail_CoreMetadataKeys(t *testing.T) {
	s, app := start(t)
	want(t, 200, upload(t, s, formatstest.Admin, app, wheelForm(t, "p", "1.0", "")))
	r := want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/p/", "", jsonForm), `"core-metadata":{"sha256":"`)
	if strings.Contains(r.Body, "dist-info-metadata") {
		t.Error(r.Body)
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/p/", ""), `data-core-metadata="sha256=`, `data-dist-info-metadata="sha256=`)
}

func TestDetail_NotAcceptable(t *testing.T) {
	s, app := start(t)
	want(t, 200, upload(t, s, formatstest.Admin, app, wheelForm(t, "p", "1.0", "")))
	for _, path := range []string{"simple/", "simple/p/"} {
		for accept, status := range map[string]int{
			"application/json": 406, "image/png": 406, "application/vnd.pypi.simple.v2+json": 406, "text/html;q=0": 406,
			"text/*": 200, "application/vnd.pypi.simple.latest+json": 200, "application/json, */*;q=0.1": 200,
		} {
			want(t, status, s.Do(formatstest.Reader, "GET", app+path, "", "Accept: "+accept))
		}
	}
	want(t, 403, s.Do(formatstest.Publisher, "GET", app+"simple/p/", "", "Accept: image/png"))
}

func TestDetail_Yanked(t *testing.T) {
	s, app := start(t)
	want(t, 200, upload(t, s, formatstest.Admin, app, wheelForm(t, "p", "1.0", "")))
	want(t, 200, upload(t, s, formatstest.Admin, app, wheelForm(t, "p", "1.1", "")))
	edit := func(action string) form {
		return form{name: "P", version: "1.0", fields: map[string]string{":action": action, "filetype": "-", "reason": `it "broke"`}}
	}
	want(t, 403, upload(t, s, formatstest.Reader, app, edit("yank")))
	long := edit("yank")
	long.fields["reason"] = strings.Repeat("x", 1001)
	want(t, 400, upload(t, s, formatstest.Admin, app, long), "reason")
	want(t, 404, upload(t, s, formatstest.Admin, app, form{name: "p", version: "9", fields: map[string]string{":action": "yank"}}))
	want(t, 200, upload(t, s, formatstest.Admin, app, edit("yank")), "yanked")
	// Another file of the release does not take the mark away.
	second := wheelForm(t, "p", "1.0", "")
	second.file = "p-1.0-cp312-cp312-any.whl"
	want(t, 200, upload(t, s, formatstest.Admin, app, second))
	p := page(t, s.Do(formatstest.Reader, "GET", app+"simple/p/", "", jsonForm))
	for _, f := range p.Files {
		if yanked := strings.Contains(f.Filename, "1.0"); yanked != (f.Yanked == `it "broke"`) || !yanked && f.Yanked != false {
			t.Errorf("%s: %v", f.Filename, f.Yanked)
		}
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/p/", ""), `data-yanked="it &#34;broke&#34;"`)
	want(t, 200, upload(t, s, formatstest.Admin, app, edit("unyank")), "not yanked")
	for _, f := range page(t, s.Do(formatstest.Reader, "GET", app+"simple/p/", "", jsonForm)).Files {
		if f.Yanked != false {
			t.Errorf("%s: %v", f.Filename, f.Yanked)
		}
	}
}

// An Unlisted version is on the page, so that whoever pinned it can install it, and yanked,
// so that installers do not choose it.
func TestDetail_Unlisted(t *testing.T) {
	s, app := start(t)
	for _, version := range []string{"1.0", "1.1"} {
		want(t, 200, upload(t, s, formatstest.Admin, app, wheelForm(t, "p", version, "")))
	}
	set := func(target packages.Status, version string) {
		t.Helper()
		_, err := s.Packages.UpdateVersionsStatus(authn.WithCaller(t.Context(), s.Caller(formatstest.Admin)), formatstest.App,
			packages.PackageID{Format: packages.PyPI, Name: "p"}, packages.Selection{Versions: []string{version}}, target)
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(versions string, yanked any) {
		t.Helper()
		p := page(t, s.Do(formatstest.Reader, "GET", app+"simple/p/", "", jsonForm))
		if got := strings.Join(p.Versions, " "); got != versions {
			t.Errorf("the versions are %s, want %s", got, versions)
		}
		for _, f := range p.Files {
			if strings.Contains(f.Filename, "1.0") && f.Yanked != yanked || strings.Contains(f.Filename, "1.1") && f.Yanked != false {
				t.Errorf("%s: yanked is %v, want %v", f.Filename, f.Yanked, yanked)
			}
		}
	}
	set(packages.Unlisted, "1.0")
	check("1.0 1.1", "unlisted in this repository")
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/p/", ""), `data-yanked="unlisted in this repository"`)
	set(packages.Archived, "1.0")
	check("1.1", nil)
	set(packages.Published, "1.0")
	check("1.0 1.1", false)
}

// What an upstream says about a project and its files is passed on (PEP 740, 792).
func TestDetail_OfUpstream(t *testing.T) {
	s, app := start(t)
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	id := packages.PackageID{Format: packages.PyPI, Name: "p"}
	content, err := s.Packages.Stage(admin, formatstest.App, id, strings.NewReader("sdist"), 100)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Packages.Publish(admin, packages.Publication{
		Repository: formatstest.App, Package: id, Version: "1.0", Attributes: json.RawMessage(`{"project_status":{"status":"archived","reason":"use <b> instead"}}`),
		Assets: []packages.StagedAsset{{Name: "p-1.0.tar.gz", Content: content, Metadata: json.RawMessage(`{"provenance":"https://index.example/p?a&b"}`)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/p/", "", jsonForm),
		`"project-status":{"status":"archived","reason":"use \u003cb\u003e instead"}`, `"provenance":"https://index.example/p?a\u0026b"`)
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/p/", ""),
		`<meta name="pypi:project-status" content="archived">`, `<meta name="pypi:project-status-reason" content="use &lt;b&gt; instead">`,
		`data-provenance="https://index.example/p?a&amp;b"`)
}

// The message of a 401 names the tool that sent the request.
func TestAuth_LoginTool(t *testing.T) {
	s, app := start(t)
	want(t, http.StatusUnauthorized, s.Do("", "GET", app+"simple/p/", ""), "--tool pip")
	want(t, http.StatusUnauthorized, s.Do("", "POST", app, ""), "--tool twine")
}
