package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// uploads is the number of layers that are pushed at a time: the Docker daemon's
// default for max-concurrent-uploads.
const uploads = 5

// A registry is a client of Gatehouse's container registry, with a token.
type registry struct {
	ecr           *ecr.Client
	client        *http.Client
	url           *url.URL
	authorization string
}

func (b *testbed) openRegistry(ctx context.Context) (*registry, error) {
	api := ecr.NewFromConfig(b.aws)
	answer, err := api.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(b.gatehouse.url)
	if err != nil {
		return nil, err
	}
	return &registry{
		ecr: api, client: newClient(), url: address,
		authorization: "Basic " + aws.ToString(answer.AuthorizationData[0].AuthorizationToken),
	}, nil
}

// newClient returns a client that keeps as many idle connections as the jobs use.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, WriteBufferSize: 256 << 10}}
}

// header returns the header of each request as name, value.
func (r *registry) header() []string { return []string{"Authorization", r.authorization} }

func (r *registry) create(ctx context.Context, repository string) error {
	_, err := r.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String(repository)})
	return err
}

// do sends a request to a path or an absolute URL and returns the answer's
// Location. It fails if the answer's status is not want.
func (r *registry) do(ctx context.Context, want int, method, to, contentType string, body []byte) (string, error) {
	address, err := r.url.Parse(to)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", r.authorization)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	answer, err := send(r.client, req, want)
	if err != nil {
		return "", err
	}
	return answer.Header.Get("Location"), nil
}

// send sends the request and reads the whole answer. It fails if the status is not
// want.
func send(client *http.Client, req *http.Request, want int) (*http.Response, error) {
	answer, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != want {
		return nil, statusError(req, answer)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer, err
}

// pushLayer does what Docker does: HEAD for the layer, POST to begin an upload,
// PATCH with the bytes, PUT to commit.
func (r *registry) pushLayer(ctx context.Context, repository string, l content) error {
	base := "/v2/" + repository + "/blobs/"
	if _, err := r.do(ctx, http.StatusNotFound, http.MethodHead, base+l.digest.String(), "", nil); err != nil {
		return err
	}
	location, err := r.do(ctx, http.StatusAccepted, http.MethodPost, base+"uploads/", "", nil)
	if err != nil {
		return err
	}
	const octets = "application/octet-stream"
	if location, err = r.do(ctx, http.StatusAccepted, http.MethodPatch, location, octets, l.bytes); err != nil {
		return err
	}
	end, err := url.Parse(location)
	if err != nil {
		return err
	}
	query := end.Query()
	query.Set("digest", l.digest.String())
	end.RawQuery = query.Encode()
	_, err = r.do(ctx, http.StatusCreated, http.MethodPut, end.String(), octets, nil)
	return err
}

func (r *registry) pushManifest(ctx context.Context, repository, tag string, m content) error {
	_, err := r.do(ctx, http.StatusCreated, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, ocispec.MediaTypeImageManifest, m.bytes)
	return err
}

// push pushes an image: its layers, uploads at a time, then its manifest.
func (r *registry) push(ctx context.Context, repository, tag string, i *image) error {
	g, layers := errgroup.WithContext(ctx)
	g.SetLimit(uploads)
	for _, l := range i.layers {
		g.Go(func() error { return r.pushLayer(layers, repository, l) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return r.pushManifest(ctx, repository, tag, i.manifest)
}

// A content has bytes and their digest.
type content struct {
	bytes  []byte
	digest digest.Digest
}

func contentOf(b []byte) content { return content{b, digest.FromBytes(b)} }

// random returns n random bytes.
func random(n int) content {
	b := make([]byte, n)
	_, _ = rand.Read(b) // cannot fail
	return contentOf(b)
}

// An image's configuration is the last of its layers.
type image struct {
	layers   []content
	manifest content
}

// newImage returns an image whose layers are random bytes of these sizes.
func newImage(sizes ...int) (*image, error) {
	var layers []content
	var descriptors []ocispec.Descriptor
	for _, n := range sizes {
		l := random(n)
		layers = append(layers, l)
		descriptors = append(descriptors, l.descriptor(ocispec.MediaTypeImageLayerGzip))
	}
	platform, err := json.Marshal(ocispec.Image{Author: rand.Text(), Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"}})
	if err != nil {
		return nil, err
	}
	config := contentOf(platform)
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config.descriptor(ocispec.MediaTypeImageConfig), Layers: descriptors,
	})
	return &image{append(layers, config), contentOf(manifest)}, err
}

func (c content) descriptor(mediaType string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: c.digest, Size: int64(len(c.bytes))}
}
