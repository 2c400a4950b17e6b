package mirror_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/mirror"
)

// A repository is a stand-in for a repository with an upstream: it holds what was
// downloaded from it. The API and the package endpoint are at one address.
type repository struct {
	t      *testing.T
	server *httptest.Server

	mu    sync.Mutex
	paths map[string]string            // what the endpoint answers
	keeps map[string]string            // path of a file → PACKAGE VERSION ASSET
	held  map[string]map[string]string // PACKAGE VERSION → asset → content
	busy  int                          // requests that are answered with 429
	asked []string
}

func newRepository(t *testing.T) *repository {
	r := &repository{t: t, paths: map[string]string{}, keeps: map[string]string{}, held: map[string]map[string]string{}}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := req.URL.Query()
	version := q.Get("package") + " " + q.Get("version")
	switch path := req.URL.EscapedPath(); {
	case path == "/v1/package/version/assets":
		files, ok := r.held[version]
		if !ok {
			w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"resourceType": "package-version", "message": "no"}`)
			return
		}
		var list []any
		for name, content := range files {
			list = append(list, map[string]any{"name": name, "hashes": map[string]string{"SHA-256": hash(content), "SHA-512": hash512(content)}})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"assets": list})
	case path == "/v1/package/version/asset":
		fmt.Fprint(w, r.held[version][q.Get("asset")])
	default:
		r.asked = append(r.asked, path)
		if _, password, _ := req.BasicAuth(); password != "token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.busy > 0 {
			r.busy--
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		content, ok := r.paths[path]
		if !ok {
			http.Error(w, "nobody has it", http.StatusNotFound)
			return
		}
		if keep := strings.Fields(r.keeps[path]); len(keep) == 3 {
			r.hold(keep[0]+" "+keep[1], keep[2], content)
		}
		fmt.Fprint(w, content)
	}
}

func (r *repository) hold(version, name, content string) {
	if r.held[version] == nil {
		r.held[version] = map[string]string{}
	}
	r.held[version][name] = content
}

func hash(s string) string    { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
func hash512(s string) string { return fmt.Sprintf("%x", sha512.Sum512([]byte(s))) }

func integrity(s string) string {
	sum := sha512.Sum512([]byte(s))
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// run syncs, or only checks, what the file names, and returns the items' states.
func (r *repository) run(file, content string, only func(*mirror.Mirror, context.Context, *mirror.Plan) error) (*mirror.Plan, string) {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), file)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
	p := new(mirror.Plan)
	if err := p.Add(path); err != nil {
		r.t.Fatal(err)
	}
	u, _ := url.Parse(r.server.URL + "/")
	e := &mirror.Endpoint{URL: u, Client: r.server.Client(), Token: func(context.Context) (authtoken.Token, error) {
		return authtoken.Token{Username: "aws", Password: "token", Expires: time.Now().Add(time.Hour)}, nil
	}}
	m := &mirror.Mirror{
		API:    codeartifact.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &r.server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""), HTTPClient: r.server.Client()}),
		Domain: "acme", Repository: "lib", Parallel: 4, Progress: func() {},
		Endpoints: map[string]*mirror.Endpoint{"npm": e, "pypi": e, "cargo": e, "maven": e, "nuget": e, "ruby": e},
	}
	if err := only(m, r.t.Context(), p); err != nil {
		r.t.Fatal(err)
	}
	var states []string
	for i := range p.Items {
		states = append(states, p.Items[i].String()+" "+string(p.Items[i].State))
	}
	return p, strings.Join(states, ", ")
}

func check(m *mirror.Mirror, ctx context.Context, p *mirror.Plan) error  { return m.Check(ctx, p) }
func synced(m *mirror.Mirror, ctx context.Context, p *mirror.Plan) error { return m.Sync(ctx, p) }

// TestSync_Formats fetches a version of each format by its own protocol, and again, which
// downloads nothing.
func TestSync_Formats(t *testing.T) {
	for _, c := range []struct {
		file, lock string
		paths      map[string]string // %s is the address of the server
		keeps      map[string]string
		want       string
	}{
		{
			"package-lock.json", `{"packages": {"node_modules/@a/b": {"version": "1.0.0", "integrity": "` + integrity("tarball") + `"}}}`,
			map[string]string{"/@a%2Fb": `{"versions": {"1.0.0": {"dist": {"tarball": "%s/@a/b/-/b-1.0.0.tgz", "integrity": "` + integrity("tarball") + `"}}}}`, "/@a/b/-/b-1.0.0.tgz": "tarball"},
			map[string]string{"/@a/b/-/b-1.0.0.tgz": "b 1.0.0 package.tgz"},
			"npm/@a/b@1.0.0",
		},
		{
			"requirements.txt", "Some.Lib==1.0 --hash=sha256:" + hash("wheel") + " --hash=sha256:" + hash("sdist") + "\n",
			map[string]string{"/simple/some-lib/": `{"files": [{"filename": "some_lib-1.0-py3-none-any.whl", "url": "../../f/w.whl", "hashes": {"sha256": "` + hash("wheel") + `"}},
				{"filename": "some_lib-1.0.tar.gz", "url": "../../f/s.tgz", "hashes": {"sha256": "` + hash("sdist") + `"}}, {"filename": "some_lib-2.0.tar.gz", "url": "x", "hashes": {}}]}`, "/f/w.whl": "wheel", "/f/s.tgz": "sdist"},
			map[string]string{"/f/w.whl": "Some.Lib 1.0 w.whl", "/f/s.tgz": "Some.Lib 1.0 s.tgz"},
			"pypi/Some.Lib@1.0",
		},
		{
			"Cargo.lock", "[[package]]\nname = \"Serde\"\nversion = \"1.0.1\"\nsource = \"x\"\nchecksum = \"" + hash("crate") + "\"\n",
			map[string]string{"/config.json": `{"dl": "%s/dl"}`, "/se/rd/serde": `{"vers": "1.0.1", "cksum": "` + hash("crate") + `"}` + "\n", "/dl/Serde/1.0.1/download": "crate"},
			map[string]string{"/dl/Serde/1.0.1/download": "Serde 1.0.1 serde.crate"},
			"cargo/Serde@1.0.1",
		},
		{
			"pom.xml", "<project><dependencies><dependency><groupId>com.acme</groupId><artifactId>core</artifactId><version>1</version></dependency></dependencies></project>",
			map[string]string{"/com/acme/core/1/core-1.pom": "<project/>", "/com/acme/core/1/core-1.jar": "jar"},
			map[string]string{"/com/acme/core/1/core-1.pom": "core 1 core-1.pom", "/com/acme/core/1/core-1.jar": "core 1 core-1.jar"},
			"maven/com.acme/core@1",
		},
		{
			"packages.lock.json", `{"dependencies": {"net8.0": {"Acme.Core": {"resolved": "1.0.0", "contentHash": "` + strings.TrimPrefix(integrity(nupkg(false)), "sha512-") + `"}}}}`,
			map[string]string{"/v3/index.json": `{"resources": [{"@id": "%s/flat", "@type": "PackageBaseAddress/3.0.0"}]}`, "/flat/acme.core/1.0.0/acme.core.1.0.0.nupkg": nupkg(true)},
			map[string]string{"/flat/acme.core/1.0.0/acme.core.1.0.0.nupkg": "acme.core 1.0.0 acme.core.1.0.0.nupkg"},
			"nuget/acme.core@1.0.0",
		},
		{
			"Gemfile.lock", "GEM\n  specs:\n    rack (3.0.8)\nCHECKSUMS\n  rack (3.0.8) sha256=" + hash("gem") + "\n",
			map[string]string{"/gems/rack-3.0.8.gem": "gem"},
			map[string]string{"/gems/rack-3.0.8.gem": "rack 3.0.8 rack-3.0.8.gem"},
			"ruby/rack@3.0.8",
		},
	} {
		r := newRepository(t)
		for path, content := range c.paths {
			r.paths[path] = strings.ReplaceAll(content, "%s", r.server.URL)
		}
		r.keeps = c.keeps
		if _, states := r.run(c.file, c.lock, check); states != c.want+" missing" {
			t.Errorf("%s: before: %s", c.file, states)
		}
		p, states := r.run(c.file, c.lock, synced)
		if states != c.want+" fetched" || !p.Complete() {
			t.Errorf("%s: %s: %s", c.file, states, p.Items[0].Message)
		}
		r.asked = nil
		if p, states := r.run(c.file, c.lock, synced); states != c.want+" held" || len(r.asked) > 0 {
			t.Errorf("%s: again: %s, asked for %q: %s", c.file, states, r.asked, p.Items[0].Message)
		}
	}
}

func TestSync_Failures(t *testing.T) {
	lock := `{"packages": {"node_modules/b": {"version": "1.0.0", "integrity": "` + integrity("right") + `"}}}`
	for name, c := range map[string]struct {
		says, has, keeps string
		held             string
		busy             int
		want, message    string
	}{
		"the registry says another hash":  {says: integrity("wrong"), has: "wrong", want: "different", message: "in the lock file"},
		"the bytes have another hash":     {says: "", has: "wrong", want: "different", message: "was downloaded with"},
		"another version is held already": {says: integrity("right"), has: "right", held: "wrong", want: "different", message: "is held with"},
		"the registry does not have it":   {want: "missing", message: "nobody has it"},
		"the repository does not keep it": {says: integrity("right"), has: "right", want: "missing", message: "origin controls"},
		"the registry is busy at first":   {says: integrity("right"), has: "right", keeps: "b 1.0.0 package.tgz", busy: 1, want: "fetched"},
	} {
		r := newRepository(t)
		r.busy = c.busy
		if c.has != "" {
			r.paths["/b"] = `{"versions": {"1.0.0": {"dist": {"tarball": "` + r.server.URL + `/b.tgz", "integrity": "` + c.says + `"}}}}`
			r.paths["/b.tgz"] = c.has
			r.keeps["/b.tgz"] = c.keeps
		}
		if c.held != "" {
			r.hold("b 1.0.0", "package.tgz", c.held)
		}
		p, states := r.run("package-lock.json", lock, synced)
		if states != "npm/b@1.0.0 "+c.want || !strings.Contains(p.Items[0].Message, c.message) || p.Complete() != (c.want == "fetched") {
			t.Errorf("%s: %s: %s", name, states, p.Items[0].Message)
		}
	}
}

// The token is sent to the repository's own address alone.
func TestSync_TokenStaysAtTheEndpoint(t *testing.T) {
	r := newRepository(t)
	got := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got <- req.Header.Get("Authorization")
		fmt.Fprint(w, "right")
	}))
	defer other.Close()
	r.paths["/b"] = `{"versions": {"1.0.0": {"dist": {"tarball": "` + other.URL + `/b.tgz", "integrity": "` + integrity("right") + `"}}}}`
	r.run("package-lock.json", `{"packages": {"node_modules/b": {"version": "1.0.0", "integrity": "`+integrity("right")+`"}}}`, synced)
	if a := <-got; a != "" {
		t.Errorf("another host got %q", a)
	}
}

func TestCheck_ReadBytes(t *testing.T) {
	r := newRepository(t)
	r.hold("b 1.0.0", "package.tgz", "right")
	lock := `{"packages": {"node_modules/b": {"version": "1.0.0", "integrity": "` + integrity("right") + `"}}}`
	reading := func(m *mirror.Mirror, ctx context.Context, p *mirror.Plan) error {
		m.ReadBytes = true
		return m.Check(ctx, p)
	}
	if _, states := r.run("package-lock.json", lock, reading); states != "npm/b@1.0.0 held" {
		t.Error(states)
	}
	r.server.Config.Handler = damaged{r}
	if p, states := r.run("package-lock.json", lock, reading); states != "npm/b@1.0.0 different" || !strings.Contains(p.Items[0].Message, "damaged") {
		t.Error(states, p.Items[0].Message)
	}
}

// damaged serves other bytes than it says.
type damaged struct{ *repository }

func (d damaged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/package/version/asset" {
		fmt.Fprint(w, "wrong")
		return
	}
	d.repository.ServeHTTP(w, r)
}

// nupkg is a NuGet package, with a signature as its last entry or without.
func nupkg(signed bool) string {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	names := []string{"acme.nuspec", "lib/a.dll"}
	if signed {
		names = append(names, ".signature.p7s")
	}
	for _, name := range names {
		content := []byte("content of " + name)
		w, err := z.CreateRaw(&zip.FileHeader{Name: name, UncompressedSize64: uint64(len(content)), CompressedSize64: uint64(len(content))})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.String()
}
