package images_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

const day = 24 * time.Hour

// lifecyclePolicy returns a policy of rules, each "SELECTION COUNT" where the selection is
// JSON without countNumber.
func lifecyclePolicy(rules ...string) string {
	var all []string
	for i, r := range rules {
		at := strings.LastIndexByte(r, ' ')
		all = append(all, fmt.Sprintf(`{"rulePriority": %d, "description": "rule %d", "selection": {%s, "countNumber": %s}, "action": {"type": "expire"}}`, i+1, i+1, r[:at], r[at+1:]))
	}
	return `{"rules": [` + strings.Join(all, ", ") + `]}`
}

func keepNewest(pattern string, n int) string {
	return lifecyclePolicy(fmt.Sprintf(`"tagStatus": "tagged", "tagPatternList": [%q], "countType": "imageCountMoreThan" %d`, pattern, n))
}

const (
	untaggedFor = `"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days"`
	anyPulled   = `"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days"`
	anyMoreThan = `"tagStatus": "any", "countType": "imageCountMoreThan"`
)

func (s *store) setLifecycle(t testing.TB, policy string) {
	t.Helper()
	if err := s.PutLifecyclePolicy(t.Context(), app, policy); err != nil {
		t.Fatal(err)
	}
}

// hours lets the time pass with the hourly work, and does what is due.
func (s *store) hours(t testing.TB, n int) {
	t.Helper()
	for range n {
		s.clock.advance(time.Hour)
		s.runDue(t)
	}
}

// days lets whole days pass, the last two with the hourly work: after a gap nothing runs
// for a day.
func (s *store) days(t testing.TB, n int) {
	t.Helper()
	s.clock.advance(time.Duration(n-2) * 24 * time.Hour)
	s.hours(t, 48)
}

func (s *store) runDue(t testing.TB) {
	t.Helper()
	if err := s.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// runLifecycle applies the policy now and returns the run.
func (s *store) runLifecycle(t testing.TB) images.LifecycleRun {
	t.Helper()
	run, err := s.RunLifecycle(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	if run, err = s.LifecycleRun(t.Context(), app, run.ID); err != nil {
		t.Fatal(err)
	}
	return run
}

// all describes every image and its tags.
func (s *store) all(t testing.TB) map[digest.Digest]string {
	t.Helper()
	found := map[digest.Digest]string{}
	for after, more := digest.Digest(""), true; more; {
		var page []*images.ImageDetail
		var err error
		if page, more, err = s.DescribeImages(t.Context(), app, images.ImageFilter{}, after, 100); err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			found[d.Digest] = fmt.Sprint(d.Tags, d.PushedAt.UnixMicro(), d.PulledAt.UnixMicro(), d.MediaType, d.ArtifactType, d.Size, d.Subject)
			after = d.Digest
		}
	}
	return found
}

// tags returns all tags.
func (s *store) tags(t testing.TB) string {
	t.Helper()
	tags, _, err := s.Tags(t.Context(), app, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(tags, " ")
}

// referrer pushes an artifact that refers to an image.
func (s *store) referrer(t testing.TB, subject digest.Digest, name string, tags ...string) digest.Digest {
	t.Helper()
	config := s.push(t, app, "config of "+name)
	return s.put(t, app, manifest("artifactType", "application/vnd.example", "config", config, "layers", []ocispec.Descriptor{},
		"subject", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1}), tags...)
}

// A run removes what the rule says with its signatures, keeps the blobs, and an undo brings
// everything back as it was, on a server that was started again.
func TestLifecycle_RunAndUndo(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	var digests []digest.Digest
	for i := range 5 {
		d := s.pushImage(t, app, fmt.Sprint("image ", i), fmt.Sprint("v", i))
		digests = append(digests, d)
		sbom := s.referrer(t, d, fmt.Sprint("sbom ", i))
		s.referrer(t, sbom, fmt.Sprint("signature of sbom ", i))
		s.pushImage(t, app, fmt.Sprint("cosign ", i), "sha256-"+d.Encoded()+".sig")
		s.clock.advance(time.Minute)
	}
	s.pushImage(t, app, "other", "main")
	if _, err := s.PullManifest(t.Context(), app, images.Reference{Tag: "v0"}); err != nil {
		t.Fatal(err)
	}
	before := s.all(t)
	s.setLifecycle(t, keepNewest("v*", 2))
	run := s.runLifecycle(t)
	if run.State != images.LifecycleDone || run.Images != int64(len(before)) || run.Removed != 12 || !run.UndoUntil.After(run.Created) {
		t.Fatalf("%+v", run)
	}
	left := s.all(t)
	if len(left) != len(before)-12 {
		t.Errorf("%d images of %d are left", len(left), len(before))
	}
	for i, d := range digests {
		_, err := s.Manifest(t.Context(), app, images.Reference{Tag: fmt.Sprint("v", i)})
		referrers, _, referrersErr := s.Referrers(t.Context(), app, images.ReferrersQuery{Subject: d, Limit: 10, MaxBytes: 1 << 20})
		if (err == nil) != (i >= 3) || referrersErr != nil || (len(referrers) == 1) != (i >= 3) {
			t.Errorf("v%d: %v, %d referrers, %v", i, err, len(referrers), referrersErr)
		}
	}
	s.wantEvent(t, "DELETE", digests[0])
	if p, err := s.LifecyclePolicy(t.Context(), app); err != nil || !p.Evaluated.Equal(s.clock.now()) {
		t.Error(p, err)
	}

	// Neither the sweep nor a client removes a blob that an undo needs.
	s.clock.advance(3 * day)
	if _, err := s.SweepBlobs(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.DeleteBlob(t.Context(), app, digest.FromString("layer of image 0")), "BlobReferenced")
	s.wantBlob(t, app, "layer of image 0")

	s.close()
	s = openStore(t, s.dir, s.clock, same)
	if _, err := s.UndoLifecycle(t.Context(), app, run.ID); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	run, err := s.LifecycleRun(t.Context(), app, run.ID)
	if err != nil || run.State != images.LifecycleUndone || run.Restored != 12 || run.Message != "" {
		t.Fatalf("%+v, %v", run, err)
	}
	if after := s.all(t); !maps.Equal(after, before) {
		t.Errorf("after the undo:\n%v\nbefore:\n%v", after, before)
	}
	if m, err := s.Manifest(t.Context(), app, images.Reference{Tag: "v0"}); err != nil || m.Digest != digests[0] || digest.FromBytes(m.Body) != m.Digest {
		t.Error(err)
	}
	s.wantEvent(t, "PUSH", digests[0])
	list, more, err := s.LifecycleRuns(t.Context(), app, images.LifecycleRun{}, 10)
	if err != nil || more || len(list) != 1 || list[0] != run {
		t.Errorf("%+v, %v", list, err)
	}
}

// A run that cannot go on is given up when its policy changes. What it has removed can be
// brought back, for as long as after any run.
func TestLifecycle_UndoOfInterruptedRun(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	for i := range 3 {
		s.pushImage(t, app, fmt.Sprint("image ", i), fmt.Sprint("v", i))
		s.clock.advance(time.Minute)
	}
	before := s.all(t)
	s.setLifecycle(t, keepNewest("v*", 1))
	s.clock.advance(11 * time.Minute)
	s.auditErr = errors.New("the disk is full")
	s.runDue(t)
	s.auditErr = nil
	s.setLifecycle(t, keepNewest("v*", 10))
	list, _, err := s.LifecycleRuns(t.Context(), app, images.LifecycleRun{}, 10)
	if err != nil || len(list) != 1 || list[0].State != images.LifecycleRunning || s.tags(t) != "v2" {
		t.Fatalf("%+v, %v, %s", list, err, s.tags(t))
	}
	if _, err := s.UndoLifecycle(t.Context(), app, list[0].ID); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	run, err := s.LifecycleRun(t.Context(), app, list[0].ID)
	if err != nil || run.State != images.LifecycleUndone || run.Removed != 2 || run.Restored != 2 {
		t.Errorf("%+v, %v", run, err)
	}
	if after := s.all(t); !maps.Equal(after, before) {
		t.Errorf("after the undo:\n%v\nbefore:\n%v", after, before)
	}
}

// A server is killed after it wrote that a run began: the undo window is as long as ever.
func TestLifecycle_WindowAfterCrash(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.pushImage(t, app, "old", "v1")
	s.clock.advance(time.Minute)
	s.pushImage(t, app, "new", "v2")
	s.setLifecycle(t, keepNewest("v*", 1))
	run, err := s.RunLifecycle(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Tx(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE image_lifecycle_run SET state = 'running' WHERE id = $1`, run.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
	s.hours(t, 24)
	if _, err := s.UndoLifecycle(t.Context(), app, run.ID); err != nil {
		t.Fatal(err)
	}
}

// wantEvent fails the test unless there is an event about an image.
func (s *store) wantEvent(t testing.TB, action string, d digest.Digest) {
	t.Helper()
	rows, err := db.All(t.Context(), s.db, db.Scalar[string], `SELECT body FROM event_outbox UNION SELECT body FROM event`)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(rows, func(body string) bool {
		return strings.Contains(body, string(d)) && strings.Contains(body, `"action-type":"`+action+`"`)
	}) {
		t.Errorf("there is no event %s of %s", action, d)
	}
}

// When the window has passed, what was removed is deleted, and its blobs are swept.
func TestLifecycle_Window(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.pushImage(t, app, "old", "v1")
	s.clock.advance(time.Minute)
	s.pushImage(t, app, "new", "v2")
	s.setLifecycle(t, keepNewest("v*", 1))
	run := s.runLifecycle(t)
	s.hours(t, 7*24+1)
	if _, err := s.SweepBlobs(t.Context(), 0); err != nil { // the links were renewed
		t.Fatal(err)
	}
	s.wantBlob(t, app, "layer of old")
	s.hours(t, 3)
	if _, err := s.SweepBlobs(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.readBlob(t.Context(), app, "layer of old"); err == nil {
		t.Error("the blob is still there")
	}
	_, err := s.UndoLifecycle(t.Context(), app, run.ID)
	wantFault(t, err, "LifecycleRunConflict")
	_, err = s.UndoLifecycle(t.Context(), app, "none")
	wantFault(t, err, "LifecycleRunNotFound")
	if s.tags(t) != "v2" {
		t.Error(s.tags(t))
	}
}

// The images of a manifest list stay until the list is gone; the audit log says so.
func TestLifecycle_ManifestLists(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	child := s.pushImage(t, app, "arm")
	tagged := s.pushImage(t, app, "amd", "v1-amd")
	s.clock.advance(time.Minute)
	config, layer := s.push(t, app, "config of arm"), s.push(t, app, "layer of arm")
	list := s.put(t, app, index(describe(ocispec.MediaTypeImageManifest, image(config, layer)), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: tagged, Size: 1}), "v1")
	s.clock.advance(2 * day)
	s.hours(t, 25)
	s.pushImage(t, app, "newer", "v2")
	s.setLifecycle(t, lifecyclePolicy(untaggedFor+" 1", anyMoreThan+" 1"))
	run := s.runLifecycle(t)
	left := s.all(t)
	if _, ok := left[child]; run.Removed != 1 || len(left) != 3 || !ok {
		t.Errorf("%+v, left %v", run, left)
	}
	log, err := json.Marshal(s.audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"Name":"PolicyExecutionEvent"`, `"failureReason":"Requested image referenced by manifest list: [` + string(list) + `]"`,
		`"lifecycleEventImage":{"digest":"` + string(list) + `","tagStatus":"Tagged","tagList":["v1"],`, `"countType":"Image count more than"`,
	} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the audit log has no %s:\n%s", want, log)
		}
	}
	next := s.runLifecycle(t)
	if next.Removed != 2 || s.tags(t) != "v2" {
		t.Errorf("after the list is gone: %+v, tags %s", next, s.tags(t))
	}
	// The list cannot come back without its images.
	for _, c := range []struct {
		id       string
		restored int64
	}{{run.ID, 0}, {next.ID, 2}, {run.ID, 1}} {
		id := c.id
		if _, err := s.UndoLifecycle(t.Context(), app, id); err != nil {
			t.Fatal(err)
		}
		s.runDue(t)
		if r, err := s.LifecycleRun(t.Context(), app, id); err != nil || r.Restored != c.restored || (r.Message == "") != (c.restored > 0) {
			t.Errorf("%+v, %v, want %d restored", r, err, c.restored)
		}
	}
}

// A policy is applied once a day, and ten minutes after it was changed.
func TestLifecycle_Schedule(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	push := func(name string) {
		s.clock.advance(time.Second)
		s.pushImage(t, app, name, name)
	}
	push("v1")
	push("v2")
	s.setLifecycle(t, keepNewest("v*", 1))
	s.runDue(t)
	if s.tags(t) != "v1 v2" {
		t.Error("the policy was applied at once")
	}
	s.clock.advance(11 * time.Minute)
	s.runDue(t)
	if s.tags(t) != "v2" {
		t.Errorf("after its change: %s", s.tags(t))
	}
	push("v3")
	s.hours(t, 20)
	if s.tags(t) != "v2 v3" {
		t.Errorf("before a day: %s", s.tags(t))
	}
	s.hours(t, 6)
	if s.tags(t) != "v3" {
		t.Errorf("after a day: %s", s.tags(t))
	}
	if _, err := s.DeleteLifecyclePolicy(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	push("v4")
	s.hours(t, 50)
	if s.tags(t) != "v3 v4" {
		t.Errorf("without a policy: %s", s.tags(t))
	}
}

// There are some minutes to look at the preview of a change, also if the daily run is due.
func TestLifecycle_DelayOfChange(t *testing.T) {
	for name, set := range map[string]func(*store, string) error{
		"policy": func(s *store, policy string) error { return s.PutLifecyclePolicy(t.Context(), app, policy) },
		"default": func(s *store, policy string) error {
			return second(s.PutDefaultLifecyclePolicy(t.Context(), app.Account, app.Region, policy))
		},
	} {
		s := newStore(t)
		s.create(t, app)
		s.pushImage(t, app, "v1", "v1")
		s.clock.advance(time.Second)
		s.pushImage(t, app, "v2", "v2")
		s.runDue(t) // the hourly work begins here
		put := func(n int) {
			t.Helper()
			if err := set(s, keepNewest("v*", n)); err != nil {
				t.Fatal(err)
			}
		}
		put(10)
		for hour := range 26 {
			s.clock.advance(59*time.Minute + 30*time.Second)
			s.runDue(t)
			if hour < 22 {
				continue
			}
			put(1)
			s.clock.advance(time.Minute)
			s.runDue(t)
			if got := s.tags(t); got != "v1 v2" {
				t.Fatalf("a minute after the change of the %s, in hour %d: %s", name, hour, got)
			}
			put(10)
		}
		s.clock.advance(9 * time.Minute) // a run is in the queue
		s.runDue(t)
		put(1)
		s.clock.advance(2 * time.Minute)
		s.runDue(t)
		if got := s.tags(t); got != "v1 v2" {
			t.Errorf("two minutes after the second change of the %s: %s", name, got)
		}
		s.hours(t, 26)
		if got := s.tags(t); got != "v2" {
			t.Errorf("a day after the change of the %s: %s", name, got)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The default of a registry holds for repositories without a policy of their own.
func TestLifecycle_Default(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("own"))
	if err := s.PutLifecyclePolicy(t.Context(), named("own"), keepNewest("v*", 2)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []images.RepositoryID{app, named("own")} {
		for _, tag := range []string{"v1", "v2"} {
			s.pushImage(t, id, tag, tag)
			s.clock.advance(time.Second)
		}
	}
	_, err := s.DefaultLifecyclePolicy(t.Context(), app.Account, app.Region)
	wantFault(t, err, "LifecyclePolicyNotFound")
	_, err = s.PutDefaultLifecyclePolicy(t.Context(), app.Account, app.Region, "nonsense")
	wantFault(t, err, "InvalidParameter")
	policy := keepNewest("v*", 1)
	if _, err := s.PutDefaultLifecyclePolicy(t.Context(), app.Account, app.Region, policy); err != nil {
		t.Fatal(err)
	}
	if p, err := s.DefaultLifecyclePolicy(t.Context(), app.Account, app.Region); err != nil || p.Document != policy || !p.Changed.Equal(s.clock.now()) {
		t.Error(p, err)
	}
	s.hours(t, 1)
	own, _, err := s.Tags(t.Context(), named("own"), "", 10)
	if s.tags(t) != "v2" || len(own) != 2 || err != nil {
		t.Errorf("%s, %v, %v", s.tags(t), own, err)
	}
	_, err = s.LifecyclePolicy(t.Context(), app) // it has none of its own
	wantFault(t, err, "LifecyclePolicyNotFound")
	if err := s.DeleteDefaultLifecyclePolicy(t.Context(), app.Account, app.Region); err != nil {
		t.Fatal(err)
	}
	s.pushImage(t, app, "v3", "v3")
	s.hours(t, 50)
	if s.tags(t) != "v2 v3" {
		t.Error(s.tags(t))
	}
	wantFault(t, s.DeleteDefaultLifecyclePolicy(t.Context(), app.Account, app.Region), "LifecyclePolicyNotFound")
}

// A clock that is wrong removes nothing, neither while it is wrong nor right after.
func TestLifecycle_WrongClock(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	for i := range 3 {
		s.pushImage(t, app, fmt.Sprint(i))
		s.clock.advance(time.Second)
	}
	s.setLifecycle(t, lifecyclePolicy(untaggedFor+" 2"))
	s.hours(t, 2)
	for _, jump := range []time.Duration{10 * 365 * day, -10 * 365 * day} {
		s.clock.advance(jump)
		run := s.runLifecycle(t)
		if run.State != images.LifecycleStopped || !strings.Contains(run.Message, "the clock was set") || run.Removed != 0 {
			t.Errorf("%+v", run)
		}
		s.hours(t, 2)
	}
	if n := len(s.all(t)); n != 3 {
		t.Errorf("%d images are left", n)
	}
	s.hours(t, 24*4)
	if n := len(s.all(t)); n != 0 {
		t.Errorf("%d images are left after days", n)
	}
}

// A pull keeps an image, also one that another server has not stored yet when the rule
// removes the image.
func TestLifecycle_LastPull(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	pulled, idle, racing := s.pushImage(t, app, "pulled", "a"), s.pushImage(t, app, "idle", "b"), s.pushImage(t, app, "racing", "c")
	s.setLifecycle(t, lifecyclePolicy(anyPulled+" 20"))
	s.days(t, 15)
	if _, err := s.PullManifest(t.Context(), app, images.Reference{Tag: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A service that does not store what it knows, as another server's.
	other := s.second(t)
	s.days(t, 4)
	s.hours(t, 23)
	if _, err := other.PullManifest(t.Context(), app, images.Reference{Tag: "c"}); err != nil {
		t.Fatal(err)
	}
	s.hours(t, 26)
	left := s.all(t)
	if _, ok := left[pulled]; !ok || len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	if err := other.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	left = s.all(t)
	if _, ok := left[racing]; !ok || len(left) != 2 {
		t.Errorf("after the pull was stored: %v", left)
	}
	if _, ok := left[idle]; ok {
		t.Error("an image that was not pulled is back")
	}
}

// What followed an image that was being pulled comes back with it.
func TestLifecycle_LastPullOfSigned(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	d := s.pushImage(t, app, "racing", "v1")
	sbom := s.referrer(t, d, "sbom")
	s.referrer(t, sbom, "signature of the sbom")
	s.pushImage(t, app, "cosign", "sha256-"+d.Encoded()+".sig")
	idle := s.pushImage(t, app, "idle", "v2")
	s.referrer(t, idle, "sbom of idle")
	before := s.all(t)
	s.setLifecycle(t, lifecyclePolicy(anyPulled+" 20"))
	other := s.second(t)
	s.days(t, 19)
	s.hours(t, 23)
	if _, err := other.PullManifest(t.Context(), app, images.Reference{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	s.hours(t, 26)
	if left := s.all(t); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
	if err := other.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := s.all(t)
	if len(before) != 6 || len(after) != 4 || after[sbom] != before[sbom] || after[idle] != "" {
		t.Errorf("after the pull was stored: %v", after)
	}
}

// second returns another service on the same stores.
func (s *store) second(t testing.TB) *images.Service {
	t.Helper()
	other, err := images.New(t.Context(), images.Config{DB: s.db, Blobs: s.blobs, Events: s.log, Work: s.work, Authz: s.authz, Now: s.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// preview starts a preview and returns its images.
func (s *store) preview(t testing.TB, policy *string) map[digest.Digest]int {
	t.Helper()
	if _, err := s.StartLifecyclePreview(t.Context(), app, policy); err != nil {
		t.Fatal(err)
	}
	_, err := s.StartLifecyclePreview(t.Context(), app, policy)
	wantFault(t, err, "LifecyclePolicyPreviewInProgress")
	if p, list, _, err := s.LifecyclePreview(t.Context(), app, images.PreviewQuery{Tags: images.AnyTagStatus, Limit: 1}); err != nil || p.State != images.PreviewInProgress || list != nil {
		t.Error(p, list, err)
	}
	s.runDue(t)
	found := map[digest.Digest]int{}
	for query := (images.PreviewQuery{Tags: images.AnyTagStatus, Limit: 3}); ; {
		p, list, next, err := s.LifecyclePreview(t.Context(), app, query)
		if err != nil || p.State != images.PreviewComplete || len(list) > 3 {
			t.Fatal(p, list, err)
		}
		for _, img := range list {
			found[img.Digest] = img.Priority
		}
		if query.After = next; next == 0 {
			if p.Expiring != int64(len(found)) {
				t.Errorf("the preview says %d images, and has %d", p.Expiring, len(found))
			}
			return found
		}
	}
}

// What a run removes is what the preview names, and what follows it, whatever is in the
// repository. A run that has few images in memory removes the same.
func TestLifecycle_AsPreviewed(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 6 {
		s.SetMaxPlanned([]int{10_000, 1, 3}[round%3])
		var pushed []digest.Digest
		for i := range 25 {
			s.clock.advance(time.Duration(r.IntN(3)) * 6 * time.Hour) // some are of equal age
			name := fmt.Sprint(round, "-", i)
			var tags []string
			for range r.IntN(3) {
				tags = append(tags, fmt.Sprintf("%c%d", "abc"[r.IntN(3)], r.IntN(40)))
			}
			switch {
			case len(pushed) > 0 && r.IntN(5) == 0:
				pushed = append(pushed, s.referrer(t, pushed[r.IntN(len(pushed))], name, tags...))
			case len(pushed) > 1 && r.IntN(5) == 0:
				child := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: pushed[r.IntN(len(pushed))], Size: 1}
				pushed = append(pushed, s.put(t, app, index(child), tags...))
			default:
				pushed = append(pushed, s.pushImage(t, app, name, tags...))
			}
		}
		policy := lifecyclePolicy(
			fmt.Sprintf(`"tagStatus": "tagged", "tagPatternList": ["a*"], "countType": "imageCountMoreThan" %d`, 1+r.IntN(4)),
			fmt.Sprintf(`"tagStatus": "tagged", "tagPrefixList": ["b"], "countType": "sinceImagePushed", "countUnit": "days" %d`, 1+r.IntN(4)),
			fmt.Sprintf(untaggedFor+" %d", 1+r.IntN(4)),
			fmt.Sprintf(anyMoreThan+" %d", 3+r.IntN(10)))
		s.setLifecycle(t, policy)
		for range 26 { // the clock must be steady
			s.clock.advance(time.Hour)
			if err := s.work.RunDue(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.setLifecycle(t, lifecyclePolicy(fmt.Sprintf(`"tagStatus": "tagged", "tagPatternList": ["?%d"], "countType": "imageCountMoreThan" 1`, round))) // removes nothing
		for i := range 6 {
			s.pushImage(t, app, fmt.Sprint("late ", round, i), fmt.Sprintf("a%d", 50+i))
			s.clock.advance(time.Minute)
		}
		before := s.all(t)
		named := s.preview(t, &policy)
		s.setLifecycle(t, policy)
		run := s.runLifecycle(t)
		after := s.all(t)
		for d := range before {
			_, left := after[d]
			_, expected := named[d]
			if expected && left {
				t.Errorf("round %d: %s was named and is left: %s", round, d, before[d])
			}
			if !expected && !left && !subjectGone(before, after, d) {
				t.Errorf("round %d: %s was removed and not named: %s", round, d, before[d])
			}
		}
		if run.State != images.LifecycleDone || run.Removed != int64(len(before)-len(after)) {
			t.Errorf("%+v", run)
		}
	}
}

// subjectGone reports whether an image referred to one that was removed.
func subjectGone(before, after map[digest.Digest]string, d digest.Digest) bool {
	i := strings.Index(before[d], "sha256:")
	if i < 0 {
		return false
	}
	subject := digest.Digest(before[d][i:])
	_, was := before[subject]
	_, is := after[subject]
	return was && !is
}

func TestLifecyclePreview(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	_, _, _, err := s.LifecyclePreview(t.Context(), app, images.PreviewQuery{})
	wantFault(t, err, "LifecyclePolicyPreviewNotFound")
	_, err = s.StartLifecyclePreview(t.Context(), app, nil)
	wantFault(t, err, "LifecyclePolicyNotFound")
	s.pushImage(t, app, "one", "v1")
	plain := s.pushImage(t, app, "two")
	s.clock.advance(time.Minute)
	s.pushImage(t, app, "three", "v3")
	policy := lifecyclePolicy(anyMoreThan + " 1")
	if got := s.preview(t, &policy); len(got) != 2 {
		t.Error(got)
	}
	if len(s.all(t)) != 3 {
		t.Error("the preview removed something")
	}
	for want, query := range map[string]images.PreviewQuery{
		"[[v1]]": {Tags: images.Tagged, Limit: 10}, "[[]]": {Tags: images.Untagged, Limit: 10},
		"[[] [v1]]": {Tags: images.AnyTagStatus, Images: []images.Reference{{Digest: plain}, {Tag: "v1"}, {Tag: "v1"}, {Tag: "v3"}, {Tag: "none"}}},
		"[]":        {Tags: images.Tagged, Images: []images.Reference{{Digest: plain}}},
	} {
		_, list, _, err := s.LifecyclePreview(t.Context(), app, query)
		got := []string{}
		for _, img := range list {
			got = append(got, fmt.Sprint(img.Tags))
		}
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%+v: %v, %v, want %s", query, got, err, want)
		}
	}
	s.hours(t, 25)
	if p, list, _, err := s.LifecyclePreview(t.Context(), app, images.PreviewQuery{Tags: images.AnyTagStatus, Limit: 10}); err != nil || p.State != images.PreviewExpired || len(list) > 0 || p.Expiring != 0 {
		t.Error(p, list, err)
	}
	if n, err := db.One(t.Context(), s.db, db.Scalar[int64], `SELECT count(*) FROM image_preview_image`); err != nil || n != 0 {
		t.Error(n, err)
	}
}

func TestPutLifecyclePolicy_Refused(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	for code, policies := range map[string][]string{
		"InvalidParameter": {"", strings.Repeat("x", 200), strings.Repeat("x", 31_000), strings.Replace(keepNewest("v", 1), "tagged", "strange", 1)},
	} {
		for _, p := range policies {
			wantFault(t, s.PutLifecyclePolicy(t.Context(), app, p), code)
			_, err := s.StartLifecyclePreview(t.Context(), app, &p)
			wantFault(t, err, code)
		}
	}
	_, err := s.LifecyclePolicy(t.Context(), app)
	wantFault(t, err, "LifecyclePolicyNotFound")
}

func TestExplainLifecycle(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	var all []digest.Digest
	for i := range 7 {
		all = append(all, s.pushImage(t, app, fmt.Sprint(i), fmt.Sprint("v", i)))
		s.clock.advance(time.Minute)
	}
	s.setLifecycle(t, keepNewest("v*", 3))
	decisions := ""
	x := images.LifecycleExplanation{Limit: 2}
	for more := true; more; {
		list, next, err := s.ExplainLifecycle(t.Context(), app, x)
		if err != nil || len(list) > 2 {
			t.Fatal(list, err)
		}
		for _, v := range list {
			decisions += fmt.Sprint(" ", v.Tags, v.Acting != nil, v.Findings[0].Younger)
		}
		if more = next != nil; more {
			x.From = *next
		}
	}
	if want := " [v6] false 0 [v5] false 1 [v4] false 2 [v3] true 3 [v2] true 4 [v1] true 5 [v0] true 6"; decisions != want {
		t.Errorf("got %s", decisions)
	}
	list, next, err := s.ExplainLifecycle(t.Context(), app, images.LifecycleExplanation{Image: &images.Reference{Tag: "v1"}, Limit: 10, Document: keepNewest("v*", 6)})
	if err != nil || next != nil || len(list) != 1 || list[0].Digest != all[1] || list[0].Acting != nil {
		t.Error(list, next, err)
	}
	_, _, err = s.ExplainLifecycle(t.Context(), app, images.LifecycleExplanation{Image: &images.Reference{Digest: digest.FromString("none")}, Limit: 10})
	wantFault(t, err, "ImageNotFound")
}

// Pushes go on during runs. Whatever happens, the newest images stay, and what is pushed
// again while it is set aside can be pulled.
func TestLifecycle_WhilePushing(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setLifecycle(t, keepNewest("v*", 3))
	ctx, stop := context.WithCancel(t.Context())
	var pushers sync.WaitGroup
	last := make([]int, 2)
	for p := range last {
		pushers.Go(func() {
			for i := 0; i < 40 && ctx.Err() == nil; i++ {
				s.clock.advance(time.Millisecond)
				body := image(s.push(t, app, fmt.Sprint("config", p, i)), s.push(t, app, "layer"))
				if _, err := s.PutManifest(t.Context(), app, images.PutManifest{Tags: []string{fmt.Sprintf("v%d-%d", p, i), fmt.Sprint("latest", p)}, Body: bytes.NewReader(body)}); err != nil {
					t.Error(err)
					return
				}
				last[p] = i
			}
		})
	}
	done := make(chan struct{})
	go func() { pushers.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			s.runLifecycle(t)
		}
	}
	stop()
	s.runLifecycle(t)
	if n := strings.Count(s.tags(t), "v"); n != 3 {
		t.Errorf("tags %s", s.tags(t))
	}
	again := image(s.push(t, app, "config00"), s.push(t, app, "layer"))
	d := s.put(t, app, again, "v-again")
	if m, err := s.Manifest(t.Context(), app, images.Reference{Tag: "v-again"}); err != nil || m.Digest != d {
		t.Error(err)
	}
	runs, _, err := s.LifecycleRuns(t.Context(), app, images.LifecycleRun{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs { // an undo of everything leaves what was pushed again as it is
		if run.Removed > 0 {
			if _, err := s.UndoLifecycle(t.Context(), app, run.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.runDue(t)
	if m, err := s.Manifest(t.Context(), app, images.Reference{Digest: d}); err != nil || m.Digest != d {
		t.Error(err)
	}
	if n := strings.Count(s.tags(t), "v"); n < 80 {
		t.Errorf("%d tags after the undo", n)
	}
}
