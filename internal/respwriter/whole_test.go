package respwriter_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
)

// A gatherLog notes when writes are gathered.
type gatherLog struct {
	net.Conn
	on       bool
	gathered int // bytes that were written meanwhile
	alone    int // and those that were not
}

func (g *gatherLog) Write(p []byte) (int, error) {
	if g.on {
		g.gathered += len(p)
	} else {
		g.alone += len(p)
	}
	return g.Conn.Write(p)
}

func (g *gatherLog) Gather()     { g.on = true }
func (g *gatherLog) Send() error { g.on = false; return nil }

type gatherListener struct {
	net.Listener
	conn *gatherLog
}

func (l *gatherListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.conn = &gatherLog{Conn: c}
	return l.conn, nil
}

// All of a large answer is written while the connection gathers, and nothing of it is left
// for later.
func TestWriteWhole(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 2000)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &gatherListener{Listener: plain}
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
		if gathers := l.conn.gathered > 0 && l.conn.alone == 0; gathers != tt.gathers {
			t.Errorf("%s %d bytes: %d were gathered, %d were not", tt.method, tt.size, l.conn.gathered, l.conn.alone)
		}
	}
}
