package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

// slowAnswer is how long the registry takes to say that the page of a project has not
// changed.
const slowAnswer = 200 * time.Millisecond

// upstreamConfig is the part of the server's configuration about the registry. The document
// of npm is asked for once; the page of PyPI is due for a revalidation all the time.
func upstreamConfig(registry string) string {
	const form = "  '%s': {url: '%s', allow_private: true, cache: {fresh: %s, background: 24h, retry: 1ms}}\n"
	return "upstreams:\n" +
		fmt.Sprintf(form, "public:npmjs", registry+"/npm/", "12h") +
		fmt.Sprintf(form, "public:pypi", registry+"/pypi/simple/", "1ms")
}

// An upstreamRegistry has one npm package and one project of PyPI, on a loopback address.
type upstreamRegistry struct {
	url    string
	server *http.Server

	mu    sync.Mutex
	files map[string]upstreamFile // by path
}

type upstreamFile struct {
	contentType string
	content     []byte
	slow        bool // to revalidate
}

func startUpstream() (*upstreamRegistry, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstreamRegistry{url: "http://" + l.Addr().String(), files: map[string]upstreamFile{}}
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: time.Minute}
	go u.server.Serve(l) // until close
	return u, nil
}

func (u *upstreamRegistry) close() error {
	if u == nil {
		return nil
	}
	return u.server.Close()
}

func (u *upstreamRegistry) add(path string, f upstreamFile) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[path] = f
}

// ServeHTTP answers with a file, or with 304.
func (u *upstreamRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	f, ok := u.files[r.URL.Path]
	u.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	const etag = `"1"`
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		if f.slow {
			time.Sleep(slowAnswer)
		}
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", f.contentType)
	_, _ = w.Write(f.content)
}

// An upstreamJob compares what comes through an external connection with the same that is
// stored in a repository.
type upstreamJob struct {
	job        string
	format     types.PackageFormat
	connection string
	path       string
	header     []string
}

// upstreamJobs are about answers that the server has already. They must take no longer than
// others, also while the registry is asked whether it has something new.
func (b *testbed) upstreamJobs() []job {
	gzip := []string{"Accept-Encoding", "gzip", "Accept"}
	var jobs []job
	for _, u := range []upstreamJob{
		{"npm document through an upstream, c=8", types.PackageFormatNpm, "public:npmjs", "/" + npmPackage, append(gzip, abbreviated)},
		{"npm tarball through an upstream, c=8", types.PackageFormatNpm, "public:npmjs", "/" + npmPackage + "/-/" + tarballName(1), nil},
		{"pypi page, upstream asked meanwhile, c=8", types.PackageFormatPypi, "public:pypi", "/simple/" + pypiProject + "/", append(gzip, simpleJSON)},
	} {
		jobs = append(jobs, job{u.job, perSecond, func(ctx context.Context) (*comparison, error) { return b.throughUpstream(ctx, u) }})
	}
	return jobs
}

// throughUpstream prepares a job: the download from a repository with the connection, and
// as the baseline the same from the repository to which the package was published.
func (b *testbed) throughUpstream(ctx context.Context, u upstreamJob) (*comparison, error) {
	stored, err := b.packages[u.format](ctx)
	if err != nil {
		return nil, err
	}
	if err := b.fillUpstream(ctx, stored); err != nil {
		return nil, err
	}
	url, err := b.connectedRepository(ctx, u)
	if err != nil {
		return nil, err
	}
	side := func(repository string) (measure, error) {
		header := append([]string{"Authorization", stored.authorization}, u.header...)
		if _, err := fetch(ctx, repository+u.path, header); err != nil { // the server has it from now on
			return nil, err
		}
		request, err := writtenGet(ctx, repository+u.path, header)
		return (&loadTest{b.gatehouse, [][]byte{request}, 8, b.duration, perSecond}).measure, err
	}
	through, err := side(url)
	if err != nil {
		return nil, err
	}
	here, err := side(stored.url)
	return &comparison{through, []baseline{{"stored", here}}}, err
}

// fillUpstream gives the registry what is in a repository.
func (b *testbed) fillUpstream(ctx context.Context, stored *packageRepository) error {
	document, file, at := "/"+npmPackage, "/"+npmPackage+"/-/"+tarballName(1), "/npm"
	contentType := "application/json"
	if stored.format == types.PackageFormatPypi {
		document, file, at = "/simple/"+pypiProject+"/", "/simple/"+pypiProject+"/"+version(1)+"/"+wheelName(1), "/pypi"
		contentType = simpleJSON
	}
	header := []string{"Authorization", stored.authorization, "Accept", contentType}
	for _, path := range []string{document, file} {
		content, err := fetch(ctx, stored.url+path, header)
		if err != nil {
			return err
		}
		if path == document {
			content = bytes.ReplaceAll(content, []byte(stored.url+"/"), []byte(b.upstream.url+at+"/"))
		}
		b.upstream.add(at+path, upstreamFile{contentType, content, path == document && at == "/pypi"})
	}
	return nil
}

// connectedRepository creates a repository with the connection, unless it exists, and
// returns its address.
func (b *testbed) connectedRepository(ctx context.Context, u upstreamJob) (string, error) {
	api, err := b.domain(ctx)
	if err != nil {
		return "", err
	}
	domain, repository := aws.String(benchDomain), aws.String("through-"+string(u.format))
	_, err = api.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: domain, Repository: repository})
	if err == nil {
		_, err = api.AssociateExternalConnection(ctx, &codeartifact.AssociateExternalConnectionInput{Domain: domain, Repository: repository, ExternalConnection: aws.String(u.connection)})
	}
	if exists := (*types.ConflictException)(nil); err != nil && !errors.As(err, &exists) {
		return "", err
	}
	endpoint, err := api.GetRepositoryEndpoint(ctx, &codeartifact.GetRepositoryEndpointInput{Domain: domain, Repository: repository, Format: u.format})
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(aws.ToString(endpoint.RepositoryEndpoint), "/"), nil
}
