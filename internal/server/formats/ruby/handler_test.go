package ruby_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/deflatetest"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func start(t testing.TB) (s *formatstest.Server, app string) {
	t.Helper()
	s = formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.Ruby: ruby.New(formats.ProtocolConfig{Packages: p, MaxAsset: 1 << 20})}
	})
	return s, s.Endpoint(formatstest.App, packages.Ruby)
}

// gem returns a gem with a specification, to which more is added, and content.
func gem(t testing.TB, name, version, more, content string) string {
	t.Helper()
	spec := fmt.Sprintf("--- !ruby/object:Gem::Specification\nname: %s\nversion: !ruby/object:Gem::Version\n  version: %s\nsummary: a gem\nauthors: [Ann]\n%s", name, version, more)
	return gemOf(t, "metadata.gz", gzipped(t, spec), "data.tar.gz", gzipped(t, content))
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := deflatetest.NewGzip(&b)
	_, err := io.WriteString(z, text)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// gemOf returns a tar of files, which are pairs of name and content.
func gemOf(t testing.TB, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for ; len(files) > 0; files = files[2:] {
		err := w.WriteHeader(&tar.Header{Name: files[0], Mode: 0o444, Size: int64(len(files[1])), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.WriteString(w, files[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const dependsOn = `dependencies:
- !ruby/object:Gem::Dependency
  name: %s
  requirement: !ruby/object:Gem::Requirement
    requirements:
    - - ">="
      - !ruby/object:Gem::Version
        version: '1.0'
    - - "<"
      - !ruby/object:Gem::Version
        version: '3'
  type: :%s
`

func push(t testing.TB, s *formatstest.Server, u formatstest.User, endpoint, file string) formatstest.Response {
	t.Helper()
	return s.Do(u, "POST", endpoint+"api/v1/gems", file, "Content-Type: application/octet-stream")
}

func mustPush(t testing.TB, s *formatstest.Server, endpoint, file string) {
	t.Helper()
	if r := push(t, s, formatstest.Admin, endpoint, file); r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Body, "Successfully registered gem: ") {
		t.Fatalf("push: %s %s", r.Status, r.Body)
	}
}

// read returns a body.
func read(t testing.TB, s *formatstest.Server, url string) string {
	t.Helper()
	r := s.Do(formatstest.Reader, "GET", url, "")
	if r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", url, r.Status, r.Body)
	}
	return r.Body
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func TestCompactIndex(t *testing.T) {
	s, app := start(t)
	one := gem(t, "acme_gem", "1.10.0", fmt.Sprintf(dependsOn, "acme_dep", "runtime")+"required_ruby_version: !ruby/object:Gem::Requirement\n  requirements:\n  - - '>='\n    - version: '2.5'\n", "one")
	java := gem(t, "acme_gem", "1.10.0", "platform: java\n", "java")
	older := gem(t, "acme_gem", "1.9.0", fmt.Sprintf(dependsOn, "rake", "development"), "older")
	for _, g := range []string{one, java, older, gem(t, "other", "2.0.pre", "", "other")} {
		mustPush(t, s, app, g)
	}
	info := read(t, s, app+"info/acme_gem")
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(info), "\n") {
		line, _, _ = strings.Cut(line, ",created_at:")
		lines = append(lines, line)
	}
	want := []string{
		"---", "1.9.0 |checksum:" + sum(older), "1.10.0-java |checksum:" + sum(java), "1.10.0 acme_dep:>= 1.0&< 3|checksum:" + sum(one) + ",ruby:>= 2.5",
	}
	if fmt.Sprintf("%q", lines) != fmt.Sprintf("%q", want) {
		t.Errorf("info\n%q, want\n%q", lines, want)
	}
	digest := md5.Sum([]byte(info))
	versions := read(t, s, app+"versions")
	if !strings.Contains(versions, "\n---\nacme_gem 1.9.0,1.10.0-java,1.10.0 "+hex.EncodeToString(digest[:])+"\nother 2.0.pre ") {
		t.Errorf("versions %q", versions)
	}
	if names := read(t, s, app+"names"); names != "---\nacme_gem\nother\n" {
		t.Errorf("names %q", names)
	}
	if r := s.Do(formatstest.Reader, "GET", app+"info/none", ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("a gem that is not there: %s", r.Status)
	}
	for _, path := range []string{"", "versions"} { // gem asks by HEAD
		if r := s.Do(formatstest.Reader, "HEAD", app+path, ""); r.StatusCode != http.StatusOK {
			t.Errorf("HEAD /%s: %s", path, r.Status)
		}
	}
}

// Bundler before 2.5 takes the ETag for the MD5 of the body, compressed or not.
func TestCompactIndex_ETagIsMD5(t *testing.T) {
	s, app := start(t)
	for i := range 30 {
		mustPush(t, s, app, gem(t, "acme_gem", fmt.Sprintf("1.%d", i), "", "one"))
	}
	for _, path := range []string{"versions", "info/acme_gem", "names"} {
		r := s.Do(formatstest.Reader, "GET", app+path, "", "Accept-Encoding: identity")
		digest := md5.Sum([]byte(r.Body))
		etag := `"` + hex.EncodeToString(digest[:]) + `"`
		if got := r.Header.Get("ETag"); got != etag {
			t.Errorf("%s: ETag %s, want %s", path, got, etag)
		}
		r = s.Do(formatstest.Reader, "GET", app+path, "", "Accept-Encoding: gzip")
		if got := r.Header.Get("ETag"); got != etag {
			t.Errorf("%s compressed: ETag %s, want %s", path, got, etag)
		}
		// What Bundler asks for when it has the document, and when it has another.
		r = s.Do(formatstest.Reader, "GET", app+path, "", "If-None-Match: "+etag, "Range: bytes=10-")
		if r.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %s", path, r.Status)
		}
		r = s.Do(formatstest.Reader, "GET", app+path, "", `If-None-Match: "0123"`, "Range: bytes=10-", "Accept-Encoding: identity")
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s after a change: %s", path, r.Status)
		}
	}
}

func TestMarshalFiles(t *testing.T) {
	s, app := start(t)
	file := gem(t, "acme-2-gem", "1.0.0", "platform: x86_64-linux\n", "one")
	mustPush(t, s, app, file)
	mustPush(t, s, app, gem(t, "acme-2-gem", "0.9", "platform: x86_64-linux\n", "old"))
	mustPush(t, s, app, gem(t, "acme-2-gem", "2.0.beta1", "", "beta"))
	unzip := func(path string) string {
		z, err := gzip.NewReader(strings.NewReader(read(t, s, app+path)))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(z)
		return string(b)
	}
	for path, want := range map[string][]bool{"specs.4.8.gz": {true, true, false}, "latest_specs.4.8.gz": {true, false, false}, "prerelease_specs.4.8.gz": {false, false, true}} {
		text := unzip(path)
		for i, version := range []string{"1.0.0", "0.9", "2.0.beta1"} {
			if strings.Contains(text, version) != want[i] {
				t.Errorf("%s has %s: %v", path, version, !want[i])
			}
		}
	}
	z, err := zlib.NewReader(strings.NewReader(read(t, s, app+"quick/Marshal.4.8/acme-2-gem-1.0.0-x86_64-linux.gemspec.rz")))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(z); !bytes.HasPrefix(b, []byte("\x04\bu:\x17Gem::Specification")) || !bytes.Contains(b, []byte("x86_64-linux")) {
		t.Errorf("specification %q", b)
	}
	if got := read(t, s, app+"gems/acme-2-gem-1.0.0-x86_64-linux.gem"); got != file {
		t.Errorf("the gem has %d bytes", len(got))
	}
	for _, path := range []string{"gems/acme-2-gem-1.0.0.gem", "gems/acme-2-gem-9.0.gem", "gems/acme.gem", "quick/Marshal.4.8/none-1.0.gemspec.rz", "gems/" + strings.Repeat("1-", 100) + "1.gem", "specs.4.9.gz"} {
		if r := s.Do(formatstest.Reader, "GET", app+path, ""); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

func TestDependencyAPI(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, gem(t, "acme_gem", "1.0.0", fmt.Sprintf(dependsOn, "acme_dep", "runtime"), "one"))
	if r := s.Do(formatstest.Reader, "GET", app+"api/v1/dependencies", ""); r.StatusCode != http.StatusOK || r.Body != "" {
		t.Errorf("without a query: %s %q", r.Status, r.Body)
	}
	text := read(t, s, app+"api/v1/dependencies?gems=acme_gem,none,a/b")
	for _, want := range []string{"\x04\b[\x06{\x09:\tname", "acme_gem", "acme_dep", ">= 1.0, < 3"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not contain %q", text, want)
		}
	}
	if got := read(t, s, app+"api/v1/dependencies?gems=none"); got != "\x04\b[\x00" {
		t.Errorf("nothing is %q", got)
	}
	if r := s.Do(formatstest.Reader, "GET", app+"api/v1/dependencies?gems="+numbers(301), ""); r.StatusCode != http.StatusBadRequest {
		t.Errorf("too many: %s", r.Status)
	}
}

// numbers returns names that are numbers, with commas between them.
func numbers(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return strings.Join(all, ",")
}

// A gem that is asked for often is answered once.
func TestDependencyAPI_Repeated(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, gem(t, "acme_gem", "1.0.0", "", "one"))
	once, often := read(t, s, app+"api/v1/dependencies?gems=acme_gem"), read(t, s, app+"api/v1/dependencies?gems="+strings.Repeat("acme_gem,", 300))
	if once != often {
		t.Errorf("%d bytes for one name, %d for the same name 300 times", len(once), len(often))
	}
}

// The name of a gem's file does not say where the name of the gem ends. Who may publish
// another gem must not replace the file of this one.
func TestPush_SameFileName(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, gem(t, "acme", "1.0.0", "platform: arm64-darwin-22\n", "one"))
	before := read(t, s, app+"gems/acme-1.0.0-arm64-darwin-22.gem")
	if r := push(t, s, formatstest.Admin, app, gem(t, "acme-1.0.0-arm64-darwin", "22", "", "evil")); r.StatusCode != http.StatusConflict {
		t.Errorf("a gem whose file has the same name: %s %s", r.Status, r.Body)
	}
	if after := read(t, s, app+"gems/acme-1.0.0-arm64-darwin-22.gem"); after != before {
		t.Error("another gem took the place of acme 1.0.0")
	}
	mustPush(t, s, app, gem(t, "acme", "1.0.0", "platform: arm64-darwin-23\n", "two"))
}

func TestPush_Again(t *testing.T) {
	s, app := start(t)
	file := gem(t, "acme_gem", "1.0.0", "", "one")
	mustPush(t, s, app, file)
	mustPush(t, s, app, file)
	r := push(t, s, formatstest.Admin, app, gem(t, "acme_gem", "1.0.0", "", "other"))
	if r.StatusCode != http.StatusConflict || !strings.HasPrefix(r.Body, "acme_gem-1.0.0.gem exists already") || strings.Count(r.Body, "\n") != 1 {
		t.Errorf("other bytes: %s %q", r.Status, r.Body)
	}
	mustPush(t, s, app, gem(t, "acme_gem", "1.0.0", "platform: java\n", "java"))
	if n := s.Objects(); n != 2 {
		t.Errorf("%d objects are left", n)
	}
}

func TestPush_Refused(t *testing.T) {
	s, app := start(t)
	spec := gzipped(t, "name: a\nversion: 1.0\n")
	many := []string{}
	for range 65 {
		many = append(many, "x", "")
	}
	for name, c := range map[string]struct {
		user   formatstest.User
		file   string
		status int
	}{
		"not a gem":        {formatstest.Admin, "hello", http.StatusBadRequest},
		"empty":            {formatstest.Admin, "", http.StatusBadRequest},
		"no metadata":      {formatstest.Admin, gemOf(t, "data.tar.gz", ""), http.StatusBadRequest},
		"no data":          {formatstest.Admin, gemOf(t, "metadata.gz", spec), http.StatusBadRequest},
		"not gzip":         {formatstest.Admin, gemOf(t, "metadata.gz", "name: a", "data.tar.gz", ""), http.StatusBadRequest},
		"bomb":             {formatstest.Admin, gemOf(t, "metadata.gz", gzipped(t, strings.Repeat(" ", 200<<20)), "data.tar.gz", ""), http.StatusBadRequest},
		"many files":       {formatstest.Admin, gemOf(t, many...), http.StatusBadRequest},
		"name of a path":   {formatstest.Admin, gem(t, "../a", "1.0", "", ""), http.StatusBadRequest},
		"cut off":          {formatstest.Admin, gem(t, "a", "1.0", "", "")[:700], http.StatusBadRequest},
		"too large":        {formatstest.Admin, gem(t, "a", "1.0", "", "") + strings.Repeat("x", 1<<20), http.StatusRequestEntityTooLarge},
		"without password": {"", gem(t, "a", "1.0", "", ""), http.StatusUnauthorized},
		"a reader":         {formatstest.Reader, gem(t, "a", "1.0", "", ""), http.StatusForbidden},
	} {
		r := push(t, s, c.user, app, c.file)
		if r.StatusCode != c.status || strings.Count(r.Body, "\n") != 1 {
			t.Errorf("%s: %s %q", name, r.Status, r.Body)
		}
	}
	if n := s.Objects(); n != 0 {
		t.Errorf("%d objects are left of what was refused", n)
	}
}

func TestYank(t *testing.T) {
	s, app := start(t)
	file := gem(t, "acme_gem", "1.0.0", "", "one")
	mustPush(t, s, app, file)
	mustPush(t, s, app, gem(t, "acme_gem", "1.1.0", "platform: java\n", "java"))
	mustPush(t, s, app, gem(t, "acme_gem", "1.1.0", "", "ruby"))
	yank := func(u formatstest.User, form string) formatstest.Response {
		return s.Do(u, "DELETE", app+"api/v1/gems/yank", form, "Content-Type: application/x-www-form-urlencoded")
	}
	for form, status := range map[string]int{
		"gem_name=acme_gem": http.StatusBadRequest, "gem_name=a%2Fb&version=1": http.StatusBadRequest, "gem_name=acme_gem&version=9.0": http.StatusNotFound, "gem_name=none&version=1.0": http.StatusNotFound,
		"gem_name=acme_gem&version=1.1.0&platform=java": http.StatusConflict, "gem_name=acme_gem&version=1.1.0&platform=mswin": http.StatusNotFound, strings.Repeat("x", 20<<10): http.StatusBadRequest,
	} {
		if r := yank(formatstest.Admin, form); r.StatusCode != status || strings.Count(r.Body, "\n") != 1 {
			t.Errorf("%.60s: %s %q", form, r.Status, r.Body)
		}
	}
	if r := yank(formatstest.Reader, "gem_name=acme_gem&version=1.0.0"); r.StatusCode != http.StatusForbidden {
		t.Errorf("a reader: %s", r.Status)
	}
	if r := yank(formatstest.Admin, "gem_name=acme_gem&version=1.0.0&platform=ruby"); r.StatusCode != http.StatusOK {
		t.Fatalf("yank: %s %q", r.Status, r.Body)
	}
	if r := yank(formatstest.Admin, "gem_name=acme_gem&version=1.0.0"); r.StatusCode != http.StatusConflict {
		t.Errorf("again: %s %q", r.Status, r.Body)
	}
	if strings.Contains(read(t, s, app+"versions"), "1.0.0") || strings.Contains(read(t, s, app+"info/acme_gem"), "\n1.0.0") {
		t.Error("the version is still listed")
	}
	if got := read(t, s, app+"gems/acme_gem-1.0.0.gem"); got != file {
		t.Error("whoever has locked the version does not get it")
	}
}

func TestUpstream(t *testing.T) {
	s, app := start(t)
	file := gem(t, "acme_gem", "1.0.0", "", "one")
	mustPush(t, s, s.Endpoint(formatstest.Shared, packages.Ruby), file)
	if !strings.Contains(read(t, s, app+"versions"), "acme_gem 1.0.0 ") || read(t, s, app+"gems/acme_gem-1.0.0.gem") != file {
		t.Error("the gem is not served from upstream")
	}
}

func TestDescription(t *testing.T) {
	s, app := start(t)
	mustPush(t, s, app, gem(t, "acme_gem", "1.0.0", "homepage: https://acme.example\nlicenses: [MIT]\nmetadata:\n  source_code_uri: https://git.example/a\n"+fmt.Sprintf(dependsOn, "rake", "development"), "one"))
	ctx := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	_, d, err := s.Packages.DescribeVersion(ctx, formatstest.App, packages.PackageID{Format: packages.Ruby, Name: "acme_gem"}, "1.0.0")
	if err != nil || d.Summary != "a gem" || d.HomePage != "https://acme.example" || d.SourceCodeRepository != "https://git.example/a" || d.Licenses[0].Name != "MIT" ||
		d.Dependencies[0] != (packages.Dependency{Package: "rake", Type: "development", VersionRequirement: ">= 1.0, < 3"}) {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestSignIn(t *testing.T) {
	s, app := start(t)
	if r := s.Do(formatstest.Reader, "POST", app+"api/v1/api_key", ""); r.StatusCode != http.StatusBadRequest || !strings.Contains(r.Body, "gatehouse login --tool gem") {
		t.Errorf("%s %q", r.Status, r.Body)
	}
	if r := s.Do("", "POST", app+"api/v1/api_key", ""); r.StatusCode != http.StatusUnauthorized || strings.HasPrefix(r.Body, "You have enabled multifactor") {
		t.Errorf("%s %q", r.Status, r.Body)
	}
}

// The documents about all gems are kept until a gem changes, also upstream.
func TestIndexes_AreKept(t *testing.T) {
	documents := formats.NewDocumentCache(1 << 20)
	s := formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.Ruby: ruby.New(formats.ProtocolConfig{Packages: p, Documents: documents})}
	})
	app, shared := s.Endpoint(formatstest.App, packages.Ruby), s.Endpoint(formatstest.Shared, packages.Ruby)
	for i, path := range []string{"names", "versions", "specs.4.8.gz"} {
		for n, endpoint := range []string{shared, app} {
			mustPush(t, s, endpoint, gem(t, fmt.Sprintf("lib%d", n), fmt.Sprintf("1.%d", i), "", path))
			first := s.Do(formatstest.Reader, "GET", app+path, "")
			rendered := documents.For(packages.Ruby).Stats().Misses
			again := s.Do(formatstest.Reader, "GET", app+path, "")
			if first.StatusCode != 200 || path != "specs.4.8.gz" && !strings.Contains(first.Body, fmt.Sprintf("lib%d", n)) || first.Body != again.Body {
				t.Fatalf("%s: %d, then %d", path, first.StatusCode, again.StatusCode)
			}
			if now := documents.For(packages.Ruby).Stats().Misses; now != rendered {
				t.Errorf("%s was rendered again without a change", path)
			}
		}
	}
}

// While other archives take the memory, a push is refused so that the client tries again.
func TestPush_NoMemoryForArchive(t *testing.T) {
	archives := archive.NewLimiter(1<<20, 10*time.Millisecond)
	s := formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.Ruby: ruby.New(formats.ProtocolConfig{Packages: p, Archives: archives})}
	})
	app := s.Endpoint(formatstest.App, packages.Ruby)
	release, err := archives.Acquire(t.Context(), 0, archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	file := gem(t, "lib", "1.0.0", "", "x")
	if r := push(t, s, formatstest.Admin, app, file); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q: %s", r.StatusCode, r.Header.Get("Retry-After"), r.Body)
	}
	release()
	mustPush(t, s, app, file)
}
