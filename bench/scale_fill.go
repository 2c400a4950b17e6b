package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/bench/load"
)

// fillers is how many requests fill the installation at a time.
const fillers = 16

// A filler fills an installation over the public APIs.
type filler struct {
	bed      *testbed
	registry *registry
	npm      *npmRepository
	iam      *iam.Client
	image    *image // its layer and configuration, which all images have
	stored   installation
	pushed   int // probes so far
}

func newFiller(ctx context.Context, b *testbed) (*filler, error) {
	r, err := b.registry(ctx)
	if err != nil {
		return nil, err
	}
	n, err := b.openNPM(ctx)
	if err != nil {
		return nil, err
	}
	i, err := newImage(kib)
	if err != nil {
		return nil, err
	}
	f := &filler{bed: b, registry: r, npm: n, iam: iam.NewFromConfig(b.aws), image: i}
	return f, f.createRepository(ctx, "probe")
}

// fill stores what is missing to want.
func (f *filler) fill(ctx context.Context, want installation) error {
	g, filling := errgroup.WithContext(ctx)
	g.SetLimit(fillers)
	for n := f.stored.repositories; n < want.repositories; n++ {
		g.Go(func() error { return f.fillRepository(filling, scaleRepository(n)) })
	}
	for n := f.stored.packages; n < want.packages; n++ {
		g.Go(func() error { return f.fillPackage(filling, n) })
	}
	for n := f.stored.users; n < want.users; n++ {
		g.Go(func() error {
			_, err := f.iam.CreateUser(filling, &iam.CreateUserInput{UserName: aws.String(fmt.Sprintf("user-%d", n))})
			return err
		})
	}
	f.stored = want
	return g.Wait()
}

func scaleRepository(n int) string { return fmt.Sprintf("team-%d/app-%d", n%100, n) }

// createRepository creates a repository with the layer and configuration.
func (f *filler) createRepository(ctx context.Context, name string) error {
	if err := f.registry.create(ctx, name); err != nil {
		return err
	}
	for _, l := range f.image.layers {
		if err := f.registry.pushLayer(ctx, name, l); err != nil {
			return err
		}
	}
	return nil
}

func (f *filler) fillRepository(ctx context.Context, name string) error {
	if err := f.createRepository(ctx, name); err != nil {
		return err
	}
	for n := range tagsEach {
		if err := f.pushTag(ctx, name, n); err != nil {
			return err
		}
	}
	return nil
}

// pushTag pushes the n-th image of a repository and its tag.
func (f *filler) pushTag(ctx context.Context, repository string, n int) error {
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config:      f.image.layers[1].descriptor(ocispec.MediaTypeImageConfig),
		Layers:      []ocispec.Descriptor{f.image.layers[0].descriptor(ocispec.MediaTypeImageLayerGzip)},
		Annotations: map[string]string{ocispec.AnnotationVersion: fmt.Sprint(n)},
	})
	if err != nil {
		return err
	}
	return f.registry.pushManifest(ctx, repository, tagName(n), contentOf(manifest))
}

func scalePackage(n int) string { return fmt.Sprintf("package-%d", n) }

func (f *filler) fillPackage(ctx context.Context, n int) error {
	for v := range versionsEach {
		body, err := npmPublicationOf(scalePackage(n), f.npm.url, v+1, 64)
		if err != nil {
			return err
		}
		if err := f.npm.putPackage(ctx, scalePackage(n), body); err != nil {
			return err
		}
	}
	return nil
}

// Names of what is measured at each stage. "any" asks for something else each time,
// and so for things that are in no cache.
const (
	pushName      = "push of a manifest"
	publishName   = "npm publish"
	pullName      = "pull by tag"
	pullAnyName   = "pull by tag, any"
	tagsName      = "tags page of 100"
	documentName  = "npm document, 100 versions"
	documentAny   = "npm document, any"
	describeName  = "DescribeImages page of 100"
	tokenName     = "ECR token"
	createName    = "CreateUser"
	probes        = 100 // how many writes are timed
	probeDuration = time.Second
)

func scaleOperations() []string {
	return []string{tokenName, pullName, pullAnyName, pushName, tagsName, describeName, documentName, documentAny, publishName, createName}
}

// latencies measures each operation: its median with one client.
func (f *filler) latencies(ctx context.Context) (map[string]time.Duration, error) {
	measured := map[string]time.Duration{}
	for _, name := range scaleOperations() {
		l, err := f.latency(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		measured[name] = l
	}
	return measured, nil
}

func (f *filler) latency(ctx context.Context, name string) (time.Duration, error) {
	switch name {
	case pushName:
		return f.timeWrites(func(n int) error { return f.pushTag(ctx, "probe", n) })
	case publishName:
		return f.timeWrites(func(n int) error {
			body, err := npmPublicationOf("probe", f.npm.url, n+1, 64)
			if err != nil {
				return err
			}
			return f.npm.putPackage(ctx, "probe", body)
		})
	case createName:
		return f.timeWrites(func(n int) error {
			_, err := f.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(fmt.Sprintf("probe-%d", n))})
			return err
		})
	}
	requests, err := f.requests(ctx, name)
	if err != nil {
		return 0, err
	}
	result, err := load.Run(ctx, load.Plan{Address: f.bed.gatehouse.address(), Requests: requests, Connections: 1, Duration: probeDuration, Status: http.StatusOK})
	return result.P50, err
}

// timeWrites returns the median of some writes, each of which gets a new number.
func (f *filler) timeWrites(write func(n int) error) (time.Duration, error) {
	var taken []float64
	for range probes {
		f.pushed++
		s, err := timed(func() error { return write(f.pushed) })
		if err != nil {
			return 0, err
		}
		taken = append(taken, s.Value)
	}
	return time.Duration(median(taken) * float64(time.Second)), nil
}

// requests returns the requests of an operation that reads.
func (f *filler) requests(ctx context.Context, name string) ([][]byte, error) {
	const some = 5_000
	image := func(n int) string {
		return "/v2/" + scaleRepository(n) + "/manifests/" + tagName(rand.IntN(tagsEach))
	}
	document := func(n int) string { return strings.TrimPrefix(f.npm.url, f.bed.gatehouse.url) + "/" + scalePackage(n) }
	npm := []string{"Authorization", f.npm.authorization, "Accept", abbreviated, "Accept-Encoding", "gzip"}
	switch name {
	case pullName:
		return f.gets(ctx, 1, f.registry.header(), func(int) string { return image(0) })
	case pullAnyName:
		return f.gets(ctx, some, f.registry.header(), func(int) string { return image(rand.IntN(f.stored.repositories)) })
	case tagsName:
		return f.gets(ctx, some, f.registry.header(), func(int) string {
			return fmt.Sprintf("/v2/%s/tags/list?n=%d", scaleRepository(rand.IntN(f.stored.repositories)), tagsEach)
		})
	case documentName:
		return f.gets(ctx, 1, npm, func(int) string { return document(0) })
	case documentAny:
		return f.gets(ctx, some, npm, func(int) string { return document(rand.IntN(f.stored.packages)) })
	case describeName:
		return f.calls(ctx, "DescribeImages", fmt.Sprintf(`{"repositoryName":%q,"maxResults":%d}`, scaleRepository(0), tagsEach))
	default:
		return f.calls(ctx, "GetAuthorizationToken", "{}")
	}
}

func (f *filler) gets(ctx context.Context, count int, header []string, path func(n int) string) ([][]byte, error) {
	requests := make([][]byte, count)
	for i := range requests {
		var err error
		if requests[i], err = writtenGet(ctx, f.bed.gatehouse.url+path(i), header); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

func (f *filler) calls(ctx context.Context, operation, body string) ([][]byte, error) {
	credentials, err := f.bed.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	c := &call{method: http.MethodPost, path: "/", service: "ecr", body: body, header: http.Header{
		"Content-Type": {"application/x-amz-json-1.1"},
		"X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921." + operation},
	}}
	return c.signed(ctx, f.bed.gatehouse, credentials, f.bed.aws.Region)
}
