package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
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

// A packageFormat says how a package format is measured: on one package with many
// versions, of which the first has an asset of about 100 KiB and the others one of 1 KiB.
type packageFormat struct {
	format   types.PackageFormat
	versions int
	// scheme begins the Authorization header, as the format's clients send it.
	scheme string
	// downloads are paths below the repository.
	downloads []packageDownload
	// publishJob is the name of the job that publishes another version.
	publishJob string
	// publication returns the requests that publish the n-th version, with an asset of
	// about size bytes. The job measures the first. url is the repository's.
	publication func(url string, n, size int) ([]packageRequest, error)
}

type packageDownload struct {
	job, path string
	header    []string // name, value, …
	stored    bool     // the answer is a blob
}

// A packageRequest is a request of a client to a path below the repository.
type packageRequest struct {
	method, path, contentType string
	body                      []byte
	want                      int // the status
}

// published is the number of versions published in one round.
const published = 5

// packageFormats are the formats that are measured, in the order of the table.
func packageFormats() []packageFormat {
	return []packageFormat{npmFormat(), mavenFormat(), cargoFormat(), nugetFormat(), rubyFormat(), pypiFormat(), swiftFormat()}
}

// packageJobs are the important requests of each format's clients: what they choose a
// version by, an asset, and the publication of another version. The baselines check no
// token, and serve or store the same bytes.
func (b *testbed) packageJobs(f packageFormat) []job {
	var jobs []job
	for _, d := range f.downloads {
		jobs = append(jobs, job{d.job, perSecond, func(ctx context.Context) (*comparison, error) {
			r, err := b.packages[f.format](ctx)
			if err != nil {
				return nil, err
			}
			return b.download(ctx, download{
				paths:       []string{strings.TrimPrefix(r.url, b.gatehouse.url) + d.path},
				header:      append([]string{"Authorization", r.authorization}, d.header...),
				connections: 8, unit: perSecond, stored: d.stored,
			})
		}})
	}
	return append(jobs, job{f.publishJob, seconds, func(ctx context.Context) (*comparison, error) {
		r, err := b.packages[f.format](ctx)
		if err != nil {
			return nil, err
		}
		c := &comparison{r.publishMore, []baseline{{"write + fsync", r.storeMore(b.dir)}}}
		if b.stores != nil {
			c.baselines = append(c.baselines, baseline{"PutObject + commit", func(ctx context.Context) (sample, error) {
				return r.timed(func(p packageRequest) error { return b.stores.store(ctx, p.body) })
			}})
		}
		return c, nil
	}})
}

// A packageRepository is a Gatehouse repository with one package of a format in it.
type packageRepository struct {
	packageFormat
	url           string // without the trailing slash
	authorization string
	client        *http.Client
	latest        atomic.Int64 // the highest version so far
}

// fillPackages creates a repository and publishes the versions of its package.
func (b *testbed) fillPackages(ctx context.Context, f packageFormat) (*packageRepository, error) {
	r, err := b.openPackages(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := r.publish(ctx, 100*kib); err != nil {
		return nil, err
	}
	g, filling := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for range f.versions - 1 {
		g.Go(func() error { return r.publish(filling, kib) })
	}
	return r, g.Wait()
}

// openPackages creates an empty repository, whose name is that of the format.
func (b *testbed) openPackages(ctx context.Context, f packageFormat) (*packageRepository, error) {
	api, err := b.domain(ctx)
	if err != nil {
		return nil, err
	}
	domain, repository := aws.String(benchDomain), aws.String(string(f.format))
	if _, err := api.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: domain, Repository: repository}); err != nil {
		return nil, err
	}
	endpoint, err := api.GetRepositoryEndpoint(ctx, &codeartifact.GetRepositoryEndpointInput{Domain: domain, Repository: repository, Format: f.format})
	if err != nil {
		return nil, err
	}
	answer, err := api.GetAuthorizationToken(ctx, &codeartifact.GetAuthorizationTokenInput{Domain: domain})
	if err != nil {
		return nil, err
	}
	return &packageRepository{
		packageFormat: f, url: strings.TrimSuffix(aws.ToString(endpoint.RepositoryEndpoint), "/"), client: newClient(),
		authorization: f.scheme + aws.ToString(answer.AuthorizationToken),
	}, nil
}

// publish publishes the next version.
func (r *packageRepository) publish(ctx context.Context, size int) error {
	requests, err := r.publication(r.url, int(r.latest.Add(1)), size)
	if err != nil {
		return err
	}
	for _, p := range requests {
		if err := r.send(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (r *packageRepository) send(ctx context.Context, p packageRequest) error {
	request, err := http.NewRequestWithContext(ctx, p.method, r.url+p.path, bytes.NewReader(p.body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", r.authorization)
	if p.contentType != "" {
		request.Header.Set("Content-Type", p.contentType)
	}
	_, err = send(r.client, request, p.want)
	return err
}

// publishMore measures publishing: seconds for one version.
func (r *packageRepository) publishMore(ctx context.Context) (sample, error) {
	return r.timed(func(p packageRequest) error { return r.send(ctx, p) })
}

// storeMore is the baseline: the request's body is written to a file.
func (r *packageRepository) storeMore(parent string) measure {
	return func(context.Context) (sample, error) {
		dir, err := os.MkdirTemp(parent, "stored-")
		if err != nil {
			return sample{}, err
		}
		s, err := r.timed(func(p packageRequest) error { return storeFile(filepath.Join(dir, rand.Text()), p.body) })
		return s, errors.Join(err, os.RemoveAll(dir))
	}
}

// timed measures what store does with the first request of some publications.
func (r *packageRepository) timed(store func(packageRequest) error) (sample, error) {
	var taken []float64
	for range published {
		requests, err := r.publication(r.url, int(r.latest.Add(1)), kib)
		if err != nil {
			return sample{}, err
		}
		start := time.Now()
		if err := store(requests[0]); err != nil {
			return sample{}, err
		}
		taken = append(taken, time.Since(start).Seconds())
	}
	return sample{Value: median(taken)}, nil
}
