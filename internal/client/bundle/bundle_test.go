package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-registry/gatehouse/internal/client/bundle"
	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// A source is a stand-in for the server that versions are exported from. It has one file
// in each of its versions, named by the content.
type source struct {
	server   *httptest.Server
	contents map[string]string // version → content of its file
	wrong    bool              // serves other bytes than the record says
}

func newSource(t *testing.T, contents map[string]string) *source {
	s := &source{contents: contents}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/gatehouse/exported-file" {
		if s.wrong {
			fmt.Fprint(w, "wrong")
			return
		}
		fmt.Fprint(w, s.contents[r.URL.Query().Get("packageVersion")])
		return
	}
	var in struct{ PackageVersion string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	content := s.contents[in.PackageVersion]
	record, _ := json.Marshal(map[string]any{
		"format": "npm", "name": "lib", "version": in.PackageVersion, "revision": "R" + in.PackageVersion, "status": "Published",
		"files": []any{map[string]any{"name": "package.tgz", "size": len(content), "sha256": hash(content)}},
	})
	_ = json.NewEncoder(w).Encode(map[string]string{"record": string(record)})
}

func hash(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := bundle.ParsePrivateKey(pem.EncodeToMemory(block), nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// repositoryAt is a repository of the server at an address.
func repositoryAt(t *testing.T, url string) *packagerepo.Repository {
	t.Helper()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", "")}
	client, err := operator.New(cfg, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &packagerepo.Repository{API: codeartifact.NewFromConfig(cfg), Operator: client, Domain: "acme", Name: "lib"}
}

// export writes a bundle of the versions.
func (s *source) export(t *testing.T, path, since string, key ssh.Signer, versions ...string) (*bundle.Summary, error) {
	t.Helper()
	e := bundle.Export{Repository: repositoryAt(t, s.server.URL), Key: key, Since: since, Now: time.Now, Moved: func(int64) {}}
	for _, v := range versions {
		e.Versions = append(e.Versions, lockedversions.Version{Format: "npm", Name: "lib", Version: v})
	}
	return e.Write(t.Context(), path)
}

func verified(path string, keys ...ssh.PublicKey) error {
	b, err := bundle.Open(path, keys, func(int64) {})
	if err == nil {
		err = b.Close()
	}
	return err
}

func TestExport(t *testing.T) {
	s, key, dir := newSource(t, map[string]string{"1.0.0": "one", "2.0.0": "two"}), newKey(t), t.TempDir()
	first := filepath.Join(dir, "first.tar")
	summary, err := s.export(t, first, "", key, "1.0.0")
	if err != nil || summary.Versions != 1 || summary.Bytes != 3 {
		t.Fatalf("%+v, %v", summary, err)
	}
	if err := verified(first, newKey(t).PublicKey(), key.PublicKey()); err != nil {
		t.Error(err)
	}
	if err := verified(first, newKey(t).PublicKey()); err == nil || !strings.Contains(err.Error(), "not signed by a trusted key") {
		t.Error(err)
	}
	if _, err := s.export(t, first, "", key, "1.0.0"); err == nil {
		t.Error("the bundle was replaced")
	}

	// An increment, and one to that.
	second, third := filepath.Join(dir, "second.tar"), filepath.Join(dir, "third.tar")
	if summary, err = s.export(t, second, first, key, "1.0.0", "2.0.0"); err != nil || summary.Versions != 1 || summary.LeftOut != 1 {
		t.Fatalf("%+v, %v", summary, err)
	}
	if summary, err = s.export(t, third, second, key, "1.0.0", "2.0.0"); err != nil || summary.Versions != 0 || summary.LeftOut != 2 || summary.Blobs != 0 {
		t.Fatalf("%+v, %v", summary, err)
	}
	if _, err := s.export(t, filepath.Join(dir, "fourth.tar"), first, newKey(t), "2.0.0"); err == nil {
		t.Error("an increment to a bundle that another key has signed")
	}

	s.wrong = true
	if _, err := s.export(t, filepath.Join(dir, "wrong.tar"), "", key, "1.0.0"); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Error(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 3 {
		t.Errorf("files %q", files)
	}
}

// TestOpen_Hostile changes a bundle in each way in which it can be changed.
func TestOpen_Hostile(t *testing.T) {
	s, key, dir := newSource(t, map[string]string{"1.0.0": "content one"}), newKey(t), t.TempDir()
	path := filepath.Join(dir, "bundle.tar")
	if _, err := s.export(t, path, "", key, "1.0.0"); err != nil {
		t.Fatal(err)
	}
	type member struct {
		tar.Header
		content string
	}
	read := func() (all []member) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				return all
			}
			b, readErr := io.ReadAll(r)
			if err := errors.Join(err, readErr); err != nil {
				t.Fatal(err)
			}
			all = append(all, member{*h, string(b)})
		}
	}
	write := func(all []member) string {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, m := range all {
			if m.Typeflag == tar.TypeReg {
				m.Size = int64(len(m.content))
			}
			err := w.WriteHeader(&m.Header)
			if err == nil && m.Typeflag == tar.TypeReg {
				_, err = io.WriteString(w, m.content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		changed := filepath.Join(dir, "changed.tar")
		if err := os.WriteFile(changed, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if err := verified(write(read()), key.PublicKey()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]member) []member{
		"a blob":        func(m []member) []member { m[len(m)-1].content = "content two"; return m },
		"a record":      func(m []member) []member { m[4].content = strings.Replace(m[4].content, "1.0.0", "6.6.6", 1); return m },
		"the sums":      func(m []member) []member { m[1].content = strings.Replace(m[1].content, "0", "1", 1); return m },
		"sums and blob": func(m []member) []member { m[1].content = ""; return m[:2] },
		"the signature": func(m []member) []member {
			m[0].content = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
			return m
		},
		"no signature":   func(m []member) []member { return m[1:] },
		"order":          func(m []member) []member { m[0], m[1] = m[1], m[0]; return m },
		"a member less":  func(m []member) []member { return m[:len(m)-1] },
		"a member twice": func(m []member) []member { return append(m, m[len(m)-1]) },
		"another member": func(m []member) []member {
			return append(m, member{tar.Header{Name: "../../etc/passwd", Typeflag: tar.TypeReg}, "x"})
		},
		"a link": func(m []member) []member {
			m[len(m)-1].Typeflag, m[len(m)-1].Linkname = tar.TypeSymlink, "/etc/passwd"
			return m
		},
		"a huge signature": func(m []member) []member { m[0].content = strings.Repeat("x", 1<<20); return m },
		"nothing":          func([]member) []member { return nil },
	} {
		if err := verified(write(change(read())), key.PublicKey()); err == nil {
			t.Errorf("%s was changed, and the bundle was accepted", name)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 100, 600, len(whole) / 2, len(whole) - 1530} {
		cut := filepath.Join(dir, "cut.tar")
		if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := verified(cut, key.PublicKey()); err == nil {
			t.Errorf("a bundle of %d bytes was accepted", n)
		}
	}
}

// A medium can give other bytes when a bundle is read again.
func TestImport_ChangedAfterItWasVerified(t *testing.T) {
	s, key, path := newSource(t, map[string]string{"1.0.0": "one"}), newKey(t), filepath.Join(t.TempDir(), "bundle.tar")
	if _, err := s.export(t, path, "", key, "1.0.0"); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another status":    {`"status":"Published"`, `"status":"Unlisted" `},
		"a record less":     {`{"files"`, "\x00\x00\x00\x00\x00\x00\x00\x00"},
		"two of one record": {`,"format"`, "\n\"format\""},
	} {
		b, err := bundle.Open(path, []ssh.PublicKey{key.PublicKey()}, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(whole, []byte(change[0]), []byte(change[1]), 1)
		if len(changed) != len(whole) || bytes.Equal(changed, whole) {
			t.Fatalf("%s: nothing was changed", name)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(changed) // in place
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			sent++
			w.WriteHeader(http.StatusForbidden)
		}))
		report := new(bundle.Report)
		if err := b.Import(t.Context(), repositoryAt(t, server.URL), report, func() {}); err == nil || !strings.Contains(err.Error(), "was changed after it was verified") {
			t.Errorf("%s: %v, %q", name, err, report.Failed)
		}
		server.Close()
		b.Close()
		if sent > 0 {
			t.Errorf("%s: %d requests were sent", name, sent)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParsePublicKeys(t *testing.T) {
	key := newKey(t).PublicKey()
	line := string(ssh.MarshalAuthorizedKey(key))
	keys, err := bundle.ParsePublicKeys([]byte("# ours\n\n" + line))
	if err != nil || len(keys) != 1 || !bytes.Equal(keys[0].Marshal(), key.Marshal()) {
		t.Errorf("%v, %v", keys, err)
	}
	for _, text := range []string{"", "# only\n", line + "x y\n", "-----BEGIN OPENSSH PRIVATE KEY-----\n"} {
		if keys, err := bundle.ParsePublicKeys([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, keys)
		}
	}
}
