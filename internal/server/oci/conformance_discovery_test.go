package oci_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// next returns the address in the Link header, or empty.
func (r *reply) next() string {
	m := regexp.MustCompile(`^<([^>]+)>; rel="next"$`).FindStringSubmatch(r.Header.Get("Link"))
	if m == nil {
		return ""
	}
	return m[1]
}

func TestConformanceDiscovery(t *testing.T) {
	type tagList struct {
		Name string
		Tags []string
	}
	tags := func(c *client, query string) (*reply, []string) {
		c.Helper()
		r := c.do("GET", "tags/list"+query, nil).want(200).has("Content-Type", "application/json")
		var list tagList
		r.json(&list)
		if list.Name != c.repo || list.Tags == nil {
			c.Errorf("list %s", r.body)
		}
		return r, list.Tags
	}
	referrers := func(c *client, path string) (*reply, []ocispec.Descriptor) {
		c.Helper()
		r := c.do("GET", path, nil).want(200).has("Content-Type", ocispec.MediaTypeImageIndex)
		var index ocispec.Index
		r.json(&index)
		if index.SchemaVersion != 2 || index.MediaType != ocispec.MediaTypeImageIndex || index.Manifests == nil {
			c.Errorf("index %s", r.body)
		}
		return r, index.Manifests
	}

	runScenarios(t, []scenario{
		{"Listing Tags", "of a repository without", func(c *client) {
			if _, got := tags(c, ""); len(got) != 0 {
				c.Errorf("tags %q", got)
			}
			c.do("GET", "/v2/no/such/tags/list", nil).fails(404, "NAME_UNKNOWN")
		}},
		{"Listing Tags", "in order, in pages", func(c *client) {
			body := c.manifest(nil)
			for _, tag := range []string{"b", "a", "Z", "10", "2", "a.b", "_x"} {
				c.pushManifest(tag, body)
			}
			all := []string{"10", "2", "Z", "_x", "a", "a.b", "b"}
			if _, got := tags(c, ""); !slices.Equal(got, all) {
				c.Errorf("all: %q", got)
			}
			if _, got := tags(c, "?last=Z"); !slices.Equal(got, all[3:]) {
				c.Errorf("after Z: %q", got)
			}
			if _, got := tags(c, "?n=2&last=Y"); !slices.Equal(got, all[2:4]) {
				c.Errorf("two after Y, which is not there: %q", got)
			}
			for n := 1; n <= len(all)+1; n++ {
				var got []string
				pages := 0
				for at := fmt.Sprintf("?n=%d", n); at != ""; pages++ {
					r, page := tags(c, at)
					got = append(got, page...)
					_, query, more := strings.Cut(r.next(), "?")
					if len(page) != n && more {
						c.Errorf("n=%d: a page of %d and a Link", n, len(page))
					}
					if at = ""; more {
						at = "?" + query
					}
				}
				if !slices.Equal(got, all) || pages != (len(all)+n-1)/n {
					c.Errorf("n=%d: %q in %d pages", n, got, pages)
				}
			}
		}},
		{"Listing Tags", "none of them", func(c *client) {
			c.pushManifest("v1", c.manifest(nil))
			if r, got := tags(c, "?n=0"); len(got) != 0 || r.next() != "" {
				c.Errorf("%q, %q", got, r.next())
			}
			for _, n := range []string{"-1", "x", "1.5", "99999999999999999999"} {
				c.do("GET", "tags/list?n="+n, nil).fails(400, "UNSUPPORTED")
			}
			if _, got := tags(c, "?n=100000"); len(got) != 1 {
				c.Errorf("%q", got)
			}
		}},
		{"Listing Referrers", "none", func(c *client) {
			if r, list := referrers(c, "referrers/"+digest.FromString("absent").String()); len(list) != 0 || r.next() != "" {
				c.Errorf("%s", r.body)
			}
			c.do("GET", "referrers/sha256:12", nil).fails(400, "DIGEST_INVALID")
			c.do("GET", "referrers/latest", nil).fails(400, "DIGEST_INVALID")
			c.do("GET", "/v2/no/such/referrers/"+digest.FromString("absent").String(), nil).fails(404, "NAME_UNKNOWN")
		}},
		{"Listing Referrers", "with types and annotations, and by type", func(c *client) {
			image := c.manifest(nil)
			subject := &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: c.pushManifest("v1", image), Size: int64(len(image))}
			empty := c.pushBlob("{}", ocispec.MediaTypeEmptyJSON)
			want := map[digest.Digest]ocispec.Descriptor{}
			push := func(d ocispec.Descriptor, body []byte) {
				d.Digest, d.Size = c.pushManifest("", body), int64(len(body))
				want[d.Digest] = d
			}
			sbom := map[string]string{"org.example.format": "json"}
			push(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example.sbom.v1", Annotations: sbom},
				c.manifest(func(m *ocispec.Manifest) {
					m.Subject, m.ArtifactType, m.Config, m.Annotations = subject, "application/vnd.example.sbom.v1", empty, sbom
				}))
			push(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ocispec.MediaTypeImageConfig},
				c.manifest(func(m *ocispec.Manifest) { m.Subject = subject }))
			push(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, ArtifactType: "application/vnd.example.sbom.v1"},
				marshal(c, ocispec.Index{
					Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, ArtifactType: "application/vnd.example.sbom.v1",
					Manifests: []ocispec.Descriptor{}, Subject: subject,
				}))
			push(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex},
				marshal(c, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}, Subject: subject}))

			check := func(query, applied string, keep func(ocispec.Descriptor) bool) {
				c.Helper()
				r, list := referrers(c, "referrers/"+subject.Digest.String()+query)
				r.has("OCI-Filters-Applied", applied)
				kept := 0
				for _, d := range want {
					if keep(d) {
						kept++
					}
				}
				for _, got := range list {
					d := want[got.Digest]
					if !keep(d) || string(marshal(c, got)) != string(marshal(c, d)) {
						c.Errorf("%s: got %s, want %s", query, marshal(c, got), marshal(c, d))
					}
				}
				if len(list) != kept {
					c.Errorf("%s: %d referrers, want %d", query, len(list), kept)
				}
			}
			check("", "", func(ocispec.Descriptor) bool { return true })
			check("?artifactType=application/vnd.example.sbom.v1", "artifactType", func(d ocispec.Descriptor) bool { return d.ArtifactType == "application/vnd.example.sbom.v1" })
			check("?artifactType=application/vnd.example.none", "artifactType", func(ocispec.Descriptor) bool { return false })
		}},
		{"Listing Referrers", "in pages, where they are many or large", func(c *client) {
			subject := &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("never pushed"), Size: 1}
			want := map[digest.Digest]bool{}
			push := func(name, value string) {
				want[c.pushManifest("", c.manifest(func(m *ocispec.Manifest) {
					m.Subject, m.ArtifactType, m.Annotations = subject, "application/vnd.example.sbom.v1", map[string]string{name: value}
				}))] = true
			}
			for i := range 70 {
				push("org.example.number", fmt.Sprint(i))
			}
			for _, letter := range []string{"a", "b", "c"} {
				push("org.example.large", strings.Repeat(letter, 3<<20))
			}
			pages := 0
			for at := "referrers/" + subject.Digest.String() + "?artifactType=application/vnd.example.sbom.v1"; at != ""; pages++ {
				r, list := referrers(c, at)
				if r.has("OCI-Filters-Applied", "artifactType"); len(list) == 0 || len(r.body) > images.MaxManifest+1024 {
					c.Fatalf("a page of %d referrers and %d bytes", len(list), len(r.body))
				}
				for _, d := range list {
					if !want[d.Digest] {
						c.Errorf("%s is not a referrer, or comes twice", d.Digest)
					}
					delete(want, d.Digest)
				}
				at = r.next()
			}
			if len(want) != 0 || pages != 3 {
				c.Errorf("%d referrers are missing after %d pages", len(want), pages)
			}
		}},
		{"Listing Referrers", "gone with the manifest", func(c *client) {
			subject := digest.FromString("never pushed")
			d := c.pushManifest("", c.manifest(func(m *ocispec.Manifest) {
				m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1}
			}))
			if _, list := referrers(c, "referrers/"+subject.String()); len(list) != 1 {
				c.Errorf("%+v", list)
			}
			c.do("DELETE", "manifests/"+d.String(), nil).want(202)
			if _, list := referrers(c, "referrers/"+subject.String()); len(list) != 0 {
				c.Errorf("%+v", list)
			}
		}},
	})
}

func TestCatalog(t *testing.T) {
	r := newRegistry(t)
	all := []string{"app", "app/a", "app/b", "team/x", "zz"}
	for _, name := range all {
		r.create(t, account, name, images.Settings{})
	}
	r.create(t, other, "not-ours", images.Settings{})
	c := r.client(t, "admin")
	catalog := func(query string) (*reply, []string) {
		reply := c.do("GET", "/v2/_catalog"+query, nil).want(200)
		var list struct{ Repositories []string }
		reply.json(&list)
		return reply, list.Repositories
	}
	if _, got := catalog(""); !slices.Equal(got, all) {
		t.Errorf("catalog %q", got)
	}
	reply, got := catalog("?n=2")
	if !slices.Equal(got, all[:2]) || reply.next() != "/v2/_catalog?last=app%2Fa&n=2" {
		t.Errorf("%q, %q", got, reply.next())
	}
	if _, got := catalog("?n=3&last=app/a"); !slices.Equal(got, all[2:]) {
		t.Errorf("%q", got)
	}
	if reply, got := catalog("?n=0"); len(got) != 0 || reply.next() != "" {
		t.Errorf("%q", got)
	}
	r.users.policies["puller"] = allow("ecr:BatchGetImage", "*")
	r.client(t, "puller").do("GET", "/v2/_catalog", nil).fails(403, "DENIED")
}
