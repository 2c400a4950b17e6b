package images_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scantest"
)

// asUser returns the context of a user of app's account.
func asUser(t *testing.T) context.Context {
	arn := "arn:aws:iam::" + app.Account + ":user/ci"
	return authn.WithCaller(t.Context(), &authn.Caller{Principal: &authn.Principal{Type: authn.User, Account: app.Account, ARN: arn, PrincipalARN: arn, Name: "ci"}})
}

// youngImages lets nobody pull an image of the last day, or give it a tag.
const youngImages = `{"Version":"2012-10-17","Statement":{"Sid":"ADayOld","Effect":"Deny","Principal":"*","Action":["ecr:BatchGetImage","ecr:PutImage"],"Condition":{"NumericLessThan":{"gatehouse:ImageAge":"1"}}}}`

// A rule about the age of images decides about each image, on pulls and pushes.
func TestAdmission_ImageAge(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	ctx := asUser(t)
	old := s.pushImage(t, app, "old", "old")
	s.clock.advance(25 * time.Hour)
	young := s.pushImage(t, app, "young", "young")
	if _, err := s.SetPolicy(t.Context(), app, youngImages, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest(ctx, app, images.Reference{Tag: "old"}); err != nil {
		t.Error(err)
	}
	for _, ref := range []images.Reference{{Tag: "young"}, {Digest: young}} {
		_, err := s.Manifest(ctx, app, ref)
		if !fault.Is(err, "AccessDenied") || !strings.Contains(err.Error(), "the rule ADayOld of the resource-based policy") || !strings.Contains(err.Error(), "gatehouse:ImageAge is 0") {
			t.Error(ref, err)
		}
		_, _, err = s.Manifests(ctx, app, []images.Reference{ref})
		wantFault(t, err, "AccessDenied")
	}
	// A tag can be set on the old image, and on no young or new one.
	put := func(name string) error {
		body := image(s.push(t, app, "config of "+name), s.push(t, app, "layer of "+name))
		_, err := s.PutManifest(ctx, app, images.PutManifest{Tags: []string{"stable"}, Body: reader(string(body))})
		return err
	}
	if err := put("old"); err != nil {
		t.Error(err)
	}
	wantFault(t, put("young"), "AccessDenied")
	wantFault(t, put("new"), "AccessDenied")
	if m, err := s.Manifest(ctx, app, images.Reference{Tag: "stable"}); err != nil || m.Digest != old {
		t.Error(m, err)
	}
	// A listing is about no image.
	if _, _, err := s.Referrers(ctx, app, images.ReferrersQuery{Subject: young, Limit: 1, MaxBytes: 1}); err != nil {
		t.Error(err)
	}
	s.clock.advance(25 * time.Hour)
	if _, err := s.Manifest(ctx, app, images.Reference{Tag: "young"}); err != nil {
		t.Error(err)
	}
}

// A clock that was set makes no image older.
func TestAdmission_WrongClock(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.hours(t, 2)
	s.pushImage(t, app, "young", "young")
	if _, err := s.SetPolicy(t.Context(), app, youngImages, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	for _, jump := range []time.Duration{365 * day, -2 * 365 * day} {
		s.clock.advance(jump)
		_, err := s.Manifest(asUser(t), app, images.Reference{Tag: "young"})
		wantFault(t, err, "AccessDenied")
	}
	s.clock.advance(365 * day)
	s.hours(t, 24*2)
	if _, err := s.Manifest(asUser(t), app, images.Reference{Tag: "young"}); err != nil {
		t.Error(err)
	}
}

// badImages lets nobody pull what has bad findings, or no result of a scan.
const badImages = `{"Version":"2012-10-17","Statement":[
	{"Sid":"Bad","Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage","Condition":{"StringEquals":{"gatehouse:ScanSeverity":["high","critical"]}}},
	{"Sid":"NotScanned","Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage","Condition":{"Null":{"gatehouse:ScanSeverity":"true"}}}]}`

// A rule about the findings of images decides by the advisories and scans of the moment.
func TestAdmission_ScanSeverity(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	ctx := asUser(t)
	if _, err := s.SetPolicy(t.Context(), app, badImages, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	debian, alpine := s.pushLayers(t, app, "debian", scantest.Debian(t)), s.pushLayers(t, app, "alpine", scantest.Alpine(t))
	both := s.put(t, app, index(s.described(t, debian), s.described(t, alpine)), "both")
	pull := func(d digest.Digest, want string) {
		t.Helper()
		for range 2 { // the second time from memory
			_, err := s.Manifest(ctx, app, images.Reference{Digest: d})
			if want == "" && err != nil || want != "" && (!fault.Is(err, "AccessDenied") || !strings.Contains(err.Error(), want)) {
				t.Errorf("%v; want %q", err, want)
			}
		}
	}
	missing := "the rule NotScanned of the resource-based policy arn:aws:ecr:us-east-1:000000000001:repository/team/app (gatehouse:ScanSeverity is missing)"
	pull(debian, missing)
	pull(both, missing)
	scan := func(d digest.Digest) {
		t.Helper()
		if _, err := s.StartImageScan(t.Context(), app, images.Reference{Digest: d}); err != nil {
			t.Fatal(err)
		}
		s.run(t)
	}
	scan(debian)
	pull(debian, missing) // there are no advisories to compare it with
	s.importAdvisories(t, scantest.Advisory("CVE-2026-1", "Debian:12", "openssl", "3.0.11-1~deb12u1", january, scantest.CriticalVector))
	pull(debian, "")
	pull(both, "")
	s.importAdvisories(t, scantest.Advisory("CVE-2026-1", "Debian:12", "openssl", "3.0.11-1~deb12u2", february, scantest.CriticalVector),
		scantest.Advisory("CVE-2026-2", "Alpine:v3.20", "musl", "9", january, ""))
	pull(debian, "the rule Bad of the resource-based policy arn:aws:ecr:us-east-1:000000000001:repository/team/app (gatehouse:ScanSeverity is critical)")
	pull(both, "gatehouse:ScanSeverity is critical")
	pull(alpine, missing)
	scan(alpine)
	pull(alpine, "")
	pull(both, "") // one of its images can be pulled
	pull(debian, "gatehouse:ScanSeverity is critical")
	s.importAdvisories(t, []byte(`{"id":"CVE-2026-1","modified":"2026-03-01T00:00:00Z","withdrawn":"2026-03-01T00:00:00Z"}`))
	pull(debian, missing) // and nothing is known about Debian any more
}

// An image does not get the rating of what it lists as a layer.
func TestAdmission_ScanSeverityOfLayer(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	ctx := asUser(t)
	s.importAdvisories(t, scantest.Advisory("CVE-2026-1", "Debian:12", "openssl", "1", january, scantest.CriticalVector))
	s.setScanning(t, images.ScanBasic, images.ScanOnPushFrequency)
	clean := s.pushLayers(t, app, "clean", scantest.Debian(t))
	s.run(t)
	s.setScanning(t, images.ScanBasic, "")
	body := s.push(t, app, string(manifestOf(t, s, clean)))
	disguised := s.put(t, app, image(s.push(t, app, "config"), body), "disguised")
	if _, err := s.SetPolicy(t.Context(), app, badImages, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest(ctx, app, images.Reference{Digest: clean}); err != nil {
		t.Error(err)
	}
	_, err := s.Manifest(ctx, app, images.Reference{Digest: disguised})
	wantFault(t, err, "AccessDenied")
}

// described returns the descriptor of a manifest.
func (s *store) described(t testing.TB, d digest.Digest) ocispec.Descriptor {
	t.Helper()
	m, err := s.Manifest(t.Context(), app, images.Reference{Digest: d})
	if err != nil {
		t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(m.Body))}
}

// signedOnly denies what the profile has not signed.
const signedOnly = `{"Version":"2012-10-17","Statement":{"Sid":"SignedOnly","Effect":"Deny","Principal":"*","Action":["ecr:BatchGetImage","ecr:PutImage"],
	"Condition":{"ForAllValues:StringNotEquals":{"gatehouse:SignedBy":"` + profile + `"}}}}`

// Signatures can be pulled whatever the rules say, and what only calls itself a signature
// cannot: container runtimes unpack layers of any media type.
func TestAdmission_Signatures(t *testing.T) {
	const (
		payload  = "application/vnd.dev.cosign.simplesigning.v1+json"
		notation = "application/vnd.cncf.notary.signature"
	)
	archive := string(scantest.Layer(t, scantest.File{"bin/evil", "#!/bin/sh"}))
	plain := string(scantest.Archive(t, scantest.File{"{}", "{}"}))
	for name, c := range map[string]struct {
		config, layer string // media types
		content       string
		artifact      string
		urls          []string
		exempt        bool
	}{
		"cosign":                          {config: ocispec.MediaTypeImageConfig, layer: payload, content: `{"critical":{}}`, exempt: true},
		"a bundle of sigstore":            {config: ocispec.MediaTypeEmptyJSON, layer: "application/vnd.dev.sigstore.bundle.v0.3+json", content: `{"a":1}`, exempt: true},
		"notation":                        {config: notation, layer: "application/jose+json", content: `{"payload":""}`, exempt: true},
		"notation with COSE":              {config: notation, layer: "application/cose", content: "\xd2\x84", exempt: true},
		"an archive as cosign":            {config: ocispec.MediaTypeImageConfig, layer: payload, content: archive},
		"an archive that begins as JSON":  {config: ocispec.MediaTypeImageConfig, layer: payload, content: plain},
		"a layer elsewhere as cosign":     {config: ocispec.MediaTypeImageConfig, layer: payload, content: `{}`, urls: []string{"https://layers.example/"}},
		"a large layer as cosign":         {config: ocispec.MediaTypeImageConfig, layer: payload, content: `"` + strings.Repeat("x", 1<<20) + `"`},
		"an archive as notation":          {config: notation, layer: "application/jose+json", content: archive},
		"layers of an image in notation":  {config: notation, layer: ocispec.MediaTypeImageLayerGzip, content: archive},
		"an artifact that names notation": {config: ocispec.MediaTypeEmptyJSON, artifact: notation, layer: ocispec.MediaTypeImageLayerGzip, content: archive},
		"an archive as a config of COSE":  {config: "application/cose", layer: payload, content: archive},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.create(t, app)
			config, layer := s.push(t, app, "{}"), s.push(t, app, c.content)
			if c.config == "application/cose" {
				config = layer
			}
			config.MediaType, layer.MediaType, layer.URLs = c.config, c.layer, c.urls
			body := manifest("config", config, "layers", []ocispec.Descriptor{layer}, "artifactType", c.artifact)
			s.put(t, app, body, "v1")
			if _, err := s.SetPolicy(t.Context(), app, signedOnly, images.AllowLockout); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time from memory
				_, err := s.Manifest(asUser(t), app, images.Reference{Tag: "v1"})
				if !c.exempt {
					wantFault(t, err, "AccessDenied")
				} else if err != nil {
					t.Error(err)
				}
			}
			_, err := s.PutManifest(asUser(t), app, images.PutManifest{Tags: []string{"v2"}, Body: reader(string(body))})
			if !c.exempt {
				wantFault(t, err, "AccessDenied")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A signed index signs the images that it lists, and a signed artifact does not sign an image
// whose manifest is one of its layers.
func TestAdmission_ListedBySigned(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	body := image(s.push(t, app, "config of child"), s.push(t, app, "layer of child"))
	child := s.put(t, app, body, "child")
	if _, err := s.SetPolicy(t.Context(), app, signedOnly, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	pull := func() error {
		_, err := s.Manifest(asUser(t), app, images.Reference{Digest: child})
		return err
	}
	wantFault(t, pull(), "AccessDenied")
	if err := s.PutSigningConfiguration(t.Context(), home, images.SigningConfiguration{Rules: []images.SigningRule{{Profile: profile}}}); err != nil {
		t.Fatal(err)
	}
	s.put(t, app, image(s.push(t, app, "config of artifact"), s.push(t, app, string(body))), "artifact")
	s.runDue(t)
	wantFault(t, pull(), "AccessDenied")

	list := index(describe(ocispec.MediaTypeImageManifest, body))
	d := s.put(t, app, list, "list")
	s.runDue(t)
	if err := pull(); err != nil {
		t.Error(err)
	}
	// The signature stays when the index is deleted, and counts when it is pushed again.
	if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: d}); err != nil {
		t.Fatal(err)
	}
	wantFault(t, pull(), "AccessDenied")
	for _, tags := range [][]string{nil, {"list"}} {
		s.put(t, app, list, tags...)
		if err := pull(); err != nil {
			t.Error(tags, err)
		}
		if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: digest.FromBytes(list)}); err != nil {
			t.Fatal(err)
		}
		wantFault(t, pull(), "AccessDenied")
	}
}
