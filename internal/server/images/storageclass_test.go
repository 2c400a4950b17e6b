package images_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// archive archives an image and lets everything follow it.
func (s *store) archive(t testing.TB, d digest.Digest) {
	t.Helper()
	if _, status, err := s.ArchiveImage(t.Context(), app, images.Reference{Digest: d}); err != nil || status != images.Archived {
		t.Fatal(status, err)
	}
	s.runDue(t)
}

// statuses describes all images: "NAME STATUS", by the names that the test gives.
func (s *store) statuses(t testing.TB, names map[string]digest.Digest) string {
	t.Helper()
	list, _, err := s.DescribeImages(t.Context(), app, images.ImageFilter{Status: images.AnyImageStatus}, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for name, d := range names {
		at := slices.IndexFunc(list, func(i *images.ImageDetail) bool { return i.Digest == d })
		if at < 0 {
			out = append(out, name+" gone")
			continue
		}
		out = append(out, name+" "+strings.ToLower(string(list[at].Status)))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestArchiveImage(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	d := s.pushImage(t, app, "old", "v1", "stable")
	s.pushImage(t, app, "new", "v2")
	pull := func(ref images.Reference) error {
		_, err := s.PullManifest(t.Context(), app, ref)
		return err
	}
	if err := pull(images.Reference{Tag: "v1"}); err != nil { // now it is in the caches
		t.Fatal(err)
	}
	s.wantBlob(t, app, "layer of old")
	got, status, err := s.ArchiveImage(t.Context(), app, images.Reference{Tag: "v1"})
	if err != nil || got != d || status != images.Archived {
		t.Fatal(got, status, err)
	}
	for _, ref := range []images.Reference{{Tag: "v1"}, {Tag: "stable"}, {Digest: d}, {Tag: "v1", Digest: d}} {
		wantFault(t, pull(ref), "ImageArchived")
	}
	if _, failures, err := s.Manifests(t.Context(), app, []images.Reference{{Tag: "v1"}}); err != nil || len(failures) != 1 || failures[0].Code != "ImageNotFound" || !strings.Contains(failures[0].Reason, "is archived") {
		t.Error(failures, err)
	}
	if got := s.tags(t); got != "v2" {
		t.Errorf("tags %q", got)
	}
	if list, _, err := s.ListImages(t.Context(), app, images.ImageFilter{}, images.Reference{}, 10); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
	if list, _, err := s.ListImages(t.Context(), app, images.ImageFilter{Status: images.Archived}, images.Reference{}, 10); err != nil || len(list) != 2 || list[0].Digest != d {
		t.Error(list, err)
	}
	list, _, err := s.DescribeImages(t.Context(), app, images.ImageFilter{Status: images.Archived}, "", 10)
	if err != nil || len(list) != 1 || list[0].Status != images.Archived || list[0].ArchivedAt.IsZero() || !list[0].ActivatedAt.IsZero() || len(list[0].Tags) != 2 {
		t.Fatal(list, err)
	}
	wantFault(t, s.readBlob(t.Context(), app, "layer of old"), "BlobNotFound")
	layer := digest.FromString("layer of old")
	if layers, err := s.LayerAvailability(t.Context(), app, []digest.Digest{layer}); err != nil || !layers[layer].Archived {
		t.Error(layers, err)
	}
	_, err = s.DownloadableLayer(t.Context(), app, layer)
	wantFault(t, err, "LayerInaccessible")

	// Time and sweeps take nothing away.
	s.hours(t, 100)
	if _, err := s.SweepBlobs(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}

	if _, status, err := s.RestoreImage(t.Context(), app, images.Reference{Tag: "v1"}); err != nil || status != images.Activating {
		t.Fatal(status, err)
	}
	if err := pull(images.Reference{Tag: "v1"}); !fault.Is(err, "ImageArchived") || !strings.Contains(err.Error(), "being restored") {
		t.Error(err)
	}
	s.runDue(t)
	if err := pull(images.Reference{Tag: "v1"}); err != nil {
		t.Error(err)
	}
	s.wantBlob(t, app, "layer of old")
	if got := s.tags(t); got != "stable v1 v2" {
		t.Errorf("tags %q", got)
	}
	if list, _, err = s.DescribeImages(t.Context(), app, images.ImageFilter{Tags: images.Tagged}, "", 10); err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for _, i := range list {
		if i.Digest == d && (i.ActivatedAt.IsZero() || i.ArchivedAt.After(i.ActivatedAt)) {
			t.Errorf("%+v", i)
		}
	}
	if _, status, err := s.RestoreImage(t.Context(), app, images.Reference{Tag: "v1"}); err != nil || status != images.Active {
		t.Error("an active image:", status, err)
	}
	_, _, err = s.ArchiveImage(t.Context(), app, images.Reference{Tag: "v9"})
	wantFault(t, err, "ImageNotFound")
	_, _, err = s.RestoreImage(t.Context(), app, images.Reference{Digest: digest.FromString("none")})
	wantFault(t, err, "ImageNotFound")
	_, _, err = s.RestoreImage(t.Context(), app, images.Reference{})
	wantFault(t, err, "InvalidParameter")
}

// An index takes its images along, and an image what refers to it.
func TestArchiveImage_Family(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	shared, own, tagged := image(s.push(t, app, "shared")), image(s.push(t, app, "own")), image(s.push(t, app, "tagged"))
	of := func(body []byte) ocispec.Descriptor { return describe(ocispec.MediaTypeImageManifest, body) }
	names := map[string]digest.Digest{"shared": s.put(t, app, shared), "own": s.put(t, app, own), "tagged": s.put(t, app, tagged, "arm")}
	first, second := index(of(shared), of(own), of(tagged)), index(of(shared))
	names["first"], names["second"] = s.put(t, app, first, "v1"), s.put(t, app, second, "v2")
	names["signature"] = s.referrer(t, names["first"], "signature")
	names["deep"] = s.referrer(t, names["signature"], "deep")
	names["sbom"] = s.referrer(t, names["own"], "sbom")
	names["cosign"] = s.put(t, app, image(s.push(t, app, "cosign")), strings.Replace(string(names["own"]), ":", "-", 1)+".sig")

	_, _, err := s.ArchiveImage(t.Context(), app, images.Reference{Digest: names["own"]})
	wantFault(t, err, "ImageStorageClassUpdateNotSupported")
	_, _, err = s.ArchiveImage(t.Context(), app, images.Reference{Digest: names["signature"]})
	wantFault(t, err, "ImageStorageClassUpdateNotSupported")

	s.archive(t, names["first"])
	const archived = "cosign archived, deep archived, first archived, own archived, sbom archived, second active, shared active, signature archived, tagged active"
	if got := s.statuses(t, names); got != archived {
		t.Fatalf("%s\nwant\n%s", got, archived)
	}
	query := images.ReferrersQuery{Subject: names["first"], Limit: 10, MaxBytes: 1000}
	if list, _, err := s.Referrers(t.Context(), app, query); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	query.Status = images.AnyImageStatus
	if list, _, err := s.ImageReferrers(t.Context(), app, query); err != nil || len(list) != 1 || list[0].Status != images.Archived {
		t.Error(list, err)
	}
	_, _, err = s.RestoreImage(t.Context(), app, images.Reference{Digest: names["signature"]})
	wantFault(t, err, "ImageStorageClassUpdateNotSupported")
	// What an archived index needs cannot be deleted.
	wantFault(t, s.DeleteImage(t.Context(), app, images.Reference{Digest: names["own"]}), "ImageReferencedByManifestList")
	// A new index must not list what cannot be pulled.
	_, err = s.PutManifest(t.Context(), app, images.PutManifest{Body: reader(string(index(of(own))))})
	wantFault(t, err, "ReferencedImagesNotFound")

	if _, _, err := s.RestoreImage(t.Context(), app, images.Reference{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	active := strings.ReplaceAll(archived, "archived", "active")
	if got := s.statuses(t, names); got != active {
		t.Fatalf("%s\nwant\n%s", got, active)
	}

	// Whatever is asked before the work begins, the work does what was asked last.
	for _, last := range []string{"archive", "restore"} {
		for _, ask := range []string{"archive", "restore", "archive", "restore", last} {
			update := s.ArchiveImage
			if ask == "restore" {
				update = s.RestoreImage
			}
			if _, _, err := update(t.Context(), app, images.Reference{Tag: "v1"}); err != nil {
				t.Fatal(err)
			}
		}
		s.runDue(t)
		want := active
		if last == "archive" {
			want = archived
		}
		if got := s.statuses(t, names); got != want {
			t.Fatalf("%s\nwant\n%s", got, want)
		}
	}
}

// A push restores an archived image at once, with what belongs to it.
func TestPutManifest_RestoresArchived(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	child := image(s.push(t, app, "child"))
	list := index(describe(ocispec.MediaTypeImageManifest, child))
	names := map[string]digest.Digest{"child": s.put(t, app, child), "index": s.put(t, app, list, "v1")}
	names["signature"] = s.referrer(t, names["index"], "signature")
	s.archive(t, names["index"])
	if got := s.statuses(t, names); got != "child archived, index archived, signature archived" {
		t.Fatal(got)
	}
	if got := s.tags(t); got != "" {
		t.Fatal(got)
	}
	// The child first, as clients do, and without tags.
	s.push(t, app, "child")
	s.put(t, app, child)
	if got := s.statuses(t, names); got != "child active, index archived, signature archived" {
		t.Fatal(got)
	}
	if _, err := s.PutManifest(t.Context(), app, images.PutManifest{Body: reader(string(list)), Existing: images.RejectExisting}); err != nil {
		t.Fatal(err)
	}
	if got := s.statuses(t, names); got != "child active, index active, signature archived" {
		t.Fatal(got)
	}
	if got := s.tags(t); got != "v1" {
		t.Fatal(got)
	}
	s.runDue(t)
	if got := s.statuses(t, names); got != "child active, index active, signature active" {
		t.Fatal(got)
	}
	// An index alone waits for its images.
	s.archive(t, names["index"])
	s.put(t, app, list, "v2")
	_, err := s.Manifest(t.Context(), app, images.Reference{Tag: "v2"})
	wantFault(t, err, "ImageArchived")
	s.runDue(t)
	if _, err := s.Manifest(t.Context(), app, images.Reference{Tag: "v2"}); err != nil {
		t.Fatal(err)
	}
	// A layer that is uploaded again can be read, as after every upload.
	s.archive(t, names["index"])
	s.clock.advance(time.Second)
	wantFault(t, s.readBlob(t.Context(), app, "child"), "BlobNotFound")
	s.push(t, app, "child")
	s.wantBlob(t, app, "child")
}

// transition returns a policy whose rule n archives.
func transition(policy string, n int) string {
	parts := strings.Split(policy, `{"type": "expire"}`)
	parts[n] += `{"type": "transition", "targetStorageClass": "archive"}`
	for i := range parts[:len(parts)-1] {
		if i != n {
			parts[i] += `{"type": "expire"}`
		}
	}
	return strings.Join(parts, "")
}

func TestLifecycle_Archive(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	names := map[string]digest.Digest{}
	for i := range 4 {
		name := fmt.Sprint("v", i)
		names[name] = s.pushImage(t, app, name, name)
		s.clock.advance(time.Hour)
	}
	names["sig"] = s.referrer(t, names["v0"], "sig")
	policy := transition(lifecyclePolicy(anyMoreThan+" 2",
		`"tagStatus": "any", "storageClass": "archive", "countType": "sinceImageTransitioned", "countUnit": "days" 90`), 0)
	if _, err := s.StartLifecyclePreview(t.Context(), app, &policy); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	p, list, _, err := s.LifecyclePreview(t.Context(), app, images.PreviewQuery{Tags: images.AnyTagStatus, Limit: 10})
	if err != nil || p.Transitioning != 2 || p.Expiring != 0 || len(list) != 2 || list[0].Action != "transition" || list[0].Class != "standard" {
		t.Fatal(p, list, err)
	}
	s.setLifecycle(t, policy)
	if run := s.runLifecycle(t); run.Archived != 2 || run.Removed != 0 || run.State != images.LifecycleDone {
		t.Fatalf("%+v", run)
	}
	if got := s.statuses(t, names); got != "sig archived, v0 archived, v1 archived, v2 active, v3 active" {
		t.Fatal(got)
	}
	if run := s.runLifecycle(t); run.Archived != 0 {
		t.Fatalf("%+v", run)
	}
	// The age of a restored image begins anew: v1 is the youngest now.
	if _, _, err := s.RestoreImage(t.Context(), app, images.Reference{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	s.runLifecycle(t)
	if got := s.statuses(t, names); got != "sig archived, v0 archived, v1 active, v2 archived, v3 active" {
		t.Fatal(got)
	}
	s.clock.advance(88 * day)
	s.hours(t, 25) // a gap stops all runs for a day
	if got := s.statuses(t, names); got != "sig archived, v0 archived, v1 active, v2 archived, v3 active" {
		t.Fatal("after 89 days: " + got)
	}
	s.hours(t, 48)
	if got := s.statuses(t, names); got != "sig gone, v0 gone, v1 active, v2 gone, v3 active" {
		t.Fatal(got)
	}
	runs, _, err := s.LifecycleRuns(t.Context(), app, images.LifecycleRun{}, 1)
	if err != nil || len(runs) != 1 || runs[0].Removed != 3 {
		t.Fatal(runs, err)
	}
	run := runs[0]
	// An undo brings archived images back as archived ones.
	if _, err := s.UndoLifecycle(t.Context(), app, run.ID); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	if got := s.statuses(t, names); got != "sig archived, v0 archived, v1 active, v2 archived, v3 active" {
		t.Fatal(got)
	}
	verdicts, _, err := s.ExplainLifecycle(t.Context(), app, images.LifecycleExplanation{Limit: 10})
	if err != nil || len(verdicts) != 5 {
		t.Fatal(verdicts, err)
	}
}

func TestReplication_Archive(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setReplication(t, rule(west))
	to := copyOf(app, west)
	d := s.pushImage(t, app, "one", "v1")
	s.runDue(t)
	status := func(id images.RepositoryID) images.ImageStatus {
		t.Helper()
		list, err := s.DescribeImagesByReference(t.Context(), id, []images.Reference{{Digest: d}})
		if err != nil {
			t.Fatal(err)
		}
		return list[0].Status
	}
	// Archiving is not replicated.
	s.archive(t, d)
	if status(app) != images.Archived || status(to) != images.Active {
		t.Fatal(status(app), status(to))
	}
	// What is archived at the destination is restored by a copy, and a restored image is copied.
	if _, _, err := s.ArchiveImage(t.Context(), to, images.Reference{Digest: d}); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	if status(to) != images.Archived {
		t.Fatal(status(to))
	}
	if _, _, err := s.RestoreImage(t.Context(), app, images.Reference{Digest: d}); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	if status(app) != images.Active || status(to) != images.Active {
		t.Fatal(status(app), status(to))
	}
	if _, err := s.Manifest(t.Context(), to, images.Reference{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	// An image that is archived before the copy begins is copied when it is restored.
	late := s.pushImage(t, app, "late", "late")
	s.archive(t, late)
	if _, err := s.Manifest(t.Context(), to, images.Reference{Digest: late}); !fault.Is(err, "ImageNotFound") {
		t.Fatal(err)
	}
	if _, err := s.ReplicationStatus(t.Context(), app, images.Reference{Tag: "late"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RestoreImage(t.Context(), app, images.Reference{Digest: late}); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	if _, err := s.Manifest(t.Context(), to, images.Reference{Tag: "late"}); err != nil {
		t.Fatal(err)
	}
}

func TestEvents_StorageClass(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	d := s.put(t, app, image(s.push(t, app, "config")), "latest")
	r := &eventReader{t: t, s: s}
	r.bodies()
	s.archive(t, d)
	bodies := r.bodies()
	const want = `"detail":{"result":"SUCCESS","repository-name":"team/app","image-digest":"%s","action-type":"UPDATE_STORAGE_CLASS","image-tag":"latest",` +
		`"target-storage-class":"ARCHIVE","manifest-media-type":"application/vnd.oci.image.manifest.v1+json","artifact-media-type":"application/vnd.oci.image.config.v1+json"}}`
	if len(bodies) != 1 || !strings.HasSuffix(bodies[0], fmt.Sprintf(want, d)) {
		t.Errorf("%q\nwant\n%s", bodies, fmt.Sprintf(want, d))
	}
	if _, _, err := s.RestoreImage(t.Context(), app, images.Reference{Digest: d}); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	if bodies = r.bodies(); len(bodies) != 1 || !strings.Contains(bodies[0], `"target-storage-class":"STANDARD"`) || !strings.Contains(bodies[0], `"last-activated-at":"`+s.clock.now().UTC().Format(time.RFC3339)) {
		t.Errorf("%q", bodies)
	}
}
