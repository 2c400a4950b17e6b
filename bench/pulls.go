package main

import (
	"context"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"
)

const (
	pullRepository = "bench/pull"
	tagsRepository = "bench/tags"

	tagCount = 10_000
	pageSize = 100
	// tagsPerImage is ECR's limit (Amazon ECR User Guide, "Amazon ECR service quotas").
	tagsPerImage = 1000

	kib = 1 << 10
	mib = 1 << 20
)

// pulledLayers returns the layers of the image that the jobs pull.
func pulledLayers() []pulledLayer {
	return []pulledLayer{
		{"1 KiB", kib, 32, perSecond},
		{"1 MiB", mib, 8, megabytes},
		{"100 MiB", 100 * mib, 4, megabytes},
	}
}

type pulledLayer struct {
	name        string
	size        int
	connections int
	unit        unit
}

// pullJobs read from the container registry, which checks the caller's token and
// permissions at each request. The baseline checks nothing.
func (b *testbed) pullJobs() []job {
	jobs := []job{{"manifest GET by tag, c=32", perSecond, func(ctx context.Context) (*comparison, error) {
		stored, err := b.images(ctx)
		if err != nil {
			return nil, err
		}
		return b.download(ctx, download{
			paths:  []string{"/v2/" + pullRepository + "/manifests/latest"},
			header: stored.header(), connections: 32, unit: perSecond,
		})
	}}}
	for i, l := range pulledLayers() {
		name := fmt.Sprintf("blob GET %s, c=%d", l.name, l.connections)
		jobs = append(jobs, job{name, l.unit, func(ctx context.Context) (*comparison, error) {
			stored, err := b.images(ctx)
			if err != nil {
				return nil, err
			}
			return b.download(ctx, download{
				paths:  []string{"/v2/" + pullRepository + "/blobs/" + stored.layers[i].digest.String()},
				header: stored.header(), connections: l.connections, unit: l.unit, stored: true,
			})
		}})
	}
	return append(jobs, job{"tags page, 100 of 10,000, c=8", perSecond, func(ctx context.Context) (*comparison, error) {
		r, err := b.tags(ctx)
		if err != nil {
			return nil, err
		}
		var pages []string
		for after := 0; after+pageSize < tagCount; after += pageSize {
			pages = append(pages, fmt.Sprintf("/v2/%s/tags/list?n=%d&last=%s", tagsRepository, pageSize, tagName(after)))
		}
		return b.download(ctx, download{paths: pages, header: r.header(), connections: 8, unit: perSecond})
	}})
}

// A storedImage is an image in the registry, which the jobs pull.
type storedImage struct {
	*registry
	*image
}

func (b *testbed) fillImages(ctx context.Context) (*storedImage, error) {
	r, err := b.registry(ctx)
	if err != nil {
		return nil, err
	}
	var sizes []int
	for _, l := range pulledLayers() {
		sizes = append(sizes, l.size)
	}
	i, err := newImage(sizes...)
	if err != nil {
		return nil, err
	}
	if err := r.create(ctx, pullRepository); err != nil {
		return nil, err
	}
	return &storedImage{r, i}, r.push(ctx, pullRepository, "latest", i)
}

// fillTags pushes images and gives each as many tags as it may have.
func (b *testbed) fillTags(ctx context.Context) (*registry, error) {
	r, err := b.registry(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.create(ctx, tagsRepository); err != nil {
		return nil, err
	}
	for first := 0; first < tagCount; first += tagsPerImage {
		i, err := newImage(kib)
		if err != nil {
			return nil, err
		}
		if err := r.push(ctx, tagsRepository, tagName(first), i); err != nil {
			return nil, err
		}
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(32)
		for n := first + 1; n < min(first+tagsPerImage, tagCount); n++ {
			g.Go(func() error { return r.pushManifest(ctx, tagsRepository, tagName(n), i.manifest) })
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// tagName returns the n-th tag; tags sort by their numbers.
func tagName(n int) string { return "v1." + strconv.Itoa(tagCount+n) }
