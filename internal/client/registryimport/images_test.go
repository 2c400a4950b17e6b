package registryimport_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gatehouse-registry/gatehouse/internal/client/imagecopy"
	"github.com/gatehouse-registry/gatehouse/internal/client/registryimport"
)

// A registryServer is one side. It refuses the request with the number stop, and those
// after it.
type registryServer struct {
	name.Registry
	requests, stop atomic.Int64
}

func newRegistry(t *testing.T) *registryServer {
	t.Helper()
	s := new(registryServer)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := s.requests.Add(1); s.stop.Load() > 0 && n >= s.stop.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	r, err := name.NewRegistry(strings.TrimPrefix(server.URL, "http://"), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	s.Registry = r
	return s
}

// push gives the registry an index of two images, and returns its digest.
func (s *registryServer) push(t *testing.T, reference string) string {
	t.Helper()
	index, err := random.Index(50, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(s.Name()+"/"+reference, name.Insecure)
	if err == nil {
		err = remote.WriteIndex(ref, index)
	}
	var d v1.Hash
	if err == nil {
		d, err = index.Digest()
	}
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// tagged is what the registry has under a tag.
func (s *registryServer) tagged(t *testing.T, reference string) string {
	t.Helper()
	ref, err := name.ParseReference(s.Name()+"/"+reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.Head(ref)
	if err != nil {
		return ""
	}
	return d.Digest.String()
}

func runImages(t *testing.T, from, to *registryServer, change func(*registryimport.Images)) *registryimport.Report {
	t.Helper()
	client, err := imagecopy.NewClient(remote.WithRetryBackoff(remote.Backoff{Duration: time.Millisecond, Steps: 2}))
	if err != nil {
		t.Fatal(err)
	}
	i := &registryimport.Images{
		From: registryimport.ImageSource{Client: client, Registry: from.Registry, Repositories: func(_ context.Context, visit func(string) error) error {
			for _, repository := range []string{"team/app", "team/tool", "other"} {
				if err := visit(repository); err != nil {
					return err
				}
			}
			return nil
		}},
		To: client, Registry: to.Registry, Prefix: "mirror/", Create: func(context.Context, string) error { return nil },
		RepositoryPrefix: "team/", Parallel: 2, Report: registryimport.NewReport(func(string, registryimport.State) {}),
	}
	if change != nil {
		change(i)
	}
	if err := i.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return i.Report
}

func TestImages(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	app, old, tool := from.push(t, "team/app:1.0"), from.push(t, "team/app:0.9"), from.push(t, "team/tool:1.0")
	from.push(t, "other:1.0")
	ours := to.push(t, "mirror/team/app:0.9")

	plan := runImages(t, from, to, func(i *registryimport.Images) { i.DryRun = true })
	if c := plan.Counts()["oci"]; c.Planned != 2 || c.Different != 1 || c.Bytes == 0 || to.tagged(t, "mirror/team/app:1.0") != "" {
		t.Errorf("%+v", c)
	}
	r := runImages(t, from, to, nil)
	if c := r.Counts()["oci"]; c.Imported != 2 || c.Different != 1 || r.Complete() {
		t.Errorf("%+v, %+v", c, r.Entries())
	}
	if to.tagged(t, "mirror/team/app:1.0") != app || to.tagged(t, "mirror/team/tool:1.0") != tool || to.tagged(t, "mirror/team/app:0.9") != ours || to.tagged(t, "mirror/other:1.0") != "" {
		t.Error("the destination has other images")
	}
	r = runImages(t, from, to, func(i *registryimport.Images) { i.Overwrite, i.Tag = true, "0.*" })
	if c := r.Counts()["oci"]; c.Imported != 1 || c.Held != 0 || to.tagged(t, "mirror/team/app:0.9") != old {
		t.Errorf("%+v", c)
	}
	if r = runImages(t, from, to, nil); r.Counts()["oci"] != (registryimport.Counts{Held: 3}) {
		t.Errorf("%+v", r.Counts())
	}
}

// Either side stops to answer, at every fourth request. The next run completes the import.
func TestImages_InterruptedAnywhere(t *testing.T) {
	for _, side := range []string{"source", "destination"} {
		for n := int64(1); ; n += 4 {
			from, to := newRegistry(t), newRegistry(t)
			app := from.push(t, "team/app:1.0")
			from.push(t, "team/tool:1.0")
			broken := map[string]*registryServer{"source": from, "destination": to}[side]
			broken.requests.Store(0)
			broken.stop.Store(n)
			r := runImages(t, from, to, nil)
			reached := broken.requests.Load() >= n
			broken.stop.Store(0)
			if !reached {
				if !r.Complete() {
					t.Errorf("%s %d: %+v", side, n, r.Entries())
				}
				break
			}
			if r = runImages(t, from, to, nil); !r.Complete() || to.tagged(t, "mirror/team/app:1.0") != app {
				t.Fatalf("%s %d: %+v", side, n, r.Entries())
			}
		}
	}
}
