package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The stand-in is a small server for the package formats that Gatehouse does not
// serve yet. It implements what a client needs to publish and to install. It requires
// the credentials that the format's clients send to CodeArtifact, and asks Gatehouse
// whether the token is accepted for the repository.
//
// All other requests are forwarded to Gatehouse. The stand-in is therefore also the
// endpoint of the CodeArtifact API, and GetRepositoryEndpoint returns its address.
//
// Each format has a file, standin_FORMAT_test.go, and an entry in standinFormats.

// A standinFormat implements one package format.
type standinFormat struct {
	// credentials returns the token of a request that has it in the form that the
	// format's clients use; ok is false for any other request.
	credentials func(*http.Request) (token string, ok bool)
	// serve answers an authorized request.
	serve func(http.ResponseWriter, *standinRequest)
}

// standinFormats returns the formats by CodeArtifact's names.
func standinFormats() map[string]standinFormat {
	return map[string]standinFormat{
		"nuget": {credentials: basicAuth("aws"), serve: serveNuGet},
		"ruby":  {credentials: anyOf(basicAuth("aws"), bearerAuth), serve: serveRuby},
	}
}

// A standinRequest is an authorized request to a repository.
type standinRequest struct {
	*http.Request
	// Base is the URL of the repository's endpoint. It ends in "/".
	Base string
	// Rest is the path below it, unescaped.
	Rest string
	// Files has the repository's files of this format.
	Files *fileStore
}

// A fileStore has files by path, in memory.
type fileStore struct {
	mu    sync.Mutex
	files map[string][]byte
}

// Get returns a file; ok is false if there is none.
func (s *fileStore) Get(path string) (file []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	file, ok = s.files[path]
	return file, ok
}

// Put stores a file.
func (s *fileStore) Put(path string, file []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = file
}

// Delete deletes a file.
func (s *fileStore) Delete(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, path)
}

// List returns the paths that begin with a prefix, in order.
func (s *fileStore) List(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.files)), func(path string) bool { return !strings.HasPrefix(path, prefix) })
}

// basicAuth returns the password of HTTP Basic authentication.
func basicAuth(username string) func(*http.Request) (string, bool) {
	return func(r *http.Request) (string, bool) {
		name, token, ok := r.BasicAuth()
		return token, ok && name == username
	}
}

func bearerAuth(r *http.Request) (string, bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func anyOf(all ...func(*http.Request) (string, bool)) func(*http.Request) (string, bool) {
	return func(r *http.Request) (string, bool) {
		for _, credentials := range all {
			if token, ok := credentials(r); ok {
				return token, true
			}
		}
		return "", false
	}
}

// maxStandinBody is the limit of a published body in bytes.
const maxStandinBody = 64 << 20

// body reads the published body.
func (r *standinRequest) body() ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(nil, r.Body, maxStandinBody))
}

// standin starts the stand-in in front of the server, for the rest of the script:
//
//	$STANDIN                       its address
//	$AWS_ENDPOINT_URL_CODEARTIFACT the same, so that tools find its repositories
//	standin.log                    a line for each request to a package endpoint:
//	                               METHOD PATH STATUS
func standin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 || ts.Getenv("URL") == "" {
		ts.Fatalf("usage: standin, after serve")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	log, err := os.OpenFile(ts.MkAbs("standin.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	s := &standinServer{
		gatehouse: ts.Getenv("URL"), own: "http://" + listener.Addr().String(),
		formats: standinFormats(), shelves: map[string]*fileStore{}, log: log,
	}
	s.proxy = s.newProxy()
	server := &http.Server{Handler: s, ReadHeaderTimeout: waitTimeout}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	ts.Defer(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			ts.Logf("stand-in: %v", err)
		}
		log.Close()
	})
	ts.Setenv("STANDIN", s.own)
	ts.Setenv("AWS_ENDPOINT_URL_CODEARTIFACT", s.own)
}

type standinServer struct {
	gatehouse, own string // addresses, without a "/" at the end
	formats        map[string]standinFormat
	proxy          http.Handler

	mu      sync.Mutex
	shelves map[string]*fileStore // by domain/format/repository
	log     io.Writer
}

// newProxy forwards to Gatehouse. It keeps the request's Host, which is signed.
func (s *standinServer) newProxy() http.Handler {
	target, err := url.Parse(s.gatehouse)
	if err != nil {
		panic(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path != "/v1/repository/endpoint" {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			body = bytes.ReplaceAll(body, []byte(s.gatehouse), []byte(s.own))
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.ContentLength = int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return nil
		},
	}
}

// ServeHTTP serves /codeartifact/REGION/OWNER/DOMAIN/FORMAT/REPOSITORY/… for the
// formats of the stand-in.
func (s *standinServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 7)
	if len(parts) < 7 || parts[0] != "codeartifact" {
		s.proxy.ServeHTTP(w, r)
		return
	}
	domain, name, repository := parts[3], parts[4], parts[5]
	format, ok := s.formats[name]
	if !ok {
		s.proxy.ServeHTTP(w, r)
		return
	}
	recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprintln(s.log, r.Method, r.URL.Path, recorder.status)
	}()
	token, ok := format.credentials(r)
	if !ok {
		s.refuse(recorder, http.StatusUnauthorized, domain+"/"+repository, "No credentials, or not those of the format "+name+".")
		return
	}
	base := "/" + strings.Join(parts[:6], "/") + "/"
	opened, err := s.opens(r, token, base)
	switch {
	case err != nil:
		http.Error(recorder, err.Error(), http.StatusBadGateway)
	case opened != http.StatusOK:
		s.refuse(recorder, opened, domain+"/"+repository, "The token does not open the repository.")
	default:
		format.serve(recorder, &standinRequest{Request: r, Base: s.own + base, Rest: parts[6], Files: s.fileStore(base)})
	}
}

// refuse answers with the challenges of the real service.
func (s *standinServer) refuse(w http.ResponseWriter, status int, realm, why string) {
	if status == http.StatusUnauthorized {
		// Two header fields: Maven, Gradle and sbt read only one challenge in each.
		w.Header().Add("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", realm))
		w.Header().Add("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", realm))
	}
	http.Error(w, why, status)
}

// opens asks Gatehouse whether the token is accepted for the repository, with npm's
// ping, which needs read permission.
func (s *standinServer) opens(r *http.Request, token, base string) (status int, err error) {
	parts := strings.Split(base, "/")
	parts[5] = "npm"
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.gatehouse+strings.Join(parts, "/")+"-/ping", nil)
	if err != nil {
		return 0, err
	}
	ask.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Timeout: 30 * time.Second}
	answer, err := client.Do(ask)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	return answer.StatusCode, nil
}

func (s *standinServer) fileStore(base string) *fileStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shelves[base] == nil {
		s.shelves[base] = &fileStore{files: map[string][]byte{}}
	}
	return s.shelves[base]
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}
