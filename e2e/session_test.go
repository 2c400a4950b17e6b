package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
)

// A session connects the clients to one process. Its methods return errors, since
// many goroutines call them.
type session struct {
	*process
	ctx     context.Context
	ledger  *ledger
	trigger *killTrigger
	http    *http.Client
	idle    func() // closes idle connections
	aws     aws.Config
	basic   string // Authorization of the container registry
	bearer  string // Authorization of the packages
	// storeKilled means that the trigger kills the database or the object store too.
	storeKilled bool
	lib         string // URL of the package endpoints of "lib", with %s for the format
}

const (
	domain        = "acme"
	libRepository = "lib"
)

// connectFirst creates the domain, the package repository and the image repository,
// and connects.
func connectFirst(t *testing.T, p *process, data string, ledger *ledger) *session {
	t.Helper()
	g := &fixture{t: t, url: p.url, data: data}
	g.repositories(account, domain)
	ledger.begin(change{"repository/app": "present", "library/" + libRepository: "present"})()
	return connect(t, p, data, ledger)
}

// connect opens a session whose trigger does not fire yet.
func connect(t *testing.T, p *process, data string, ledger *ledger) *session {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64, ExpectContinueTimeout: waitTimeout}
	t.Cleanup(transport.CloseIdleConnections)
	s := &session{process: p, ctx: t.Context(), ledger: ledger, trigger: &killTrigger{kill: p.kill}, idle: transport.CloseIdleConnections}
	s.trigger.left.Store(1 << 40)
	s.http = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) { return s.trigger.RoundTrip(r, transport) })}
	g := &fixture{t: t, url: p.url, data: data}
	s.aws = g.profile(account)
	s.aws.HTTPClient = s.http
	s.aws.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	s.basic = "Basic " + *ecrToken(t, s.aws).AuthorizationToken
	token, err := codeArtifactToken(t, s.aws, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.bearer = "Bearer " + *token.AuthorizationToken
	endpoint, err := codeartifact.NewFromConfig(s.aws).GetRepositoryEndpoint(t.Context(), &codeartifact.GetRepositoryEndpointInput{Domain: aws.String(domain), Repository: aws.String(libRepository), Format: "npm"})
	if err != nil {
		t.Fatal(err)
	}
	s.lib = strings.Replace(*endpoint.RepositoryEndpoint, "/npm/", "/%s/", 1)
	return s
}

// stop ends the process with SIGTERM and expects exit code 0.
func (s *session) stop() {
	s.t.Helper()
	s.idle() // an unused connection delays the shutdown by seconds
	s.terminate()
	if err := s.wait(); err != nil {
		s.t.Errorf("after SIGTERM: %v", err)
	}
	for line := range strings.Lines(s.logged()) {
		// A server was killed while it did the work.
		if !strings.Contains(line, `msg="work begins again: the server that ran it has stopped"`) {
			s.t.Errorf("the servers logged: %s", line)
		}
	}
}

// endpoint returns the package endpoint of a format. It ends in "/".
func (s *session) endpoint(format string) string { return fmt.Sprintf(s.lib, format) }

// An answer is a response with its whole body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// A request is sent by do.
type request struct {
	method, url, authorization string
	header                     map[string]string
	body                       io.Reader
	length                     int64
}

// oci returns a request to the container registry.
func (s *session) oci(method, path string) *request {
	if !strings.HasPrefix(path, "http") {
		path = s.url + path
	}
	return &request{method: method, url: path, authorization: s.basic}
}

// pkg returns a request to a package endpoint.
func (s *session) pkg(method, format, path string) *request {
	return &request{method: method, url: s.endpoint(format) + path, authorization: s.bearer}
}

func (r *request) with(name, value string) *request {
	if r.header == nil {
		r.header = map[string]string{}
	}
	r.header[name] = value
	return r
}

func (r *request) sends(body []byte) *request {
	r.body, r.length = bytes.NewReader(body), int64(len(body))
	return r
}

// do sends a request and fails if the answer has none of the statuses.
func (s *session) do(r *request, statuses ...int) (*answer, error) {
	req, err := http.NewRequestWithContext(s.ctx, r.method, r.url, r.body)
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		req.ContentLength = r.length
		if r.length == 0 {
			req.Body = http.NoBody
		}
	}
	req.Header.Set("Authorization", r.authorization)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	for _, status := range statuses {
		if a.status == status {
			return a, nil
		}
	}
	return a, &statusError{a.status, fmt.Sprintf("%s %s: %d: %s", r.method, r.url, a.status, a.body)}
}

// A statusError is an answer with another status than expected.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// write calls do, which makes the change, and records the change in the ledger.
func (s *session) write(c change, do func() error) error {
	acknowledged := s.ledger.begin(c)
	if err := do(); err != nil {
		return err
	}
	acknowledged()
	return nil
}
