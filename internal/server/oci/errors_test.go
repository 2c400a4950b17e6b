package oci_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// An internal error is in the log. The client only learns that there was one.
func TestWriteError_Internal(t *testing.T) {
	r := newRegistry(t)
	r.create(t, account, "app", images.Settings{})
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	m := r.client(t, "admin").in("app").do("GET", "tags/list", nil).fails(500, "UNSUPPORTED")
	if logged := r.log.take(); !strings.Contains(logged, "closed") || strings.Contains(m, "closed") {
		t.Errorf("message %q, log %q", m, logged)
	}
	if rec := r.trail.last(); rec.ErrorCode != "InternalError" {
		t.Errorf("record %+v", rec)
	}
}

// A client that leaves is not an internal error.
func TestWriteError_Cancelled(t *testing.T) {
	r := newRegistry(t)
	r.create(t, account, "app", images.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for path, want := range map[string]int{
		"/v2/app/blobs/uploads/00000000-0000-0000-0000-000000000000": 499,
		// A client that only closed its sending side gets its answer.
		"/v2/app/tags/list": 200,
	} {
		req := httptest.NewRequestWithContext(ctx, "GET", path, nil)
		req.SetBasicAuth("AWS", account+"/admin")
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		if rec := r.trail.last(); want == 499 && rec.ErrorCode != "RequestCancelled" {
			t.Errorf("record %+v", rec)
		}
	}
}
