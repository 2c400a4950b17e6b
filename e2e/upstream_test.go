package e2e

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

type upstreamKey struct{}

// An upstream stands in for a public registry, as a server of its own. It serves what a
// script gives it, with validators.
type upstream struct {
	server *httptest.Server

	mu    sync.Mutex
	files map[string]upstreamFile // by path
	docs  map[string]map[string]any
	// signer signs the packages of npm.
	signer *ecdsa.PrivateKey
	// published is when what is added is published.
	published time.Time
}

// longAgo is when everything was published before "upstream now".
var longAgo = time.Date(2025, 1, 2, 3, 4, 5, 678e6, time.UTC)

type upstreamFile struct {
	mediaType string
	body      []byte
	modified  time.Time
	etag      string // empty: one of the body
}

// useUpstream starts, fills and stops the script's upstream:
//
//	upstream npm FOLDER…    publishes packages; $UPSTREAM is the registry's address
//	upstream pypi FILE…     publishes wheels; $UPSTREAM/simple/ is the index's address
//	upstream cargo FOLDER…  publishes crates; $UPSTREAM/index/ is the index's address
//	upstream yank CRATE     yanks all versions of a crate
//	upstream maven FOLDER…  publishes artifacts; $UPSTREAM/maven2/ is the repository's address
//	upstream plugins FILE GROUP-PATH  publishes the index of a group's plug-ins
//	upstream crates FOLDER  publishes crates NAME-VERSION.crate whose lines of the index are in
//	                        NAME-VERSION.crate.json
//	upstream artifacts FOLDER  publishes the files of a local repository of Maven
//	upstream nuget FILE…    publishes packages; $UPSTREAM/nuget/v3/index.json is the source
//	upstream nuget-deprecate ID VERSION
//	upstream ruby FILE[:NAME>=VERSION]…  publishes gems; $UPSTREAM/ruby/ is the source
//	upstream now            what is published from here on is new
//	upstream config FILE    writes a configuration of Gatehouse with it
//	upstream stop
func useUpstream(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: upstream npm|pypi|nuget|nuget-deprecate|ruby|cargo|yank|crates|maven|artifacts|plugins|file|now|config|stop ARGUMENT…")
	}
	u := ts.Value(upstreamKey{}).(*upstream)
	if u.server == nil {
		u.files, u.docs, u.published = map[string]upstreamFile{}, map[string]map[string]any{}, longAgo
		u.server = httptest.NewServer(u)
		ts.Defer(u.server.Close)
		ts.Setenv("UPSTREAM", u.server.URL)
	}
	switch args[0] {
	case "npm":
		for _, dir := range args[1:] {
			ts.Check(u.addNPM(ts.MkAbs(dir)))
		}
	case "pypi":
		for _, file := range args[1:] {
			ts.Check(u.addPyPI(ts.MkAbs(file)))
		}
	case "nuget":
		for _, file := range args[1:] {
			ts.Check(u.addNuGet(ts.MkAbs(file)))
		}
	case "nuget-deprecate":
		ts.Check(u.deprecateNuGet(args[1], args[2]))
	case "ruby":
		for _, arg := range args[1:] {
			file, requires, _ := strings.Cut(arg, ":")
			ts.Check(u.addRuby(ts.MkAbs(file), requires))
		}
	case "now":
		u.published = time.Now().UTC()
	case "cargo":
		for _, dir := range args[1:] {
			ts.Check(u.addCargo(ts.MkAbs(dir)))
		}
	case "yank":
		u.yank(args[1])
	case "maven":
		for _, dir := range args[1:] {
			ts.Check(u.addMaven(ts.MkAbs(dir)))
		}
	case "crates":
		ts.Check(u.addCrates(ts.MkAbs(args[1])))
	case "artifacts":
		ts.Check(u.addArtifacts(ts.MkAbs(args[1])))
	case "plugins":
		u.putChecked("/maven2/"+args[2]+"/maven-metadata.xml", "text/xml", []byte(ts.ReadFile(args[1])))
	case "file":
		u.put("/"+args[2], "application/octet-stream", []byte(ts.ReadFile(args[1])))
	case "config":
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte("upstreams:\n"+
			"  \"public:npmjs\": {url: \""+u.server.URL+"/\", allow_private: true}\n"+
			"  \"public:pypi\": {url: \""+u.server.URL+"/simple/\", allow_private: true}\n"+
			"  \"public:crates-io\": {url: \""+u.server.URL+"/index/\", allow_private: true}\n"+
			"  \"public:maven-central\": {url: \""+u.server.URL+"/maven2/\", allow_private: true}\n"+
			"  \"public:nuget-org\": {url: \""+u.server.URL+"/nuget/v3/index.json\", allow_private: true}\n"+
			"  \"public:ruby-gems-org\": {url: \""+u.server.URL+"/ruby/\", allow_private: true}\n"), 0o600))
	case "stop":
		u.server.CloseClientConnections()
		u.server.Close()
	default:
		ts.Fatalf("upstream %s is unknown", args[0])
	}
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	f, ok := u.files[r.URL.EscapedPath()]
	u.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(f.body)
	w.Header().Set("Content-Type", f.mediaType)
	w.Header().Set("ETag", cmp.Or(f.etag, `"`+hex.EncodeToString(sum[:8])+`"`))
	http.ServeContent(w, r, "", f.modified, bytes.NewReader(f.body))
}

func (u *upstream) put(path, mediaType string, body []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[path] = upstreamFile{mediaType: mediaType, body: body, modified: u.published}
}

// addNPM publishes the package in a folder as it is.
func (u *upstream) addNPM(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return err
	}
	var manifest map[string]any
	if err := json.Unmarshal(text, &manifest); err != nil {
		return err
	}
	name, version := manifest["name"].(string), manifest["version"].(string)
	tarball, err := packFolder(dir)
	if err != nil {
		return err
	}
	at := "/" + name + "/-/" + name[strings.LastIndex(name, "/")+1:] + "-" + version + ".tgz"
	u.put(at, "application/octet-stream", tarball)
	s1, s512 := sha1.Sum(tarball), sha512.Sum512(tarball)
	integrity := "sha512-" + base64.StdEncoding.EncodeToString(s512[:])
	signatures, err := u.sign(name, version, integrity)
	if err != nil {
		return err
	}
	manifest["dist"] = map[string]any{"tarball": u.server.URL + at, "shasum": hex.EncodeToString(s1[:]), "integrity": integrity, "signatures": signatures}
	doc := u.docs[name]
	if doc == nil {
		doc = map[string]any{"name": name, "versions": map[string]any{}, "time": map[string]any{}, "dist-tags": map[string]any{}}
		u.docs[name] = doc
	}
	doc["versions"].(map[string]any)[version] = manifest
	doc["time"].(map[string]any)[version] = u.published.Format("2006-01-02T15:04:05.000Z")
	doc["dist-tags"].(map[string]any)["latest"] = version
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	u.put("/"+strings.Replace(name, "/", "%2f", 1), "application/json", body)
	return u.putSearch()
}

// packFolder packs the files of a folder as npm does.
func packFolder(dir string) ([]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if err := t.WriteHeader(&tar.Header{Name: "package/" + e.Name(), Mode: 0o644, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(content); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// addPyPI publishes a wheel. Its file is at another path than the index.
func (u *upstream) addPyPI(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	base := filepath.Base(file)
	name, version, _ := strings.Cut(base, "-")
	version, _, _ = strings.Cut(version, "-")
	name = strings.ReplaceAll(name, "_", "-")
	at := "/files/" + base
	u.put(at, "application/octet-stream", content)
	metadata, err := u.putMetadata(at, content)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	doc := u.docs["pypi:"+name]
	if doc == nil {
		doc = map[string]any{"meta": map[string]string{"api-version": "1.1"}, "name": name, "versions": []string{}, "files": []any{}}
		u.docs["pypi:"+name] = doc
	}
	if versions := doc["versions"].([]string); !slices.Contains(versions, version) {
		doc["versions"] = append(versions, version)
	}
	doc["files"] = append(doc["files"].([]any), map[string]any{
		"filename": base, "url": "../.." + at, "hashes": map[string]string{"sha256": hex.EncodeToString(sum[:])},
		"requires-python": ">=3.6", "size": len(content), "upload-time": u.published.Format("2006-01-02T15:04:05.000000Z"), "yanked": false,
		"core-metadata": map[string]string{"sha256": metadata},
	})
	body, err := json.Marshal(doc)
	if err == nil {
		u.put("/simple/"+name+"/", "application/vnd.pypi.simple.v1+json", body)
	}
	return err
}
