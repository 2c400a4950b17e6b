package images_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// manifest returns an OCI manifest with members given as names and values.
func manifest(members ...any) []byte {
	doc := map[string]any{"schemaVersion": 2}
	for i := 0; i < len(members); i += 2 {
		doc[members[i].(string)] = members[i+1]
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return b
}

func TestPutManifest_KeepsEveryByte(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	layer := s.push(t, app, "layer")
	body := append(image(s.push(t, app, "config"), layer), " \n\t"...)
	put, err := s.PutManifest(t.Context(), app, images.PutManifest{Tags: []string{"v1", "latest"}, MediaType: ocispec.MediaTypeImageManifest + "; charset=utf-8", Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []images.Reference{{Tag: "v1"}, {Tag: "latest"}, {Digest: put.Digest}, {Tag: "v1", Digest: put.Digest}} {
		for range 2 { // from the database, and from the cache
			m, err := s.Manifest(t.Context(), app, ref)
			if err != nil || string(m.Body) != string(body) || m.Digest != digest.FromBytes(body) || m.MediaType != ocispec.MediaTypeImageManifest ||
				m.Size != int64(len("layer")+len("config")) || m.ArtifactType != ocispec.MediaTypeImageConfig || !m.PushedAt.Equal(s.clock.now()) {
				t.Fatalf("%v = %+v, %v", ref, m, err)
			}
		}
	}
	_, err = s.Manifest(t.Context(), app, images.Reference{Tag: "v1", Digest: digest.FromString("other")})
	wantFault(t, err, "ImageTagDoesNotMatchDigest")
	for _, ref := range []images.Reference{{Tag: "v2"}, {Digest: digest.FromString("other")}} {
		_, err = s.Manifest(t.Context(), app, ref)
		wantFault(t, err, "ImageNotFound")
	}
}

func TestPutManifest_MissingReferences(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("other"))
	config := s.push(t, app, "config")
	elsewhere := s.push(t, named("other"), "in another repository")
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("missing"), Size: 7}
	foreign := missing
	foreign.URLs = []string{"https://registry.example/layer"}
	dockerForeign := missing
	dockerForeign.MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	child := image(config)
	childOfType := func(mediaType string) ocispec.Descriptor { return describe(mediaType, child) }
	put := func(body []byte) error {
		_, err := s.PutManifest(t.Context(), app, images.PutManifest{Tags: []string{"t"}, Body: bytes.NewReader(body)})
		return err
	}
	wantFault(t, put(image(config, missing)), "LayersNotFound")
	wantFault(t, put(image(missing)), "LayersNotFound")
	wantFault(t, put(image(config, elsewhere)), "LayersNotFound")
	wantFault(t, put(index(childOfType(ocispec.MediaTypeImageManifest))), "ReferencedImagesNotFound")
	wantFault(t, put(index(missing)), "ReferencedImagesNotFound")
	if _, err := s.Manifest(t.Context(), app, images.Reference{Tag: "t"}); err == nil {
		t.Error("a refused manifest left its tag behind")
	}
	for _, body := range [][]byte{
		image(config, foreign), image(config, dockerForeign), child,
		index(childOfType(ocispec.MediaTypeImageManifest)), index(childOfType("application/vnd.example+json")),
		manifest("config", config, "layers", []any{}, "subject", missing), index(),
	} {
		if err := put(body); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// BuildKit exports its cache as an index of layers and a config of its own.
func TestPutManifest_BuildKitCache(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	layer, config := s.push(t, app, "layer"), s.push(t, app, "{}")
	config.MediaType = "application/vnd.buildkit.cacheconfig.v0"
	body := manifest("mediaType", ocispec.MediaTypeImageIndex, "manifests", []ocispec.Descriptor{layer, config})
	s.put(t, app, body, "buildcache")
	m, err := s.Manifest(t.Context(), app, images.Reference{Tag: "buildcache"})
	if want := layer.Size + config.Size; err != nil || m.Size != want {
		t.Errorf("size %d, %v, want %d: that of the blobs", m.Size, err, want)
	}
	wantFault(t, s.DeleteBlob(t.Context(), app, layer.Digest), "BlobReferenced")
	image := manifest("mediaType", ocispec.MediaTypeImageManifest, "config", config, "layers", []ocispec.Descriptor{layer})
	s.put(t, app, image, "image-manifest-true")
}

func TestPutManifest_Forms(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	config := s.push(t, app, "config")
	for name, c := range map[string]struct{ mediaType, body, want string }{
		"not JSON":             {"", `{`, "InvalidManifest"},
		"trailing":             {"", string(image(config)) + "{}", "InvalidManifest"},
		"null":                 {"", `null`, "InvalidManifest"},
		"a list":               {"", `[]`, "InvalidManifest"},
		"repeated name":        {"", `{"schemaVersion":2,"manifests":[],"manifests":[]}`, "InvalidManifest"},
		"not UTF-8":            {"", "{\"schemaVersion\":2,\"manifests\":[],\"x\":\"\xff\"}", "InvalidManifest"},
		"wrong type":           {"", `{"schemaVersion":"2","manifests":[]}`, "InvalidManifest"},
		"both shapes":          {"", `{"schemaVersion":2,"manifests":[],"layers":[]}`, "InvalidManifest"},
		"no shape":             {"application/vnd.example+json", `{"schemaVersion":2}`, "ManifestUnsupported"},
		"no type":              {"", `{"layers":[]}`, "InvalidManifest"},
		"other media type":     {ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`, "InvalidManifest"},
		"image as index":       {ocispec.MediaTypeImageIndex, string(image(config)), "InvalidManifest"},
		"schema 1":             {"application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, "ManifestUnsupported"},
		"malformed digest":     {"", `{"schemaVersion":2,"config":{"digest":"sha256:abc"},"layers":[]}`, "InvalidManifest"},
		"foreign algorithm":    {"", `{"schemaVersion":2,"manifests":[{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e"}]}`, "InvalidManifest"},
		"negative size":        {"", `{"schemaVersion":2,"manifests":[{"size":-1,"digest":"` + string(config.Digest) + `"}]}`, "InvalidManifest"},
		"too large":            {"", strings.Repeat(" ", images.MaxManifest+1), "ManifestTooLarge"},
		"malformed subject":    {"", `{"schemaVersion":2,"manifests":[],"subject":{"digest":"x"}}`, "InvalidManifest"},
		"docker schema 2":      {"application/vnd.docker.distribution.manifest.v2+json", string(image(config)), ""},
		"docker list":          {"application/vnd.docker.distribution.manifest.list.v2+json", string(index()), ""},
		"unknown, OCI's shape": {"application/vnd.example+json", string(image(config, config)), ""},
		"OCI artifact":         {"application/vnd.oci.artifact.manifest.v1+json", `{"artifactType":"a/b","blobs":[{"digest":"` + string(config.Digest) + `"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := s.PutManifest(t.Context(), app, images.PutManifest{MediaType: c.mediaType, Body: strings.NewReader(c.body)})
			switch {
			case c.want != "":
				wantFault(t, err, c.want)
			case err != nil:
				t.Error(err)
			case m.MediaType != c.mediaType:
				t.Errorf("media type %q", m.MediaType)
			}
		})
	}
}

func TestPutManifest_Digest(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	body := index()
	sha512 := digest.SHA512.FromBytes(body)
	m, err := s.PutManifest(t.Context(), app, images.PutManifest{Digest: sha512, Body: bytes.NewReader(body)})
	if err != nil || m.Digest != sha512 {
		t.Fatalf("%+v, %v", m, err)
	}
	for d, code := range map[digest.Digest]string{
		digest.FromString("other"): "ImageDigestDoesNotMatch", "sha256:ABC": "InvalidDigest", "x": "InvalidDigest",
		digest.SHA384.FromBytes(body): "DigestUnsupported",
	} {
		_, err := s.PutManifest(t.Context(), app, images.PutManifest{Digest: d, Body: bytes.NewReader(body)})
		wantFault(t, err, code)
	}
}

func TestTags_ByteOrder(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	want := []string{"1.0", "B", "_x", "a", "a-b", "a.b", "b"}
	s.put(t, app, index(), "b", "a", "B", "_x", "a.b", "1.0", "a-b")
	var got []string
	for after, more := "", true; more; {
		var page []string
		var err error
		page, more, err = s.Tags(t.Context(), app, after, 2)
		if err != nil || len(page) == 0 || len(page) > 2 {
			t.Fatalf("page %v, %v", page, err)
		}
		got, after = append(got, page...), page[len(page)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("tags = %v, want %v", got, want)
	}
	if page, more, err := s.Tags(t.Context(), app, "", 0); len(page) != 0 || !more || err != nil {
		t.Errorf("no tags wanted: %v, %t, %v", page, more, err)
	}
	for _, tag := range []string{"", ".x", "-x", "a/b", "ä", strings.Repeat("x", 129)} {
		_, err := s.PutManifest(t.Context(), app, images.PutManifest{Tags: []string{tag}, Body: bytes.NewReader(index())})
		wantFault(t, err, "InvalidTag")
	}
}

func TestReferrers(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	empty := s.push(t, app, "{}")
	subject := s.pushImage(t, app, "subject", "v1")
	about := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1}
	byType := map[string][]digest.Digest{}
	add := func(artifactType string, members ...any) {
		d := s.put(t, app, manifest(append(members, "subject", about)...))
		byType[artifactType] = append(byType[artifactType], d)
		byType[""] = append(byType[""], d)
	}
	sbom := empty
	sbom.MediaType = "application/vnd.example.sbom"
	add("application/vnd.example.signature", "artifactType", "application/vnd.example.signature", "config", empty, "layers", []any{})
	add("application/vnd.example.signature", "artifactType", "application/vnd.example.signature", "config", empty, "layers", []any{}, "annotations", map[string]string{"key": "value"})
	add("application/vnd.example.sbom", "config", sbom, "layers", []any{})
	add("application/vnd.example.set", "artifactType", "application/vnd.example.set", "manifests", []any{})
	for artifactType, want := range byType {
		slices.Sort(want)
		var got []digest.Digest
		var types []string
		if artifactType != "" {
			types = []string{artifactType}
		}
		for after := ""; ; {
			page, next, err := s.Referrers(t.Context(), app, images.ReferrersQuery{Subject: subject, ArtifactTypes: types, After: after, Limit: 1, MaxBytes: 1})
			if err != nil || len(page) != 1 {
				t.Fatalf("%v, %v", page, err)
			}
			d := page[0]
			m, err := s.Manifest(t.Context(), app, images.Reference{Digest: d.Digest})
			if err != nil || d.Size != int64(len(m.Body)) || d.MediaType != m.MediaType || (artifactType != "" && d.ArtifactType != artifactType) {
				t.Errorf("%+v, %v", d, err)
			}
			if strings.Contains(string(m.Body), "annotations") != (d.Annotations["key"] == "value") {
				t.Errorf("annotations = %v", d.Annotations)
			}
			got = append(got, d.Digest)
			if after = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("referrers of type %q: %v, want %v", artifactType, got, want)
		}
	}
	// They stay when their subject is deleted, until they are deleted themselves.
	if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: subject}); err != nil {
		t.Fatal(err)
	}
	if list, _, err := s.Referrers(t.Context(), app, images.ReferrersQuery{Subject: subject, Limit: 10, MaxBytes: 1000}); len(list) != 4 || err != nil {
		t.Errorf("%d referrers, %v", len(list), err)
	}
	for _, d := range byType[""] {
		if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: d}); err != nil {
			t.Error(err)
		}
	}
	if list, _, err := s.Referrers(t.Context(), app, images.ReferrersQuery{Subject: subject, Limit: 10, MaxBytes: 1000}); len(list) != 0 || err != nil {
		t.Errorf("%d referrers, %v", len(list), err)
	}
}

func TestSetMutability(t *testing.T) {
	for _, c := range []struct {
		mode       images.Mutability
		exclusions []string
		immutable  []string
		mutable    []string
	}{
		{images.Mutable, nil, nil, []string{"v1"}},
		{images.Immutable, nil, []string{"v1"}, nil},
		{images.ImmutableWithExclusion, []string{"dev*", "latest"}, []string{"v1", "xdev", "latest2"}, []string{"dev", "dev-1", "latest"}},
		{images.MutableWithExclusion, []string{"v*", "*-rc*"}, []string{"v1", "2-rc1", "x-rc"}, []string{"latest", "rc"}},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			s := newStore(t)
			if _, err := s.CreateRepository(t.Context(), app, images.Settings{Mutability: c.mode, Exclusions: c.exclusions}); err != nil {
				t.Fatal(err)
			}
			first, second := image(s.push(t, app, "1")), image(s.push(t, app, "2"))
			d := s.put(t, app, first, slices.Concat(c.immutable, c.mutable)...)
			s.put(t, app, first, slices.Concat(c.immutable, c.mutable)...) // again
			for _, tag := range c.immutable {
				_, err := s.PutManifest(t.Context(), app, images.PutManifest{Tags: []string{"new-" + tag, tag}, Body: bytes.NewReader(second)})
				wantFault(t, err, "ImageTagAlreadyExists")
				if m, err := s.Manifest(t.Context(), app, images.Reference{Tag: tag}); err != nil || m.Digest != d {
					t.Errorf("%s was moved: %v", tag, err)
				}
				_, err = s.Manifest(t.Context(), app, images.Reference{Tag: "new-" + tag})
				wantFault(t, err, "ImageNotFound")
			}
			for _, tag := range c.mutable {
				if moved := s.put(t, app, second, tag); moved == d {
					t.Fatal("the same digest")
				}
				if m, err := s.Manifest(t.Context(), app, images.Reference{Tag: tag}); err != nil || m.Digest == d {
					t.Errorf("%s was not moved: %v", tag, err)
				}
			}
		})
	}
}

func TestPutManifest_ExistingImage(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	put := func(tags ...string) error {
		_, err := s.PutManifest(t.Context(), app, images.PutManifest{Tags: tags, Body: bytes.NewReader(index()), Existing: images.RejectExisting})
		return err
	}
	for _, step := range []struct{ tag, want string }{{"a", ""}, {"a", "ImageAlreadyExists"}, {"b", ""}, {"b", "ImageAlreadyExists"}, {"a", "ImageAlreadyExists"}} {
		if err := put(step.tag); step.want != "" {
			wantFault(t, err, step.want)
		} else if err != nil {
			t.Error(err)
		}
	}
	wantFault(t, put(), "ImageAlreadyExists")
	s.put(t, app, index(), "a")
}
