package images_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// withQuotas opens a service with quotas on the store's data.
func (s *store) withQuotas(t testing.TB, q images.Quotas) {
	t.Helper()
	var err error
	s.Service, err = images.New(t.Context(), images.Config{DB: s.db, Blobs: s.blobs, Work: s.work, Authz: s.authz, Principals: iamtest.Unbound{}, Now: s.clock.now, Quotas: q})
	if err != nil {
		t.Fatal(err)
	}
}

func TestQuotas_Repositories(t *testing.T) {
	s := newStore(t)
	s.withQuotas(t, images.Quotas{Repositories: 3})
	create := func(id images.RepositoryID) error {
		_, err := s.CreateRepository(t.Context(), id, images.Settings{Mutability: images.Mutable})
		return err
	}
	for i := range 3 {
		if err := create(named(fmt.Sprint("app", i))); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, create(app), "TooManyRepositories")
	s.template(t, template("ROOT", images.CauseCreateOnPush))
	_, err := s.StartUpload(t.Context(), app, "")
	wantFault(t, err, "TooManyRepositories")
	other := app
	other.Region = "eu-west-1"
	if err := create(other); err != nil {
		t.Error("another registry:", err)
	}
	if _, err := s.DeleteRepository(t.Context(), named("app0"), images.KeepContents); err != nil {
		t.Fatal(err)
	}
	if err := create(app); err != nil {
		t.Error(err)
	}
}

func TestQuotas_Images(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("other"))
	s.withQuotas(t, images.Quotas{Images: 10})
	push := func(id images.RepositoryID, i int) error {
		config := s.push(t, id, "config")
		_, err := s.PutManifest(t.Context(), id, images.PutManifest{Tags: []string{fmt.Sprint("v", i)}, Body: strings.NewReader(string(manifest("config", config, "layers", []any{}, "annotations", map[string]string{"i": fmt.Sprint(i)})))})
		return err
	}
	for i := range 10 {
		if err := push(app, i); err != nil {
			t.Fatal(i, err)
		}
	}
	for range 2 {
		wantFault(t, push(app, 10), "TooManyImages")
		s.clock.advance(time.Hour)
	}
	if err := push(app, 9); err != nil {
		t.Error("an image that exists:", err)
	}
	if err := push(named("other"), 10); err != nil {
		t.Error("another repository:", err)
	}
	if err := s.DeleteImage(t.Context(), app, images.Reference{Tag: "v0"}); err != nil {
		t.Fatal(err)
	}
	images, _, err := s.Tags(t.Context(), app, "", 100)
	if err != nil || len(images) != 9 {
		t.Fatal(images, err)
	}
}

func TestQuotas_Bytes(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"a", "b", "c"} {
		s.create(t, named("team/"+name))
	}
	s.withQuotas(t, images.Quotas{RepositoryBytes: 100, RegistryBytes: 150})
	put := func(name, content string) error {
		_, err := s.PutBlob(t.Context(), named("team/"+name), describe("", []byte(content)).Digest, reader(content))
		return err
	}
	sixty, forty, one := strings.Repeat("x", 60), strings.Repeat("y", 40), "z"
	for _, content := range []string{sixty, forty, sixty} {
		if err := put("a", content); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, put("a", one), "RepositoryFull")
	// An upload that is refused stays, and the registry counts a layer once.
	u, err := s.StartUpload(t.Context(), named("team/a"), "")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = s.CompleteUpload(t.Context(), named("team/a"), u.ID, images.AnyOffset, reader(one), describe("", []byte(one)).Digest)
		wantFault(t, err, "RepositoryFull")
	}
	if _, err := s.MountBlob(t.Context(), named("team/b"), "team/a", describe("", []byte(sixty)).Digest); err != nil {
		t.Fatal(err)
	}
	_, err = s.MountBlob(t.Context(), named("team/b"), "team/a", describe("", []byte(forty)).Digest)
	if err != nil {
		t.Fatal(err)
	}
	wantFault(t, put("c", strings.Repeat("w", 51)), "RegistryFull")
	if err := put("c", strings.Repeat("w", 50)); err != nil {
		t.Error(err)
	}
	if err := put("c", forty); err != nil {
		t.Error("a layer that the registry has:", err)
	}
	wantFault(t, put("c", strings.Repeat("v", 11)), "RepositoryFull")
	wantFault(t, put("c", one), "RegistryFull")
}

// replicateWithQuotas opens a service with quotas on the store's data, and runs its copies.
func (s *store) replicateWithQuotas(t *testing.T, q images.Quotas) {
	t.Helper()
	_, s.work = removaltest.Open(t, s.db, s.blobs, s.clock.now)
	s.withQuotas(t, q)
	if err := s.work.Handle(s.ReplicationWork()...); err != nil {
		t.Fatal(err)
	}
	s.runDue(t)
}

// TestQuotas_Replication checks that quotas count for what another registry sends, and that
// what is refused does not keep others waiting.
func TestQuotas_Replication(t *testing.T) {
	there := copyOf(app, west)
	for name, c := range map[string]struct {
		quotas    images.Quotas
		code      string
		elsewhere bool // the destination's registry has the layers
	}{
		"images":           {images.Quotas{Images: 1}, "TooManyImages", false},
		"bytes":            {images.Quotas{RepositoryBytes: 200}, "RepositoryFull", false},
		"bytes that exist": {images.Quotas{RepositoryBytes: 200}, "RepositoryFull", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.create(t, app)
			s.create(t, there)
			s.setReplication(t, rule(west))
			other := there
			other.Name = "other"
			if c.elsewhere {
				s.create(t, other)
			}
			small := strings.Repeat("s", 50)
			var refused []digest.Digest
			if c.quotas.Images > 0 {
				s.put(t, there, manifest("config", s.push(t, there, "here"), "layers", []any{}))
			}
			for i := range 4 {
				large := fmt.Sprint(i, strings.Repeat("l", 300))
				refused = append(refused, s.put(t, app, manifest("config", s.push(t, app, large), "layers", []any{})))
				if c.elsewhere {
					s.push(t, other, large)
				}
				s.clock.advance(time.Second)
			}
			last := s.put(t, app, manifest("config", s.push(t, app, small), "layers", []any{}))
			s.replicateWithQuotas(t, c.quotas)
			for _, d := range refused {
				if got, want := s.status(t, app, d), "us-west-2/000000000001 IN_PROGRESS "+c.code; got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
			want := "us-west-2/000000000001 COMPLETE"
			if c.quotas.Images > 0 {
				want = "us-west-2/000000000001 IN_PROGRESS TooManyImages"
			}
			if got := s.status(t, app, last); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}
