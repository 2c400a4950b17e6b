package advisories

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// A Source is an address that advisories come from: a zip or a file of documents of OSV.
type Source struct {
	Name   string // in the configuration
	URL    string
	Client *egress.Upstream
}

// A SourceState says how a source is.
type SourceState struct {
	Name, URL string
	// Runs is how often it was asked.
	Runs int64
	// Checked is when it answered last, and Changed when its answer was not the one before.
	// Both are zero if it never did.
	Checked, Changed time.Time
	// Failed is when it failed last, if it has not answered since, and Failure is why. What
	// was known before is kept.
	Failed  time.Time
	Failure string
	// Last is what became of the documents of the last answer that was read. Refused is how
	// many of them cannot be read.
	Last    ImportResult
	Refused int

	parser             int
	etag, lastModified string
}

// The kinds of work: one puts a job for each source into the queue, the other runs it.
const (
	kindSchedule = "advisories/schedule"
	kindFetch    = "advisories/fetch"
)

// maxFailure bounds the text of a failure, in bytes.
const maxFailure = 1000

// Work returns the work that asks the sources. On several servers, each job runs on one.
func (s *Service) Work() []work.Kind {
	if s.config.Every == 0 {
		return nil
	}
	return []work.Kind{
		{Name: kindSchedule, Every: s.config.Every, Run: func(ctx context.Context, _ work.Run) error { return s.enqueue(ctx) }},
		{Name: kindFetch, Timeout: 2 * time.Hour, Run: func(ctx context.Context, r work.Run) error { return s.fetch(ctx, r.Key) }},
	}
}

// Refresh asks all sources now, in the background, and returns what is known of them
// before. Fault ResourceNotFound: there are none. gatehouse:RefreshAdvisories on
// advisory/*.
func (s *Service) Refresh(ctx context.Context) ([]SourceState, error) {
	if err := s.operators.Authorize(ctx, "RefreshAdvisories", resource); err != nil {
		return nil, err
	}
	if len(s.config.Sources) == 0 {
		return nil, fault.New(fault.NotFound, "ResourceNotFound", "The configuration of the server names no addresses of advisories: set advisories.sources, or import a file.")
	}
	before, err := s.states(ctx)
	if err != nil {
		return nil, err
	}
	return before, s.enqueue(ctx)
}

// Sources returns the state of the sources of the configuration, in its order.
// gatehouse:ListAdvisorySources on advisory/*.
func (s *Service) Sources(ctx context.Context) ([]SourceState, error) {
	if err := s.operators.Authorize(ctx, "ListAdvisorySources", resource); err != nil {
		return nil, err
	}
	return s.states(ctx)
}

func (s *Service) states(ctx context.Context) ([]SourceState, error) {
	out := []SourceState{}
	for i := range s.config.Sources {
		state, err := s.state(ctx, &s.config.Sources[i])
		if err != nil {
			return nil, err
		}
		out = append(out, state)
	}
	return out, nil
}

// enqueue puts a job for each source into the queue.
func (s *Service) enqueue(ctx context.Context) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		for _, source := range s.config.Sources {
			if err := s.config.Work.Enqueue(ctx, tx, work.Job{Kind: kindFetch, Key: source.Name}); err != nil {
				return err
			}
		}
		return nil
	})
}

// fetch asks a source and stores what is new. What becomes of it is in the state of the
// source; an error makes the queue try again.
func (s *Service) fetch(ctx context.Context, name string) error {
	var source *Source
	for i := range s.config.Sources {
		if s.config.Sources[i].Name == name {
			source = &s.config.Sources[i]
		}
	}
	if source == nil {
		s.config.Log.WarnContext(ctx, "advisories are not fetched: the configuration of this server does not have the source", "source", name)
		return nil
	}
	state, err := s.state(ctx, source)
	if err != nil {
		return err
	}
	state.Runs++
	err = s.ask(ctx, source, &state)
	if ctx.Err() != nil {
		return context.Cause(ctx) // the server stops; the job is put back
	}
	result := "ok"
	if err != nil {
		result = "failed"
		state.Failed, state.Failure = s.now(), truncate.String(strings.ToValidUTF8(err.Error(), "?"), maxFailure)
	}
	s.metrics.refreshes.WithLabelValues(name, result).Inc()
	return errors.Join(err, s.save(ctx, &state))
}

// ask asks a source, and changes its state if it answers.
func (s *Service) ask(ctx context.Context, source *Source, state *SourceState) error {
	header := http.Header{}
	if state.etag != "" {
		header.Set("If-None-Match", state.etag)
	}
	if state.lastModified != "" {
		header.Set("If-Modified-Since", state.lastModified)
	}
	res, err := source.Client.Do(ctx, egress.Request{URL: source.URL, Header: header, MaxBytes: MaxSource, Compressed: true})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.Status != http.StatusNotModified {
		if err := s.take(ctx, res, state); err != nil {
			return fmt.Errorf("source %s: %w", source.Name, err)
		}
		state.Changed, state.parser = s.now(), parserRevision
		state.etag, state.lastModified = validator(res.Header, "ETag"), validator(res.Header, "Last-Modified")
		if err := s.recordRefresh(ctx, state); err != nil {
			return err
		}
	}
	state.Checked, state.Failed, state.Failure = s.now(), time.Time{}, ""
	s.metrics.checked.WithLabelValues(source.Name).Set(float64(state.Checked.Unix()))
	return nil
}

// validator returns a header of the answer, unless it is one that no server sends.
func validator(h http.Header, name string) string {
	if v := h.Get(name); validText(v) {
		return v
	}
	return ""
}

// take stores the documents of an answer.
func (s *Service) take(ctx context.Context, res *egress.Response, state *SourceState) error {
	f, size, err := spool(s.config.SpoolDir, res.Body)
	if err != nil {
		return err
	}
	defer f.Close()
	total := SourceState{}
	var batch [][]byte
	bytes := 0
	refuse := func(reason string) {
		if total.Refused++; total.Refused <= 10 {
			s.config.Log.WarnContext(ctx, "an advisory is refused", "source", state.Name, "reason", reason)
		}
	}
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		result, err := s.store(ctx, batch)
		total.Last.Imported += result.Imported
		total.Last.Unchanged += result.Unchanged
		total.Last.Withdrawn += result.Withdrawn
		total.Last.Ignored += result.Ignored
		for _, reason := range result.Refused {
			refuse(reason)
		}
		batch, bytes = nil, 0
		return err
	}
	add := func(text []byte) error {
		batch, bytes = append(batch, text), bytes+len(text)
		if len(batch) < batchDocuments && bytes < batchBytes {
			return nil
		}
		return flush()
	}
	err = eachDocument(ctx, f, size, add, refuse)
	// What was read is stored, also if the rest cannot be read: it is as good as what an
	// answer with fewer documents has.
	if err := errors.Join(err, flush()); err != nil {
		return err
	}
	if read := total.Last; read.Imported+read.Unchanged+read.Withdrawn+read.Ignored == 0 {
		return errors.New("it has no document of OSV: check the address")
	}
	state.Last, state.Refused = total.Last, total.Refused
	return nil
}

// recordRefresh writes the audit record of a refresh that changed something.
func (s *Service) recordRefresh(ctx context.Context, state *SourceState) error {
	if s.config.Audit == nil || state.Last.Imported+state.Last.Withdrawn == 0 {
		return nil
	}
	return s.config.Audit(ctx, "RefreshAdvisories", "", map[string]any{
		"source": state.Name, "imported": state.Last.Imported, "withdrawn": state.Last.Withdrawn, "refused": state.Refused,
	})
}

// state reads the state of a source. Validators of another address, or of a release that
// read less of the documents, are left out.
func (s *Service) state(ctx context.Context, source *Source) (SourceState, error) {
	found, err := db.All(ctx, s.db, func(r db.Row) (st SourceState, err error) {
		var checked, changed, failed int64
		var result string
		if err := r.Scan(&st.URL, &st.parser, &st.etag, &st.lastModified, &st.Runs, &checked, &changed, &failed, &st.Failure, &result); err != nil {
			return st, err
		}
		st.Checked, st.Changed, st.Failed = timeOf(checked), timeOf(changed), timeOf(failed)
		var last storedResult
		err = json.Unmarshal([]byte(result), &last)
		st.Last, st.Refused = last.ImportResult, last.Refused
		return st, err
	}, `SELECT url, parser, etag, last_modified, runs, checked, changed, failed, failure, result FROM advisory_source WHERE name = $1`, source.Name)
	if err != nil {
		return SourceState{}, err
	}
	state := SourceState{}
	if len(found) > 0 {
		state = found[0]
	}
	if state.URL != source.URL || state.parser != parserRevision {
		state.etag, state.lastModified = "", ""
	}
	state.Name, state.URL = source.Name, source.URL
	return state, nil
}

// A storedResult is what the database keeps of the last answer.
type storedResult struct {
	ImportResult
	Refused int
}

func (s *Service) save(ctx context.Context, state *SourceState) error {
	result, err := json.Marshal(storedResult{state.Last, state.Refused})
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO advisory_source (name, url, parser, etag, last_modified, runs, checked, changed, failed, failure, result)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (name) DO UPDATE SET url = excluded.url, parser = excluded.parser, etag = excluded.etag, last_modified = excluded.last_modified, runs = excluded.runs,
				checked = excluded.checked, changed = excluded.changed, failed = excluded.failed, failure = excluded.failure, result = excluded.result`,
			state.Name, state.URL, state.parser, state.etag, state.lastModified, state.Runs, micros(state.Checked), micros(state.Changed), micros(state.Failed), state.Failure, string(result))
		return err
	})
}

// timeOf is the time of a column; zero if there is none.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

// metrics are those of the advisories.
type metrics struct {
	known     prometheus.GaugeFunc
	refreshes *prometheus.CounterVec
	checked   *prometheus.GaugeVec
}

func newMetrics(s *Service) *metrics {
	return &metrics{
		known: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_advisories", Help: "Advisories that are known.",
		}, func() float64 { return float64(s.index.Load().byID.Len()) }),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_advisories_refreshes_total", Help: "How often this server asked a source of advisories, by result.",
		}, []string{"source", "result"}),
		checked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_advisories_checked_timestamp_seconds", Help: "When a source of advisories last answered this server.",
		}, []string{"source"}),
	}
}

// Metrics returns the metrics, for one registration.
func (s *Service) Metrics() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.known, s.metrics.refreshes, s.metrics.checked}
}
