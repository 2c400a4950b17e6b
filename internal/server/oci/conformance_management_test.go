package oci_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestConformanceManagement(t *testing.T) {
	absent := digest.FromString("absent").String()
	runScenarios(t, []scenario{
		{"Deleting tags", "", func(c *client) {
			d := c.pushManifest("v1", c.manifest(nil))
			c.do("DELETE", "manifests/v1", nil).want(202)
			c.do("GET", "manifests/v1", nil).fails(404, "MANIFEST_UNKNOWN")
			c.do("GET", "manifests/"+d.String(), nil).want(200)
			c.do("DELETE", "manifests/v1", nil).fails(404, "MANIFEST_UNKNOWN")
		}},
		{"Deleting Manifests", "with its tags", func(c *client) {
			body := c.manifest(nil)
			d := c.pushManifest("v1", body)
			c.pushManifest("v2", body)
			c.do("DELETE", "manifests/"+d.String(), nil).want(202).is("")
			for _, reference := range []string{"v1", "v2", d.String()} {
				c.do("GET", "manifests/"+reference, nil).fails(404, "MANIFEST_UNKNOWN")
			}
			c.do("DELETE", "manifests/"+d.String(), nil).fails(404, "MANIFEST_UNKNOWN")
			c.do("GET", "tags/list", nil).want(200).is(`{"name":"` + c.repo + `","tags":[]}`)
			c.pushManifest("v1", body)
			c.do("GET", "manifests/v1", nil).want(200)
		}},
		{"Deleting Manifests", "that is not there", func(c *client) {
			c.do("DELETE", "manifests/"+absent, nil).fails(404, "MANIFEST_UNKNOWN")
			c.do("DELETE", "manifests/.bad", nil).fails(404, "MANIFEST_UNKNOWN")
			c.do("DELETE", "/v2/no/such/manifests/"+absent, nil).fails(404, "NAME_UNKNOWN")
		}},
		{"Deleting Manifests", "that an index needs", func(c *client) {
			body := c.manifest(nil)
			d := c.pushManifest("", body)
			index := c.pushManifest("multi", marshal(c, ocispec.Index{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
				Manifests: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(body))}},
			}))
			c.do("DELETE", "manifests/"+d.String(), nil).fails(409, "UNSUPPORTED")
			c.do("GET", "manifests/"+d.String(), nil).want(200)
			c.do("DELETE", "manifests/"+index.String(), nil).want(202)
			c.do("DELETE", "manifests/"+d.String(), nil).want(202)
		}},
		{"Deleting Blobs", "", func(c *client) {
			b := c.pushBlob("content", "")
			c.do("DELETE", "blobs/"+b.Digest.String(), nil).want(202)
			c.do("GET", "blobs/"+b.Digest.String(), nil).fails(404, "BLOB_UNKNOWN")
			c.do("HEAD", "blobs/"+b.Digest.String(), nil).want(404)
			c.do("DELETE", "blobs/"+b.Digest.String(), nil).fails(404, "BLOB_UNKNOWN")
			c.pushBlob("content", "")
			c.do("GET", "blobs/"+b.Digest.String(), nil).want(200).is("content")
		}},
		{"Deleting Blobs", "that a manifest needs", func(c *client) {
			d := c.pushManifest("v1", c.manifest(nil))
			layer := digest.FromString("a layer").String()
			c.do("DELETE", "blobs/"+layer, nil).fails(409, "UNSUPPORTED")
			c.do("GET", "blobs/"+layer, nil).want(200)
			c.do("DELETE", "manifests/"+d.String(), nil).want(202)
			c.do("DELETE", "blobs/"+layer, nil).want(202)
		}},
	})
}
