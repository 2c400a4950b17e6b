package images_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

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
