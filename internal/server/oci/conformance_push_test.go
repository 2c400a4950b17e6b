package oci_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// start starts an upload and returns its address.
func (c *client) start(query string) string {
	c.Helper()
	return c.do("POST", "blobs/uploads/"+query, nil).want(202).has("Content-Length", "0", "Range", "0-0", "OCI-Chunk-Min-Length", "").location()
}

// finish completes an upload and checks that the blob exists.
func (c *client) finish(at, content string, d digest.Digest, body io.Reader, headers ...string) {
	c.Helper()
	r := c.do("PUT", at+"?digest="+d.String(), body, headers...).want(201).has("Docker-Content-Digest", d.String())
	c.do("GET", r.location(), nil).want(200).is(content)
}

func TestConformancePushBlobs(t *testing.T) {
	const content = "0123456789"
	d := digest.FromString(content)
	d512 := digest.SHA512.FromString(content)
	wrong := digest.FromString("wrong").String()
	octets := []string{"Content-Type", "application/octet-stream"}
	chunk := func(r string) []string { return append([]string{"Content-Range", r}, octets...) }

	runScenarios(t, []scenario{
		{"POST then PUT", "sha256", func(c *client) {
			c.finish(c.start(""), content, d, strings.NewReader(content), octets...)
		}},
		{"POST then PUT", "the trailing slash is optional", func(c *client) {
			at := c.do("POST", "blobs/uploads", nil).want(202).location()
			c.finish(at, content, d, strings.NewReader(content), octets...)
		}},
		{"POST then PUT", "sha512, announced and not", func(c *client) {
			c.finish(c.start("?digest-algorithm=sha512"), content, d512, strings.NewReader(content), octets...)
			other := digest.SHA512.FromString("other")
			c.finish(c.start(""), "other", other, strings.NewReader("other"), octets...)
			c.finish(c.start("?digest-algorithm=sha512"), content, d, strings.NewReader(content), octets...)
		}},
		{"POST then PUT", "a digest that is wrong", func(c *client) {
			c.do("PUT", c.start("")+"?digest="+wrong, strings.NewReader(content)).fails(400, "DIGEST_INVALID")
			c.do("HEAD", "blobs/"+wrong, nil).want(404)
			c.do("HEAD", "blobs/"+d.String(), nil).want(404)
		}},
		{"POST then PUT", "an invalid digest", func(c *client) {
			for _, bad := range []string{"", "?digest=", "?digest=sha256:12", "?digest=md5:d41d8cd98f00b204e9800998ecf8427e"} {
				c.do("PUT", c.start("")+bad, strings.NewReader(content)).fails(400, "DIGEST_INVALID")
			}
			c.do("POST", "blobs/uploads/?digest-algorithm=md5", nil).fails(400, "DIGEST_INVALID")
		}},
		{"Single POST", "sha256 and sha512", func(c *client) {
			for _, d := range []digest.Digest{d, d512} {
				r := c.do("POST", "blobs/uploads/?digest="+d.String(), strings.NewReader(content), octets...).want(201)
				r.has("Location", "/v2/"+c.repo+"/blobs/"+d.String(), "Docker-Content-Digest", d.String())
				c.do("GET", r.location(), nil).want(200).is(content)
			}
		}},
		{"Single POST", "again", func(c *client) {
			for range 2 {
				c.do("POST", "blobs/uploads/?digest="+d.String(), strings.NewReader(content), octets...).want(201)
			}
		}},
		{"Single POST", "a digest that is wrong", func(c *client) {
			c.do("POST", "blobs/uploads/?digest="+wrong, strings.NewReader(content)).fails(400, "DIGEST_INVALID")
			c.do("HEAD", "blobs/"+wrong, nil).want(404)
			c.do("POST", "blobs/uploads/?digest=sha256:12", strings.NewReader(content)).fails(400, "DIGEST_INVALID")
		}},
		{"Pushing a blob in chunks", "in order", func(c *client) {
			at := c.start("")
			r := c.do("PATCH", at, strings.NewReader(content[:4]), chunk("0-3")...).want(202).has("Range", "0-3", "Content-Length", "0")
			r = c.do("PATCH", r.location(), strings.NewReader(content[4:9]), chunk("4-8")...).want(202).has("Range", "0-8")
			r = c.do("PATCH", r.location(), strings.NewReader(content[9:]), chunk("9-9")...).want(202).has("Range", "0-9")
			c.finish(r.location(), content, d, nil)
		}},
		{"Pushing a blob in chunks", "the last one closes", func(c *client) {
			at := c.start("")
			c.do("PATCH", at, strings.NewReader(content[:4]), chunk("0-3")...).want(202)
			c.finish(at, content, d, strings.NewReader(content[4:]), chunk("4-9")...)
		}},
		{"Pushing a blob in chunks", "in HTTP's form of a range", func(c *client) {
			at := c.start("")
			c.do("PATCH", at, strings.NewReader(content[:4]), chunk("bytes 0-3/*")...).want(202).has("Range", "0-3")
			c.finish(at, content, d, strings.NewReader(content[4:]), chunk("bytes 4-9/10")...)
		}},
		{"Pushing a blob in chunks", "sha512", func(c *client) {
			at := c.start("?digest-algorithm=sha512")
			c.do("PATCH", at, strings.NewReader(content[:4]), chunk("0-3")...).want(202)
			c.finish(at, content, d512, strings.NewReader(content[4:]), chunk("4-9")...)
		}},
		{"Pushing a blob in chunks", "a stream without ranges", func(c *client) {
			at := c.start("")
			// A reader of unknown length is sent in HTTP's chunked coding.
			c.do("PATCH", at, io.MultiReader(strings.NewReader(content[:7])), octets...).want(202).has("Range", "0-6")
			c.do("PATCH", at, io.MultiReader(strings.NewReader(content[7:])), octets...).want(202).has("Range", "0-9")
			c.finish(at, content, d, nil)
		}},
		{"Pushing a blob in chunks", "out of order", func(c *client) {
			at := c.start("")
			c.do("PATCH", at, strings.NewReader(content[4:]), chunk("4-9")...).has("Range", "0-0").fails(416, "BLOB_UPLOAD_INVALID")
			c.do("PATCH", at, strings.NewReader(content[:4]), chunk("0-3")...).want(202)
			r := c.do("PATCH", at, strings.NewReader(content[:4]), chunk("0-3")...)
			r.has("Range", "0-3").fails(416, "BLOB_UPLOAD_INVALID")
			c.do("PUT", at+"?digest="+d.String(), strings.NewReader(content[5:]), chunk("5-9")...).has("Range", "0-3").fails(416, "BLOB_UPLOAD_INVALID")
			s := c.do("GET", r.location(), nil).want(204).has("Range", "0-3")
			c.finish(s.location(), content, d, strings.NewReader(content[4:]), chunk("4-9")...)
		}},
		{"Pushing a blob in chunks", "invalid ranges", func(c *client) {
			at := c.start("")
			for _, bad := range []string{"0", "3-0", "-3", "a-b", "0-", "bytes */4", "0-99999999999999999999"} {
				c.do("PATCH", at, strings.NewReader("0123"), chunk(bad)...).fails(400, "BLOB_UPLOAD_INVALID")
			}
			c.do("PATCH", at, strings.NewReader("0123"), chunk("0-9")...).fails(400, "SIZE_INVALID")
			c.do("PATCH", at, io.MultiReader(strings.NewReader("0123")), chunk("0-2")...).fails(400, "SIZE_INVALID")
			c.do("PATCH", c.start(""), io.MultiReader(strings.NewReader("0123")), chunk("0-9")...).fails(400, "SIZE_INVALID")
		}},
		{"Pushing a blob in chunks", "a digest that is wrong", func(c *client) {
			at := c.start("")
			c.do("PATCH", at, strings.NewReader(content), chunk("0-9")...).want(202)
			c.do("PUT", at+"?digest="+wrong, nil).fails(400, "DIGEST_INVALID")
			c.do("HEAD", "blobs/"+wrong, nil).want(404)
		}},
		{"Pushing a blob in chunks", "status", func(c *client) {
			at := c.start("")
			c.do("GET", at, nil).want(204).has("Range", "0-0")
			c.do("PATCH", at, strings.NewReader(content), octets...).want(202)
			r := c.do("GET", at, nil).want(204).has("Range", "0-9").is("")
			c.finish(r.location(), content, d, nil)
			c.do("GET", at, nil).fails(404, "BLOB_UPLOAD_UNKNOWN")
		}},
		{"Pushing a blob in chunks", "an upload that is not there", func(c *client) {
			c.do("GET", "blobs/uploads/6f1ed002-ab5f-4a2e-8a1b-7c2f0c6f3a11", nil).fails(404, "BLOB_UPLOAD_UNKNOWN")
			c.do("PATCH", "blobs/uploads/6f1ed002-ab5f-4a2e-8a1b-7c2f0c6f3a11", strings.NewReader("x")).fails(404, "BLOB_UPLOAD_UNKNOWN")
			c.do("PUT", "blobs/uploads/sha256:totallywrong?digest="+d.String(), nil).fails(404, "BLOB_UPLOAD_UNKNOWN")
			c.do("POST", "/v2/no/such/blobs/uploads/", nil).fails(404, "NAME_UNKNOWN")
		}},
		{"Pushing a blob in chunks", "an upload of another repository", func(c *client) {
			at := c.start("")
			c.create(c, account, c.repo+"/neighbour", images.Settings{})
			elsewhere := strings.Replace(at, c.repo, c.repo+"/neighbour", 1)
			c.do("PATCH", elsewhere, strings.NewReader("x")).fails(404, "BLOB_UPLOAD_UNKNOWN")
			c.do("GET", elsewhere, nil).fails(404, "BLOB_UPLOAD_UNKNOWN")
			c.do("DELETE", elsewhere, nil).fails(404, "BLOB_UPLOAD_UNKNOWN")
			c.finish(at, content, d, strings.NewReader(content))
		}},
		{"Cancel a blob upload", "", func(c *client) {
			at := c.start("")
			c.do("PATCH", at, strings.NewReader(content), octets...).want(202)
			c.do("DELETE", at, nil).want(204)
			c.do("GET", at, nil).fails(404, "BLOB_UPLOAD_UNKNOWN")
			c.do("DELETE", at, nil).fails(404, "BLOB_UPLOAD_UNKNOWN")
		}},
		{"Mounting a blob from another repository", "", func(c *client) {
			c.create(c, account, c.repo+"/source", images.Settings{})
			c.in(c.repo+"/source").pushBlob(content, "")
			r := c.do("POST", "blobs/uploads/?mount="+d.String()+"&from="+c.repo+"/source", nil).want(201)
			r.has("Location", "/v2/"+c.repo+"/blobs/"+d.String(), "Docker-Content-Digest", d.String())
			c.do("GET", r.location(), nil).want(200).is(content)
		}},
		{"Mounting a blob from another repository", "that does not have it", func(c *client) {
			c.create(c, account, c.repo+"/source", images.Settings{})
			for _, from := range []string{"&from=" + c.repo + "/source", "&from=no/such", "&from=No", "&from=", ""} {
				at := c.do("POST", "blobs/uploads/?mount="+d.String()+from, nil).want(202).location()
				c.do("DELETE", at, nil).want(204)
			}
			c.finish(c.start("?mount="+d.String()+"&from=no/such"), content, d, strings.NewReader(content))
			c.do("POST", "blobs/uploads/?mount=sha256:12&from=no/such", nil).fails(400, "DIGEST_INVALID")
		}},
		{"Pushing blobs", "of several megabytes", func(c *client) {
			big := strings.Repeat("0123456789abcdef", 3<<16)
			d := digest.FromString(big)
			at := c.start("")
			for i := 0; i < len(big); i += 1 << 20 {
				c.do("PATCH", at, strings.NewReader(big[i:i+1<<20]), chunk(strconv.Itoa(i)+"-"+strconv.Itoa(i+1<<20-1))...).want(202)
			}
			c.finish(at, big, d, nil)
		}},
	})
}

func TestConformancePushManifests(t *testing.T) {
	runScenarios(t, []scenario{
		{"Pushing Manifests", "by tag and by digest", func(c *client) {
			body := c.manifest(nil)
			d := c.pushManifest("v1", body)
			c.pushManifest(d.String(), body)
			c.pushManifest("v2", body)
			c.do("GET", "manifests/v2", nil).want(200).is(string(body))
		}},
		{"Pushing Manifests", "a tag moves", func(c *client) {
			first, second := c.manifest(nil), c.manifest(func(m *ocispec.Manifest) { m.Annotations = map[string]string{"a": "b"} })
			d := c.pushManifest("latest", first)
			c.pushManifest("latest", second)
			c.do("GET", "manifests/latest", nil).want(200).is(string(second))
			c.do("GET", "manifests/"+d.String(), nil).want(200).is(string(first))
		}},
		{"Pushing Manifests", "with tag parameters", func(c *client) {
			body := c.manifest(nil)
			d := digest.FromBytes(body)
			c.do("PUT", "manifests/"+d.String()+"?tag=1.2.3&tag=1.2&tag=1&tag=latest", bytes.NewReader(body), "Content-Type", ocispec.MediaTypeImageManifest).
				want(201).has("OCI-Tag", "1.2.3, 1.2, 1, latest", "Docker-Content-Digest", d.String())
			for _, tag := range []string{"1.2.3", "1.2", "1", "latest"} {
				c.do("HEAD", "manifests/"+tag, nil).want(200).has("Docker-Content-Digest", d.String())
			}
			c.do("PUT", "manifests/"+d.String()+"?tag=.bad", bytes.NewReader(body)).fails(400, "TAG_INVALID")
			c.do("PUT", "manifests/"+d.String()+strings.Replace(strings.Repeat("&tag=t", 101), "&", "?", 1), bytes.NewReader(body)).fails(414, "TAG_INVALID")
		}},
		{"Pushing Manifests", "by sha512", func(c *client) {
			body := c.manifest(nil)
			d := digest.SHA512.FromBytes(body)
			c.do("PUT", "manifests/"+d.String()+"?tag=v1", bytes.NewReader(body), "Content-Type", ocispec.MediaTypeImageManifest).
				want(201).has("Docker-Content-Digest", d.String(), "Location", "/v2/"+c.repo+"/manifests/"+d.String())
			c.do("GET", "manifests/v1", nil).want(200).has("Docker-Content-Digest", d.String()).is(string(body))
			c.do("GET", "manifests/"+d.String(), nil).want(200).is(string(body))
		}},
		{"Pushing Manifests", "byte for byte", func(c *client) {
			body := append(bytes.ReplaceAll(c.manifest(nil), []byte(`,`), []byte(" ,\n\t")), "\n\n"...)
			c.pushManifest("v1", body)
			c.do("GET", "manifests/v1", nil).want(200).is(string(body))
		}},
		{"Pushing Manifests", "the parameters of its type are ignored", func(c *client) {
			body := c.manifest(nil)
			c.do("PUT", "manifests/v1", bytes.NewReader(body), "Content-Type", ocispec.MediaTypeImageManifest+"; charset=utf-8").want(201)
			c.do("GET", "manifests/v1", nil).want(200).has("Content-Type", ocispec.MediaTypeImageManifest)
		}},
		{"Pushing Manifests", "unless the client names a type, the manifest does", func(c *client) {
			c.do("PUT", "manifests/v1", bytes.NewReader(c.manifest(nil))).want(201)
			c.do("GET", "manifests/v1", nil).want(200).has("Content-Type", ocispec.MediaTypeImageManifest)
		}},
		{"Pushing Manifests", "an index, and one of indexes", func(c *client) {
			child := c.manifest(nil)
			index := func(body []byte, mediaType string) []byte {
				return marshal(c, ocispec.Index{
					Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
					Manifests: []ocispec.Descriptor{{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body)), Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}}},
				})
			}
			c.pushManifest("", child)
			inner := index(child, ocispec.MediaTypeImageManifest)
			c.pushManifest("", inner)
			outer := index(inner, ocispec.MediaTypeImageIndex)
			c.pushManifest("multi", outer)
			c.do("GET", "manifests/multi", nil).want(200).has("Content-Type", ocispec.MediaTypeImageIndex).is(string(outer))
		}},
		{"Pushing Manifests", "without layers, with an empty config, with an artifact type", func(c *client) {
			empty := c.pushBlob("{}", ocispec.MediaTypeEmptyJSON)
			c.pushManifest("artifact", c.manifest(func(m *ocispec.Manifest) {
				m.ArtifactType, m.Config, m.Layers = "application/vnd.example.sbom.v1", empty, []ocispec.Descriptor{empty}
			}))
			c.pushManifest("no-layers", c.manifest(func(m *ocispec.Manifest) { m.Layers = []ocispec.Descriptor{} }))
		}},
		{"Pushing Manifests", "with data, layers that are elsewhere, and fields of its own", func(c *client) {
			c.pushManifest("data", c.manifest(func(m *ocispec.Manifest) { m.Layers[0].Data = []byte("a layer") }))
			c.pushManifest("elsewhere", c.manifest(func(m *ocispec.Manifest) {
				m.Layers = append(m.Layers, ocispec.Descriptor{
					MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest: digest.FromString("elsewhere"), Size: 9, URLs: []string{"https://store.example/layer"},
				})
			}))
			body := bytes.Replace(c.manifest(nil), []byte("{"), []byte(`{"org.example.field":{"a":[1,2]},`), 1)
			c.pushManifest("fields", body)
			c.do("GET", "manifests/fields", nil).want(200).is(string(body))
		}},
		{"Pushing Manifests", "of almost four megabytes, and of more", func(c *client) {
			annotations := func(n int) func(*ocispec.Manifest) {
				return func(m *ocispec.Manifest) {
					m.Annotations = map[string]string{"org.example.large": strings.Repeat("A", n)}
				}
			}
			c.pushManifest("large", c.manifest(annotations(images.MaxManifest-2048)))
			for _, body := range []io.Reader{
				bytes.NewReader(c.manifest(annotations(images.MaxManifest))),
				io.MultiReader(bytes.NewReader(c.manifest(annotations(images.MaxManifest)))),
			} {
				c.do("PUT", "manifests/larger", body, "Content-Type", ocispec.MediaTypeImageManifest).fails(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID")
			}
			c.do("HEAD", "manifests/larger", nil).want(404)
		}},
		{"Pushing Manifests", "an invalid manifest", func(c *client) {
			for _, body := range []string{"", "x", "[]", `{"schemaVersion":2`, string(c.manifest(nil)) + "{}"} {
				c.do("PUT", "manifests/v1", strings.NewReader(body), "Content-Type", ocispec.MediaTypeImageManifest).fails(400, "MANIFEST_INVALID")
			}
			c.do("PUT", "manifests/v1", bytes.NewReader(c.manifest(nil)), "Content-Type", ocispec.MediaTypeImageIndex).fails(400, "MANIFEST_INVALID")
			c.do("HEAD", "manifests/v1", nil).want(404)
		}},
		{"Pushing Manifests", "under what is neither tag nor digest", func(c *client) {
			body := c.manifest(nil)
			c.do("PUT", "manifests/.bad", bytes.NewReader(body)).fails(400, "TAG_INVALID")
			c.do("PUT", "manifests/sha256:baddigeststring", bytes.NewReader(body)).fails(400, "DIGEST_INVALID")
			c.do("PUT", "manifests/"+digest.FromString("another").String(), bytes.NewReader(body), "Content-Type", ocispec.MediaTypeImageManifest).fails(400, "DIGEST_INVALID")
			c.do("PUT", "/v2/no/such/manifests/v1", bytes.NewReader(body)).fails(404, "NAME_UNKNOWN")
		}},
		{"Pushing Manifests", "whose parts are not there", func(c *client) {
			c.do("PUT", "manifests/v1", bytes.NewReader(c.manifest(func(m *ocispec.Manifest) {
				m.Layers[0].Digest = digest.FromString("absent")
			})), "Content-Type", ocispec.MediaTypeImageManifest).fails(400, "MANIFEST_BLOB_UNKNOWN")
			c.do("PUT", "manifests/v1", bytes.NewReader(marshal(c, ocispec.Index{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
				Manifests: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("absent"), Size: 6}},
			})), "Content-Type", ocispec.MediaTypeImageIndex).fails(400, "MANIFEST_BLOB_UNKNOWN")
		}},
		{"Pushing Manifests", "an immutable tag stays", func(c *client) {
			c.create(c, account, c.repo+"/immutable", images.Settings{Mutability: "IMMUTABLE"})
			i := c.in(c.repo + "/immutable")
			body := i.manifest(nil)
			i.pushManifest("v1", body)
			i.pushManifest("v1", body) // pushing the same again changes nothing
			other := i.manifest(func(m *ocispec.Manifest) { m.Annotations = map[string]string{"a": "b"} })
			message := i.do("PUT", "manifests/v1", bytes.NewReader(other), "Content-Type", ocispec.MediaTypeImageManifest).fails(400, "TAG_INVALID")
			if want := "The image tag 'v1' already exists in the '" + i.repo + "' repository and cannot be overwritten because the tag is immutable."; message != want {
				c.Errorf("message %q, want %q", message, want)
			}
			i.do("GET", "manifests/v1", nil).want(200).is(string(body))
		}},
		{"Pushing Manifests with Subject", "", func(c *client) {
			subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("yet to come"), Size: 11}
			body := c.manifest(func(m *ocispec.Manifest) { m.Subject = &subject })
			c.do("PUT", "manifests/v1", bytes.NewReader(body), "Content-Type", ocispec.MediaTypeImageManifest).
				want(201).has("OCI-Subject", subject.Digest.String())
			c.do("PUT", "manifests/v2", bytes.NewReader(c.manifest(nil)), "Content-Type", ocispec.MediaTypeImageManifest).
				want(201).has("OCI-Subject", "")
		}},
	})
}
