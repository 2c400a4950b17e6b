package idletimeout_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
)

var limits = idletimeout.Limits{Idle: time.Minute, MinRate: 100, MaxDrain: 1 << 30}

// A pipeListener accepts connections in memory, whose deadlines follow the clock
// of a synctest bubble.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l pipeListener) Close() error   { close(l); return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dial starts a server with limits for one connection, and returns its client end.
func dial(t *testing.T, handler http.HandlerFunc) net.Conn {
	l := make(pipeListener, 1)
	client, server := net.Pipe()
	l <- server
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: idletimeout.Handler(handler, limits)}
	go s.Serve(idletimeout.Listen(l, limits))
	t.Cleanup(func() { client.Close(); s.Close() })
	return client
}

// send writes the header of a request with a body of the length, and what follows.
func send(t *testing.T, c net.Conn, length int, body string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", length, body); err != nil {
		t.Fatal(err)
	}
}

func answer(t *testing.T, c net.Conn) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// readAll answers with how many bytes came, and with the error.
func readAll(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%d %v", n, errors.Is(err, os.ErrDeadlineExceeded))
}

func TestHandler_StalledBody(t *testing.T) {
	// A few missing bytes are what net/http would wait for, and many are not.
	for _, missing := range []int{50, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			c, began := dial(t, readAll), time.Now()
			send(t, c, 4+missing, "some")
			if _, text := answer(t, c); text != "4 true" {
				t.Errorf("read %q", text)
			}
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the connection stays open: %v", err)
			}
			if took := time.Since(began); took > limits.Idle+5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestHandler_SlowBody(t *testing.T) {
	for _, tt := range []struct {
		bytesPerMinute int
		want           string
	}{{50 * 60, "true"}, {200 * 60, "false"}} {
		synctest.Test(t, func(t *testing.T) {
			c, began := dial(t, readAll), time.Now()
			const minutes = 10
			send(t, c, minutes*tt.bytesPerMinute, "")
			done := make(chan struct{})
			defer func() { c.Close(); <-done }()
			go func() {
				defer close(done)
				for range minutes * 4 {
					time.Sleep(time.Minute / 4)
					if _, err := c.Write(make([]byte, tt.bytesPerMinute/4)); err != nil {
						return
					}
				}
			}()
			if _, text := answer(t, c); !strings.HasSuffix(text, tt.want) {
				t.Errorf("%d bytes a minute: cut off %q after %v, want %s", tt.bytesPerMinute, text, time.Since(began), tt.want)
			}
		})
	}
}

// Time that the server needs is not the client's.
func TestHandler_SlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(w http.ResponseWriter, r *http.Request) {
			io.ReadFull(r.Body, make([]byte, 2))
			time.Sleep(10 * limits.Idle)
			readAll(w, r)
			time.Sleep(10 * limits.Idle)
			if err := r.Context().Err(); err != nil {
				t.Error(err)
			}
		})
		go fmt.Fprint(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nsome")
		if _, text := answer(t, c); text != "2 false" {
			t.Errorf("read %q", text)
		}
	})
}

// A handler that does not look at the body answers at once; who sends nothing of
// it is let go.
func TestHandler_UnreadBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, began := dial(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), time.Now()
		send(t, c, 50, "")
		if res, _ := answer(t, c); res.StatusCode != http.StatusUnauthorized || time.Since(began) > 0 {
			t.Errorf("%s after %v", res.Status, time.Since(began))
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF || time.Since(began) > limits.Idle+5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A client that is to be asked for its body is not waited for.
func TestHandler_ExpectContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, began := dial(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), time.Now()
		fmt.Fprint(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-Continue\r\n\r\n")
		if res, _ := answer(t, c); res.StatusCode != http.StatusUnauthorized {
			t.Error(res.Status)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A client that sends everything before it reads gets its answer, over a real
// connection, and can use the connection again.
func TestHandler_LargeUnreadBody(t *testing.T) {
	s := httptest.NewServer(idletimeout.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusUnauthorized)
	}), limits))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const size = 32 << 20
	for range 2 {
		send(t, c, size, "")
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if res, _ := answer(t, c); res.StatusCode != http.StatusUnauthorized {
			t.Error(res.Status)
		}
	}
}

func TestListen_ReaderStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, ended := time.Now(), make(chan error, 1)
		c := dial(t, func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			ended <- err
		})
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > limits.Idle {
			t.Errorf("the answer ended with %v after %v", err, time.Since(began))
		}
	})
}

// What net/http writes when the handler has returned is bounded too.
func TestListen_ReaderStopsBeforeASmallAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := dial(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "small") })
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(limits.Idle + time.Second)
		synctest.Wait()
		if _, err := c.Write([]byte("GET ")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection is open after %v: %v", time.Since(began), err)
		}
	})
}

func TestListen_SlowReader(t *testing.T) {
	for _, tt := range []struct {
		bytesPerMinute int
		cut            bool
	}{{50 * 60, true}, {200 * 60, false}} {
		synctest.Test(t, func(t *testing.T) {
			began, ended := time.Now(), make(chan error, 1)
			c := dial(t, func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write(make([]byte, 100_000))
				ended <- err
			})
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			done := make(chan struct{})
			defer func() { c.Close(); <-done }()
			go func() {
				defer close(done)
				for {
					time.Sleep(time.Minute / 4)
					if _, err := io.CopyN(io.Discard, c, int64(tt.bytesPerMinute/4)); err != nil {
						return
					}
				}
			}()
			if err := <-ended; (err != nil) != tt.cut {
				t.Errorf("%d bytes a minute: %v after %v", tt.bytesPerMinute, err, time.Since(began))
			}
		})
	}
}

// A deadline that passed while nothing was to be sent does not matter.
func TestListen_ConnectionUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := make(pipeListener, 1)
		client, server := net.Pipe()
		defer client.Close()
		l <- server
		c, err := idletimeout.Listen(l, limits).Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go io.Copy(io.Discard, client)
		for range 3 {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * limits.Idle)
		}
	})
}

// Files are sent by the kernel, in steps, whole or in part.
func TestListen_File(t *testing.T) {
	const size = 5<<20 + 4096
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("0123456789abcdef"), size/16), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })}
	go s.Serve(idletimeout.Listen(l, limits))
	defer s.Close()
	for rng, want := range map[string]int64{"": size, "bytes=16-": size - 16, "bytes=0-99": 100} {
		r, err := http.NewRequest(http.MethodGet, "http://"+l.Addr().String(), nil)
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
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || int64(len(got)) != want || !bytes.HasPrefix(got, []byte("0123456789abcdef")) {
			t.Errorf("%q: %d bytes, %v", rng, len(got), err)
		}
	}
}

// A file goes on where it was when the reader of it is slow.
func TestListen_FileSlowReader(t *testing.T) {
	want := make([]byte, 32<<20)
	for i := range want {
		want[i] = byte(i / 251)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Each call waits for half a second at most, which is less than the reader pauses.
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })}
	go s.Serve(idletimeout.Listen(l, idletimeout.Limits{Idle: 4 * time.Second, MinRate: 1000}))
	defer s.Close()
	res, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got bytes.Buffer
	if _, err := io.CopyN(&got, res.Body, 512<<10); err != nil {
		t.Fatal(err)
	}
	<-time.After(700 * time.Millisecond) // the reader is slow
	if _, err := got.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, which are not those of the file", got.Len())
	}
}

// A copyingConn sends files as a connection does whose kernel cannot.
type copyingConn struct{ net.Conn }

func (c copyingConn) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c.Conn}, src)
}

func TestListen_FileThatIsCopied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := make([]byte, 200_000)
	for i := range want {
		want[i] = byte(i / 251)
	}
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l := make(pipeListener, 1)
		client, server := net.Pipe()
		defer client.Close()
		l <- copyingConn{server}
		c, err := idletimeout.Listen(l, limits).Accept()
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := io.CopyN(&got, client, 10_001); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		}()
		if n, err := io.Copy(c, io.LimitReader(f, 150_000)); n != 150_000 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		c.Close()
		<-done
		if !bytes.Equal(got.Bytes(), want[:150_000]) {
			t.Errorf("%d bytes, which are not those of the file", got.Len())
		}
	})
}

// A deadline that a caller sets holds beside the allowance.
func TestListen_DeadlineOfTheCaller(t *testing.T) {
	for _, tt := range []struct {
		deadline time.Duration // from now; 0 means none
		want     time.Duration
	}{{10 * time.Second, 10 * time.Second}, {-time.Hour, 0}, {time.Hour, limits.Idle}, {0, limits.Idle}} {
		synctest.Test(t, func(t *testing.T) {
			l := make(pipeListener, 1)
			client, server := net.Pipe()
			defer client.Close()
			l <- server
			c, err := idletimeout.Listen(l, limits).Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go io.CopyN(io.Discard, client, 1) // which makes c set a deadline of its own
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			began, deadline := time.Now(), time.Time{}
			if tt.deadline != 0 {
				deadline = began.Add(tt.deadline)
			}
			if err := c.SetDeadline(deadline); err != nil {
				t.Fatal(err)
			}
			_, err = c.Write([]byte("x"))
			if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != tt.want {
				t.Errorf("with a deadline in %v: %v after %v, want %v", tt.deadline, err, took, tt.want)
			}
		})
	}
}

// net/http removes its deadline when the handshake is over. An answer that is written
// soon after that is bounded all the same.
func TestListen_TLSReaderStops(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	synctest.Test(t, func(t *testing.T) {
		l := make(pipeListener, 1)
		client, server := net.Pipe()
		l <- server
		ended := make(chan error, 1)
		s := &http.Server{
			ReadHeaderTimeout: time.Minute,
			TLSConfig:         &tls.Config{Certificates: certified.TLS.Certificates, SessionTicketsDisabled: true},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write(make([]byte, 1<<20))
				ended <- err
			}),
		}
		go s.ServeTLS(idletimeout.Listen(l, limits), "", "")
		defer func() { client.Close(); s.Close() }()
		began := time.Now()
		fmt.Fprint(tls.Client(client, &tls.Config{InsecureSkipVerify: true}), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > limits.Idle {
			t.Errorf("the answer ended with %v after %v", err, time.Since(began))
		}
	})
}

// In HTTP/2 a connection can be healthy while one stream stands still.
func TestHandler_HTTP2(t *testing.T) {
	quick := idletimeout.Limits{Idle: 50 * time.Millisecond, MinRate: 100}
	ended := make(chan error, 2)
	s := httptest.NewUnstartedServer(idletimeout.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
			return
		}
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 64<<10))
		}
		ended <- err
	}), quick))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()

	res, err := s.Client().Get(s.URL) // which is not read
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Fatal(res.Proto)
	}
	if err := <-ended; err == nil {
		t.Error("an unread download went on")
	}
	body, writer := io.Pipe()
	defer writer.Close()
	go io.WriteString(writer, "some")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	go s.Client().Do(r)
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a paused upload ended with %v", err)
	}
}

func TestWithCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, c := idletimeout.WithCancel(t.Context(), time.Minute)
		body := c.Body(io.NopCloser(strings.NewReader("some")))
		for range 4 {
			time.Sleep(50 * time.Second)
			if _, err := body.Read(make([]byte, 1)); err != nil || ctx.Err() != nil {
				t.Fatal(err, ctx.Err())
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := context.Cause(ctx); !errors.Is(err, idletimeout.ErrTimeout) {
			t.Error(err)
		}
		ctx, c = idletimeout.WithCancel(t.Context(), time.Minute)
		c.Body(io.NopCloser(nil)).Close()
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
