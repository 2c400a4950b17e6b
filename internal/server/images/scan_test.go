package images_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scantest"
)

var everything = []string{"*"}

// setScanning stores the scanning configuration with one rule for all repositories.
func (s *store) setScanning(t testing.TB, kind, frequency string) {
	t.Helper()
	c := images.ScanningConfiguration{Type: kind}
	if frequency != "" {
		c.Rules = []images.ScanningRule{{Frequency: frequency, Filters: everything}}
	}
	if err := s.PutScanningConfiguration(t.Context(), home, c); err != nil {
		t.Fatal(err)
	}
}

// importAdvisories imports documents.
func (s *store) importAdvisories(t testing.TB, documents ...[]byte) {
	t.Helper()
	got, err := s.known.Import(t.Context(), documents)
	if err != nil || len(got.Refused) > 0 || got.Ignored > 0 {
		t.Fatal(got, err)
	}
}

// pushLayers pushes an image of layers.
func (s *store) pushLayers(t testing.TB, id images.RepositoryID, tag string, layers ...[]byte) digest.Digest {
	t.Helper()
	list := s.push(t, id, "config of "+tag)
	manifest := image(list)
	for i, l := range layers {
		d := s.push(t, id, string(l))
		if i == 0 {
			manifest = image(list, d)
			continue
		}
		manifest = []byte(strings.Replace(string(manifest), `]`, fmt.Sprintf(`,{"mediaType":%q,"digest":%q,"size":%d}]`, d.MediaType, d.Digest, d.Size), 1))
	}
	return s.put(t, id, manifest, tag)
}

// run runs the work that is due.
func (s *store) run(t testing.TB) {
	t.Helper()
	if err := s.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// scan returns the result of the scan of an image: its status, its counts, and its findings
// "NAME SEVERITY PACKAGE VERSION FIXED", of pages of two.
func (s *store) scan(t testing.TB, id images.RepositoryID, d digest.Digest) string {
	t.Helper()
	var out []string
	var after images.FindingPosition
	for {
		r, err := s.ImageScanFindings(t.Context(), id, images.Reference{Digest: d}, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if out == nil {
			out = append(out, fmt.Sprint(r.Status, " ", r.Counts))
		}
		for i := range r.Findings {
			f := &r.Findings[i]
			out = append(out, strings.TrimSpace(fmt.Sprint(f.Name, " ", f.Severity(), " ", f.Package, " ", f.Version, " ", f.Advisory.Fixed)))
			after = images.PositionOf(f)
		}
		if !r.More {
			return strings.Join(out, "\n")
		}
	}
}

func wantScan(t *testing.T, got string, lines ...string) {
	t.Helper()
	if want := strings.Join(lines, "\n"); got != want {
		t.Errorf("the scan is\n%s\nwant\n%s", got, want)
	}
}

const (
	january  = "2026-01-01T00:00:00Z"
	february = "2026-02-01T00:00:00Z"
)

// The findings of an image follow the advisories: no layer is read again.
func TestScan_OnPush(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setScanning(t, images.ScanBasic, images.ScanOnPushFrequency)
	s.importAdvisories(t, scantest.Advisory("DEBIAN-CVE-2026-1", "Debian:12", "openssl", "3.0.11-1~deb12u2", january, scantest.HighVector),
		scantest.Advisory("CVE-2026-2", "Debian:12", "zlib", "", january, scantest.CriticalVector),
		scantest.Advisory("CVE-2026-3", "Debian:11", "zlib", "", january, scantest.CriticalVector),
		scantest.Advisory("CVE-2026-4", "Debian:12", "removed", "", january, scantest.CriticalVector),
		scantest.Advisory("GHSA-1", "npm", "left", "1.0.1", january, ""))
	read := eventReader{t: t, s: s}
	d := s.pushLayers(t, app, "v1", scantest.Debian(t), scantest.Layer(t, scantest.File{"app/node_modules/left/package.json", `{"name":"left","version":"1.0.0"}`}))
	wantScan(t, s.scan(t, app, d), "IN_PROGRESS map[]")
	s.run(t)
	wantScan(t, s.scan(t, app, d), "COMPLETE map[CRITICAL:1 HIGH:1 UNDEFINED:1]",
		"CVE-2026-2 CRITICAL zlib 1:1.2.13.dfsg-1",
		"DEBIAN-CVE-2026-1 HIGH openssl 3.0.11-1~deb12u1 3.0.11-1~deb12u2",
		"GHSA-1 UNDEFINED left 1.0.0 1.0.1")
	if bodies := read.bodies(); len(bodies) != 2 || !strings.Contains(bodies[1], `"detail-type":"ECR Image Scan"`) || !strings.Contains(bodies[1], `"detail":{"scan-status":"COMPLETE","repository-name":"team/app","finding-severity-counts":{"CRITICAL":1,"HIGH":1,"UNDEFINED":1},"image-digest":"`+string(d)+`","image-tags":["v1"]}`) || !strings.Contains(bodies[1], `"resources":["`+app.ARN()+`"]`) {
		t.Error(strings.Join(bodies, "\n"))
	}
	if n := len(s.audit); n != 1 || s.audit[0].Name != "ImageScanned" || s.audit[0].Params["imageDigest"] != string(d) {
		t.Error(s.audit)
	}

	s.importAdvisories(t, scantest.Advisory("CVE-2026-2", "Debian:12", "zlib", "1:1.2.13.dfsg-1", february, scantest.CriticalVector),
		scantest.Advisory("CVE-2026-5", "npm", "left", "", january, scantest.HighVector),
		[]byte(`{"id":"GHSA-1","modified":"`+february+`","withdrawn":"`+february+`"}`))
	wantScan(t, s.scan(t, app, d), "COMPLETE map[HIGH:2]",
		"CVE-2026-5 HIGH left 1.0.0",
		"DEBIAN-CVE-2026-1 HIGH openssl 3.0.11-1~deb12u1 3.0.11-1~deb12u2")
	s.clock.advance(time.Minute)
	s.run(t)
	if len(s.audit) != 1 {
		t.Error("the image was scanned again")
	}
	if list, err := s.DescribeImagesByReference(t.Context(), app, []images.Reference{{Tag: "v1"}}); err != nil || fmt.Sprint(list[0].Scan.Counts) != "map[HIGH:2]" {
		t.Error(list[0].Scan, err)
	}
	if bodies := read.bodies(); len(bodies) > 0 {
		t.Error(bodies)
	}
}

// With continuous scans, each finding that is new or gone has an event.
func TestScan_Continuous(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("old"))
	s.importAdvisories(t, scantest.Advisory("CVE-1", "Debian:12", "openssl", "", january, scantest.HighVector))
	forgotten := s.pushLayers(t, named("old"), "v0", scantest.Debian(t))
	s.clock.advance(15 * 24 * time.Hour)
	d := s.pushLayers(t, app, "v1", scantest.Debian(t))
	s.setScanning(t, images.ScanEnhanced, images.ScanContinuously)
	s.clock.advance(time.Minute)
	read := eventReader{t: t, s: s}
	read.bodies()
	s.run(t) // the image of today is scanned, though it was there before
	s.run(t)
	wantScan(t, s.scan(t, app, d), "ACTIVE map[HIGH:1]", "CVE-1 HIGH openssl 3.0.11-1~deb12u1")
	_, err := s.ImageScanFindings(t.Context(), named("old"), images.Reference{Digest: forgotten}, images.FindingPosition{}, 1)
	wantFault(t, err, "ScanNotFound")
	if bodies := read.bodies(); len(bodies) != 1 || !strings.Contains(bodies[0], `"detail-type":"Inspector2 Scan"`) || !strings.Contains(bodies[0], `"finding-severity-counts":{"HIGH":1,"TOTAL":1}`) {
		t.Error(bodies)
	}
	first, err := s.ImageScanFindings(t.Context(), app, images.Reference{Digest: d}, images.FindingPosition{}, 1)
	if err != nil {
		t.Fatal(err)
	}

	s.importAdvisories(t, scantest.Advisory("CVE-2", "Debian:12", "zlib", "1:1.3", january, scantest.CriticalVector), []byte(`{"id":"CVE-1","modified":"`+february+`","withdrawn":"`+february+`"}`))
	s.clock.advance(time.Hour)
	s.run(t)
	bodies := read.bodies()
	if len(bodies) != 2 || !strings.Contains(bodies[0], `"status":"ACTIVE","severity":"CRITICAL","title":"CVE-2 - zlib"`) || !strings.Contains(bodies[1], `"status":"CLOSED","title":"CVE-1 - openssl"`) ||
		!strings.Contains(bodies[1], images.FindingARN(app, d, first.Findings[0].Key())) || !strings.Contains(bodies[0], `"fixedInVersion":"1:1.3"`) {
		t.Error(strings.Join(bodies, "\n"))
	}
	seen := s.clock.now()
	s.importAdvisories(t, scantest.Advisory("CVE-3", "npm", "left", "", january, ""))
	s.clock.advance(time.Hour)
	s.run(t)
	if bodies := read.bodies(); len(bodies) > 0 {
		t.Error(bodies)
	}
	r, err := s.ImageScanFindings(t.Context(), app, images.Reference{Digest: d}, images.FindingPosition{}, 1)
	if err != nil || !r.FirstSeen[r.Findings[0].Key()].Equal(seen.UTC().Truncate(time.Microsecond)) {
		t.Error(r.FirstSeen, seen, err)
	}
}

func TestScan_Layers(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setScanning(t, images.ScanBasic, images.ScanOnPushFrequency)
	s.importAdvisories(t, scantest.Advisory("ALPINE-CVE-2026-1", "Alpine:v3.20", "openssl", "3.3.1-r1", january, scantest.HighVector))
	old := s.pushLayers(t, app, "old", scantest.Alpine(t))
	fixed := s.pushLayers(t, app, "fixed", scantest.Alpine(t), scantest.Layer(t, scantest.File{"lib/apk/db/installed", "P:libcrypto3\nV:3.3.1-r1\nA:x86_64\no:openssl\n\n"}))
	none := s.pushLayers(t, app, "none", scantest.Layer(t, scantest.File{"bin/true", "x"}))
	damaged := s.pushLayers(t, app, "damaged", scantest.Alpine(t)[:100])
	artifact := s.put(t, app, manifest("artifactType", "application/x", "config", s.push(t, app, "{}"), "layers", []any{s.push(t, app, "x")}), "artifact")
	s.run(t)
	wantScan(t, s.scan(t, app, old), "COMPLETE map[HIGH:1]", "ALPINE-CVE-2026-1 HIGH openssl 3.3.1-r0 3.3.1-r1")
	wantScan(t, s.scan(t, app, fixed), "COMPLETE map[]")
	wantScan(t, s.scan(t, app, none), "UNSUPPORTED_IMAGE map[]")
	wantScan(t, s.scan(t, app, damaged), "FAILED map[]")
	for _, err := range []error{
		errOf(s.ImageScanFindings(t.Context(), app, images.Reference{Digest: artifact}, images.FindingPosition{}, 1)),
		errOf(s.ImageScanFindings(t.Context(), app, images.Reference{Tag: "artifact"}, images.FindingPosition{}, 1)),
	} {
		wantFault(t, err, "ScanNotFound")
	}
	_, err := s.StartImageScan(t.Context(), app, images.Reference{Digest: artifact})
	wantFault(t, err, "UnsupportedImageType")

	list, _, err := s.DescribeImages(t.Context(), app, images.ImageFilter{}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		if d.Scan != nil {
			got = append(got, fmt.Sprint(d.Tags, d.Scan.Status, d.Scan.Counts))
		}
	}
	slices.Sort(got)
	if text := strings.Join(got, " "); text != "[damaged]FAILEDmap[] [fixed]COMPLETEmap[] [none]UNSUPPORTED_IMAGEmap[] [old]COMPLETEmap[HIGH:1]" {
		t.Error(text)
	}
	some, err := s.DescribeImagesByReference(t.Context(), app, []images.Reference{{Tag: "old"}})
	if err != nil || some[0].Scan == nil || some[0].Scan.Counts["HIGH"] != 1 {
		t.Error(some, err)
	}
}

func errOf[T any](_ T, err error) error { return err }

// Without advisories nothing is known, which is not the same as that nothing is vulnerable.
func TestScan_NoAdvisories(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setScanning(t, images.ScanBasic, images.ScanOnPushFrequency)
	d := s.pushLayers(t, app, "v1", scantest.Debian(t))
	s.run(t)
	wantScan(t, s.scan(t, app, d), "FINDINGS_UNAVAILABLE map[]")
	s.importAdvisories(t, scantest.Advisory("GHSA-1", "npm", "left", "", january, ""))
	r, err := s.ImageScanFindings(t.Context(), app, images.Reference{Digest: d}, images.FindingPosition{}, 1)
	if err != nil || r.Status != images.ScanComplete || !strings.Contains(r.Description, "no advisories about packages of Debian:12.") {
		t.Error(r.Status, r.Description, err)
	}
}

func TestStartImageScan(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.importAdvisories(t, scantest.Advisory("CVE-1", "Debian:12", "openssl", "", january, ""))
	d := s.pushLayers(t, app, "v1", scantest.Debian(t))
	s.run(t)
	_, err := s.ImageScanFindings(t.Context(), app, images.Reference{Digest: d}, images.FindingPosition{}, 1)
	wantFault(t, err, "ScanNotFound") // the repository is not scanned on push
	r, err := s.StartImageScan(t.Context(), app, images.Reference{Tag: "v1"})
	if err != nil || r.Status != images.ScanInProgress || r.Image != (images.Reference{Tag: "v1", Digest: d}) {
		t.Fatal(r, err)
	}
	_, err = s.StartImageScan(t.Context(), app, images.Reference{Digest: d})
	wantFault(t, err, "ScanQuota")
	s.run(t)
	wantScan(t, s.scan(t, app, d), "COMPLETE map[UNDEFINED:1]", "CVE-1 UNDEFINED openssl 3.0.11-1~deb12u1")
	s.clock.advance(24*time.Hour + time.Second)
	if _, err := s.StartImageScan(t.Context(), app, images.Reference{Digest: d}); err != nil {
		t.Error(err)
	}
	s.run(t)
	_, err = s.StartImageScan(t.Context(), app, images.Reference{Tag: "v2"})
	wantFault(t, err, "ImageNotFound")
	s.setScanning(t, images.ScanEnhanced, images.ScanContinuously)
	_, err = s.StartImageScan(t.Context(), app, images.Reference{Tag: "v1"})
	wantFault(t, err, "ScanTypeEnhanced")

	for _, action := range []string{"ecr:StartImageScan", "ecr:DescribeImageScanFindings"} {
		s.authz.denied = map[string]bool{action: true}
		_, start := s.StartImageScan(t.Context(), app, images.Reference{Tag: "v1"})
		_, describe := s.ImageScanFindings(t.Context(), app, images.Reference{Tag: "v1"}, images.FindingPosition{}, 1)
		if action == "ecr:StartImageScan" {
			wantFault(t, start, "AccessDenied")
		} else {
			wantFault(t, describe, "AccessDenied")
		}
	}
}

// The setting of a repository counts with the scan type BASIC only.
func TestScan_Configuration(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("other"))
	if _, err := s.SetScanOnPush(t.Context(), app, true); err != nil {
		t.Fatal(err)
	}
	scanned := func(id images.RepositoryID, tag string) bool {
		t.Helper()
		d := s.pushLayers(t, id, tag, scantest.Layer(t, scantest.File{"lib/apk/db/installed", "P:a\nV:1\n\n"}))
		s.run(t)
		_, err := s.ImageScanFindings(t.Context(), id, images.Reference{Digest: d}, images.FindingPosition{}, 1)
		return err == nil
	}
	if !scanned(app, "a") || scanned(named("other"), "a") {
		t.Error("the setting of the repository does not count")
	}
	c := images.ScanningConfiguration{Type: images.ScanEnhanced, Rules: []images.ScanningRule{{Frequency: images.ScanContinuously, Filters: []string{"oth*"}}}}
	if err := s.PutScanningConfiguration(t.Context(), home, c); err != nil {
		t.Fatal(err)
	}
	if scanned(app, "b") || !scanned(named("other"), "b") {
		t.Error("the rules of the registry do not count")
	}
	s.importAdvisories(t, scantest.Advisory("CVE-1", "npm", "x", "", january, ""))
	for tag, want := range map[string]string{"b": images.ScanActive} {
		r, err := s.ImageScanFindings(t.Context(), named("other"), images.Reference{Tag: tag}, images.FindingPosition{}, 1)
		if err != nil || r.Status != want || !r.Enhanced {
			t.Error(r.Status, err)
		}
	}
	if r, err := s.ImageScanFindings(t.Context(), app, images.Reference{Tag: "a"}, images.FindingPosition{}, 1); err != nil || r.Status != images.ScanExpired {
		t.Error(r.Status, err)
	}
}

// A scan that is cut off runs again; a store that fails is not the image's fault.
func TestScan_Interrupted(t *testing.T) {
	faults := &failingOpens{}
	c := newClock()
	s := openStore(t, t.TempDir(), c, func(b blob.Store) blob.Store { faults.Store = b; return faults })
	s.create(t, app)
	s.setScanning(t, images.ScanBasic, images.ScanOnPushFrequency)
	s.importAdvisories(t, scantest.Advisory("CVE-1", "Debian:12", "openssl", "", january, ""))
	d := s.pushLayers(t, app, "v1", scantest.Debian(t))
	faults.failing.Store(true)
	s.run(t)
	wantScan(t, s.scan(t, app, d), "IN_PROGRESS map[]")
	faults.failing.Store(false)
	s.clock.advance(time.Minute)
	s.run(t)
	wantScan(t, s.scan(t, app, d), "COMPLETE map[UNDEFINED:1]", "CVE-1 UNDEFINED openssl 3.0.11-1~deb12u1")

	second := s.pushLayers(t, app, "v2", scantest.Debian(t))
	faults.failing.Store(true)
	for range 20 {
		s.run(t)
		s.clock.advance(2 * time.Hour)
	}
	wantScan(t, s.scan(t, app, second), "FAILED map[]")
}

// What is deleted or archived has no result; what is restored is scanned again.
func TestScan_Removed(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setScanning(t, images.ScanBasic, images.ScanOnPushFrequency)
	s.importAdvisories(t, scantest.Advisory("CVE-1", "Debian:12", "openssl", "", january, ""))
	d := s.pushLayers(t, app, "v1", scantest.Debian(t))
	s.run(t)
	ref := images.Reference{Digest: d}
	if _, _, err := s.ArchiveImage(t.Context(), app, ref); err != nil {
		t.Fatal(err)
	}
	wantScan(t, s.scan(t, app, d), "IMAGE_ARCHIVED map[]")
	_, err := s.StartImageScan(t.Context(), app, ref)
	if wantFault(t, err, "ImageArchived"); !strings.HasSuffix(fmt.Sprint(err), "is archived. Restore it first.") {
		t.Error(err)
	}
	if _, _, err := s.RestoreImage(t.Context(), app, ref); err != nil {
		t.Fatal(err)
	}
	s.run(t)
	s.run(t)
	wantScan(t, s.scan(t, app, d), "COMPLETE map[UNDEFINED:1]", "CVE-1 UNDEFINED openssl 3.0.11-1~deb12u1")
	if _, _, err := s.DeleteImages(t.Context(), app, []images.Reference{ref}); err != nil {
		t.Fatal(err)
	}
	s.pushLayers(t, app, "v1", scantest.Debian(t))
	wantScan(t, s.scan(t, app, d), "IN_PROGRESS map[]")
}
