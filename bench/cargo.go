package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
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
	benchCrate    = "bench-crate"
	crateVersions = 200
)

// cargoJobs are cargo's requests: the file of a crate in the index, a .crate, and the
// publication of another version. The baselines check no token, and serve or store the
// same bytes.
func (b *testbed) cargoJobs() []job {
	return []job{
		{"cargo index, 200 versions, c=8", perSecond, func(ctx context.Context) (*comparison, error) {
			return b.cargoDownload(ctx, download{paths: []string{"/be/nc/" + benchCrate}, header: []string{"Accept-Encoding", "gzip"}})
		}},
		{"cargo download of 100 KiB, c=8", perSecond, func(ctx context.Context) (*comparison, error) {
			return b.cargoDownload(ctx, download{paths: []string{"/api/v1/crates/" + benchCrate + "/" + version(1) + "/download"}, stored: true})
		}},
		{"cargo publish onto 200 versions", seconds, func(ctx context.Context) (*comparison, error) {
			c, err := b.cargo(ctx)
			if err != nil {
				return nil, err
			}
			return &comparison{
				func(ctx context.Context) (sample, error) {
					return c.timed(func(body []byte) error { return c.put(ctx, body) })
				},
				[]baseline{{"write + fsync", c.storeMore(b.dir)}},
			}, nil
		}},
	}
}

// cargoDownload completes d, whose path is relative to the repository.
func (b *testbed) cargoDownload(ctx context.Context, d download) (*comparison, error) {
	c, err := b.cargo(ctx)
	if err != nil {
		return nil, err
	}
	d.paths = []string{strings.TrimPrefix(c.url, b.gatehouse.url) + d.paths[0]}
	d.header = append(d.header, "Authorization", c.token)
	d.connections, d.unit = 8, perSecond
	return b.download(ctx, d)
}

// A cargoRepository is a Gatehouse repository with one crate in it.
type cargoRepository struct {
	url, token string // url is without the trailing slash
	client     *http.Client
	latest     atomic.Int64 // the highest version so far
}

// fillCargo creates a repository and publishes the crate's versions: small ones, except
// the first, which has 100 KiB.
func (b *testbed) fillCargo(ctx context.Context) (*cargoRepository, error) {
	api, err := b.domain(ctx)
	if err != nil {
		return nil, err
	}
	domain, repository := aws.String(benchDomain), aws.String("cargo")
	if _, err := api.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: domain, Repository: repository}); err != nil {
		return nil, err
	}
	endpoint, err := api.GetRepositoryEndpoint(ctx, &codeartifact.GetRepositoryEndpointInput{Domain: domain, Repository: repository, Format: types.PackageFormatCargo})
	if err != nil {
		return nil, err
	}
	answer, err := api.GetAuthorizationToken(ctx, &codeartifact.GetAuthorizationTokenInput{Domain: domain})
	if err != nil {
		return nil, err
	}
	c := &cargoRepository{url: strings.TrimSuffix(aws.ToString(endpoint.RepositoryEndpoint), "/"), token: aws.ToString(answer.AuthorizationToken), client: newClient()}
	if err := c.publish(ctx, 100*kib); err != nil {
		return nil, err
	}
	g, filling := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for range crateVersions - 1 {
		g.Go(func() error { return c.publish(filling, kib) })
	}
	return c, g.Wait()
}

// publish publishes the next version.
func (c *cargoRepository) publish(ctx context.Context, size int) error {
	body, err := cargoPublication(int(c.latest.Add(1)), size)
	if err != nil {
		return err
	}
	return c.put(ctx, body)
}

func (c *cargoRepository) put(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, c.url+"/api/v1/crates/new", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", c.token)
	_, err = send(c.client, r, http.StatusOK)
	return err
}

// storeMore is the baseline: the request's body is written to a file.
func (c *cargoRepository) storeMore(parent string) measure {
	return func(context.Context) (sample, error) {
		dir, err := os.MkdirTemp(parent, "stored-")
		if err != nil {
			return sample{}, err
		}
		s, err := c.timed(func(body []byte) error { return storeFile(filepath.Join(dir, rand.Text()), body) })
		return s, errors.Join(err, os.RemoveAll(dir))
	}
}

func (c *cargoRepository) timed(store func(body []byte) error) (sample, error) {
	var taken []float64
	for range published {
		body, err := cargoPublication(int(c.latest.Add(1)), kib)
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

// cargoPublication returns the body of the request with which cargo publishes the n-th
// version of [benchCrate]. Its .crate has about size bytes.
func cargoPublication(n, size int) ([]byte, error) {
	crate, err := cargoCrate(n, size)
	if err != nil {
		return nil, err
	}
	var dependencies []object
	for _, name := range []string{"bench-one", "bench-two", "bench-three"} {
		dependencies = append(dependencies, object{"name": name, "version_req": "^1.2", "features": []string{"std"}, "optional": false, "default_features": true, "target": nil, "kind": "normal"})
	}
	metadata, err := json.Marshal(object{
		"name": benchCrate, "vers": version(n), "deps": dependencies, "features": object{"default": []string{"std"}, "std": []string{}},
		"authors": []string{}, "description": "A crate to measure a registry with", "license": "Apache-2.0", "keywords": []string{"bench"}, "rust_version": "1.74",
	})
	if err != nil {
		return nil, err
	}
	body := binary.LittleEndian.AppendUint32(nil, uint32(len(metadata)))
	body = append(body, metadata...)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(crate)))
	return append(body, crate...), nil
}

// cargoCrate returns a .crate with its Cargo.toml and a file of random bytes, which do
// not compress.
func cargoCrate(n, size int) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	root := benchCrate + "-" + version(n) + "/"
	manifest := fmt.Sprintf("[package]\nname = %q\nversion = %q\nedition = \"2021\"\nrust-version = \"1.74\"\n", benchCrate, version(n))
	for _, file := range []struct {
		name string
		body []byte
	}{{"Cargo.toml", []byte(manifest)}, {"src/data.bin", random(size).bytes}} {
		if err := t.WriteHeader(&tar.Header{Name: root + file.name, Mode: 0o644, Size: int64(len(file.body))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(file.body); err != nil {
			return nil, err
		}
	}
	err := errors.Join(t.Close(), z.Close())
	return out.Bytes(), err
}
