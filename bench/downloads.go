package main

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
)

// A download is a job in which Gatehouse answers GET requests, and the yardstick
// serves the very bytes of the answer from a file.
type download struct {
	paths       []string // asked for in turn; all answers are about as long
	header      []string // name, value, …
	connections int
	unit        unit
}

// download prepares the job: it asks for the first path to learn the answer.
func (b *testbed) download(ctx context.Context, d download) (*contest, error) {
	answer, err := fetch(ctx, b.gatehouse.url+d.paths[0], d.header)
	if err != nil {
		return nil, err
	}
	file, err := b.serveFile(rand.Text(), answer)
	if err != nil {
		return nil, err
	}
	theirs, err := writtenGet(ctx, b.yardstick.url+file, d.header)
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
	return &contest{
		gatehouse:  (&pressure{b.gatehouse, ours, d.connections, b.duration, d.unit}).measure,
		yardsticks: []yardstick{{"FileServer", (&pressure{b.yardstick, [][]byte{theirs}, d.connections, b.duration, d.unit}).measure}},
	}, nil
}

// fetch returns the bytes of an answer as they are on the wire.
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
		return nil, refusal(r, answer)
	}
	return io.ReadAll(answer.Body)
}
