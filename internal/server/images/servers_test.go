package images_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// newServers returns n stores on one database, each with its own memory, and their
// lines to each other.
func newServers(t testing.TB, n int) ([]*store, []*changefeedtest.Line) {
	t.Helper()
	dir := t.TempDir()
	d := dbtest.OpenAt(t, dir)
	b := blobtest.OpenAt(t, dir)
	feeds, lines := changefeedtest.Servers(t, d, n)
	var all []*store
	for _, feed := range feeds {
		s := &store{dir: dir, disk: b, blobs: b, db: d, clock: newClock(), authz: new(grants)}
		removals, queue := removaltest.Open(t, d, b, s.clock.now)
		var err error
		s.Service, err = images.New(t.Context(), images.Config{DB: d, Feed: feed, Blobs: b, Removals: removals, Work: queue, Authz: s.authz, Principals: iamtest.Unbound{}, Now: s.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		changefeedtest.Run(t, feed)
		all = append(all, s)
	}
	return all, lines
}

// What one server changes, no other serves as it was, from the moment of the answer.
func TestServers_ChangeIsSeen(t *testing.T) {
	all, _ := newServers(t, 3)
	a, others := all[0], all[1:]
	a.create(t, app)
	first, second := a.pushImage(t, app, "first", "latest", "old"), a.pushImage(t, app, "second")
	each := func(what string, check func(*store) error) {
		t.Helper()
		for i, s := range others {
			if err := check(s); err != nil {
				t.Errorf("server %d, %s: %v", i+2, what, err)
			}
		}
	}
	latest := func(want digest.Digest) func(*store) error {
		return func(s *store) error {
			m, err := s.Manifest(t.Context(), app, images.Reference{Tag: "latest"})
			if err == nil && m.Digest != want {
				err = fmt.Errorf("latest is %s, want %s", m.Digest, want)
			}
			return err
		}
	}
	tags := func(want ...string) func(*store) error {
		return func(s *store) error {
			got, _, err := s.Tags(t.Context(), app, "", 10)
			if err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("the tags are %q, want %q", got, want)
			}
			return err
		}
	}
	gone := func(err error) error {
		if fault.Is(err, "ImageNotFound") || fault.Is(err, "BlobNotFound") || fault.Is(err, "RepositoryNotFound") {
			return nil
		}
		return fmt.Errorf("it is still there: %v", err)
	}
	each("pushed", latest(first))
	each("pushed", tags("latest", "old"))
	a.put(t, app, manifestOf(t, a, second), "latest")
	each("moved", latest(second))
	if err := a.DeleteImage(t.Context(), app, images.Reference{Tag: "latest"}); err != nil {
		t.Fatal(err)
	}
	each("tag deleted", func(s *store) error {
		_, err := s.Manifest(t.Context(), app, images.Reference{Tag: "latest"})
		return gone(err)
	})
	each("tag deleted", tags("old"))
	bySecond := func(s *store) error {
		_, err := s.Manifest(t.Context(), app, images.Reference{Digest: second})
		return err
	}
	each("by digest", bySecond)
	if err := a.DeleteImage(t.Context(), app, images.Reference{Digest: second}); err != nil {
		t.Fatal(err)
	}
	each("image deleted", func(s *store) error { return gone(bySecond(s)) })

	third := a.pushImage(t, app, "third", "third")
	pulled := func(s *store) error {
		_, err := s.Manifest(t.Context(), app, images.Reference{Tag: "third"})
		return cmp.Or(err, s.readBlob(t.Context(), app, "layer of third"))
	}
	each("not archived", pulled)
	if _, _, err := a.ArchiveImage(t.Context(), app, images.Reference{Digest: third}); err != nil {
		t.Fatal(err)
	}
	each("archived", func(s *store) error {
		if err := pulled(s); !fault.Is(err, "ImageArchived") {
			return fmt.Errorf("it can be pulled: %v", err)
		}
		return gone(s.readBlob(t.Context(), app, "layer of third"))
	})
	each("archived", tags("old"))
	a.push(t, app, "config of third")
	a.push(t, app, "layer of third")
	a.put(t, app, image(a.push(t, app, "config of third"), a.push(t, app, "layer of third")))
	each("pushed again", pulled)
	each("pushed again", tags("old", "third"))

	a.push(t, app, "x")
	each("blob", func(s *store) error { return s.readBlob(t.Context(), app, "x") })
	if err := a.DeleteBlob(t.Context(), app, digest.FromString("x")); err != nil {
		t.Fatal(err)
	}
	each("blob deleted", func(s *store) error { return gone(s.readBlob(t.Context(), app, "x")) })

	if _, err := a.SetPolicy(t.Context(), app, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"ecr:*"}}`, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	each("policy", func(s *store) error { _, err := s.Policy(t.Context(), app); return err })
	if _, err := a.SetMutability(t.Context(), app, images.Immutable, nil); err != nil {
		t.Fatal(err)
	}
	each("mutability", func(s *store) error {
		r, err := s.DescribeRepository(t.Context(), app)
		if err == nil && r.Mutability != images.Immutable {
			err = errors.New(string(r.Mutability))
		}
		return err
	})
	if _, err := a.DeleteRepository(t.Context(), app, images.DeleteContents); err != nil {
		t.Fatal(err)
	}
	each("repository deleted", func(s *store) error { _, err := s.DescribeRepository(t.Context(), app); return gone(err) })
}

// manifestOf returns the bytes of a manifest.
func manifestOf(t testing.TB, s *store, d digest.Digest) []byte {
	t.Helper()
	m, err := s.Manifest(t.Context(), app, images.Reference{Digest: d})
	if err != nil {
		t.Fatal(err)
	}
	return m.Body
}

// A server that hears nothing decides nothing, and the others do not wait for it
// longer than a lease.
func TestServers_CutOff(t *testing.T) {
	all, lines := newServers(t, 2)
	a := all[0]
	a.create(t, app)
	first, second := a.pushImage(t, app, "first", "latest"), a.pushImage(t, app, "second")
	if m, err := all[1].Manifest(t.Context(), app, images.Reference{Tag: "latest"}); err != nil || m.Digest != first {
		t.Fatal(m, err)
	}
	body := manifestOf(t, a, second)
	lines[1].SetCut(true)
	began := time.Now()
	a.put(t, app, body, "latest")
	if took := time.Since(began); took < time.Second {
		t.Errorf("the push was answered after %v, while a server that may have served the old image heard nothing", took)
	}
	lines[1].SetCut(false)
}

// A commit whose answer is lost is found, and what it changed is seen by all.
func TestServers_AnswerLost(t *testing.T) {
	all, lines := newServers(t, 2)
	a, b := all[0], all[1]
	lost := errors.New("connection reset")
	lines[0].On(func(crossing string) error {
		if crossing == "commit answered" {
			return lost
		}
		return nil
	})
	a.create(t, app)
	first, second := a.pushImage(t, app, "first", "latest"), a.pushImage(t, app, "second")
	for _, want := range []digest.Digest{first, second} {
		a.put(t, app, manifestOf(t, a, want), "latest")
		for i, s := range []*store{a, b} {
			if m, err := s.Manifest(t.Context(), app, images.Reference{Tag: "latest"}); err != nil || m.Digest != want {
				t.Errorf("server %d: %v, %v", i+1, m, err)
			}
		}
	}
	if _, err := a.DeleteRepository(t.Context(), app, images.DeleteContents); err != nil {
		t.Fatal(err)
	}
	for i, s := range []*store{a, b} {
		if _, err := s.DescribeRepository(t.Context(), app); !fault.Is(err, "RepositoryNotFound") {
			t.Errorf("server %d has the repository: %v", i+1, err)
		}
	}
}

// TestServers_Property makes changes at any of three servers. After each answer, all of
// them serve what a model says.
func TestServers_Property(t *testing.T) {
	all, _ := newServers(t, 3)
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		m := &serversModel{all: all, id: named(fmt.Sprint("property/", round))}
		t.Repeat(map[string]func(*rapid.T){
			"push": m.push, "untag": m.untag, "delete": m.delete, "repository": m.repository, "mutability": m.mutability,
			"": m.check,
		})
	})
}

type serversModel struct {
	all    []*store
	id     images.RepositoryID
	exists bool
	images map[digest.Digest][]byte
	tags   map[string]digest.Digest
	mode   images.Mutability
}

func (m *serversModel) server(t *rapid.T) *store {
	return m.all[rapid.IntRange(0, len(m.all)-1).Draw(t, "server")]
}

func (m *serversModel) repository(t *rapid.T) {
	s := m.server(t)
	if m.exists {
		_, err := s.DeleteRepository(t.Context(), m.id, images.DeleteContents)
		wantOutcome(t, err, "")
	} else {
		_, err := s.CreateRepository(t.Context(), m.id, images.Settings{Mutability: images.Mutable})
		wantOutcome(t, err, "")
	}
	*m = serversModel{all: m.all, id: m.id, exists: !m.exists, images: map[digest.Digest][]byte{}, tags: map[string]digest.Digest{}, mode: images.Mutable}
}

func (m *serversModel) mutability(t *rapid.T) {
	mode := rapid.SampledFrom([]images.Mutability{images.Mutable, images.Immutable}).Draw(t, "mode")
	_, err := m.server(t).SetMutability(t.Context(), m.id, mode, nil)
	wantOutcome(t, err, ifTrue(!m.exists, "RepositoryNotFound"))
	if m.exists {
		m.mode = mode
	}
}

var serverTags = []string{"t1", "t2", "t3"}

func (m *serversModel) push(t *rapid.T) {
	s, tag := m.server(t), rapid.SampledFrom(serverTags).Draw(t, "tag")
	body := manifest("manifests", []int{}, "annotations", map[string]string{"n": rapid.SampledFrom(modelBlobs).Draw(t, "image")})
	d := digest.FromBytes(body)
	_, err := s.PutManifest(t.Context(), m.id, images.PutManifest{Tags: []string{tag}, MediaType: "application/vnd.oci.image.index.v1+json", Body: bytes.NewReader(body)})
	old, tagged := m.tags[tag]
	switch {
	case !m.exists:
		wantOutcome(t, err, "RepositoryNotFound")
	case m.mode == images.Immutable && tagged && old != d:
		wantOutcome(t, err, "ImageTagAlreadyExists")
	default:
		wantOutcome(t, err, "")
		m.images[d], m.tags[tag] = body, d
	}
}

func (m *serversModel) untag(t *rapid.T) {
	tag := rapid.SampledFrom(serverTags).Draw(t, "tag")
	err := m.server(t).DeleteImage(t.Context(), m.id, images.Reference{Tag: tag})
	switch {
	case !m.exists:
		wantOutcome(t, err, "RepositoryNotFound")
	case m.tags[tag] == "":
		wantOutcome(t, err, "ImageNotFound")
	default:
		wantOutcome(t, err, "")
		delete(m.tags, tag)
	}
}

func (m *serversModel) delete(t *rapid.T) {
	tag := rapid.SampledFrom(serverTags).Draw(t, "tag")
	d := m.tags[tag]
	if d == "" {
		return
	}
	wantOutcome(t, m.server(t).DeleteImage(t.Context(), m.id, images.Reference{Digest: d}), "")
	delete(m.images, d)
	for name, target := range m.tags {
		if target == d {
			delete(m.tags, name)
		}
	}
}

func (m *serversModel) check(t *rapid.T) {
	for i, s := range m.all {
		r, err := s.DescribeRepository(t.Context(), m.id)
		wantOutcome(t, err, ifTrue(!m.exists, "RepositoryNotFound"))
		if !m.exists {
			continue
		}
		if r.Mutability != m.mode {
			t.Fatalf("server %d: the mode is %s, want %s", i, r.Mutability, m.mode)
		}
		var want []string
		for _, tag := range serverTags {
			got, err := s.Manifest(t.Context(), m.id, images.Reference{Tag: tag})
			wantOutcome(t, err, ifTrue(m.tags[tag] == "", "ImageNotFound"))
			if m.tags[tag] != "" {
				want = append(want, tag)
				if got.Digest != m.tags[tag] {
					t.Fatalf("server %d: %s is %s, want %s", i, tag, got.Digest, m.tags[tag])
				}
			}
		}
		list, _, err := s.Tags(t.Context(), m.id, "", 10)
		if err != nil || !slices.Equal(list, want) {
			t.Fatalf("server %d: the tags are %q, %v, want %q", i, list, err, want)
		}
		for d := range m.images {
			if _, err := s.Manifest(t.Context(), m.id, images.Reference{Digest: d}); err != nil {
				t.Fatalf("server %d: %s: %v", i, d, err)
			}
		}
	}
}
