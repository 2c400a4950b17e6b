package app

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// When a store does not answer, every request is refused with 503. The log has the first
// of a minute and a count. What known callers did is in the audit log all the same.
func TestRefusals_Unavailable(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	records, err := audit.Open(file, audit.Rotation{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	refusals := newRefusals(logger, records, time.Now)
	requests := &requestLog{audit: records, log: logger, metrics: newMetrics(), refusals: refusals, now: time.Now}
	handler := requests.wrap(new(atomic.Int64), answerAPI, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := audit.From(r.Context())
		e.Operation("ecr", "PutImage")
		if r.Header.Get("Authorization") != "" {
			e.Caller(&authn.Caller{Principal: &authn.Principal{Type: authn.User, Account: "000000000001", ARN: "arn:aws:iam::000000000001:user/known"}})
		}
		e.Failed("ServiceUnavailable", "the store does not answer")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	for i := range 500 {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if i%2 == 0 {
			r.Header.Set("Authorization", "known")
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	refusals.summarize()
	if err := records.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "msg=request"); n != refusalsInFull {
		t.Errorf("%d lines of 500 requests", n)
	}
	if !strings.Contains(log.String(), "level=ERROR msg=\"more requests were refused and not logged one by one\" source=\"\" status=503 error=ServiceUnavailable count=480") {
		t.Errorf("no summary in the log: %s", log.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(`"arn":"arn:aws:iam::000000000001:user/known"`)); n != 250 {
		t.Errorf("%d records of 250 requests of a known caller", n)
	}
	if !bytes.Contains(text, []byte(`"count":240`)) {
		t.Error("the records of the others are not summarized")
	}
}
