package egress_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

// Hosts of this machine are reached only if they are the upstream's own.
func TestUpstream_FileHosts(t *testing.T) {
	s, files := upstreamtest.New(t), upstreamtest.New(t)
	files.Put("/a.whl", upstreamtest.File{Body: []byte("wheel")})
	if body, _, err := get(t, s.Upstream(t, "own", files), egress.Request{URL: files.URL + "/a.whl"}); body != "wheel" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	// Over TLS nothing but the address is wrong.
	secure, other := upstreamtest.NewTLS(t), upstreamtest.NewTLS(t)
	for _, to := range []string{files.URL + "/a.whl", other.URL + "/a.whl", strings.Replace(other.URL, "127.0.0.1", "localhost", 1)} {
		if _, _, err := get(t, secure.Upstream(t, "own"), egress.Request{URL: to}); egress.KindOf(err) != egress.Refused {
			t.Errorf("%s: %v", to, err)
		}
	}
	if files.Count("") != 1 || other.Count("") != 0 {
		t.Errorf("%d and %d requests arrived", files.Count(""), other.Count(""))
	}
}

func TestUpstream_Slow(t *testing.T) {
	t.Parallel() // it waits
	s := upstreamtest.New(t)
	s.Put("/doc", upstreamtest.File{Body: bytes.Repeat([]byte("0123456789"), 100)})
	config := s.Config("own")
	config.Limits = egress.Limits{Header: 500 * time.Millisecond, Idle: 500 * time.Millisecond}
	s.Fail("/doc", upstreamtest.Hold(nil))
	if _, _, err := get(t, newUpstream(t, config, egress.Services{}), egress.Request{URL: "doc"}); egress.KindOf(err) != egress.TimedOut || !strings.Contains(err.Error(), "did not answer within 500ms") || s.Count("") != 1 {
		t.Errorf("%v, %d requests", err, s.Count(""))
	}
	s.Fail("/doc", upstreamtest.Stall(5))
	config.Limits.Header = time.Minute
	if body, _, err := get(t, newUpstream(t, config, egress.Services{}), egress.Request{URL: "doc"}); body != "01234" || egress.KindOf(err) != egress.TimedOut || !strings.Contains(err.Error(), "sent nothing") {
		t.Errorf("%q, %v", body, err)
	}
}

// A caller who leaves ends the request, before and after the header.
func TestUpstream_CallerLeaves(t *testing.T) {
	s := upstreamtest.New(t)
	s.Put("/doc", upstreamtest.File{Body: bytes.Repeat([]byte("0123456789"), 100)})
	u := s.Upstream(t, "own")
	s.Fail("/doc", upstreamtest.Hold(nil))
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		s.Await(t, "/doc", 1)
		leave()
	}()
	if _, err := u.Do(ctx, egress.Request{URL: "doc", MaxBytes: 1 << 20}); egress.KindOf(err) != egress.Canceled {
		t.Error(err)
	}
	s.Fail("/doc", upstreamtest.Stall(5))
	ctx, leave = context.WithCancel(t.Context())
	res, err := u.Do(ctx, egress.Request{URL: "doc", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := res.Body.Read(make([]byte, 5)); egress.KindOf(err) != egress.Canceled {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	s.Fail("/doc", upstreamtest.Hold(nil))
	if _, err := u.Do(ctx, egress.Request{URL: "doc", MaxBytes: 1 << 20}); egress.KindOf(err) != egress.TimedOut {
		t.Error(err)
	}
}

// As many requests as allowed are in progress at a host; others wait for their turn. A
// request is in progress until its body ends.
func TestUpstream_Concurrency(t *testing.T) {
	s := upstreamtest.New(t)
	s.Put("/doc", upstreamtest.File{Body: []byte("here")})
	release := make(chan struct{})
	s.Fail("/doc", upstreamtest.Hold(release))
	config := s.Config("own")
	config.Limits.Concurrent = 2
	u := newUpstream(t, config, egress.Services{})
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if _, _, err := get(t, u, egress.Request{URL: "doc"}); err != nil {
				t.Error(err)
			}
		})
	}
	s.Await(t, "/doc", 2)
	if n := s.Count("/doc"); n != 2 {
		t.Errorf("%d requests at a time", n)
	}
	close(release)
	all.Wait()

	config.Limits.Concurrent, config.Limits.Header = 1, 40*time.Millisecond
	u = newUpstream(t, config, egress.Services{})
	res, err := u.Do(t.Context(), egress.Request{URL: "doc", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, u, egress.Request{URL: "doc"}); egress.KindOf(err) != egress.Busy || !strings.Contains(err.Error(), `upstreams."own".limits`) {
		t.Errorf("while another one is in progress: %v", err)
	}
	res.Body.Close()
	// The limit is short, so a busy machine may need several attempts.
	for deadline := time.Now().Add(time.Minute); ; {
		if _, _, err = get(t, u, egress.Request{URL: "doc"}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after it: %v", err)
		}
	}
}

func TestUpstream_Rate(t *testing.T) {
	s := upstreamtest.New(t)
	s.Put("/doc", upstreamtest.File{Body: []byte("here")})
	config := s.Config("own")
	config.Limits.Rate = 4
	c := newClock()
	u := newUpstream(t, config, c.services())
	for range 9 {
		if _, _, err := get(t, u, egress.Request{URL: "doc"}); err != nil {
			t.Fatal(err)
		}
	}
	if took := c.Now().Sub(newClock().Now()); took != 2*time.Second {
		t.Errorf("nine requests, four a second, took %v", took)
	}
}

// A proxy gets requests for http, and connections for https. It resolves names; addresses
// in URLs are checked all the same.
func TestUpstream_Proxy(t *testing.T) {
	proxy := upstreamtest.New(t)
	proxy.Handle("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "through the proxy to "+r.Host) })
	secret := strings.Replace(proxy.URL, "://", "://u:hunter2@", 1)
	config := egress.UpstreamConfig{Name: "own", URL: "http://registry.invalid", AllowPrivate: true, Proxy: secret}
	u := newUpstream(t, config, egress.Services{})
	if body, _, err := get(t, u, egress.Request{URL: "doc"}); body != "through the proxy to registry.invalid" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if h := proxy.Requests()[0].Header.Get("Proxy-Authorization"); h == "" {
		t.Error("the proxy did not get its password")
	}
	proxy.Fail("", upstreamtest.Status(http.StatusForbidden))
	config.URL, config.AllowPrivate = "https://registry.invalid", false
	u = newUpstream(t, config, egress.Services{})
	proxy.Forget()
	if _, _, err := get(t, u, egress.Request{URL: "doc"}); egress.KindOf(err) != egress.Unreachable || strings.Contains(err.Error(), "hunter2") || proxy.Requests()[0].Method != http.MethodConnect {
		t.Errorf("%v, %+v", err, proxy.Requests())
	}
	proxy.Forget()
	for _, to := range []string{"https://10.0.0.1/", "https://127.0.0.1/", "https://localhost/", "https://[fd00:ec2::254]/", "https://169.254.169.254/"} {
		if _, _, err := get(t, u, egress.Request{URL: to}); egress.KindOf(err) != egress.Refused || proxy.Count("") != 0 {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func TestUpstream_ProxyOfTheEnvironment(t *testing.T) {
	proxy := upstreamtest.New(t)
	proxy.Handle("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "through the proxy") })
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTP_PROXY", address.Host) // a scheme may be missing
	t.Setenv("NO_PROXY", "direct.invalid")
	config := egress.UpstreamConfig{Name: "own", URL: "http://registry.invalid", AllowPrivate: true}
	if body, _, err := get(t, newUpstream(t, config, egress.Services{}), egress.Request{URL: "doc"}); body != "through the proxy" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	config.URL = "http://direct.invalid"
	if _, _, err := get(t, newUpstream(t, config, egress.Services{}), egress.Request{URL: "doc"}); egress.KindOf(err) != egress.Unresolved {
		t.Error(err)
	}
	config.URL, config.Proxy = "http://registry.invalid", "none"
	if _, _, err := get(t, newUpstream(t, config, egress.Services{}), egress.Request{URL: "doc"}); egress.KindOf(err) != egress.Unresolved {
		t.Error(err)
	}
}

// Many goroutines use one upstream.
func TestUpstream_Parallel(t *testing.T) {
	s := upstreamtest.NewTLS(t)
	s.Put("/doc", upstreamtest.File{Body: bytes.Repeat([]byte(" "), 10_000), Type: "application/json"})
	s.Fail("/flaky", upstreamtest.Status(500))
	u := s.Upstream(t, "own")
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			r := egress.Request{URL: "doc", Compressed: i%2 == 0}
			if body, _, err := get(t, u, r); len(body) != 10_000 || err != nil {
				t.Errorf("%d bytes, %v", len(body), err)
			}
			if _, _, err := get(t, u, egress.Request{URL: "flaky"}); egress.KindOf(err) != egress.Answered {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
