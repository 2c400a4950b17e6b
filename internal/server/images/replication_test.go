package images_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

var (
	west  = images.RegistryID{Account: app.Account, Region: "us-west-2"}
	guest = images.RegistryID{Account: "000000000002", Region: "us-east-1"}
)

// copyOf is a repository at a destination.
func copyOf(id images.RepositoryID, to images.RegistryID) images.RepositoryID {
	return images.RepositoryID{Account: to.Account, Region: to.Region, Name: id.Name}
}

func rule(to ...images.RegistryID) images.ReplicationRule {
	return images.ReplicationRule{Destinations: to}
}

func withDeletions(r images.ReplicationRule) images.ReplicationRule {
	r.Deletions = new(true)
	return r
}

func (s *store) setReplication(t testing.TB, rules ...images.ReplicationRule) {
	t.Helper()
	if err := s.PutReplicationConfiguration(t.Context(), home, rules); err != nil {
		t.Fatal(err)
	}
}

// contents describes the images of a repository: "DIGEST [TAGS]" each.
func (s *store) contents(t testing.TB, id images.RepositoryID) []string {
	t.Helper()
	list, _, err := s.DescribeImages(t.Context(), id, images.ImageFilter{}, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range list {
		out = append(out, fmt.Sprint(d.Digest, " ", d.Tags, d.MediaType, d.ArtifactType, d.Size, d.Subject))
	}
	return out
}

// wantReplica fails the test unless the destination has what the source has, readable.
func (s *store) wantReplica(t testing.TB, id images.RepositoryID, to images.RegistryID) {
	t.Helper()
	want, got := s.contents(t, id), s.contents(t, copyOf(id, to))
	if !slices.Equal(want, got) {
		t.Errorf("the destination has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// status describes the replication of an image: "REGION/ACCOUNT STATE CODE" for each
// destination.
func (s *store) status(t testing.TB, id images.RepositoryID, d digest.Digest) string {
	t.Helper()
	list, err := s.ReplicationStatus(t.Context(), id, images.Reference{Digest: d})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, st := range list {
		out = append(out, strings.TrimSpace(st.To.Region+"/"+st.To.Account+" "+st.State+" "+st.Code))
	}
	return strings.Join(out, ", ")
}

func TestPutReplicationConfiguration(t *testing.T) {
	s := newStore(t)
	many := func(n int) (list []images.RegistryID) {
		for i := range n {
			list = append(list, images.RegistryID{Account: fmt.Sprintf("%012d", i+100), Region: "us-east-1"})
		}
		return list
	}
	for _, c := range []struct {
		name  string
		rules []images.ReplicationRule
		want  string // part of the message; empty if it is accepted
	}{
		{"none", nil, ""},
		{"25 destinations in two rules", []images.ReplicationRule{rule(many(25)...), rule(many(25)...)}, ""},
		{"26 destinations", []images.ReplicationRule{rule(many(25)...), rule(west)}, "25 unique destinations"},
		{"11 rules", make([]images.ReplicationRule, 11), "at most 10 rules"},
		{"101 filters", []images.ReplicationRule{{Destinations: many(1), Prefixes: make([]string, 101)}}, "at most 100 repository filters"},
		{"itself", []images.ReplicationRule{rule(home)}, "cannot be the same as the source registry"},
	} {
		err := s.PutReplicationConfiguration(t.Context(), home, c.rules)
		if c.want == "" {
			got, described := s.DescribeRegistry(t.Context(), home)
			if err != nil || described != nil || len(got) != len(c.rules) {
				t.Errorf("%s: %v, %v, %v", c.name, err, got, described)
			}
			continue
		}
		wantFault(t, err, "InvalidParameter")
		if !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// An image is copied with its tags, children and referrers to each destination, and what
// arrives by replication is not copied further.
func TestReplication_CopiesImages(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	other := named("other")
	s.create(t, other)
	old := s.pushImage(t, app, "old", "before")
	s.setReplication(t, images.ReplicationRule{Destinations: []images.RegistryID{west, guest}, Prefixes: []string{"team/"}})
	if err := s.PutReplicationConfiguration(t.Context(), west, []images.ReplicationRule{rule(images.RegistryID{Account: app.Account, Region: "eu-west-1"})}); err != nil {
		t.Fatal(err)
	}
	one := s.pushImage(t, app, "one", "v1", "latest")
	body := manifestOf(t, s, one)
	list := s.put(t, app, index(describe(ocispec.MediaTypeImageManifest, body)), "multi")
	subject := describe(ocispec.MediaTypeImageManifest, body)
	signature := s.put(t, app, manifest("artifactType", "application/vnd.example.signature", "config", s.push(t, app, "config of one"), "layers", []ocispec.Descriptor{}, "subject", subject))
	s.pushImage(t, other, "elsewhere", "v1")
	if got := s.status(t, app, one); got != "us-east-1/000000000002 IN_PROGRESS, us-west-2/000000000001 IN_PROGRESS" {
		t.Error(got)
	}
	s.runDue(t)
	if _, failures, err := s.DeleteImages(t.Context(), app, []images.Reference{{Digest: old}}); err != nil || failures != nil {
		t.Fatal(failures, err)
	}
	for _, to := range []images.RegistryID{west, guest} {
		s.wantReplica(t, app, to)
		for _, content := range []string{"config of one", "layer of one"} {
			s.wantBlob(t, copyOf(app, to), content)
		}
		if _, err := s.DescribeRepository(t.Context(), copyOf(other, to)); err == nil {
			t.Errorf("%s was replicated", other.Name)
		}
	}
	for _, d := range []digest.Digest{one, list, signature} {
		if got := s.status(t, app, d); got != "us-east-1/000000000002 COMPLETE, us-west-2/000000000001 COMPLETE" {
			t.Error(got)
		}
	}
	if _, err := s.DescribeRepository(t.Context(), copyOf(app, images.RegistryID{Account: app.Account, Region: "eu-west-1"})); err == nil {
		t.Error("it was replicated further")
	}
	// A tag moves at the destination, too.
	two := s.pushImage(t, app, "two", "latest")
	s.runDue(t)
	s.wantReplica(t, app, west)
	if got := s.status(t, app, two); !strings.Contains(got, "us-west-2/000000000001 COMPLETE") {
		t.Error(got)
	}
}

// replicationEvents returns the events about replication: "ACCOUNT REGION RESULT TAG".
func (s *store) replicationEvents(t *testing.T) (out []string) {
	t.Helper()
	for _, body := range (&eventReader{t: t, s: s}).bodies() {
		var v struct {
			DetailType string `json:"detail-type"`
			Account    string
			Region     string
			Resources  []string
			Detail     map[string]string
		}
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if v.DetailType != "ECR Replication Action" {
			continue
		}
		d := v.Detail
		if d["action-type"] != "REPLICATE" || d["source-account"] != app.Account || d["source-region"] != app.Region || d["repository-name"] != app.Name || d["image-digest"] == "" || len(v.Resources) != 1 {
			t.Errorf("%+v", v)
		}
		out = append(out, strings.TrimSpace(v.Account+" "+v.Region+" "+d["result"]+" "+d["image-tag"]))
	}
	return out
}

// The destination of another account takes images only if its registry policy says so, at
// the time of the copy.
func TestReplication_RegistryPolicy(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setReplication(t, rule(guest))
	deny := func(actions ...string) {
		s.authz.denied = map[string]bool{}
		for _, a := range actions {
			s.authz.denied[a+" "+copyOf(app, guest).ARN()] = true
		}
	}
	deny("ecr:ReplicateImage")
	first := s.pushImage(t, app, "one", "v1")
	s.runDue(t)
	if got := s.status(t, app, first); got != "us-east-1/000000000002 FAILED AccessDenied" {
		t.Error(got)
	}
	deny("ecr:CreateRepository")
	second := s.pushImage(t, app, "two", "v2")
	s.runDue(t)
	if got := s.status(t, app, second); got != "us-east-1/000000000002 FAILED RepositoryNotCreated" {
		t.Error(got)
	}
	deny()
	s.create(t, copyOf(app, guest))
	deny("ecr:CreateRepository")
	third := s.pushImage(t, app, "three", "v3")
	s.runDue(t)
	if got := s.status(t, app, third); got != "us-east-1/000000000002 COMPLETE" {
		t.Error(got)
	}
	want := []string{"000000000002 us-east-1 FAILED", "000000000002 us-east-1 FAILED", "000000000002 us-east-1 SUCCESS v3"}
	if got := s.replicationEvents(t); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// A tag that is immutable at the destination and taken stays, and the image comes without it.
func TestReplication_ImmutableTag(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	if _, err := s.CreateRepository(t.Context(), copyOf(app, west), images.Settings{Mutability: images.Immutable}); err != nil {
		t.Fatal(err)
	}
	taken := s.pushImage(t, copyOf(app, west), "theirs", "v1")
	s.setReplication(t, rule(west))
	ours := s.pushImage(t, app, "ours", "v1", "v2")
	s.runDue(t)
	if got := s.status(t, app, ours); got != "us-west-2/000000000001 COMPLETE" {
		t.Error(got)
	}
	for tag, want := range map[string]digest.Digest{"v1": taken, "v2": ours} {
		if m, err := s.Manifest(t.Context(), copyOf(app, west), images.Reference{Tag: tag}); err != nil || m.Digest != want {
			t.Errorf("%s: %v, %v", tag, m, err)
		}
	}
}

// Deletions are replicated only if the rule says so, and only of what was replicated.
func TestReplication_Deletions(t *testing.T) {
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			s := newStore(t)
			s.create(t, app)
			s.create(t, copyOf(app, west))
			before := s.pushImage(t, app, "before", "before")
			s.pushImage(t, copyOf(app, west), "before", "before")
			r := rule(west)
			if on {
				r = withDeletions(r)
			}
			s.setReplication(t, r)
			one := s.pushImage(t, app, "one", "v1", "v1.0")
			list := s.put(t, app, index(describe(ocispec.MediaTypeImageManifest, manifestOf(t, s, one))), "multi")
			kept := s.pushImage(t, app, "kept", "kept")
			moved := s.pushImage(t, app, "moved", "stable")
			s.runDue(t)
			// A tag of the destination's own keeps its image there.
			s.put(t, copyOf(app, west), manifestOf(t, s, kept), "pinned")
			refs := []images.Reference{{Digest: before}, {Digest: list}, {Digest: one}, {Digest: kept}, {Digest: moved}}
			if _, failures, err := s.DeleteImages(t.Context(), app, refs); err != nil || failures != nil {
				t.Fatal(failures, err)
			}
			s.pushImage(t, app, "moved", "stable") // again
			two := s.pushImage(t, app, "two", "v2", "v2.0")
			s.runDue(t)
			if err := s.DeleteImage(t.Context(), app, images.Reference{Tag: "v2.0"}); err != nil {
				t.Fatal(err)
			}
			s.runDue(t)
			got := map[string]bool{}
			tags, _, err := s.Tags(t.Context(), copyOf(app, west), "", 100)
			if err != nil {
				t.Fatal(err)
			}
			want := "before kept multi pinned stable v1 v1.0 v2 v2.0"
			if on {
				want = "before pinned stable v2"
			}
			if strings.Join(tags, " ") != want {
				t.Errorf("tags %q, want %q", tags, want)
			}
			for _, d := range []digest.Digest{one, list, two, kept, moved} {
				_, err := s.Manifest(t.Context(), copyOf(app, west), images.Reference{Digest: d})
				got[string(d)] = err == nil
			}
			if got[string(one)] == on || got[string(list)] == on || !got[string(two)] || !got[string(kept)] || !got[string(moved)] {
				t.Error(got)
			}
		})
	}
}

// A run ends after a while even if more waits, so that other repositories have their turn.
func TestReplication_TakesTurns(t *testing.T) {
	s := newStore(t)
	s.setReplication(t, rule(west))
	s.create(t, app)
	s.pushImage(t, app, "one", "v1")
	s.pushImage(t, app, "two", "v2")
	replicate := s.ReplicationWork()[0]
	payload, err := db.One(t.Context(), s.db, db.Scalar[[]byte], `SELECT payload FROM work WHERE kind = $1`, replicate.Name)
	if err != nil {
		t.Fatal(err)
	}
	s.onAudit = func() { s.clock.advance(time.Hour) } // that is how long a copy takes
	for want := range 2 {
		if err := replicate.Run(t.Context(), work.Run{Payload: payload, Attempt: 1}); err != nil {
			t.Fatal(err)
		}
		if got := len(s.contents(t, copyOf(app, west))); got != want+1 {
			t.Errorf("%d images were copied, want %d", got, want+1)
		}
	}
}

// A deletion that comes by replication is not replicated further. Otherwise it would come
// back to a registry in which the image was pushed again.
func TestReplication_DeletionDoesNotComeBack(t *testing.T) {
	s := newStore(t)
	there := copyOf(app, west)
	s.create(t, app)
	s.create(t, there)
	s.setReplication(t, withDeletions(rule(west)))
	if err := s.PutReplicationConfiguration(t.Context(), west, []images.ReplicationRule{withDeletions(rule(home))}); err != nil {
		t.Fatal(err)
	}
	d := s.pushImage(t, app, "one", "v1")
	s.pushImage(t, there, "one", "v1")
	s.runDue(t)
	if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: d}); err != nil {
		t.Fatal(err)
	}
	s.onAudit = func() { // the image is gone from both
		s.onAudit = nil
		s.pushImage(t, app, "one", "v1")
	}
	s.runDue(t)
	if _, err := s.Manifest(t.Context(), app, images.Reference{Digest: d, Tag: "v1"}); err != nil {
		t.Error("the image that was pushed again:", err)
	}
	s.runDue(t)
	s.wantReplica(t, app, west)
}

// A repository is created with the template of the destination's registry.
func TestReplication_Template(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setReplication(t, rule(west))
	if _, err := s.CreateTemplate(t.Context(), west, images.Template{Prefix: "team", AppliedFor: []images.Cause{images.CauseReplication}, Settings: images.Settings{Mutability: images.Immutable, Encryption: images.Encryption{Type: "AES256"}}}); err != nil {
		t.Fatal(err)
	}
	s.pushImage(t, app, "one", "v1")
	s.runDue(t)
	s.wantReplica(t, app, west)
	if r, err := s.DescribeRepository(t.Context(), copyOf(app, west)); err != nil || r.Mutability != images.Immutable {
		t.Error(r, err)
	}
}

// What is waiting for a destination that was removed from the rules is forgotten.
func TestReplication_RuleRemoved(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setReplication(t, rule(west))
	d := s.pushImage(t, app, "one", "v1")
	s.setReplication(t)
	s.runDue(t)
	if got := s.status(t, app, d); got != "" {
		t.Error(got)
	}
	if _, err := s.DescribeRepository(t.Context(), copyOf(app, west)); err == nil {
		t.Error("it was replicated")
	}
}

// A damaged layer fails its image, and no other one.
func TestReplication_DamagedLayer(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setReplication(t, rule(west))
	bad, good := s.pushImage(t, app, "bad", "bad"), s.pushImage(t, app, "good", "good")
	s.damageObject(t, "layer of bad", damages["missing"])
	s.runDue(t)
	if got := s.status(t, app, bad) + "; " + s.status(t, app, good); got != "us-west-2/000000000001 FAILED SourceImageUnavailable; us-west-2/000000000001 COMPLETE" {
		t.Error(got)
	}
}

// The process is killed at each step of a replication. After the restart the destination
// becomes what the source is, with one event for each tag.
func TestReplication_KilledAtAnyStep(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.setReplication(t, withDeletions(rule(west)))
	var tags []string
	for step, survived := 1, false; !survived; step++ {
		tag := fmt.Sprint("v", step)
		one := s.pushImage(t, app, tag, tag)
		s.clock.advance(time.Millisecond)
		s.put(t, app, index(describe(ocispec.MediaTypeImageManifest, manifestOf(t, s, one))), "list-"+tag)
		s.clock.advance(time.Millisecond)
		tags = append(tags, tag, "list-"+tag)
		m := &killableStore{left: step}
		dying := openStore(t, s.dir, s.clock, func(b blob.Store) blob.Store { m.Store = b; return m })
		dying.onAudit = m.step
		payload, err := db.One(t.Context(), s.db, db.Scalar[[]byte], `SELECT payload FROM work WHERE kind = 'images/replicate'`)
		if err != nil {
			t.Fatal(err)
		}
		survived = live(func() {
			if err := dying.ReplicationWork()[0].Run(t.Context(), work.Run{Payload: payload, Attempt: 1}); err != nil {
				t.Fatal(err)
			}
		})
		s = openStore(t, s.dir, s.clock, func(b blob.Store) blob.Store { return b })
		s.runDue(t)
		s.wantReplica(t, app, west)
		s.wantBlob(t, copyOf(app, west), "layer of "+tag)
		if step > 100 {
			t.Fatal("it is never done")
		}
	}
	var want []string
	for _, tag := range tags {
		want = append(want, "000000000001 us-west-2 SUCCESS "+tag)
	}
	got := s.replicationEvents(t)
	slices.Sort(got) // a killed process may have written its events with later ids
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	s.clock.advance(3 * time.Hour)
	if _, err := s.SweepObjects(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

// Whatever happens in the source, the destination is the same when the work is done.
func TestReplication_Property(t *testing.T) {
	s, n := newStore(t), 0
	s.setReplication(t, withDeletions(rule(west)))
	rapid.Check(t, func(rt *rapid.T) {
		n++
		app := named(fmt.Sprint("app", n))
		s.create(t, app)
		var digests []digest.Digest
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name")
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1:
				tags := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), rapid.ID).Draw(rt, "tags")
				digests = append(digests, s.pushImage(t, app, name, tags...))
			case 2:
				child := s.pushImage(t, app, name)
				m, err := s.Manifest(t.Context(), app, images.Reference{Digest: child})
				if err != nil {
					rt.Fatal(err)
				}
				digests = append(digests, child, s.put(t, app, index(describe(ocispec.MediaTypeImageManifest, m.Body)), "list"))
			case 3:
				if len(digests) > 0 { // an index protects its images
					refs := []images.Reference{{Digest: rapid.SampledFrom(digests).Draw(rt, "digest")}}
					if _, _, err := s.DeleteImages(t.Context(), app, refs); err != nil {
						rt.Fatal(err)
					}
				}
			case 4:
				err := s.DeleteImage(t.Context(), app, images.Reference{Tag: rapid.SampledFrom([]string{"x", "y", "z", "list"}).Draw(rt, "tag")})
				if err != nil && !fault.Is(err, "ImageNotFound") {
					rt.Fatal(err)
				}
			case 5:
				s.runDue(t)
			}
			if rapid.Bool().Draw(rt, "time passes") {
				s.clock.advance(time.Millisecond)
			}
		}
		s.runDue(t)
		want := s.contents(t, app)
		if want == nil {
			return // perhaps nothing was pushed, and there is no destination
		}
		if _, err := s.DescribeRepository(t.Context(), copyOf(app, west)); err != nil {
			rt.Fatal(err)
		}
		if got := s.contents(t, copyOf(app, west)); !slices.Equal(want, got) {
			rt.Fatalf("the destination has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
