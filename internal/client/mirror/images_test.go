package mirror_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/gatehouse-registry/gatehouse/internal/client/mirror"
)

// images are a registry that has the images of a list, and one that they are copied to.
type images struct {
	t        *testing.T
	from, to string
	mirror.Images
}

func newImages(t *testing.T) *images {
	t.Helper()
	host := func() string {
		s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	i := &images{t: t, from: host(), to: host()}
	r, err := name.NewRegistry(i.to, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	i.Images = mirror.Images{
		Registry: r, Auth: authn.Anonymous, Sources: authn.NewMultiKeychain(), Transport: http.DefaultTransport, Parallel: 2,
		Create: func(context.Context, string) error { return nil }, Progress: func() {},
	}
	return i
}

// push gives a registry an image, and returns its digest.
func (i *images) push(reference string) string {
	i.t.Helper()
	image, err := random.Image(100, 1)
	if err != nil {
		i.t.Fatal(err)
	}
	ref, err := name.ParseReference(reference, name.Insecure)
	if err == nil {
		err = remote.Write(ref, image)
	}
	var d v1.Hash
	if err == nil {
		d, err = image.Digest()
	}
	if err != nil {
		i.t.Fatal(err)
	}
	return d.String()
}

// tagged is what the registry has under a tag.
func (i *images) tagged(reference string) string {
	i.t.Helper()
	ref, err := name.ParseReference(i.to+"/"+reference, name.Insecure)
	if err != nil {
		i.t.Fatal(err)
	}
	d, err := remote.Head(ref)
	if err != nil {
		return ""
	}
	return d.Digest.String()
}

// sync copies the images of a list, and returns the plan with the states.
func (i *images) sync(list string) *mirror.Plan {
	i.t.Helper()
	path := filepath.Join(i.t.TempDir(), "images.txt")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(list, "FROM", i.from)), 0o600); err != nil {
		i.t.Fatal(err)
	}
	p := new(mirror.Plan)
	if err := p.Add(path); err != nil {
		i.t.Fatal(err)
	}
	if err := i.Sync(i.t.Context(), p); err != nil {
		i.t.Fatal(err)
	}
	return p
}

func TestImagesSync_TakenTag(t *testing.T) {
	i := newImages(t)
	source, ours := i.push(i.from+"/app:1.0"), i.push(i.to+"/app:1.0")
	p := i.sync("FROM/app:1.0\n")
	if got := p.Images[0]; got.State != mirror.Different || !strings.Contains(got.Message, "not overwritten") || i.tagged("app:1.0") != ours {
		t.Errorf("%+v; the tag is %s", got, i.tagged("app:1.0"))
	}
	i.Overwrite = true
	p = i.sync("FROM/app:1.0\n")
	if got := p.Images[0]; got.State != mirror.Fetched || i.tagged("app:1.0") != source {
		t.Errorf("%+v; the tag is %s", got, i.tagged("app:1.0"))
	}
	if p = i.sync("FROM/app:1.0\n"); p.Images[0].State != mirror.Held {
		t.Errorf("%+v", p.Images[0])
	}
}

// Two images with one name for their copies are refused, whichever would come last.
func TestImagesSync_EqualTargets(t *testing.T) {
	i := newImages(t)
	i.push(i.from + "/one/app:1.0")
	i.push(i.from + "/two/app:1.0")
	third := i.push(i.from + "/three:1.0")
	p := i.sync("FROM/one/app:1.0 app:1.0\nFROM/two/app:1.0 app:1.0\nFROM/three:1.0\nFROM/three:1.0\n")
	for n, want := range []mirror.State{mirror.Failed, mirror.Failed, mirror.Fetched, mirror.Fetched} {
		got := p.Images[n]
		if n > 1 && got.State == mirror.Held && p.Images[5-n].State == mirror.Fetched {
			continue // the other line was first: they run side by side
		}
		if got.State != want || want == mirror.Failed && !strings.Contains(got.Message, "give one of them another name") {
			t.Errorf("%+v", got)
		}
	}
	if i.tagged("app:1.0") != "" || i.tagged("three:1.0") != third {
		t.Errorf("app is %s, three is %s", i.tagged("app:1.0"), i.tagged("three:1.0"))
	}
}
