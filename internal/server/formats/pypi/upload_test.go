package pypi_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

// twine --skip-existing and uv know the words. Another file of the release is welcome.
func TestUpload_Again(t *testing.T) {
	s, app := start(t)
	want(t, 200, upload(t, s, formatstest.Admin, app, wheelForm(t, "p", "1.0", "one")))
	want(t, 409, upload(t, s, formatstest.Admin, app, wheelForm(t, "p", "1.0", "two")), "File already exists")
	other := wheelForm(t, "p", "1.0", "one")
	other.file = "p-1.0-cp312-cp312-any.whl"
	want(t, 200, upload(t, s, formatstest.Admin, app, other))
	if p := page(t, s.Do(formatstest.Reader, "GET", app+"simple/p/", "", jsonForm)); len(p.Files) != 2 {
		t.Errorf("%+v", p.Files)
	}
}

func TestUpload_Invalid(t *testing.T) {
	s, app := start(t)
	type change = func(*form)
	set := func(field, value string) change {
		return func(f *form) { f.fields = map[string]string{field: value} }
	}
	zeroes := strings.Repeat("0", 64)
	for what, c := range map[string]struct {
		change change
		status int
		text   string
	}{
		"another action":       {set(":action", "submit"), 400, "submit"},
		"no action":            {set(":action", "-"), 400, "action"},
		"another protocol":     {set("protocol_version", "2"), 400, "protocol"},
		"no name":              {set("name", "-"), 400, "name and version"},
		"another name":         {set("name", "other"), 400, "other"},
		"a bad name":           {set("name", "../p"), 400, "not the name of a project"},
		"another version":      {set("version", "2.0"), 400, "2.0"},
		"a bad version":        {set("version", "one"), 400, "PEP 440"},
		"another type":         {set("filetype", "sdist"), 400, "not accepted"},
		"an installer":         {set("filetype", "bdist_wininst"), 400, "not accepted"},
		"another MD5":          {set("md5_digest", zeroes[:32]), 400, "md5_digest"},
		"another SHA-256":      {set("sha256_digest", zeroes), 400, "sha256_digest"},
		"another BLAKE2":       {set("blake2_256_digest", zeroes), 400, "blake2_256_digest"},
		"a large field":        {set("description", strings.Repeat("x", 9<<20)), 413, "larger"},
		"no file":              {func(f *form) { f.file = "" }, 400, "content"},
		"a path for a name":    {func(f *form) { f.file = `..\p-1.0-py3-none-any.whl` }, 400, "file name"},
		"no wheel":             {func(f *form) { f.content = []byte("PK") }, 400, "not a distribution"},
		"a wheel without data": {func(f *form) { f.content = nil }, 400, "not a distribution"},
		"no metadata":          {func(f *form) { f.content = wheel(t, "p", "1.0", "", "") }, 400, "metadata"},
		"another's metadata":   {func(f *form) { f.content = wheel(t, "p", "1.0", metadata("other", "1.0"), "") }, 400, "other 1.0"},
		"a large file":         {func(f *form) { f.content = make([]byte, 1<<20+1) }, 413, "larger"},
	} {
		t.Run(what, func(t *testing.T) {
			f := wheelForm(t, "p", "1.0", "")
			c.change(&f)
			want(t, c.status, upload(t, s, formatstest.Admin, app, f), c.text)
			want(t, 404, s.Do(formatstest.Admin, "GET", app+"simple/p/", ""))
			if n := s.Objects(); n != 0 {
				t.Errorf("%d objects are left behind", n)
			}
		})
	}
	body, contentType := wheelForm(t, "p", "1.0", "").encode(t)
	want(t, 400, s.Do(formatstest.Admin, "POST", app, body[:len(body)-60], "Content-Type: "+contentType), "end")
	want(t, 400, s.Do(formatstest.Admin, "POST", app, body, "Content-Type: text/plain"), "multipart/form-data")
	want(t, 403, s.Do(formatstest.Reader, "POST", app, body, "Content-Type: "+contentType), "codeartifact:PublishPackageVersion")
	want(t, 405, s.Do(formatstest.Admin, "POST", app+"simple/", body, "Content-Type: "+contentType), "POST")
	if n := s.Objects(); n != 0 {
		t.Errorf("%d objects are left behind", n)
	}
}

// reordered is a form whose file comes before all fields, as setuptools sends it.
func reordered(t testing.TB, f form) (body, contentType string) {
	t.Helper()
	body, contentType = f.encode(t)
	_, boundary, _ := strings.Cut(contentType, "boundary=")
	parts := strings.Split(strings.TrimSuffix(body, "--"+boundary+"--\r\n"), "--"+boundary+"\r\n")[1:]
	slices.SortStableFunc(parts, func(a, b string) int {
		return strings.Index(b, `name="content"`) - strings.Index(a, `name="content"`)
	})
	if !strings.Contains(parts[0], `name="content"`) {
		t.Fatal(parts[0])
	}
	return "--" + boundary + "\r\n" + strings.Join(parts, "--"+boundary+"\r\n") + "--" + boundary + "--\r\n", contentType
}

func TestUpload_FileBeforeFields(t *testing.T) {
	s, app := start(t)
	sdist := form{name: "my-lib", version: "1.0-1", fileType: "sdist", file: "my-lib-1.0-1.tar.gz", content: sdistOf(t, "my-lib-1.0-1/setup.py", "")}
	for _, f := range []form{wheelForm(t, "p", "1.0", ""), sdist} {
		body, contentType := reordered(t, f)
		want(t, 403, s.Do(formatstest.Reader, "POST", app, body, "Content-Type: "+contentType), "codeartifact:PublishPackageVersion")
		if n := s.Objects(); f.name == "p" && n != 0 {
			t.Fatalf("%d objects are stored for a caller who may not publish", n)
		}
		want(t, 200, s.Do(formatstest.Publisher, "POST", app, body, "Content-Type: "+contentType), "published")
	}
	objects := s.Objects()
	for what, f := range map[string]form{
		"another project":   {name: "other", version: "1.0", fileType: "bdist_wheel", file: "p-1.0-py3-none-any.whl", content: wheelForm(t, "p", "1.0", "").content},
		"no version":        {name: "p", version: "-", fileType: "bdist_wheel", file: "p-1.0-py3-none-any.whl", content: wheelForm(t, "p", "1.0", "").content},
		"not a file's name": {name: "p", version: "1.0", fileType: "sdist", file: "p.tar.gz", content: []byte("x")},
	} {
		body, contentType := reordered(t, f)
		want(t, 400, s.Do(formatstest.Admin, "POST", app, body, "Content-Type: "+contentType))
		if n := s.Objects(); n != objects {
			t.Errorf("%s: %d objects are left behind", what, n-objects)
		}
	}
}

// Little is read of a form before the caller is known to be allowed to write.
func TestUpload_FieldsBeforeAuthorization(t *testing.T) {
	s, app := start(t)
	const boundary = "b"
	field := func(name string, size int) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + strings.Repeat("x", size) + "\r\n"
	}
	contentType := "Content-Type: multipart/form-data; boundary=" + boundary
	want(t, 413, s.Do(formatstest.Admin, "POST", app, field("description", 2<<20), contentType), "Send name first")
	want(t, 403, s.Do(formatstest.Reader, "POST", app, field("name", 1)+field("description", 2<<20), contentType), "codeartifact:PublishPackageVersion")
	want(t, 400, s.Do(formatstest.Admin, "POST", app, field("name", 1)+field("description", 2<<20)+"--b--\r\n", contentType), "action")
}

// A wheel that installers cannot read is refused, whatever is wrong with it.
func TestUpload_UnreadableWheel(t *testing.T) {
	s, app := start(t)
	whole := wheel(t, "p", "1.0", metadata("p", "1.0"), "")
	offset := bytes.Clone(whole)
	end := bytes.LastIndex(offset, []byte("PK\x05\x06"))
	binary.LittleEndian.PutUint32(offset[end+16:], 5<<20)
	otherFolder := wheel(t, "other", "1.0", metadata("p", "1.0"), "")
	for what, c := range map[string]struct {
		content []byte
		text    string
	}{
		"a wrong offset of the directory": {offset, "not a distribution"},
		"half of it":                      {whole[:len(whole)/2], "not a distribution"},
		"metadata in Latin-1":             {wheel(t, "p", "1.0", "Metadata-Version: 2.1\nName: p\nVersion: 1.0\nAuthor: J\xfcrgen\n\n", ""), "UTF-8"},
		"a later major version":           {wheel(t, "p", "1.0", "Metadata-Version: 9.9\nName: p\nVersion: 1.0\n\n", ""), "9.9"},
		"no metadata version":             {wheel(t, "p", "1.0", "Name: p\nVersion: 1.0\n\n", ""), "Metadata-Version"},
		"metadata of another project":     {otherFolder, "other-1.0.dist-info"},
	} {
		f := wheelForm(t, "p", "1.0", "")
		f.content = c.content
		r := upload(t, s, formatstest.Admin, app, f)
		if r.StatusCode != 400 || !strings.Contains(r.Body, c.text) {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.Body)
		}
		if n := s.Objects(); n != 0 {
			t.Errorf("%s: %d objects are left behind", what, n)
		}
	}
}

func TestUpload_Digests(t *testing.T) {
	s, app := start(t)
	f := wheelForm(t, "p", "1.0", "")
	m, sha, blake := md5.Sum(f.content), sha256.Sum256(f.content), blake2b.Sum256(f.content)
	f.fields = map[string]string{
		"md5_digest": hex.EncodeToString(m[:]), "sha256_digest": strings.ToUpper(hex.EncodeToString(sha[:])), "blake2_256_digest": hex.EncodeToString(blake[:]),
		"attestations": "[]",
	}
	want(t, 200, upload(t, s, formatstest.Admin, app, f), "attestations was ignored")
}

func FuzzUploadForm(f *testing.F) {
	body, contentType := wheelForm(f, "p", "1.0", "").encode(f)
	f.Add(body, contentType)
	f.Add("--b\r\n\r\n\r\n--b--", "multipart/form-data; boundary=b")
	s, app := start(f)
	token := s.Token(formatstest.Admin, formatstest.Domain)
	f.Fuzz(func(t *testing.T, body, contentType string) {
		r := httptest.NewRequest("POST", app, strings.NewReader(body))
		r.Header.Set("Authorization", token)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("bytes from outside are not a failure of the server: %d %s", w.Code, w.Body)
		}
	})
}
