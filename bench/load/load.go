// Package load drives an HTTP/1.1 server with requests that were written out
// before the clock starts, in a closed loop: each connection sends its next
// request when the last one is answered. The client does so little per request
// that the server has most of the machine.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// maxRequests bounds the requests on one connection, and so the number of
	// latencies in memory.
	maxRequests = 1 << 20
	// drainTimeout is how long a connection may wait after the run's duration for
	// the answer to its last request.
	drainTimeout = time.Minute
	// readBuffer is large, so that a body of many megabytes needs few reads.
	readBuffer = 64 << 10
	// excerpt bounds how many bytes of an answer an error shows.
	excerpt = 300
)

// A Plan says what to send and for how long.
type Plan struct {
	// Address is the server's HOST:PORT.
	Address string
	// Requests are complete requests as bytes on the wire, sent in turn. They must
	// not make the server close the connection.
	Requests [][]byte
	// Connections is the number of concurrent requests.
	Connections int
	// Duration is how long requests are sent. Run waits for the last answers.
	Duration time.Duration
	// Limit is how many requests each connection sends at most; 0 means no limit.
	Limit int
	// Status is the expected status of each answer.
	Status int
}

// A Result is the result of a run.
type Result struct {
	Requests int
	Bytes    int64 // of the answers' bodies
	Elapsed  time.Duration
	P50, P99 time.Duration // from the request's first byte to the answer's last
}

// Run carries out the plan. It fails at the first answer with another status,
// since the run then no longer measures what it should.
func Run(ctx context.Context, p Plan) (Result, error) {
	workers := make([]*worker, p.Connections)
	for i := range workers {
		w, err := dial(ctx, &p)
		if err != nil {
			return Result{}, err
		}
		defer w.conn.Close()
		workers[i] = w
	}
	start := time.Now()
	end := start.Add(p.Duration)
	g, ctx := errgroup.WithContext(ctx)
	for i, w := range workers {
		// Closing the connection ends a read that waits for an answer.
		stop := context.AfterFunc(ctx, func() { w.conn.Close() })
		defer stop()
		g.Go(func() error { return w.run(ctx, &p, i, end) })
	}
	err := g.Wait()
	return collect(workers, time.Since(start)), err
}

func collect(workers []*worker, elapsed time.Duration) Result {
	r := Result{Elapsed: elapsed}
	var all []time.Duration
	for _, w := range workers {
		r.Bytes += w.bytes
		all = append(all, w.latencies...)
	}
	slices.Sort(all)
	if r.Requests = len(all); r.Requests > 0 {
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r
}

// A worker is one connection.
type worker struct {
	conn      net.Conn
	answers   *bufio.Reader
	bytes     int64
	latencies []time.Duration
}

func dial(ctx context.Context, p *Plan) (*worker, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(p.Duration + drainTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &worker{conn: conn, answers: bufio.NewReaderSize(conn, readBuffer), latencies: make([]time.Duration, 0, 1<<12)}, nil
}

// run sends every p.Connections-th request, beginning with first, so that no two
// connections send the same request at the same time.
func (w *worker) run(ctx context.Context, p *Plan, first int, end time.Time) error {
	limit := maxRequests
	if p.Limit > 0 {
		limit = min(limit, p.Limit)
	}
	for i := first; len(w.latencies) < limit && ctx.Err() == nil; i += p.Connections {
		start := time.Now()
		if start.After(end) {
			return nil
		}
		if err := w.exchange(p.Requests[i%len(p.Requests)], p.Status); err != nil {
			return err
		}
		w.latencies = append(w.latencies, time.Since(start))
	}
	return ctx.Err()
}

func (w *worker) exchange(request []byte, status int) error {
	if _, err := w.conn.Write(request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(w.answers, nil)
	if err != nil {
		return err
	}
	if answer.StatusCode != status {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, excerpt))
		return fmt.Errorf("load: answered %s, want %d: %s", answer.Status, status, body)
	}
	if answer.Close {
		return errors.New("load: the server closes the connection")
	}
	n, err := w.discard(answer)
	w.bytes += n
	return err
}

// discard skips a body. If its length is known, no bytes are copied out of the
// buffer.
func (w *worker) discard(answer *http.Response) (int64, error) {
	if answer.ContentLength < 0 {
		return io.Copy(io.Discard, answer.Body)
	}
	n, err := w.answers.Discard(int(answer.ContentLength))
	return int64(n), err
}
