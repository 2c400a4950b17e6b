package main

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
)

// A download is a job in which Gatehouse answers GET requests, and the baseline
// server serves the same bytes from a file.
type download struct {
	paths       []string // requested in turn; all answers have about the same length
	header      []string // name, value, …
	connections int
	unit        unit
	stored      bool // the answer is a blob
}

// download prepares the job. It requests the first path to learn the answer.
func (b *testbed) download(ctx context.Context, d download) (*comparison, error) {
	answer, err := fetch(ctx, b.gatehouse.url+d.paths[0], d.header)
	if err != nil {
		return nil, err
	}
	var ours [][]byte
	for _, path := range d.paths {
		request, err := writtenGet(ctx, b.gatehouse.url+path, d.header)
		if err != nil {
			return nil, err
		}
		ours = append(ours, request)
	}
	return b.compareAnswers(ctx, d, ours, answer)
}

// compareAnswers prepares the job for requests to Gatehouse that have this answer.
func (b *testbed) compareAnswers(ctx context.Context, d download, ours [][]byte, answer []byte) (*comparison, error) {
	file, err := b.serveFile(rand.Text(), answer)
	if err != nil {
		return nil, err
	}
	theirs, err := writtenGet(ctx, b.baseline.url+file, d.header)
	if err != nil {
		return nil, err
	}
	c := &comparison{
		gatehouse: (&loadTest{b.gatehouse, ours, d.connections, b.duration, d.unit}).measure,
		baselines: []baseline{{"FileServer", (&loadTest{b.baseline, [][]byte{theirs}, d.connections, b.duration, d.unit}).measure}},
	}
	if b.stores != nil && d.stored {
		object, err := b.stores.presigned(ctx, answer)
		if err != nil {
			return nil, err
		}
		get, err := writtenGet(ctx, object.String(), nil)
		if err != nil {
			return nil, err
		}
		c.baselines = append(c.baselines, baseline{"S3 GET", (&loadTest{address(object.Host), [][]byte{get}, d.connections, b.duration, d.unit}).measure})
	}
	return c, nil
}

// fetch returns the body of an answer as it is on the wire.
func fetch(ctx context.Context, url string, header []string) ([]byte, error) {
	r, err := newGet(ctx, url, header)
	if err != nil {
		return nil, err
	}
	client := newClient()
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, statusError(r, answer)
	}
	return io.ReadAll(answer.Body)
}
