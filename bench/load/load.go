// Package load drives an HTTP/1.1 server with requests that were written out
// before the clock starts, in a closed loop: each connection sends its next
// request when the last one is answered. So little is done per request that most
// of the machine is left to the server.
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
	// maxRequests bounds a run on one connection, and with it the latencies that
	// are kept.
	maxRequests = 1 << 20
	// patience is how long a connection may go on after the run's time: for the
	// answer that is under way.
	patience = time.Minute
	// readBuffer is large enough that a body of many megabytes costs few reads.
	readBuffer = 64 << 10
	// excerpt bounds what an error shows of an answer.
	excerpt = 300
)

// A Plan is what to send, and for how long.
type Plan struct {
	// Address is the server's HOST:PORT.
	Address string
	// Requests are whole requests as they go over the wire, sent in turn. They
	// must be such that the server keeps the connection.
	Requests [][]byte
	// Connections is how many requests are under way at a time.
	Connections int
	// Duration is when the last request is sent. It is answered too.
	Duration time.Duration
	// Status is that of a good answer.
	Status int
}

// A Result is what a run came to.
type Result struct {
	Requests int
	Bytes    int64 // of the answers' bodies
	Elapsed  time.Duration
	P50, P99 time.Duration // from the request's first byte to the answer's last
}

// Run carries out the plan. The first answer that is not good ends it with an
// error: what a server does at that moment is not what was to be measured.
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
		// Whoever waits for an answer then stops waiting.
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
	if err := conn.SetDeadline(time.Now().Add(p.Duration + patience)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &worker{conn: conn, answers: bufio.NewReaderSize(conn, readBuffer), latencies: make([]time.Duration, 0, 1<<12)}, nil
}

// run sends every p.Connections-th request, beginning with the one given, so that
// no two connections send the same one at the same time.
func (w *worker) run(ctx context.Context, p *Plan, first int, end time.Time) error {
	for i := first; len(w.latencies) < maxRequests && ctx.Err() == nil; i += p.Connections {
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

// discard passes over a body. Where its length is known, it does not even copy
// the bytes out of the buffer.
func (w *worker) discard(answer *http.Response) (int64, error) {
	if answer.ContentLength < 0 {
		return io.Copy(io.Discard, answer.Body)
	}
	n, err := w.answers.Discard(int(answer.ContentLength))
	return int64(n), err
}
