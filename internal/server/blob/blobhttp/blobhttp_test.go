package blobhttp_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobhttp"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
)

// A countingListener counts how its connections are written to.
type countingListener struct {
	net.Listener
	writes, files atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countingConn{c, l}, err
}

type countingConn struct {
	net.Conn
	l *countingListener
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.l.writes.Add(1)
	return c.Conn.Write(p)
}

func (c *countingConn) ReadFrom(src io.Reader) (int64, error) {
	c.l.files.Add(1)
	return io.Copy(c.Conn, src)
}

func TestServe(t *testing.T) {
	store, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	l := &countingListener{}
	if l.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, err := store.Open(r.Context(), r.URL.Path[1:])
		if err != nil {
			t.Error(err)
			return
		}
		defer o.Close()
		w.Header().Set("Etag", `"tag"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		blobhttp.Serve(w, r, o)
	})}
	go server.Serve(l)
	defer server.Close()

	contents := map[int][]byte{}
	for _, size := range []int{0, 1, 3 << 10, 3<<10 + 1, 100_000, 300_000} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i / 7)
		}
		contents[size] = content
		w, err := store.Create(t.Context(), fmt.Sprint("size-", size))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name         string
		size         int
		method       string
		header, text string
		status       int
		from, to     int // of the content
		files        int64
	}{
		{"empty", 0, "GET", "", "", 200, 0, 0, 0},
		{"a byte", 1, "GET", "", "", 200, 0, 1, 0},
		{"small", 3 << 10, "GET", "", "", 200, 0, 3 << 10, 0},
		{"small, HEAD", 3 << 10, "HEAD", "", "", 200, 0, 0, 0},
		{"small, range", 3 << 10, "GET", "Range", "bytes=5-9", 206, 5, 10, 0},
		{"small, not modified", 3 << 10, "GET", "If-None-Match", `"tag"`, 304, 0, 0, 0},
		{"small, range outside", 1, "GET", "Range", "bytes=5-9", 416, -1, -1, 0},
		{"not small", 3<<10 + 1, "GET", "", "", 200, 0, 3<<10 + 1, 1},
		{"large", 300_000, "GET", "", "", 200, 0, 300_000, 1},
		{"large, range", 300_000, "GET", "Range", "bytes=1000-250999", 206, 1000, 251_000, 1},
		{"large, HEAD", 300_000, "HEAD", "", "", 200, 0, 0, 0},
		{"the first time", 100_000, "GET", "", "", 200, 0, 100_000, 1},
		{"in memory", 100_000, "GET", "", "", 200, 0, 100_000, 0},
		{"in memory, range", 100_000, "GET", "Range", "bytes=1000-1999", 206, 1000, 2000, -1},
		{"in memory, HEAD", 100_000, "HEAD", "", "", 200, 0, 0, 0},
		{"in memory, not modified", 100_000, "GET", "If-None-Match", `"tag"`, 304, 0, 0, 0},
		{"large, not modified", 300_000, "GET", "If-None-Match", `"tag"`, 304, 0, 0, 0},
	} {
		l.writes.Store(0)
		l.files.Store(0)
		r, err := http.NewRequestWithContext(t.Context(), tt.method, fmt.Sprintf("http://%s/size-%d", l.Addr(), tt.size), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tt.header != "" {
			r.Header.Set(tt.header, tt.text)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != tt.status {
			t.Errorf("%s: %s, %v", tt.name, res.Status, err)
		}
		if tt.from >= 0 && !bytes.Equal(body, contents[tt.size][tt.from:tt.to]) {
			t.Errorf("%s: %d bytes, want those from %d to %d", tt.name, len(body), tt.from, tt.to)
		}
		if files := l.files.Load(); tt.files >= 0 && files != tt.files {
			t.Errorf("%s: %d files were sent by the kernel, want %d", tt.name, files, tt.files)
		}
		if writes := l.writes.Load(); tt.files == 0 && tt.size < 100_000 && writes != 1 {
			t.Errorf("%s: the answer took %d writes", tt.name, writes)
		}
	}
}
