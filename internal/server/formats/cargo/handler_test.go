package cargo_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func start(t testing.TB) (s *formatstest.Server, app string) {
	t.Helper()
	s = formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.Cargo: cargo.New(formats.ProtocolConfig{Packages: p, MaxAsset: 1 << 20})}
	})
	return s, s.Endpoint(formatstest.App, packages.Cargo)
}

// crateFile returns a .crate; content makes its bytes differ.
func crateFile(t testing.TB, name, version, content string) []byte {
	t.Helper()
	root := name + "-" + version
	manifest := fmt.Sprintf("[package]\nname = %q\nversion = %q\nrust-version = \"1.75\"\nreadme = \"README.md\"\n", name, version)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range [][2]string{{"Cargo.toml", manifest}, {"README.md", "# in the archive"}, {"src/lib.rs", content}} {
		err := w.WriteHeader(&tar.Header{Name: root + "/" + f[0], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f[1]))})
		if err == nil {
			_, err = w.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// request is the body of a publish request.
func request(metadata string, file []byte) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(metadata)))
	b = append(b, metadata...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(file)))
	return string(append(b, file...))
}

func metadata(name, version string) string {
	return fmt.Sprintf(`{"name":%q,"vers":%q,"deps":[{"name":"right","version_req":"^1","features":[],"optional":true,"default_features":true,"target":null,"kind":"normal"}],`+
		`"features":{"default":[],"right":["dep:right"]},"authors":[],"description":"the %s crate","documentation":null,"homepage":"https://left.example","readme":null,"readme_file":null,`+
		`"keywords":["side"],"categories":[],"license":"MIT","license_file":null,"repository":null,"badges":{},"links":null,"rust_version":"1.0"}`, name, version, name)
}

func publish(t testing.TB, s *formatstest.Server, u formatstest.User, endpoint, name, version, content string) formatstest.Response {
	t.Helper()
	return s.Do(u, "PUT", endpoint+"api/v1/crates/new", request(metadata(name, version), crateFile(t, name, version, content)))
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

func TestConfig(t *testing.T) {
	s, app := start(t)
	r := want(t, 200, s.Do(formatstest.Reader, "GET", app+"config.json", ""))
	if exact := fmt.Sprintf(`{"dl":"%sapi/v1/crates","api":"%s","auth-required":true}`, app, strings.TrimSuffix(app, "/")); r.Body != exact {
		t.Errorf("%s, want %s", r.Body, exact)
	}
	// Its addresses are those by which the client came.
	host := "acme-000000000001.d.codeartifact.us-east-1." + formatstest.Suffix
	want(t, 200, s.Do(formatstest.Reader, "GET", s.URL+"/cargo/app/config.json", "", "Host: "+host), `"api":"http://`+host+`/cargo/app"`)

	// cargo asks without a token first, and prints the reason of a second 401.
	want(t, 401, s.Do("", "GET", app+"config.json", ""))
	raw := s.Token(formatstest.Reader, formatstest.Domain)
	want(t, 200, s.Do("", "GET", app+"config.json", "", "Authorization: "+raw))
	s.Advance(13 * time.Hour)
	want(t, 401, s.Do("", "GET", app+"config.json", "", "Authorization: "+raw), "expired", "gatehouse login --tool cargo --domain acme")
	want(t, 401, s.Do("", "PUT", app+"api/v1/crates/new", "", "Authorization: "+raw), `{"errors":[{"detail":"`, "gatehouse login --tool cargo")
	want(t, 403, s.Do(formatstest.Publisher, "GET", app+"config.json", ""), "codeartifact:ReadFromRepository")
}

func TestPublish_ReadBack(t *testing.T) {
	s, app := start(t)
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"le/ft/left", ""))
	want(t, 200, publish(t, s, formatstest.Publisher, app, "Left", "0.1.0", "one"), `{"warnings":{"invalid_categories":[],"invalid_badges":[],"other":[]}}`)

	file := crateFile(t, "Left", "0.1.0", "one")
	sum := sha256.Sum256(file)
	r := want(t, 200, s.Do(formatstest.Reader, "GET", app+"le/ft/left", ""))
	const line = `{"name":"Left","vers":"0.1.0","deps":[{"name":"right","req":"^1","features":[],"optional":true,"default_features":true,"target":null,"kind":"normal"}],` +
		`"features":{"default":[]},"features2":{"right":["dep:right"]},"rust_version":"1.75","v":2,"cksum":"%x","yanked":false,"pubtime":"`
	if exact := fmt.Sprintf(line, sum); !strings.HasPrefix(r.Body, exact) || !strings.HasSuffix(r.Body, "Z\"}\n") {
		t.Errorf("%s, want %s", r.Body, exact)
	}
	if r := want(t, 200, s.Do(formatstest.Reader, "GET", app+"api/v1/crates/Left/0.1.0/download", "")); r.Body != string(file) {
		t.Error("the .crate has other bytes")
	}
	if n := s.Objects(); n != 1 {
		t.Errorf("%d objects", n)
	}
	_, d, err := s.Packages.DescribeVersion(authn.WithCaller(t.Context(), s.Caller(formatstest.Admin)), formatstest.App, packages.PackageID{Format: packages.Cargo, Name: "left"}, "0.1.0")
	if err != nil || d.DisplayName != "Left" || d.Summary != "the Left crate" || d.Readme != "# in the archive" || d.Licenses[0].Name != "MIT" || d.Dependencies[0].Type != "normal" {
		t.Errorf("%+v, %v", d, err)
	}
}

// cargo sends the tag of the index that it has, and reads the index after each
// publication until the version is in it.
func TestIndex_ConditionalRequest(t *testing.T) {
	s, app := start(t)
	want(t, 200, publish(t, s, formatstest.Admin, app, "left", "0.1.0", "one"))
	first := want(t, 200, s.Do(formatstest.Reader, "GET", app+"le/ft/left", ""))
	tag := "If-None-Match: " + first.Header.Get("ETag")
	want(t, 304, s.Do(formatstest.Reader, "GET", app+"le/ft/left", "", tag))
	want(t, 200, publish(t, s, formatstest.Admin, app, "left", "0.2.0", "two"))
	second := want(t, 200, s.Do(formatstest.Reader, "GET", app+"le/ft/left", "", tag), `"vers":"0.2.0"`)
	if !strings.HasPrefix(second.Body, first.Body) {
		t.Errorf("a line changed, or is at another place: %s, then %s", first.Body, second.Body)
	}
	want(t, 304, s.Do(formatstest.Reader, "GET", app+"config.json", "", "If-None-Match: "+s.Do(formatstest.Reader, "GET", app+"config.json", "").Header.Get("ETag")))
	if n := strings.Count(second.Body, "\n"); n != 2 {
		t.Errorf("%d lines", n)
	}
}

func TestPublish_Again(t *testing.T) {
	s, app := start(t)
	want(t, 200, publish(t, s, formatstest.Admin, app, "left", "0.1.0", "one"))
	before := s.Do(formatstest.Reader, "GET", app+"le/ft/left", "").Body
	want(t, 200, publish(t, s, formatstest.Admin, app, "left", "0.1.0", "one"), "published before with the same content; nothing has changed")
	want(t, 409, publish(t, s, formatstest.Admin, app, "left", "0.1.0", "two"), `{"errors":[{"detail":"`, "other content")
	want(t, 409, publish(t, s, formatstest.Admin, app, "left", "0.1.0+build", "one"))
	want(t, 409, publish(t, s, formatstest.Admin, app, "Left", "0.2.0", "one"), "as left")
	want(t, 403, publish(t, s, formatstest.Reader, app, "left", "0.2.0", "one"), "codeartifact:PublishPackageVersion")
	if after := s.Do(formatstest.Reader, "GET", app+"le/ft/left", "").Body; after != before {
		t.Errorf("%s, then %s", before, after)
	}
	if n := s.Objects(); n != 1 {
		t.Errorf("%d objects", n)
	}
}

func TestPublish_Invalid(t *testing.T) {
	s, app := start(t)
	good, file := metadata("left", "0.1.0"), crateFile(t, "left", "0.1.0", "")
	for name, c := range map[string]struct {
		body, message string
		status        int
	}{
		"empty":             {"", "ended before", 400},
		"no crate":          {request(good, nil)[:len(good)+4], "ended before", 400},
		"an empty crate":    {request(good, nil), "not compressed by gzip", 400},
		"a short crate":     {request(good, file)[:len(good)+100], "ended before", 400},
		"too much":          {request(good, file) + "x", "Something follows", 400},
		"a large crate":     {request(good, make([]byte, 1<<20+1)), "accepted", 413},
		"another crate":     {request(metadata("right", "0.1.0"), file), "left-0.1.0", 400},
		"another version":   {request(metadata("left", "0.2.0"), file), "not below the folder left-0.2.0", 400},
		"no metadata":       {request("{}", file), "cannot name a crate", 400},
		"a path for a name": {request(strings.Replace(good, `"left"`, `"../left"`, 1), file), "cannot name a crate", 400},
		"large metadata":    {"\xff\xff\xff\xff", "are accepted", 413},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, c.status, s.Do(formatstest.Admin, "PUT", app+"api/v1/crates/new", c.body), c.message, `{"errors":[{"detail":"`)
		})
	}
	if n := s.Objects(); n != 0 {
		t.Errorf("%d objects are left of what was refused", n)
	}
}

func TestYank(t *testing.T) {
	s, app := start(t)
	for _, v := range []string{"0.1.0", "0.2.0"} {
		want(t, 200, publish(t, s, formatstest.Admin, app, "left", v, v))
	}
	version := app + "api/v1/crates/left/0.2.0/"
	yanked := func(want bool) {
		t.Helper()
		lines := strings.Split(s.Do(formatstest.Reader, "GET", app+"le/ft/left", "").Body, "\n")
		if len(lines) != 3 || strings.Contains(lines[0], `"yanked":true`) || strings.Contains(lines[1], `"yanked":true`) != want {
			t.Errorf("the index is %q", lines)
		}
	}
	want(t, 403, s.Do(formatstest.Publisher, "DELETE", version+"yank", ""), "codeartifact:UpdatePackageVersionsStatus")
	yanked(false)
	for range 2 { // the second changes nothing
		want(t, 200, s.Do(formatstest.Admin, "DELETE", version+"yank", ""), `{"ok":true}`)
		yanked(true)
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", version+"download", ""))
	want(t, 200, publish(t, s, formatstest.Admin, app, "left", "0.2.0", "0.2.0"), "is yanked")
	yanked(true)
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"api/v1/crates?q=left", ""), `"max_version":"0.1.0"`)
	for range 2 {
		want(t, 200, s.Do(formatstest.Admin, "PUT", version+"unyank", ""), `{"ok":true}`)
		yanked(false)
	}
	want(t, 404, s.Do(formatstest.Admin, "DELETE", app+"api/v1/crates/left/9.0.0/yank", ""), `{"errors":[{"detail":"`)

	// An archived version is not in the index, and unyank does not bring it back.
	id := packages.PackageID{Format: packages.Cargo, Name: "left"}
	ctx := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	if _, err := s.Packages.UpdateVersionsStatus(ctx, formatstest.App, id, packages.Selection{Versions: []string{"0.2.0"}}, packages.Archived); err != nil {
		t.Fatal(err)
	}
	want(t, 409, s.Do(formatstest.Admin, "PUT", version+"unyank", ""), "cannot be yanked or unyanked")
	want(t, 404, s.Do(formatstest.Reader, "GET", version+"download", ""))
	if r := s.Do(formatstest.Reader, "GET", app+"le/ft/left", ""); strings.Contains(r.Body, "0.2.0") {
		t.Error(r.Body)
	}
}

func TestUpstream(t *testing.T) {
	s, app := start(t)
	shared := s.Endpoint(formatstest.Shared, packages.Cargo)
	want(t, 200, publish(t, s, formatstest.Admin, shared, "left", "0.1.0", "one"))
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"le/ft/left", ""), `"vers":"0.1.0"`)
	want(t, 409, publish(t, s, formatstest.Admin, app, "left", "0.1.0", "two"), "upstream repository shared")
	want(t, 409, publish(t, s, formatstest.Admin, app, "LEFT", "0.2.0", "two"), "as left")
	want(t, 404, s.Do(formatstest.Admin, "DELETE", app+"api/v1/crates/left/0.1.0/yank", ""), "yank it there")
	want(t, 200, s.Do(formatstest.Admin, "DELETE", shared+"api/v1/crates/left/0.1.0/yank", ""))
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"le/ft/left", ""), `"yanked":true`)
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"api/v1/crates/left/0.1.0/download", ""))
}

func TestWebAPI(t *testing.T) {
	s, app := start(t)
	for _, v := range []string{"0.1.0", "0.2.0-rc.1"} {
		want(t, 200, publish(t, s, formatstest.Admin, app, "left_pad", v, v))
	}
	want(t, 200, publish(t, s, formatstest.Admin, app, "new", "0.1.0", ""))
	api := app + "api/v1/crates"
	want(t, 200, s.Do(formatstest.Reader, "GET", api+"?q=SIDE%20left&per_page=10", ""),
		`{"crates":[{"name":"left_pad","max_version":"0.1.0","description":"the left_pad crate"}],"meta":{"total":1}}`)
	want(t, 200, s.Do(formatstest.Reader, "GET", api+"?q=&per_page=1&page=2", ""), `"name":"new"`, `"total":2`)
	want(t, 200, s.Do(formatstest.Reader, "GET", api+"?q=nothing", ""), `{"crates":[],"meta":{"total":0}}`)
	want(t, 200, s.Do(formatstest.Reader, "GET", api+"/new/versions", ""), `"num":"0.1.0"`)
	var crate struct {
		Crate    struct{ Name, Description, License string }
		Versions []struct {
			Num       string
			CreatedAt time.Time `json:"created_at"`
			Path      string    `json:"dl_path"`
			Checksum  string
		}
	}
	for _, path := range []string{"/left_pad", "/LEFT-PAD/versions"} {
		if err := json.Unmarshal([]byte(want(t, 200, s.Do(formatstest.Reader, "GET", api+path, "")).Body), &crate); err != nil {
			t.Fatal(err)
		}
		if v := crate.Versions; len(v) != 2 || v[0].Num != "0.2.0-rc.1" || s.Now().Sub(v[0].CreatedAt) > time.Minute {
			t.Fatalf("%+v", crate)
		}
		got := want(t, 200, s.Do(formatstest.Reader, "GET", s.URL+crate.Versions[0].Path, ""))
		if sum := sha256.Sum256([]byte(got.Body)); crate.Versions[0].Checksum != hex.EncodeToString(sum[:]) {
			t.Error("another checksum")
		}
	}
	if c := crate.Crate; c.Name != "left_pad" || c.Description != "the left_pad crate" || c.License != "MIT" {
		t.Errorf("%+v", c)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		want(t, 404, s.Do(formatstest.Admin, method, api+"/left_pad/owners", `{"users":["x"]}`), `{"errors":[{"detail":"Crates have no owners here`, "codeartifact:PublishPackageVersion")
	}
	want(t, 405, s.Do(formatstest.Admin, "POST", api+"/new", ""))
	want(t, 404, s.Do(formatstest.Admin, "GET", app+"index", ""), "config.json")
}

// Of several clients that publish one version with different bytes, one succeeds.
func TestPublish_AtOnce(t *testing.T) {
	s, app := start(t)
	const clients = 8
	status := make([]int, clients)
	var all sync.WaitGroup
	for i := range clients {
		body := request(metadata("left", "0.1.0"), crateFile(t, "left", "0.1.0", fmt.Sprint(i)))
		all.Go(func() {
			r, err := http.NewRequest("PUT", app+"api/v1/crates/new", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", s.Token(formatstest.Admin, formatstest.Domain))
			answer, err := s.Client().Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
			status[i] = answer.StatusCode
		})
	}
	all.Wait()
	published := 0
	for _, code := range status {
		if code == 200 {
			published++
		} else if code != 409 {
			t.Errorf("status %d", code)
		}
	}
	if lines := strings.Count(s.Do(formatstest.Reader, "GET", app+"le/ft/left", "").Body, "\n"); published != 1 || lines != 1 {
		t.Errorf("%d succeeded; the index has %d lines", published, lines)
	}
}

func TestAudit(t *testing.T) {
	s, app := start(t)
	want(t, 200, publish(t, s, formatstest.Admin, app, "left", "0.1.0", ""))
	s.Do(formatstest.Admin, "DELETE", app+"api/v1/crates/left/0.1.0/yank", "")
	s.Do(formatstest.Admin, "GET", app+"le/ft/left", "")
	for _, name := range []string{"PublishPackageVersion", "UpdatePackageVersionsStatus", "ReadFromRepository"} {
		r := s.Record()
		if params, _ := r.RequestParameters.(audit.Params); r.EventName != name || params.Get("package") != "left" {
			t.Errorf("%s %v, want %s", r.EventName, r.RequestParameters, name)
		}
	}
}
