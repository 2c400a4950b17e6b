package app

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// serveFile serves a file of the size over connections that may be idle for that
// long; ended gets the error with which each answer ended.
func serveFile(t *testing.T, size int64, idle time.Duration) (address string, ended chan error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("0123456789abcdef"), int(size/16)), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			ended <- err
			return
		}
		defer f.Close()
		http.ServeContent(failing{w, ended}, r, "file", time.Time{}, f)
	})}
	go s.Serve(&movingListener{l, idle})
	t.Cleanup(func() { s.Close() })
	return l.Addr().String(), ended
}

// failing reports how copying to the connection ended.
type failing struct {
	http.ResponseWriter
	ended chan error
}

func (f failing) ReadFrom(r io.Reader) (int64, error) {
	n, err := f.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
	f.ended <- err
	return n, err
}

// A client that reads nothing loses its connection; the file is let go.
func TestAClientThatStopsReadingIsLetGo(t *testing.T) {
	address, ended := serveFile(t, 64<<20, 50*time.Millisecond)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer ended with %v", err)
	}
}

// Whoever reads gets everything, in steps, whole or in part.
func TestAnAnswerInSteps(t *testing.T) {
	const size = 2*answerStep + 4096
	address, ended := serveFile(t, size, time.Minute)
	for rng, want := range map[string]int64{"": size, "bytes=16-": size - 16, "bytes=0-99": 100} {
		r, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rng != "" {
			r.Header.Set("Range", rng)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || int64(len(body)) != want || !bytes.HasPrefix(body, []byte("0123456789abcdef")) {
			t.Errorf("%q: %d bytes, %v", rng, len(body), err)
		}
		if err := <-ended; err != nil {
			t.Errorf("%q: %v", rng, err)
		}
	}
}

// A deadline that passed while nothing was to be sent is no reason to fail.
func TestAnIdleConnectionIsUsedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := (&movingListener{l, time.Minute}).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	past := time.Now().Add(-time.Hour)
	accepted.(*movingConn).set = past
	if err := accepted.SetWriteDeadline(past); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}
