package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/gatehouse-registry/gatehouse/internal/client/proxy"
)

// hashed answers with the hash of what it was sent.
func hashed(w http.ResponseWriter, q *http.Request) {
	h := sha256.New()
	if _, err := io.Copy(h, q.Body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, hex.EncodeToString(h.Sum(nil)))
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// unknown hides the length of a body, which is then sent in chunks.
type unknown struct{ io.Reader }

// A token that was taken back before its time is replaced, and the request sent
// again: with its body, if the body was saved or has not been read yet.
func TestProxy_RejectedToken(t *testing.T) {
	small, large := bytes.Repeat([]byte("s"), 1<<20), bytes.Repeat([]byte("large"), 1<<20)
	for name, c := range map[string]struct {
		method string
		body   io.Reader
		want   []byte
	}{
		"without a body":       {http.MethodGet, nil, nil},
		"small":                {http.MethodPut, bytes.NewReader(small), small},
		"small, in chunks":     {http.MethodPut, unknown{bytes.NewReader(small)}, small},
		"large":                {http.MethodPut, bytes.NewReader(large), large},
		"large, in chunks":     {http.MethodPatch, unknown{bytes.NewReader(large)}, large},
		"slow":                 {http.MethodPost, unknown{iotest.OneByteReader(bytes.NewReader(small[:5000]))}, small[:5000]},
		"of length, and empty": {http.MethodPost, bytes.NewReader(nil), nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, hashed, "npm")
			res, text := r.get("/acme-lib/npm/left")
			r.want(http.StatusOK, res, text)
			r.issuer.revoke()
			res, text = r.do(c.method, "/acme-lib/npm/left", c.body)
			r.want(http.StatusOK, res, text)
			if text != hashOf(c.want) {
				t.Error("the body that arrived is another one")
			}
			if n := r.issuer.count(); n != 2 {
				t.Errorf("%d tokens", n)
			}
			if !strings.Contains(r.logged(), "the token was rejected") {
				t.Error("the log does not say it")
			}
		})
	}
}

// An upstream that reads a large body before it refuses it cannot be sent it
// again: the client is asked to, and finds a new token.
func TestProxy_RejectedTokenAfterLargeBody(t *testing.T) {
	large := bytes.Repeat([]byte("large"), 1<<20)
	var once sync.Once
	r := start(t, func(w http.ResponseWriter, q *http.Request) {
		hashed(&discarding{w}, q)
		status := http.StatusOK
		once.Do(func() { status = http.StatusUnauthorized })
		w.WriteHeader(status)
	}, "npm")
	res, text := r.do(http.MethodPut, "/acme-lib/npm/left", bytes.NewReader(large))
	r.want(http.StatusServiceUnavailable, res, text)
	if res.Header.Get("Retry-After") != "1" {
		t.Error("no Retry-After")
	}
	res, text = r.do(http.MethodPut, "/acme-lib/npm/left", bytes.NewReader(large))
	r.want(http.StatusOK, res, text)
}

// discarding keeps a handler from answering.
type discarding struct{ w http.ResponseWriter }

func (d *discarding) Header() http.Header         { return make(http.Header) }
func (d *discarding) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarding) WriteHeader(int)             {}

// ECR says with a 403 that a token has expired; any other 403 is an answer, and
// arrives whole.
func TestProxy_Forbidden(t *testing.T) {
	message := `{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}`
	denied := `{"errors":[{"code":"DENIED","message":"no permission"}]}` + strings.Repeat(" ", 10_000) + "."
	r := start(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case strings.Contains(q.URL.Path, "denied"):
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, denied)
		case tokenOf(q) == "secret-1":
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, message)
		}
	})
	res, text := r.get("/v2/denied")
	r.want(http.StatusForbidden, res, text)
	if text != denied {
		t.Errorf("%d bytes of %d", len(text), len(denied))
	}
	if n := r.issuer.count(); n != 1 {
		t.Errorf("%d tokens", n)
	}
	res, text = r.get("/v2/app/tags/list")
	r.want(http.StatusOK, res, text)
	if n := r.issuer.count(); n != 2 {
		t.Errorf("%d tokens", n)
	}
}

// An upstream that refuses every token is not a reason to ask for one at each
// request, nor for a challenge that would make the client ask for a password.
func TestProxy_UpstreamRejectsAllTokens(t *testing.T) {
	r := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://registry.example/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}, "npm")
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			res, err := http.Get(r.url + "/acme-lib/npm/left")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") != "" {
				t.Error(res.Status, res.Header)
			}
		})
	}
	clients.Wait()
	if n := r.issuer.count(); n != 2 {
		t.Errorf("%d tokens", n)
	}
	r.issuer.advance(proxy.RenewAfter)
	res, text := r.get("/acme-lib/npm/left")
	r.want(http.StatusUnauthorized, res, text)
	if n := r.issuer.count(); n != 3 {
		t.Errorf("%d tokens after a while", n)
	}
}

// Many requests that are refused at once share one new token.
func TestProxy_ManyRejectedAtOnce(t *testing.T) {
	r := start(t, echo, "npm")
	res, text := r.get("/acme-lib/npm/left")
	r.want(http.StatusOK, res, text)
	r.issuer.revoke()
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			res, err := http.Get(r.url + "/acme-lib/npm/left")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Error(res.Status)
			}
		})
	}
	clients.Wait()
	if n := r.issuer.count(); n != 2 {
		t.Errorf("%d tokens", n)
	}
}

// Both ways, what has been sent arrives before the rest is there.
func TestProxy_Streaming(t *testing.T) {
	up, down := make(chan string), make(chan struct{})
	r := start(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodPatch {
			firstBody := make([]byte, 5)
			if _, err := io.ReadFull(q.Body, firstBody); err != nil {
				t.Error(err)
			}
			up <- string(firstBody)
			rest, err := io.ReadAll(q.Body)
			if err != nil {
				t.Error(err)
			}
			up <- string(rest)
			return
		}
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-down
		_, _ = io.WriteString(w, "second")
	})
	body, writer := io.Pipe()
	answered := make(chan int)
	go func() {
		res, _ := r.do(http.MethodPatch, "/v2/app/blobs/uploads/1", body)
		answered <- res.StatusCode
	}()
	_, _ = io.WriteString(writer, "early")
	if got := <-up; got != "early" {
		t.Error(got)
	}
	_, _ = io.WriteString(writer, "late")
	writer.Close()
	if got := <-up; got != "late" {
		t.Error(got)
	}
	if got := <-answered; got != http.StatusOK {
		t.Error(got)
	}

	res, err := http.Get(r.url + "/v2/app/blobs/sha256:0")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	firstBody := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, firstBody); err != nil || string(firstBody) != "first" {
		t.Error(string(firstBody), err)
	}
	close(down)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "second" {
		t.Error(string(rest), err)
	}
}

// A large upload and a large download come through as they are.
func TestProxy_LargeBodies(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	r := start(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodGet {
			_, _ = w.Write(large)
			return
		}
		hashed(w, q)
	})
	res, text := r.do(http.MethodPut, "/v2/app/blobs/uploads/1", bytes.NewReader(large))
	r.want(http.StatusOK, res, text)
	if text != hashOf(large) {
		t.Error("the upload is another one")
	}
	res, text = r.get("/v2/app/blobs/sha256:0")
	r.want(http.StatusOK, res, "")
	if hashOf([]byte(text)) != hashOf(large) {
		t.Error("the download is another one")
	}
}

// An upstream that breaks off is not an answer that came to its end.
func TestProxy_BrokenAnswer(t *testing.T) {
	r := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"half":`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, "npm")
	for _, path := range []string{"/acme-lib/npm/left", "/v2/app/blobs/sha256:0"} {
		res, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: %q and no error", path, text)
		}
		res.Body.Close()
	}
	r.upstream.Close()
	res, text := r.get("/acme-lib/npm/left")
	r.want(http.StatusBadGateway, res, text)
	if !strings.Contains(text, "did not answer") {
		t.Error(text)
	}
}
