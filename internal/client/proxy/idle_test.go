package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// shortly is an idle limit that tests can wait for, beside other tests. A busy machine may
// stop for a good part of it.
const shortly = time.Second

// What does not move any more is given up, wherever it has stopped.
func TestProxy_IdleTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := startWith(t, shortly, func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/v2/silent":
			<-release
		case "/v2/half":
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			<-release
		default:
			_, _ = io.Copy(io.Discard, q.Body)
		}
	})
	defer close(release)

	// The upstream never answers.
	res, text := r.get("/v2/silent")
	r.want(http.StatusBadGateway, res, text)
	if !strings.Contains(text, "nothing has moved") {
		t.Error(text)
	}
	// It stops in the middle: the client must not take that for the end.
	res, err := http.Get(r.url + "/v2/half")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("%q and no error", text)
	}
	res.Body.Close()
	// The client stops in the middle: it is not waited for.
	host := strings.TrimPrefix(r.url, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "PUT /v2/upload HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\nhalf", host)
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && res.StatusCode < 400 {
		t.Error(res.Status)
	}
	if rest, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection stays open: %q, %v", rest, err)
	}
}

// What moves slowly takes as long as it takes: more than the idle limit, and the
// connection can be used again afterwards.
func TestProxy_SlowTransfer(t *testing.T) {
	t.Parallel()
	const steps = 6
	r := startWith(t, shortly, func(w http.ResponseWriter, q *http.Request) {
		got, err := io.ReadAll(q.Body)
		if err != nil || len(got) != steps && q.Method == http.MethodPut {
			t.Error(len(got), err)
		}
		step := time.NewTicker(shortly / 4)
		defer step.Stop()
		for range steps {
			<-step.C
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}
	})
	client := &http.Client{Transport: &http.Transport{}}
	for range 2 { // over one connection
		body, writer := io.Pipe()
		go func() {
			step := time.NewTicker(shortly / 4)
			defer step.Stop()
			for range steps {
				<-step.C
				_, _ = io.WriteString(writer, "x")
			}
			writer.Close()
		}()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url+"/v2/upload", body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || len(text) != steps {
			t.Errorf("%q, %v", text, err)
		}
	}
}
