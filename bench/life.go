package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"path/filepath"
	"time"
)

// settling is how long a server is left alone before its memory is read.
const settling = 500 * time.Millisecond

// lifeJobs are what the process itself costs: on a new data folder, which it has
// to make first, and on the one that the other jobs have filled. The yardstick
// is a Go program with an HTTP server in it and nothing else.
func (b *testbed) lifeJobs() []job {
	yardstickLife := life{start: b.startYardstick, path: "/hello", status: http.StatusOK}
	afresh := life{start: b.startNew, path: "/v2/", status: http.StatusUnauthorized}
	again := life{start: func(ctx context.Context) (*process, error) { return b.startGatehouse(ctx, b.data) }, path: afresh.path, status: afresh.status}
	var jobs []job
	for _, what := range []struct {
		name    string
		unit    unit
		measure func(life) measure
	}{
		{"start to first answer", seconds, func(l life) measure { return l.timeToAnswer }},
		{"idle memory", size, func(l life) measure { return l.idleMemory }},
	} {
		yardsticks := []yardstick{{"bare Go server", what.measure(yardstickLife)}}
		jobs = append(jobs,
			job{what.name + ", new", what.unit, func(context.Context) (*contest, error) {
				return &contest{what.measure(afresh), yardsticks}, nil
			}},
			job{what.name + ", filled", what.unit, func(ctx context.Context) (*contest, error) {
				return &contest{what.measure(again), yardsticks}, b.fillAndStop(ctx)
			}})
	}
	return jobs
}

// fillAndStop ends the server that the other jobs used, so that another can be
// started on its data.
func (b *testbed) fillAndStop(ctx context.Context) error {
	if b.gatehouse == nil {
		return nil
	}
	_, images := b.images(ctx)
	_, tags := b.tags(ctx)
	_, npm := b.npm(ctx)
	if err := errors.Join(images, tags, npm); err != nil {
		return err
	}
	running := b.gatehouse
	b.gatehouse = nil
	return running.stop()
}

func (b *testbed) startNew(ctx context.Context) (*process, error) {
	return b.startGatehouse(ctx, filepath.Join(b.dir, "new-"+rand.Text()))
}

// A life is that of a server from its start to its stop.
type life struct {
	start  func(context.Context) (*process, error)
	path   string // the first request
	status int    // of its answer
}

// timeToAnswer is the measure from the start of the process to the answer of the
// first request.
func (l life) timeToAnswer(ctx context.Context) (sample, error) {
	begin := time.Now()
	var taken time.Duration
	err := l.live(ctx, func(*process) error {
		taken = time.Since(begin)
		return nil
	})
	return sample{Value: taken.Seconds()}, err
}

// idleMemory is the measure of the resident memory after the first answer.
func (l life) idleMemory(ctx context.Context) (sample, error) {
	var resident int64
	err := l.live(ctx, func(p *process) error {
		select {
		case <-time.After(settling):
		case <-ctx.Done():
			return ctx.Err()
		}
		var err error
		resident, err = p.memory()
		return err
	})
	return sample{Value: float64(resident)}, err
}

// live calls look after the first answer.
func (l life) live(ctx context.Context, look func(*process) error) (err error) {
	p, err := l.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	client := newClient()
	defer client.CloseIdleConnections()
	r, err := newGet(ctx, p.url+l.path, nil)
	if err != nil {
		return err
	}
	if _, err := send(client, r, l.status); err != nil {
		return err
	}
	return look(p)
}
