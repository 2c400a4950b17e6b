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

const (
	npmPackage  = "bench-package"
	npmVersions = 500

	// abbreviated is the Accept header of npm install.
	abbreviated = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
	// published is the number of versions published in one round.
	published = 5
)

// npmJobs are npm's three important requests: the document of a package with many
// versions, a tarball, and the publication of another version. The baselines check
// no token, and serve or store the same bytes.
func (b *testbed) npmJobs() []job {
	return []job{
		{"npm document, 500 versions, c=8", perSecond, func(ctx context.Context) (*comparison, error) {
			return b.npmDownload(ctx, download{paths: []string{"/" + npmPackage}, header: []string{"Accept", abbreviated, "Accept-Encoding", "gzip"}})
		}},
		{"npm document, whole, no gzip, c=8", perSecond, func(ctx context.Context) (*comparison, error) {
			return b.npmDownload(ctx, download{paths: []string{"/" + npmPackage}, header: []string{"Accept", "application/json"}})
		}},
		{"npm tarball of 100 KiB, c=8", perSecond, func(ctx context.Context) (*comparison, error) {
			return b.npmDownload(ctx, download{paths: []string{"/" + npmPackage + "/-/" + tarballName(1)}, stored: true})
		}},
		{"npm publish onto 500 versions", seconds, func(ctx context.Context) (*comparison, error) {
			n, err := b.npm(ctx)
			if err != nil {
				return nil, err
			}
			c := &comparison{n.publishMore, []baseline{{"write + fsync", n.storeMore(b.dir)}}}
			if b.stores != nil {
				c.baselines = append(c.baselines, baseline{"PutObject + commit", func(ctx context.Context) (sample, error) {
					return n.timed(func(body []byte) error { return b.stores.store(ctx, body) })
				}})
			}
			return c, nil
		}},
	}
}

// npmDownload completes d, whose path is relative to the repository.
func (b *testbed) npmDownload(ctx context.Context, d download) (*comparison, error) {
	n, err := b.npm(ctx)
	if err != nil {
		return nil, err
	}
	d.paths = []string{strings.TrimPrefix(n.url, b.gatehouse.url) + d.paths[0]}
	d.header = append(d.header, "Authorization", n.authorization)
	d.connections, d.unit = 8, perSecond
	return b.download(ctx, d)
}

// An npmRepository is a Gatehouse repository with one npm package in it.
type npmRepository struct {
	url           string // without the trailing slash
	authorization string
	client        *http.Client
	latest        atomic.Int64 // the highest version so far
}

// fillNPM creates a repository and publishes the package's versions: small ones,
// except the first, whose tarball has 100 KiB.
func (b *testbed) fillNPM(ctx context.Context) (*npmRepository, error) {
	n, err := b.openNPM(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.publish(ctx, 100*kib); err != nil {
		return nil, err
	}
	g, filling := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for range npmVersions - 1 {
		g.Go(func() error { return n.publish(filling, kib) })
	}
	return n, g.Wait()
}

func (b *testbed) openNPM(ctx context.Context) (*npmRepository, error) {
	api, err := b.domain(ctx)
	if err != nil {
		return nil, err
	}
	domain, repository := aws.String(benchDomain), aws.String("npm")
	if _, err := api.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: domain, Repository: repository}); err != nil {
		return nil, err
	}
	endpoint, err := api.GetRepositoryEndpoint(ctx, &codeartifact.GetRepositoryEndpointInput{Domain: domain, Repository: repository, Format: types.PackageFormatNpm})
	if err != nil {
		return nil, err
	}
	answer, err := api.GetAuthorizationToken(ctx, &codeartifact.GetAuthorizationTokenInput{Domain: domain})
	if err != nil {
		return nil, err
	}
	return &npmRepository{
		url: strings.TrimSuffix(aws.ToString(endpoint.RepositoryEndpoint), "/"), client: newClient(),
		authorization: "Bearer " + aws.ToString(answer.AuthorizationToken),
	}, nil
}

// publish publishes the next version.
func (n *npmRepository) publish(ctx context.Context, size int) error {
	body, err := npmPublication(n.url, int(n.latest.Add(1)), size)
	if err != nil {
		return err
	}
	return n.put(ctx, body)
}

func (n *npmRepository) put(ctx context.Context, body []byte) error {
	return n.putPackage(ctx, npmPackage, body)
}

func (n *npmRepository) putPackage(ctx context.Context, name string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, n.url+"/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", n.authorization)
	r.Header.Set("Content-Type", "application/json")
	_, err = send(n.client, r, http.StatusCreated)
	return err
}

// publishMore measures publishing: seconds for one version.
func (n *npmRepository) publishMore(ctx context.Context) (sample, error) {
	return n.timed(func(body []byte) error { return n.put(ctx, body) })
}

// storeMore is the baseline: the request's body is written to a file.
func (n *npmRepository) storeMore(parent string) measure {
	return func(context.Context) (sample, error) {
		dir, err := os.MkdirTemp(parent, "stored-")
		if err != nil {
			return sample{}, err
		}
		s, err := n.timed(func(body []byte) error { return storeFile(filepath.Join(dir, rand.Text()), body) })
		return s, errors.Join(err, os.RemoveAll(dir))
	}
}

func (n *npmRepository) timed(store func(body []byte) error) (sample, error) {
	var taken []float64
	for range published {
		body, err := npmPublication(n.url, int(n.latest.Add(1)), kib)
		if err != nil {
			return sample{}, err
		}
		start := time.Now()
		if err := store(body); err != nil {
			return sample{}, err
		}
		taken = append(taken, time.Since(start).Seconds())
	}
	return sample{Value: median(taken)}, nil
}
