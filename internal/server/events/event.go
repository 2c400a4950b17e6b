package events

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// An Event says that something has changed.
type Event struct {
	// Source is the service, such as "aws.codeartifact".
	Source string
	// DetailType is the kind of event, such as "CodeArtifact Package Version State
	// Change".
	DetailType string
	// Account is the one whose event it is.
	Account string
	Region  string
	Time    time.Time
	// Resources are ARNs.
	Resources []string
	// Detail is what the service says about the change. It is sent as JSON.
	Detail any
	// Domain and Repository are what filters look at. Empty if the event has none.
	Domain, Repository string
}

// maxBody bounds an event as JSON, in bytes. It leaves room in the payload of a job.
const maxBody = 48 << 10

// An envelope is an event as it is sent (Amazon EventBridge User Guide, "AWS service
// event metadata").
type envelope struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     any      `json:"detail"`
}

func (e *Event) body(id string) ([]byte, error) {
	body, err := json.Marshal(envelope{
		"0", id, e.DetailType, e.Source, e.Account, e.Time.UTC().Format(time.RFC3339), e.Region,
		append([]string{}, e.Resources...), // not null
		e.Detail,
	})
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("it has %d bytes, and the limit is %d", len(body), maxBody)
	}
	if err != nil {
		return nil, fmt.Errorf("events: an event of %s: %w", e.Source, err)
	}
	return body, nil
}

// A stored is a row of event_outbox, or of event without its number.
type stored struct {
	id                                              string
	at                                              int64
	source, detailType, account, domain, repository string
	body                                            string
}

const storedColumns = `id, at, source, detail_type, account, domain, repository, body`

func (s *stored) fields() []any {
	return []any{&s.id, &s.at, &s.source, &s.detailType, &s.account, &s.domain, &s.repository, &s.body}
}

func (s *stored) values() []any {
	return []any{s.id, s.at, s.source, s.detailType, s.account, s.domain, s.repository, s.body}
}

func scanStored(r db.Row) (s stored, err error) {
	err = r.Scan(s.fields()...)
	return s, err
}

// ids makes the ids of events: UUIDs of version 7 (RFC 9562, section 5.7), whose text
// has the order in which one process has made them.
type ids struct{ last atomic.Int64 } // microseconds since 1970

func (i *ids) next(now time.Time) string {
	var micros int64
	for {
		last := i.last.Load()
		micros = max(now.UnixMicro(), last+1)
		if i.last.CompareAndSwap(last, micros) {
			break
		}
	}
	// The twelve bits after the milliseconds are their fraction, as section 6.2
	// allows: a microsecond is about four of its steps.
	milliseconds, fraction := micros/1000, micros%1000*4096/1000
	var b [16]byte
	rand.Read(b[8:]) // never fails
	for n := range 6 {
		b[n] = byte(milliseconds >> (8 * (5 - n)))
	}
	b[6], b[7] = 0x70|byte(fraction>>8), byte(fraction)
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	for n, at := range []int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		hex.Encode(s[at:], b[n:n+1])
	}
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
