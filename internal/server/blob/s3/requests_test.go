//go:build stores

package s3_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
)

// What a request costs is part of the design: the requests of usual uses are counted.
func TestStore_Requests(t *testing.T) {
	p, c := newProxy(t)
	s := blobtest.OpenS3(t, c)
	want := func(what, requests string) {
		t.Helper()
		if got := p.taken(); got != requests {
			t.Errorf("%s needs the requests %q, want %q", what, got, requests)
		}
	}
	mustPut(t, s, "small", noise(8, 8<<20))
	want("an object of one part", "PutObject")

	w, err := s.Create(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(8, 20_000)); err != nil {
		t.Fatal(err)
	}
	state, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want("suspending a few bytes", "")
	if w, err = s.Resume(t.Context(), "config", state); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("resuming and committing a few bytes", "HeadObject PutObject")

	o, err := s.Open(t.Context(), "small")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	want("opening", "HeadObject")
	if _, err := io.Copy(io.Discard, o); err != nil {
		t.Fatal(err)
	}
	want("reading", "GetObject")
	// As archive/zip reads a directory of 200 KiB: the end of it, then all of it.
	p4, size := make([]byte, 4<<10), o.Size()
	for _, off := range []int64{size - 1024, size - 65*1024} {
		if _, err := o.ReadAt(p4[:1024], off); err != nil {
			t.Fatal(err)
		}
	}
	for off := size - 200<<10; off < size; off += 4 << 10 {
		if _, err := o.ReadAt(p4, off); err != nil {
			t.Fatal(err)
		}
	}
	want("reading the directory of a zip file", "GetObject")
}

func TestMetrics_CountRequestsAndRetries(t *testing.T) {
	p, c := newProxy(t)
	p.harm = func(op string, n int) http.HandlerFunc {
		if op == "PutObject" && n == 1 {
			return answer(503, "SlowDown")
		}
		return nil
	}
	s := blobtest.OpenS3(t, c)
	mustPut(t, s, "object", []byte("x"))
	if _, err := s.Open(t.Context(), "none"); !errors.Is(err, blob.ErrNotFound) {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Metrics()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			got[key] += m.GetCounter().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"gatehouse_blob_s3_requests_total PutObject ok": 1, "gatehouse_blob_s3_requests_total HeadObject missing": 1,
		"gatehouse_blob_s3_requests_total ListObjectsV2 ok": 1, "gatehouse_blob_s3_retries_total": 1,
		"gatehouse_blob_missing_total": 1, "gatehouse_blob_written_bytes_total": 1,
	} {
		if got[key] != want {
			t.Errorf("%s = %v, want %v", key, got[key], want)
		}
	}
}
