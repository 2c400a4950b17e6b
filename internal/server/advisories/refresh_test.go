package advisories_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/deflatetest"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A site is a server that gets advisories from a stand-in upstream.
type site struct {
	*advisories.Service
	t        *testing.T
	db       *db.DB
	upstream *upstreamtest.Server
	work     *work.Queue
	now      time.Time
	audited  []string

	// answer is what the upstream has, with its ETag; not modified if that is sent.
	answer []byte
	etag   string
	status int
	whole  atomic.Int64 // answers with a body
}

func newSite(t *testing.T, o operator) *site {
	s := &site{t: t, db: dbtest.Open(t), upstream: upstreamtest.New(t), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s.upstream.Handle("/all.zip", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.status != 0:
			http.Error(w, "broken", s.status)
		case s.etag != "" && r.Header.Get("If-None-Match") == s.etag:
			w.WriteHeader(http.StatusNotModified)
		default:
			s.whole.Add(1)
			w.Header().Set("ETag", s.etag)
			_, _ = w.Write(s.answer)
		}
	})
	s.Service, s.work = s.server(o)
	return s
}

// server opens one more server on the database.
func (s *site) server(o operator) (*advisories.Service, *work.Queue) {
	s.t.Helper()
	now := func() time.Time { return s.now }
	queue, err := work.New(s.t.Context(), work.Config{DB: s.db, Now: now, Log: slog.New(slog.DiscardHandler), Server: "one"})
	if err != nil {
		s.t.Fatal(err)
	}
	service, err := advisories.New(s.t.Context(), advisories.Config{
		DB: s.db, Operators: o, Now: now, Work: queue, Every: time.Hour, SpoolDir: s.t.TempDir(),
		Sources: []advisories.Source{{Name: "npm", URL: s.upstream.URL + "/all.zip", Client: s.upstream.Upstream(s.t, "advisories/npm")}},
		Audit: func(_ context.Context, event, _ string, params map[string]any) error {
			s.audited = append(s.audited, fmt.Sprint(event, " ", params["source"], " ", params["imported"], " ", params["withdrawn"]))
			return nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := queue.Handle(service.Work()...); err != nil {
		s.t.Fatal(err)
	}
	return service, queue
}

// refresh asks the upstream now, and returns the state of the source.
func (s *site) refresh() advisories.SourceState {
	s.t.Helper()
	if _, err := s.Refresh(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return s.run()
}

// run runs what is due.
func (s *site) run() advisories.SourceState {
	s.t.Helper()
	if err := s.work.RunDue(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	states, err := s.Sources(s.t.Context())
	if err != nil || len(states) != 1 {
		s.t.Fatal(states, err)
	}
	return states[0]
}

func (s *site) known() string {
	var ids []string
	for _, a := range s.About(packages.PackageID{Format: packages.NPM, Name: "left"}) {
		ids = append(ids, a.ID)
	}
	return strings.Join(ids, " ")
}

func advisory(id string, more ...string) string {
	return `{"id":"` + id + `","modified":"2026-01-02T00:00:00Z",` + strings.Join(more, "") + `"affected":[{"package":{"ecosystem":"npm","name":"left"},"versions":["1.0.0"]}]}`
}

func zipped(t *testing.T, documents ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, deflatetest.NewWriter)
	for i, text := range documents {
		w, err := z.Create(fmt.Sprintf("%d.json", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRefresh(t *testing.T) {
	s := newSite(t, operator{})
	s.answer, s.etag = zipped(t, advisory("A-1"), advisory("A-2"), "x", `{"id":"G-1"}`), `"1"`
	// A server that has just started asks at once.
	state := s.run()
	if s.known() != "A-1 A-2" || state.Runs != 1 || state.Last.Imported != 2 || state.Last.Ignored != 1 || state.Refused != 1 || !state.Checked.Equal(s.now) || !state.Changed.Equal(s.now) || state.Failure != "" {
		t.Fatalf("%q, %+v", s.known(), state)
	}
	if len(s.audited) != 1 || s.audited[0] != "RefreshAdvisories npm 2 0" {
		t.Error(s.audited)
	}
	// It asks again after an hour, with the validator: nothing is sent.
	first := s.now
	s.now = first.Add(59 * time.Minute)
	if state := s.run(); state.Runs != 1 {
		t.Errorf("%+v", state)
	}
	s.now = first.Add(time.Hour)
	if state := s.run(); state.Runs != 2 || !state.Checked.Equal(s.now) || !state.Changed.Equal(first) || s.whole.Load() != 1 || len(s.audited) != 1 {
		t.Errorf("%+v, %d whole answers", state, s.whole.Load())
	}
	// What is new is stored, what was withdrawn is removed.
	s.answer, s.etag = zipped(t, advisory("A-1", `"withdrawn":"2026-01-03T00:00:00Z",`), advisory("A-2"), advisory("A-3")), `"2"`
	if state := s.refresh(); s.known() != "A-2 A-3" || state.Last.Imported != 1 || state.Last.Withdrawn != 1 || state.Last.Unchanged != 1 || state.Refused != 0 {
		t.Errorf("%q, %+v", s.known(), state)
	}
}

// A failure keeps what is known, is shown, and is tried again.
func TestRefresh_Failures(t *testing.T) {
	s := newSite(t, operator{})
	s.answer, s.etag = zipped(t, advisory("A-1")), `"1"`
	s.run()
	large := `{"id":"B","details":"` + strings.Repeat("x", advisories.MaxDocument) + `"}`
	for name, c := range map[string]struct {
		answer []byte
		status int
		want   string // in the failure
	}{
		"status":               {nil, http.StatusForbidden, "403"},
		"web page":             {[]byte("<html>log in</html>"), 0, "neither a zip nor JSON"},
		"empty":                {[]byte(" "), 0, "empty"},
		"cut zip":              {zipped(t, advisory("A-9"))[:60], 0, "zip"},
		"cut JSON":             {[]byte(`{"id":"A`), 0, "JSON"},
		"cut list":             {[]byte(`[{"id":"A"}`), 0, "JSON"},
		"no OSV":               {[]byte(`{"a":1}`), 0, "no document of OSV"},
		"zip of nothing":       {zipped(t), 0, "no document of OSV"},
		"large in JSON":        {[]byte(large), 0, "more than"},
		"large without an end": {[]byte(large[:len(large)-2]), 0, "more than"},
	} {
		s.answer, s.etag, s.status = c.answer, `"`+name+`"`, c.status
		before := s.refreshed()
		state := s.refresh()
		if !strings.Contains(state.Failure, c.want) || !state.Failed.Equal(s.now) || state.Runs == before || s.known() != "A-1" {
			t.Errorf("%s: %+v, known is %q", name, state, s.known())
		}
		s.now = s.now.Add(time.Minute)
	}
	// It is not an answer for which validators are kept.
	s.answer, s.etag, s.status = zipped(t, advisory("A-2")), `"1"`, 0
	s.now = s.now.Add(2 * time.Hour)
	if state := s.run(); state.Failure != "" || !state.Failed.IsZero() || s.known() != "A-1" {
		t.Errorf("%+v, known is %q", state, s.known())
	}
}

func (s *site) refreshed() int64 {
	states, err := s.Sources(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return states[0].Runs
}

// One zip of few bytes cannot take much memory or time.
func TestRefresh_Bomb(t *testing.T) {
	s := newSite(t, operator{})
	s.answer = zipped(t, strings.Repeat(" ", 64<<20), advisory("A-1"))
	if state := s.run(); state.Failure != "" || state.Refused != 1 || s.known() != "A-1" {
		t.Errorf("%+v, known is %q", state, s.known())
	}
}

func TestRefresh_Forms(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"one":   {advisory("A-1"), "A-1"},
		"lines": {advisory("A-1") + "\n" + advisory("A-2") + "\n\n", "A-1 A-2"},
		"list":  {" [" + advisory("A-1") + ",\n" + advisory("A-2") + "]", "A-1 A-2"},
	} {
		s := newSite(t, operator{})
		s.answer = []byte(c.answer)
		if state := s.run(); s.known() != c.want || state.Failure != "" {
			t.Errorf("%s: %+v, known is %q", name, state, s.known())
		}
	}
}

// More documents than one transaction takes.
func TestRefresh_Many(t *testing.T) {
	s := newSite(t, operator{})
	var all []string
	for i := range 1203 {
		all = append(all, advisory(fmt.Sprintf("A-%04d", i)))
	}
	s.answer = []byte(strings.Join(all, "\n"))
	if state := s.run(); state.Last.Imported != len(all) || len(strings.Fields(s.known())) != len(all) {
		t.Errorf("%+v", state)
	}
	if state := s.refresh(); state.Last.Unchanged != len(all) || state.Last.Imported != 0 {
		t.Errorf("%+v", state)
	}
}

// Of two servers, one asks.
func TestRefresh_Servers(t *testing.T) {
	s := newSite(t, operator{})
	s.answer = zipped(t, advisory("A-1"))
	_, other := s.server(operator{})
	for _, queue := range []*work.Queue{other, s.work, other} {
		if err := queue.RunDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.upstream.Count("/all.zip"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestRefresh_Authorization(t *testing.T) {
	s := newSite(t, operator{"*"})
	_, refreshing := s.Refresh(t.Context())
	_, listing := s.Sources(t.Context())
	for _, err := range []error{refreshing, listing} {
		if !fault.Is(err, "AccessDenied") {
			t.Error(err)
		}
	}
	if _, err := open(t, s.db, operator{}).Refresh(t.Context()); !fault.Is(err, "ResourceNotFound") || !strings.Contains(err.Error(), "advisories.sources") {
		t.Error(err)
	}
}

// What a release that understood less has stored is stored again, although it is not newer.
func TestRefresh_AfterAnUpgrade(t *testing.T) {
	s := newSite(t, operator{})
	s.answer, s.etag = zipped(t, advisory("A-1", `"database_specific":{"severity":"HIGH"},`)), `"1"`
	s.run()
	err := s.db.Tx(t.Context(), func(tx *db.Tx) error {
		body, err := db.One(t.Context(), tx, db.Scalar[[]byte], `SELECT body FROM advisory`)
		if err != nil {
			return err
		}
		older := strings.NewReplacer(`"Parser":2`, `"Parser":0`, `"Severity":3`, `"Severity":0`).Replace(string(body))
		if _, err := tx.Exec(t.Context(), `UPDATE advisory SET parser = 0, body = $1`, []byte(older)); err != nil {
			return err
		}
		_, err = tx.Exec(t.Context(), `UPDATE advisory_source SET parser = 0`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	severity := func() string {
		return s.About(packages.PackageID{Format: packages.NPM, Name: "left"})[0].Severity.String()
	}
	s.Service, s.work = s.server(operator{})
	if severity() != "" {
		t.Fatal(severity())
	}
	if state := s.refresh(); severity() != "high" || state.Last.Imported != 1 || s.whole.Load() != 2 {
		t.Errorf("%q, %+v", severity(), state)
	}
	if state := s.refresh(); s.whole.Load() != 2 || state.Failure != "" {
		t.Errorf("%+v, %d whole answers", state, s.whole.Load())
	}
}
