package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// An installation is how much is stored.
type installation struct {
	repositories, packages, users int
}

const (
	// tagsEach is how many images, each with one tag, every repository has.
	tagsEach = 100
	// versionsEach is how many versions every package has.
	versionsEach = 100
)

// wholeInstallation has a million tags, a million package versions and 100,000
// identities.
func wholeInstallation() installation { return installation{10_000, 10_000, 100_000} }

// smallInstallation is what others are compared with.
func smallInstallation() installation { return installation{20, 20, 20} }

// oneEach is what is stored through the public APIs and then copied.
func oneEach() installation { return installation{1, 1, 1} }

// share returns a part of the installation, at least the small one.
func (i installation) share(part float64) installation {
	of := func(n, least int) int { return max(least, int(float64(n)*part)) }
	s := smallInstallation()
	return installation{of(i.repositories, s.repositories), of(i.packages, s.packages), of(i.users, s.users)}
}

// fillers is how many requests fill an installation at a time.
const fillers = 16

// A filler fills an installation, which has a server of its own. What is measured
// changes only the repository and the package "probe".
type filler struct {
	bed      *testbed
	registry *registry
	npm      *packageRepository
	iam      *iam.Client
	image    *image // its layer and configuration, which all images have
	stored   installation
	pushed   int // probes so far
}

// fillFirst stores the first of each through the public APIs.
func (f *filler) fillFirst(ctx context.Context, i *image) (err error) {
	if f.registry, err = f.bed.registry(ctx); err != nil {
		return err
	}
	if f.npm, err = f.bed.openPackages(ctx, npmFormat()); err != nil {
		return err
	}
	f.iam, f.image = iam.NewFromConfig(f.bed.aws), i
	if err := f.createRepository(ctx, "probe"); err != nil {
		return err
	}
	return f.call(ctx, oneEach())
}

// call stores what is missing to want through the public APIs.
func (f *filler) call(ctx context.Context, want installation) error {
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
			_, err := f.iam.CreateUser(filling, &iam.CreateUserInput{UserName: aws.String(scaleUser(n))})
			return err
		})
	}
	f.stored = want
	return g.Wait()
}

func scaleRepository(n int) string { return fmt.Sprintf("team-%d/app-%d", n%100, n) }
func scalePackage(n int) string    { return fmt.Sprintf("package-%d", n) }
func scaleUser(n int) string       { return fmt.Sprintf("user-%d", n) }

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

func (f *filler) fillPackage(ctx context.Context, n int) error {
	for v := range versionsEach {
		body, err := npmPublicationOf(scalePackage(n), f.npm.url, v+1, 64)
		if err != nil {
			return err
		}
		if err := f.npm.send(ctx, npmPut(scalePackage(n), body)); err != nil {
			return err
		}
	}
	return nil
}
