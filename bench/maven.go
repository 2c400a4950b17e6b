package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"golang.org/x/sync/errgroup"
)

const (
	mavenFolder   = "com/example/bench"
	mavenVersions = 500
)

// mavenJobs are the requests of Maven's clients: the list of an artifact's versions, a
// jar, and a deployment. The baselines check no token, and serve or store the same bytes.
func (b *testbed) mavenJobs() []job {
	return []job{
		{"maven metadata, 500 versions, c=8", perSecond, func(ctx context.Context) (*comparison, error) {
			return b.mavenDownload(ctx, download{paths: []string{"/" + mavenFolder + "/maven-metadata.xml"}, header: []string{"Accept-Encoding", "gzip"}})
		}},
		{"maven jar of 100 KiB, c=8", perSecond, func(ctx context.Context) (*comparison, error) {
			return b.mavenDownload(ctx, download{paths: []string{"/" + mavenFile(1, ".jar")}, stored: true})
		}},
		{"maven PUT of a jar onto 500 versions", seconds, func(ctx context.Context) (*comparison, error) {
			m, err := b.maven(ctx)
			if err != nil {
				return nil, err
			}
			return &comparison{m.putMore, []baseline{{"write + fsync", m.storeMore(b.dir)}}}, nil
		}},
	}
}

// mavenDownload completes d, whose path is relative to the repository.
func (b *testbed) mavenDownload(ctx context.Context, d download) (*comparison, error) {
	m, err := b.maven(ctx)
	if err != nil {
		return nil, err
	}
	d.paths = []string{strings.TrimPrefix(m.url, b.gatehouse.url) + d.paths[0]}
	d.header = append(d.header, "Authorization", m.authorization)
	d.connections, d.unit = 8, perSecond
	return b.download(ctx, d)
}

// A mavenRepository is a Gatehouse repository with one Maven artifact in it.
type mavenRepository struct {
	url           string // without the trailing slash
	authorization string
	client        *http.Client
	latest        atomic.Int64 // the highest version so far
}

func mavenFile(version int, suffix string) string {
	return fmt.Sprintf("%s/1.%d/bench-1.%d%s", mavenFolder, version, version, suffix)
}

// fillMaven creates a repository and deploys the artifact's versions: small ones, except
// the first, whose jar has 100 KiB.
func (b *testbed) fillMaven(ctx context.Context) (*mavenRepository, error) {
	m, err := b.openMaven(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.deploy(ctx, 100*kib); err != nil {
		return nil, err
	}
	g, filling := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for range mavenVersions - 1 {
		g.Go(func() error { return m.deploy(filling, kib) })
	}
	return m, g.Wait()
}

func (b *testbed) openMaven(ctx context.Context) (*mavenRepository, error) {
	api, err := b.domain(ctx)
	if err != nil {
		return nil, err
	}
	domain, repository := aws.String(benchDomain), aws.String("maven")
	if _, err := api.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: domain, Repository: repository}); err != nil {
		return nil, err
	}
	endpoint, err := api.GetRepositoryEndpoint(ctx, &codeartifact.GetRepositoryEndpointInput{Domain: domain, Repository: repository, Format: types.PackageFormatMaven})
	if err != nil {
		return nil, err
	}
	answer, err := api.GetAuthorizationToken(ctx, &codeartifact.GetAuthorizationTokenInput{Domain: domain})
	if err != nil {
		return nil, err
	}
	return &mavenRepository{
		url: strings.TrimSuffix(aws.ToString(endpoint.RepositoryEndpoint), "/"), client: newClient(),
		authorization: "Bearer " + aws.ToString(answer.AuthorizationToken),
	}, nil
}

// deploy publishes the next version.
func (m *mavenRepository) deploy(ctx context.Context, size int) error {
	n := int(m.latest.Add(1))
	pom := fmt.Sprintf("<project><groupId>com.example</groupId><artifactId>bench</artifactId><version>1.%d</version></project>", n)
	index := fmt.Sprintf("<metadata><versioning><versions><version>1.%d</version></versions></versioning></metadata>", n)
	return errors.Join(
		m.put(ctx, mavenFile(n, ".jar"), randomBytes(size)),
		m.put(ctx, mavenFile(n, ".pom"), []byte(pom)),
		m.put(ctx, mavenFolder+"/maven-metadata.xml", []byte(index)),
	)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (m *mavenRepository) put(ctx context.Context, path string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, m.url+"/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", m.authorization)
	_, err = send(m.client, r, http.StatusCreated)
	return err
}

// putMore measures one PUT of a jar of a new version.
func (m *mavenRepository) putMore(ctx context.Context) (sample, error) {
	return m.timed(func(body []byte) error { return m.put(ctx, mavenFile(int(m.latest.Add(1)), ".jar"), body) })
}

// storeMore is the baseline: the jar is written to a file.
func (m *mavenRepository) storeMore(parent string) measure {
	return func(context.Context) (sample, error) {
		dir, err := os.MkdirTemp(parent, "stored-")
		if err != nil {
			return sample{}, err
		}
		s, err := m.timed(func(body []byte) error { return storeFile(filepath.Join(dir, rand.Text()), body) })
		return s, errors.Join(err, os.RemoveAll(dir))
	}
}

func (m *mavenRepository) timed(store func(body []byte) error) (sample, error) {
	var taken []float64
	for range published {
		body := randomBytes(kib)
		start := time.Now()
		if err := store(body); err != nil {
			return sample{}, err
		}
		taken = append(taken, time.Since(start).Seconds())
	}
	return sample{Value: median(taken)}, nil
}
