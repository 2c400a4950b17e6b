package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

// idleDelay is how long a server is idle before its memory is read.
const idleDelay = 500 * time.Millisecond

// startupJobs measure start-up time and idle memory: on a new data folder, which
// the server must create first, and on the one that the other jobs have filled.
// The baseline is a Go program with an HTTP server and nothing else.
func (b *testbed) startupJobs() []job {
	baselineTarget := startupTarget{start: b.startBaseline, path: "/hello", status: http.StatusOK}
	newFolder := startupTarget{start: b.startNew, path: "/v2/", status: http.StatusUnauthorized}
	filledFolder := startupTarget{start: func(ctx context.Context) (*process, error) { return b.startGatehouse(ctx, b.data) }, path: newFolder.path, status: newFolder.status}
	var jobs []job
	for _, what := range []struct {
		name    string
		unit    unit
		measure func(startupTarget) measure
	}{
		{"start to first answer", seconds, func(t startupTarget) measure { return t.timeToAnswer }},
		{"idle memory", size, func(t startupTarget) measure { return t.idleMemory }},
	} {
		baselines := []baseline{{"bare Go server", what.measure(baselineTarget)}}
		jobs = append(jobs,
			job{what.name + ", new", what.unit, func(context.Context) (*comparison, error) {
				return &comparison{what.measure(newFolder), baselines}, nil
			}},
			job{what.name + ", filled", what.unit, func(ctx context.Context) (*comparison, error) {
				return &comparison{what.measure(filledFolder), baselines}, b.fillAndStop(ctx)
			}})
	}
	return jobs
}

// fillAndStop stops the server that the other jobs used, so that another can start
// on its data.
func (b *testbed) fillAndStop(ctx context.Context) error {
	if b.gatehouse == nil {
		return nil
	}
	_, images := b.images(ctx)
	_, tags := b.tags(ctx)
	_, npm := b.packages[types.PackageFormatNpm](ctx)
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

// A startupTarget is a server that is started, asked once and stopped.
type startupTarget struct {
	start  func(context.Context) (*process, error)
	path   string // the first request
	status int    // of the answer
}

// timeToAnswer measures from the start of the process to the answer to the first
// request.
func (t startupTarget) timeToAnswer(ctx context.Context) (sample, error) {
	begin := time.Now()
	var taken time.Duration
	err := t.startAndAsk(ctx, func(*process) error {
		taken = time.Since(begin)
		return nil
	})
	return sample{Value: taken.Seconds()}, err
}

// idleMemory measures the resident memory after the first answer.
func (t startupTarget) idleMemory(ctx context.Context) (sample, error) {
	var resident int64
	err := t.startAndAsk(ctx, func(p *process) error {
		select {
		case <-time.After(idleDelay):
		case <-ctx.Done():
			return ctx.Err()
		}
		var err error
		resident, err = p.memory()
		return err
	})
	return sample{Value: float64(resident)}, err
}

// startAndAsk starts the server, calls look after the first answer, and stops it.
func (t startupTarget) startAndAsk(ctx context.Context, look func(*process) error) (err error) {
	p, err := t.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	client := newClient()
	defer client.CloseIdleConnections()
	r, err := newGet(ctx, p.url+t.path, nil)
	if err != nil {
		return err
	}
	if _, err := send(client, r, t.status); err != nil {
		return err
	}
	return look(p)
}
