package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/gatehouse-registry/gatehouse/bench/load"
)

// A loadTest sends requests to one server in each round of a job.
type loadTest struct {
	server      target
	requests    [][]byte
	connections int
	duration    time.Duration
	unit        unit // perSecond or megabytes
}

// A target is a server under load.
type target interface {
	address() string // HOST:PORT
	// cpu returns the processor time that the server has used, or 0 if it is not known.
	cpu() (time.Duration, error)
}

// An address is a server of someone else.
type address string

func (a address) address() string           { return string(a) }
func (address) cpu() (time.Duration, error) { return 0, nil }

func (p *loadTest) measure(ctx context.Context) (sample, error) {
	before, err := p.server.cpu()
	if err != nil {
		return sample{}, err
	}
	r, err := load.Run(ctx, load.Plan{
		Address: p.server.address(), Requests: p.requests,
		Connections: p.connections, Duration: p.duration, Status: http.StatusOK,
	})
	if err != nil {
		return sample{}, err
	}
	if r.Requests == 0 {
		return sample{}, fmt.Errorf("no request was answered within %v; take a longer -duration", p.duration)
	}
	after, err := p.server.cpu()
	done := float64(r.Requests)
	if p.unit == megabytes {
		done = float64(r.Bytes) / 1e6
	}
	return sample{
		Value: done / r.Elapsed.Seconds(), P50: r.P50, P99: r.P99,
		CPU: (after - before) / time.Duration(r.Requests),
	}, err
}

// newGet returns a GET request. header is name, value, name, value, …
func newGet(ctx context.Context, url string, header []string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r, nil
}

func writtenGet(ctx context.Context, url string, header []string) ([]byte, error) {
	r, err := newGet(ctx, url, header)
	if err != nil {
		return nil, err
	}
	return written(r)
}

// written returns the request's bytes on the wire.
func written(r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	err := r.Write(&b)
	return b.Bytes(), err
}

// statusError returns the error of an answer with an unexpected status.
func statusError(r *http.Request, answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	return fmt.Errorf("%s %s answered %s: %s", r.Method, r.URL.Path, answer.Status, body)
}

// A call is a request to an AWS API, signed for many moments.
type call struct {
	method, path, service string
	header                http.Header
	body                  func() string // of the next request; nil means none
}

// signings is the number of different requests that are sent in turn, so that no
// answer can be cached.
const signings = 240

// signed returns the call as bytes on the wire, one request for each of the last
// half seconds, signed by the SDK's signer. They stay valid for minutes.
func (c *call) signed(ctx context.Context, p *process, credentials aws.Credentials, region string) ([][]byte, error) {
	signer, now := v4.NewSigner(), time.Now()
	requests := make([][]byte, signings)
	for i := range requests {
		var body string
		if c.body != nil {
			body = c.body()
		}
		r, err := http.NewRequest(c.method, p.url+c.path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header = c.header.Clone()
		sum := sha256.Sum256([]byte(body))
		at := now.Add(-time.Duration(i) * time.Second / 2)
		if err := signer.SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), c.service, region, at); err != nil {
			return nil, err
		}
		if requests[i], err = written(r); err != nil {
			return nil, err
		}
	}
	return requests, nil
}
