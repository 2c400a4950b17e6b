package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"golang.org/x/sync/errgroup"
)

const (
	genericName     = "bench-generic" // the repository, the namespace and the package
	genericAsset    = "data.bin"
	genericVersions = 200
)

// genericJobs measure the format generic, which has no client but the AWS API: its
// requests are signed.
func (b *testbed) genericJobs() []job {
	read := func(method, path string, more url.Values, stored bool) func(context.Context) (*comparison, error) {
		return func(ctx context.Context) (*comparison, error) {
			if _, err := b.generic(ctx); err != nil {
				return nil, err
			}
			query := url.Values{"domain": {benchDomain}, "repository": {genericName}, "format": {"generic"}, "namespace": {genericName}, "package": {genericName}}
			for name, value := range more {
				query[name] = value
			}
			return b.signedDownload(ctx, &call{method: method, path: path + "?" + query.Encode(), service: "codeartifact", header: http.Header{}}, stored)
		}
	}
	return []job{
		{"generic list of versions, c=8", perSecond, read(http.MethodPost, "/v1/package/versions", nil, false)},
		{"generic asset of 100 KiB, c=8", perSecond, read(http.MethodGet, "/v1/package/version/asset", url.Values{"version": {version(1)}, "asset": {genericAsset}}, true)},
		{"generic publish onto 200 versions", seconds, b.genericPublish},
	}
}

// signedDownload is download for a call to the AWS API.
func (b *testbed) signedDownload(ctx context.Context, c *call, stored bool) (*comparison, error) {
	credentials, err := b.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	requests, err := c.signed(ctx, b.gatehouse, credentials, b.aws.Region)
	if err != nil {
		return nil, err
	}
	answer, err := sendWritten(ctx, b.gatehouse.address(), requests[0])
	if err != nil {
		return nil, err
	}
	return b.compareAnswers(ctx, download{connections: 8, unit: perSecond, stored: stored}, requests, answer)
}

// sendWritten sends the bytes of a request and returns the body of its answer.
func sendWritten(ctx context.Context, address string, request []byte) ([]byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%.80q answered %s: %.300s", request, answer.Status, body)
	}
	return body, err
}

// A genericPackage is a package of the format generic.
type genericPackage struct {
	api    *codeartifact.Client
	latest int // the highest version so far
}

// fillGeneric creates a repository with a package: its first version has an asset of
// 100 KiB, and the others one of 1 KiB.
func (b *testbed) fillGeneric(ctx context.Context) (*genericPackage, error) {
	api, err := b.domain(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := api.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: aws.String(benchDomain), Repository: aws.String(genericName)}); err != nil {
		return nil, err
	}
	p := &genericPackage{api, genericVersions}
	if err := p.publish(ctx, 1, random(100*kib).bytes); err != nil {
		return nil, err
	}
	g, filling := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for n := 2; n <= genericVersions; n++ {
		g.Go(func() error { return p.publish(filling, n, random(kib).bytes) })
	}
	return p, g.Wait()
}

func (p *genericPackage) publish(ctx context.Context, n int, content []byte) error {
	sum := sha256.Sum256(content)
	name := aws.String(genericName)
	_, err := p.api.PublishPackageVersion(ctx, &codeartifact.PublishPackageVersionInput{
		Domain: aws.String(benchDomain), Repository: name, Format: types.PackageFormatGeneric, Namespace: name, Package: name,
		PackageVersion: aws.String(version(n)), AssetName: aws.String(genericAsset),
		AssetContent: bytes.NewReader(content), AssetSHA256: aws.String(hex.EncodeToString(sum[:])),
	})
	return err
}

func (b *testbed) genericPublish(ctx context.Context) (*comparison, error) {
	p, err := b.generic(ctx)
	if err != nil {
		return nil, err
	}
	timed := func(store func(n int, content []byte) error) (sample, error) {
		var taken []float64
		for range published {
			p.latest++
			content := random(kib).bytes
			start := time.Now()
			if err := store(p.latest, content); err != nil {
				return sample{}, err
			}
			taken = append(taken, time.Since(start).Seconds())
		}
		return sample{Value: median(taken)}, nil
	}
	c := &comparison{
		func(ctx context.Context) (sample, error) {
			return timed(func(n int, content []byte) error { return p.publish(ctx, n, content) })
		},
		[]baseline{{"write + fsync", func(context.Context) (sample, error) {
			dir, err := os.MkdirTemp(b.dir, "stored-")
			if err != nil {
				return sample{}, err
			}
			s, err := timed(func(_ int, content []byte) error { return storeFile(filepath.Join(dir, rand.Text()), content) })
			return s, errors.Join(err, os.RemoveAll(dir))
		}}},
	}
	if b.stores != nil {
		c.baselines = append(c.baselines, baseline{"PutObject + commit", func(ctx context.Context) (sample, error) {
			return timed(func(_ int, content []byte) error { return b.stores.store(ctx, content) })
		}})
	}
	return c, nil
}
