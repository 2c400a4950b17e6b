package respwriter_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
)

// A gatherLog notes when writes are gathered.
type gatherLog struct {
	net.Conn
	on       bool
	gathered atomic.Int64 // bytes that were written meanwhile
	alone    atomic.Int64 // and those that were not
}

func (g *gatherLog) Write(p []byte) (int, error) {
	if g.on {
		g.gathered.Add(int64(len(p)))
	} else {
		g.alone.Add(int64(len(p)))
	}
	return g.Conn.Write(p)
}

func (g *gatherLog) Gather()     { g.on = true }
func (g *gatherLog) Send() error { g.on = false; return nil }

type gatherListener struct {
	net.Listener
	accepted chan *gatherLog
}

func (l *gatherListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	log := &gatherLog{Conn: c}
	l.accepted <- log
	return log, nil
}

// All of a large answer is written while the connection gathers, and nothing of it is left
// for later.
func TestWriteWhole(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 2000)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &gatherListener{Listener: plain, accepted: make(chan *gatherLog, 1)}
	server := &http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return respwriter.WithGatherer(ctx, c.(respwriter.Gatherer))
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.URL.Path[1:])
			w.Header().Set("Content-Length", strconv.Itoa(n))
			rec := &respwriter.Recorder{ResponseWriter: w}
			if err := respwriter.WriteWhole(rec, r, body[:n]); err != nil || rec.Bytes != int64(n) {
				t.Errorf("%d bytes: %v, and %d are recorded", n, err, rec.Bytes)
			}
		}),
	}
	go server.Serve(l)
	defer server.Close()
	for _, tt := range []struct {
		method  string
		size    int
		gathers bool
	}{
		{"GET", 0, false}, {"GET", 4095, false}, {"GET", 4096, true}, {"GET", 20000, true}, {"HEAD", 20000, true},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+l.Addr().String()+"/"+strconv.Itoa(tt.size), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || tt.method == "GET" && !bytes.Equal(got, body[:tt.size]) {
			t.Errorf("%s %d bytes: %d came, %v", tt.method, tt.size, len(got), err)
		}
		c := <-l.accepted
		if gathers := c.gathered.Load() > 0 && c.alone.Load() == 0; gathers != tt.gathers {
			t.Errorf("%s %d bytes: %d were gathered, %d were not", tt.method, tt.size, c.gathered.Load(), c.alone.Load())
		}
	}
}
