package registryimport_test

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"

	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
	"github.com/gatehouse-registry/gatehouse/internal/client/registryimport"
)

// A server is a stand-in for one side. It has npm packages whose versions have one file.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	has      map[string]string // PACKAGE VERSION → content
	status   map[string]string // PACKAGE VERSION → status, Published if it has none
	imported map[string]int
	requests int
	// each is called before a request is answered; if it returns true, it has answered.
	each func(n int, w http.ResponseWriter, r *http.Request) bool
}

func newServer(t *testing.T, has map[string]string) *server {
	t.Helper()
	s := &server{has: has, status: map[string]string{}, imported: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func digest(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.each != nil && s.each(s.requests, w, r) {
		return
	}
	q := r.URL.Query()
	key := q.Get("package") + " " + q.Get("version")
	switch r.URL.Path {
	case "/v1/packages":
		names := map[string]bool{}
		list := []any{}
		for k := range s.has {
			if name, _, _ := strings.Cut(k, " "); !names[name] {
				names[name] = true
				list = append(list, map[string]string{"format": "npm", "package": name})
			}
		}
		answer(w, map[string]any{"packages": list})
	case "/v1/package/versions":
		list := []any{}
		for k := range s.has {
			if name, version, _ := strings.Cut(k, " "); name == q.Get("package") {
				list = append(list, map[string]string{"version": version, "revision": "R" + digest(s.has[k]), "status": s.statusOf(k)})
			}
		}
		answer(w, map[string]any{"versions": list})
	case "/v1/package/version/assets":
		list := []any{}
		if content, ok := s.has[key]; ok {
			list = append(list, map[string]any{"name": "package.tgz", "size": len(content), "hashes": map[string]string{"SHA-256": digest(content)}})
		}
		answer(w, map[string]any{"assets": list})
	case "/gatehouse/exported-file":
		fmt.Fprint(w, s.has[q.Get("package")+" "+q.Get("packageVersion")])
	case "/gatehouse/imported-version":
		s.take(w, r, q.Get("package")+" "+q.Get("packageVersion"))
	default:
		s.export(w, r)
	}
}

func (s *server) statusOf(key string) string {
	if status := s.status[key]; status != "" {
		return status
	}
	return "Published"
}

func (s *server) export(w http.ResponseWriter, r *http.Request) {
	var in struct{ Package, PackageVersion string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	content := s.has[in.Package+" "+in.PackageVersion]
	record, _ := json.Marshal(map[string]any{
		"format": "npm", "name": in.Package, "version": in.PackageVersion, "revision": "R" + digest(content), "status": "Published",
		"files": []any{map[string]any{"name": "package.tgz", "size": len(content), "sha256": digest(content)}},
	})
	answer(w, map[string]string{"record": string(record)})
}

// take imports a version whole, or not at all.
func (s *server) take(w http.ResponseWriter, r *http.Request, key string) {
	archive := tar.NewReader(r.Body)
	for {
		h, err := archive.Next()
		if err != nil {
			return // the client has gone
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return
		}
		if h.Name == "files/package.tgz" {
			s.has[key] = string(content)
			s.imported[key]++
			answer(w, map[string]string{"status": "Published"})
			return
		}
	}
}

func (s *server) repository(t *testing.T) *packagerepo.Repository {
	t.Helper()
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""), HTTPClient: s.Client(),
		Retryer: func() aws.Retryer { return retry.AddWithMaxAttempts(aws.NopRetryer{}, 1) },
	}
	client, err := operator.New(cfg, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &packagerepo.Repository{API: codeartifact.NewFromConfig(cfg), Operator: client, Domain: "acme", Name: "lib"}
}

// run imports from one server into another.
func run(t *testing.T, ctx context.Context, from, to *server, change func(*registryimport.Packages)) (*registryimport.Report, error) {
	t.Helper()
	p := &registryimport.Packages{
		From: from.repository(t), To: to.repository(t), Parallel: 2, Folder: t.TempDir(),
		Report: registryimport.NewReport(func(string, registryimport.State) {}),
	}
	if change != nil {
		change(p)
	}
	err := p.Run(ctx)
	left, readErr := os.ReadDir(p.Folder)
	if readErr != nil || len(left) > 0 {
		t.Errorf("temporary files: %v, %v", left, readErr)
	}
	return p.Report, err
}

func content() map[string]string {
	return map[string]string{"left 1.0.0": "one", "left 2.0.0": "two", "right 1.0.0": "three"}
}

// An import is interrupted at each request of either side, by the user and by the server. The
// next one completes it, and nothing is imported twice.
func TestPackages_InterruptedAnywhere(t *testing.T) {
	for _, side := range []string{"source", "destination"} {
		for _, how := range []string{"cancelled", "cut", "refused"} {
			if how == "cut" && side == "destination" { // sending is tried again, with pauses
				continue
			}
			for n := 1; ; n++ {
				from, to := newServer(t, content()), newServer(t, map[string]string{})
				ctx, cancel := context.WithCancel(t.Context())
				broken := map[string]*server{"source": from, "destination": to}[side]
				var reached atomic.Bool
				broken.each = func(i int, w http.ResponseWriter, _ *http.Request) bool {
					if i < n || i > n && how == "cancelled" {
						return false
					}
					reached.Store(true)
					switch how {
					case "cancelled":
						cancel()
						return false
					case "cut":
						panic(http.ErrAbortHandler)
					}
					w.Header().Set("X-Amzn-Errortype", "AccessDeniedException") // not temporary, so that no time passes
					w.WriteHeader(http.StatusForbidden)
					fmt.Fprint(w, `{"message": "no"}`)
					return true
				}
				report, err := run(t, ctx, from, to, nil)
				cancel()
				if !reached.Load() {
					break
				}
				if how == "cancelled" && !errors.Is(err, context.Canceled) && !report.Complete() {
					t.Errorf("%s %s %d: %v", side, how, n, err)
				}
				if how != "cancelled" && err == nil && report.Complete() {
					t.Errorf("%s %s %d: it seems complete", side, how, n)
				}
				broken.mu.Lock()
				broken.each = nil
				broken.mu.Unlock()
				if report, err = run(t, t.Context(), from, to, nil); err != nil || !report.Complete() {
					t.Fatalf("%s %s %d: again: %v, %+v", side, how, n, err, report.Entries())
				}
				for key, want := range content() {
					if to.has[key] != want || to.imported[key] != 1 {
						t.Errorf("%s %s %d: %s is %q, imported %d times", side, how, n, key, to.has[key], to.imported[key])
					}
				}
			}
		}
	}
}

// What the destination has with other bytes stays, and is reported; the rest is imported.
func TestPackages_OtherBytes(t *testing.T) {
	from, to := newServer(t, content()), newServer(t, map[string]string{"left 1.0.0": "ours"})
	for _, dry := range []bool{true, false} {
		report, err := run(t, t.Context(), from, to, func(p *registryimport.Packages) { p.DryRun = dry })
		if err != nil || report.Complete() || to.has["left 1.0.0"] != "ours" {
			t.Fatalf("%v, %q", err, to.has)
		}
		entries, counts := report.Entries(), report.Counts()["npm"]
		if len(entries) != 1 || entries[0].State != registryimport.Different || entries[0].Name != "npm/left@1.0.0" || !strings.Contains(entries[0].Message, "stays as it is") {
			t.Errorf("%+v", entries)
		}
		if want := (registryimport.Counts{Planned: 2, Different: 1, Bytes: 8}); dry && (counts != want || len(to.has) != 1) {
			t.Errorf("%+v, %q", counts, to.has)
		}
		if want := (registryimport.Counts{Imported: 2, Different: 1, Bytes: 8}); !dry && counts != want {
			t.Errorf("%+v", counts)
		}
	}
}

// A source that sends other bytes than it says is found out before anything is sent.
func TestPackages_SourceLies(t *testing.T) {
	from, to := newServer(t, content()), newServer(t, map[string]string{})
	from.each = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/gatehouse/exported-file" {
			return false
		}
		fmt.Fprint(w, "six")
		return true
	}
	report, err := run(t, t.Context(), from, to, nil)
	if err != nil || report.Counts()["npm"].Failed != 3 || len(to.has) != 0 {
		t.Errorf("%v, %+v, %q", err, report.Counts(), to.has)
	}
}

func TestPackages_FilterAndStatus(t *testing.T) {
	from, to := newServer(t, content()), newServer(t, map[string]string{})
	from.status["left 2.0.0"] = "Disposed"
	report, err := run(t, t.Context(), from, to, func(p *registryimport.Packages) {
		p.Filter = registryimport.Filter{Formats: []string{"npm"}, Package: "le*"}
	})
	if want := (registryimport.Counts{Imported: 1, Skipped: 1, Bytes: 3}); err != nil || report.Counts()["npm"] != want || len(to.has) != 1 || !report.Complete() {
		t.Errorf("%v, %+v, %q", err, report.Counts(), to.has)
	}
}

// Credentials that have expired end the import instead of failing every version.
func TestPackages_Expired(t *testing.T) {
	from, to := newServer(t, content()), newServer(t, map[string]string{})
	to.each = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Amzn-Errortype", "ExpiredTokenException")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"message": "The security token is expired"}`)
		return true
	}
	if _, err := run(t, t.Context(), from, to, nil); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}
