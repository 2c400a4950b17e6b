package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"time"
)

// A Fault answers in place of the server. answer is what would have answered.
type Fault func(w http.ResponseWriter, r *http.Request, answer http.Handler)

// Fail gives a path a fault: one path, all below a prefix that ends with a slash, or
// everything if path is empty. nil takes it away.
func (s *Server) Fail(path string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == nil {
		delete(s.faults, path)
		return
	}
	s.faults[path] = f
}

// Heal takes all faults away.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// Times is a fault for the first n requests.
func Times(n int, f Fault) Fault {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		if seen.Add(1) <= int64(n) {
			f(w, r, answer)
			return
		}
		answer.ServeHTTP(w, r)
	}
}

// Status answers with a status and a short text.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, http.StatusText(code), code)
	}
}

// Throttle answers with 429 or 503 and a Retry-After, which is left out if it is empty.
func Throttle(code int, retryAfter string) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		Status(code)(w, r, answer)
	}
}

// Hold answers as soon as release is closed, or not at all if the client leaves before.
func Hold(release <-chan struct{}) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		select {
		case <-release:
			answer.ServeHTTP(w, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// Stall sends the header and n bytes, and then nothing until the client leaves.
func Stall(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		sendPart(w, r, answer, n)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Cut sends the header and n bytes, and closes the connection.
func Cut(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		sendPart(w, r, answer, n)
		panic(http.ErrAbortHandler)
	}
}

// Hangup closes the connection without an answer.
func Hangup() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// record runs the handler, and returns its answer.
func record(r *http.Request, answer http.Handler) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	answer.ServeHTTP(rec, r)
	return rec
}

// copyHeader sends the header of a recorded answer, with a length if there is one.
func copyHeader(w http.ResponseWriter, rec *httptest.ResponseRecorder, length int) {
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(rec.Code)
}

func sendPart(w http.ResponseWriter, r *http.Request, answer http.Handler, n int) {
	rec := record(r, answer)
	body := rec.Body.Bytes()
	copyHeader(w, rec, len(body))
	_, _ = w.Write(body[:min(n, len(body))])
	_ = http.NewResponseController(w).Flush()
}

// WrongBytes answers with the right header, length and validators, and one bit of the body
// changed, so that its digest is wrong.
func WrongBytes() Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		rec := record(r, answer)
		body := bytes.Clone(rec.Body.Bytes())
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		copyHeader(w, rec, len(body))
		_, _ = w.Write(body)
	}
}

// Shorter answers with the last n bytes missing, and a length that fits what is sent:
// HTTP alone cannot notice it.
func Shorter(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		rec := record(r, answer)
		body := rec.Body.Bytes()
		body = body[:max(0, len(body)-n)]
		copyHeader(w, rec, len(body))
		_, _ = w.Write(body)
	}
}

// Longer answers with n zero bytes at the end, and a length that fits.
func Longer(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		rec := record(r, answer)
		copyHeader(w, rec, rec.Body.Len()+n)
		_, _ = w.Write(append(bytes.Clone(rec.Body.Bytes()), make([]byte, n)...))
	}
}

// Redirect answers with 302 to an address.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, to, http.StatusFound)
	}
}

// RedirectLoop redirects every request to a new address on the same server. Give it to
// all paths.
func RedirectLoop() Fault {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, fmt.Sprintf("/loop/%d", n.Add(1)), http.StatusFound)
	}
}

// HTML answers 200 with a web page, as captive portals and login pages do.
func HTML() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Sign in</title><p>Sign in to use this network.</p>")
	}
}

// Bomb answers with a document of n bytes of white space, compressed to about a
// thousandth, of the type that the right answer has.
func Bomb(n int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		w.Header().Set("Content-Type", record(r, answer).Header().Get("Content-Type"))
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		chunk := bytes.Repeat([]byte(" "), 64<<10)
		for left := n; left > 0; left -= int64(len(chunk)) {
			if _, err := z.Write(chunk); err != nil {
				return // the client has left
			}
		}
		_ = z.Close()
	}
}

// NoWait is for [egress.Services]: it does not wait.
func NoWait(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }
