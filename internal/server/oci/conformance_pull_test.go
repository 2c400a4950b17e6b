package oci_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestConformancePull(t *testing.T) {
	absent := digest.FromString("absent").String()
	runScenarios(t, []scenario{
		{"Determining Support", "ping", func(c *client) {
			c.do("GET", "/v2/", nil).want(200).has("Docker-Distribution-Api-Version", "registry/2.0", "Content-Type", "application/json").is("{}")
			c.do("HEAD", "/v2/", nil).want(200).is("")
			c.do("GET", "/v2", nil).want(200)
		}},
		{"Pulling manifests", "by tag and by digest", func(c *client) {
			body := c.manifest(nil)
			d := c.pushManifest("v1", body)
			for _, reference := range []string{"v1", d.String()} {
				headers := []string{
					"Content-Type", ocispec.MediaTypeImageManifest, "Content-Length", strconv.Itoa(len(body)),
					"Docker-Content-Digest", d.String(), "Etag", `"` + d.String() + `"`,
				}
				c.do("GET", "manifests/"+reference, nil).want(200).has(headers...).is(string(body))
				c.do("HEAD", "manifests/"+reference, nil).want(200).has(headers...).is("")
			}
		}},
		{"Pulling manifests", "what the client accepts changes nothing", func(c *client) {
			body := c.manifest(nil)
			c.pushManifest("v1", body)
			c.do("GET", "manifests/v1", nil, "Accept", "application/vnd.docker.distribution.manifest.v2+json").
				want(200).has("Content-Type", ocispec.MediaTypeImageManifest).is(string(body))
		}},
		{"Pulling manifests", "not again where the client has it", func(c *client) {
			d := c.pushManifest("v1", c.manifest(nil))
			for _, tag := range []string{`"` + d.String() + `"`, `W/"` + d.String() + `"`, `"x", "` + d.String() + `"`, "*"} {
				c.do("GET", "manifests/v1", nil, "If-None-Match", tag).want(http.StatusNotModified).has("Etag", `"`+d.String()+`"`).is("")
			}
			c.do("GET", "manifests/v1", nil, "If-None-Match", `"x"`).want(200)
		}},
		{"Pulling manifests", "unknown", func(c *client) {
			for _, reference := range []string{"absent", absent, ".INVALID_MANIFEST_NAME", strings.Repeat("x", 129)} {
				c.do("GET", "manifests/"+reference, nil).fails(404, "MANIFEST_UNKNOWN")
				c.do("HEAD", "manifests/"+reference, nil).want(404).is("").has("Content-Type", "")
			}
			c.do("GET", "manifests/sha256:baddigeststring", nil).fails(400, "DIGEST_INVALID")
			c.do("GET", "manifests/md5:d41d8cd98f00b204e9800998ecf8427e", nil).fails(400, "DIGEST_INVALID")
		}},
		{"Pulling manifests", "of no repository", func(c *client) {
			if m := c.do("GET", "/v2/no/such/manifests/latest", nil).fails(404, "NAME_UNKNOWN"); m != "The repository with name 'no/such' does not exist in the registry with id '000000000001'" {
				t.Errorf("message %q", m)
			}
			c.do("GET", "/v2/No/manifests/latest", nil).fails(400, "NAME_INVALID")
			c.do("GET", "/v2/"+strings.Repeat("x", 257)+"/manifests/latest", nil).fails(400, "NAME_INVALID")
		}},
		{"Pulling blobs", "whole", func(c *client) {
			b := c.pushBlob("0123456789", "")
			headers := []string{
				"Content-Length", "10", "Docker-Content-Digest", b.Digest.String(), "Content-Type", "application/octet-stream",
				"Etag", `"` + b.Digest.String() + `"`, "Accept-Ranges", "bytes",
			}
			c.do("GET", "blobs/"+b.Digest.String(), nil).want(200).has(headers...).is("0123456789")
			c.do("HEAD", "blobs/"+b.Digest.String(), nil).want(200).has(headers...).is("")
			c.do("GET", "blobs/"+b.Digest.String(), nil, "If-None-Match", `"`+b.Digest.String()+`"`).want(304)
		}},
		{"Pulling blobs", "ranges", func(c *client) {
			b := c.pushBlob("0123456789", "")
			for _, r := range []struct{ ask, body, got string }{
				{"bytes=2-4", "234", "bytes 2-4/10"},
				{"bytes=7-", "789", "bytes 7-9/10"},
				{"bytes=-3", "789", "bytes 7-9/10"},
				{"bytes=8-100", "89", "bytes 8-9/10"},
			} {
				c.do("GET", "blobs/"+b.Digest.String(), nil, "Range", r.ask).want(206).has("Content-Range", r.got).is(r.body)
			}
			c.do("GET", "blobs/"+b.Digest.String(), nil, "Range", "bytes=10-20").want(416).has("Content-Range", "bytes */10")
			c.do("GET", "blobs/"+b.Digest.String(), nil, "Range", "bytes=5-2").want(416)
			c.do("GET", "blobs/"+b.Digest.String(), nil, "Range", "bytes=0-1", "If-Range", `"another"`).want(200).is("0123456789")
		}},
		{"Pulling blobs", "empty", func(c *client) {
			b := c.pushBlob("", "")
			c.do("GET", "blobs/"+b.Digest.String(), nil).want(200).has("Content-Length", "0").is("")
			c.do("HEAD", "blobs/"+b.Digest.String(), nil).want(200).has("Content-Length", "0")
		}},
		{"Pulling blobs", "unknown", func(c *client) {
			c.do("GET", "blobs/"+absent, nil).fails(404, "BLOB_UNKNOWN")
			c.do("HEAD", "blobs/"+absent, nil).want(404).is("")
			c.do("GET", "/v2/no/such/blobs/"+absent, nil).fails(404, "NAME_UNKNOWN")
			c.do("GET", "blobs/latest", nil).fails(400, "DIGEST_INVALID")
		}},
		{"Pulling blobs", "by sha512", func(c *client) {
			d := digest.SHA512.FromString("content")
			c.do("POST", "blobs/uploads/?digest="+d.String(), strings.NewReader("content")).want(201)
			c.do("GET", "blobs/"+d.String(), nil).want(200).has("Docker-Content-Digest", d.String()).is("content")
		}},
		{"API", "what is not there", func(c *client) {
			c.do("GET", "/v2/"+c.repo, nil).fails(404, "UNSUPPORTED")
			c.do("GET", "/v2/"+c.repo+"/tags/list/", nil).fails(404, "UNSUPPORTED")
			c.do("POST", "manifests/latest", nil).want(405).has("Allow", "DELETE, GET, HEAD, PUT").fails(405, "UNSUPPORTED")
			c.do("OPTIONS", "/v2/", nil).want(405)
		}},
		{"API", "no way out of a repository", func(c *client) {
			for _, path := range []string{"/v2/conformance/%2e%2e/case-0/tags/list", "/v2/conformance/..%2fcase-0/tags/list", "/v2/%2e%2e/tags/list"} {
				c.do("GET", path, nil).fails(400, "NAME_INVALID")
			}
		}},
	})
}
