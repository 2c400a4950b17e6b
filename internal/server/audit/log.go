package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/redact"
	"github.com/gatehouse-registry/gatehouse/internal/server/asynclog"
)

// A Log is where records go: one JSON object a line, in a file of mode 0600 or on
// standard output.
//
// If the file cannot be written, the log tries again until it can. Meanwhile
// [Log.Failing] returns the reason, [Log.CheckWritable] refuses changes, and the
// records of what goes on wait in memory. What does not fit is counted, and a
// record says so as soon as there is room.
type Log struct {
	lines   *asynclog.Writer
	file    io.Closer
	now     func() time.Time
	lost    atomic.Int64 // records since the last one that was accepted
	dropped prometheus.Counter
	refused prometheus.Counter
}

// Open opens the log at path and appends to it; "-" is standard output. now is the
// clock by which the file is rotated.
func Open(path string, rotation Rotation, now func() time.Time) (*Log, error) {
	l := &Log{now: now, file: io.NopCloser(nil)}
	l.dropped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gatehouse_audit_dropped_records_total", Help: "Audit records lost because the log could not be written for too long.",
	})
	l.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gatehouse_audit_refused_calls_total", Help: "Calls refused because the audit log could not be written.",
	})
	if path == "-" {
		l.lines = asynclog.New(os.Stdout)
		return l, nil
	}
	f, torn, err := openFile(path, rotation, now)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	l.lines, l.file = asynclog.New(f), f
	if torn != "" {
		err = l.Write(ServiceEvent("gatehouse", "IncompleteAuditRecord", "", map[string]any{"text": torn}, now()))
	}
	return l, err
}

// Write adds a record. It waits if the disk is slow, and not if it fails. An error
// means that this record is lost.
func (l *Log) Write(r *Record) error {
	if lost := l.lost.Load(); lost > 0 && l.Failing() == nil && l.lost.CompareAndSwap(lost, 0) {
		event := ServiceEvent("gatehouse", "AuditRecordsLost", "", map[string]any{"records": lost}, l.now())
		if err := l.queue(event); err != nil {
			l.lost.Add(lost)
		}
	}
	err := l.queue(r)
	if err != nil {
		l.lost.Add(1)
		l.dropped.Inc()
	}
	return err
}

func (l *Log) queue(r *Record) error {
	b := lineBuffers.Get().(*[]byte)
	defer lineBuffers.Put(b)
	text, err := line((*b)[:0], r)
	if err != nil {
		return fmt.Errorf("audit record: %w", err)
	}
	*b = text
	_, err = l.lines.Write(redact.Tokens(text))
	return err
}

// Failing returns why records cannot be written at the moment, or nil.
func (l *Log) Failing() error { return l.lines.Err() }

// CheckWritable returns a fault of kind Unavailable if the action changes something
// and its record could not be written. action is IAM's, such as ecr:PutImage.
func (l *Log) CheckWritable(action string) error {
	err := l.Failing()
	if err == nil {
		return nil
	}
	if _, operation, _ := strings.Cut(action, ":"); readOnly(operation) {
		return nil
	}
	l.refused.Inc()
	return fault.Wrap(err, fault.Unavailable, "AuditLogUnavailable", "The server cannot write its audit log, and refuses changes until it can. Reading still works. Ask the server's administrator, then try again.")
}

// Flush waits until every record is at the operating system, or cannot be written,
// and returns the reason.
func (l *Log) Flush() error { return l.lines.Flush() }

// Metrics returns the log's metrics, for one registration.
func (l *Log) Metrics() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gatehouse_audit_" + name, Help: help}, value)
	}
	return []prometheus.Collector{
		l.dropped, l.refused,
		gauge("queued_bytes", "Bytes of audit records that are not written yet.", func() float64 {
			n, _ := l.lines.Lag()
			return float64(n)
		}),
		gauge("lag_seconds", "Age of the oldest audit record that is not written yet.", func() float64 {
			_, oldest := l.lines.Lag()
			return oldest.Seconds()
		}),
		gauge("failing", "1 while audit records cannot be written.", func() float64 {
			if l.Failing() != nil {
				return 1
			}
			return 0
		}),
	}
}

// lineBuffers are for lines until they are queued.
var lineBuffers = sync.Pool{New: func() any { return new([]byte) }}

// line appends a record and the end of its line.
func line(b []byte, r *Record) ([]byte, error) {
	b, err := r.appendJSON(b)
	if err != nil {
		return nil, err
	}
	b[len(b)-1] = '\n' // instead of the comma after the record
	return b, nil
}

// Close writes what is queued and closes the file.
func (l *Log) Close() error { return errors.Join(l.lines.Close(), l.file.Close()) }

// endsLine reports whether p ends with a whole line.
func endsLine(p []byte) bool { return bytes.HasSuffix(p, []byte("\n")) }
