package images_test

import (
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

func (s *store) pulledAt(t *testing.T, tag string) time.Time {
	t.Helper()
	list, err := s.DescribeImagesByReference(t.Context(), app, []images.Reference{{Tag: tag}})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0].PulledAt
}

// The last pull is recorded in memory, stored by Maintain, and survives a restart.
func TestPullManifest_RecordsTime(t *testing.T) {
	dir, clock := t.TempDir(), newClock()
	s := openStore(t, dir, clock, func(b blob.Store) blob.Store { return b })
	s.create(t, app)
	s.pushImage(t, app, "a", "pulled", "same")
	s.pushImage(t, app, "b", "asked")
	pull := func(s *store, tag string) {
		t.Helper()
		if _, err := s.PullManifest(t.Context(), app, images.Reference{Tag: tag}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(s *store, tag string, at time.Time) {
		t.Helper()
		if got := s.pulledAt(t, tag); !got.Equal(at) {
			t.Errorf("last pull of %s: %v, want %v", tag, got, at)
		}
	}
	if _, err := s.Manifest(t.Context(), app, images.Reference{Tag: "asked"}); err != nil {
		t.Fatal(err)
	}
	first := clock.now()
	pull(s, "pulled")
	want(s, "pulled", first)
	want(s, "same", first)
	want(s, "asked", time.Time{})
	clock.advance(30 * time.Minute) // not recorded: too soon
	pull(s, "pulled")
	want(s, "pulled", first)
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(s, "pulled", first)

	s.close()
	s = openStore(t, dir, clock, func(b blob.Store) blob.Store { return b })
	want(s, "pulled", first)
	clock.advance(time.Hour)
	if _, _, err := s.Manifests(t.Context(), app, []images.Reference{{Tag: "same"}}); err != nil {
		t.Fatal(err)
	}
	want(s, "pulled", clock.now())
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(s, "pulled", clock.now())
	want(s, "asked", time.Time{})
}
