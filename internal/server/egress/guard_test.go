package egress_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// fetch gets a URL with the client for an origin.
func fetch(t *testing.T, g *egress.Guard, origin, url string) (string, error) {
	t.Helper()
	client, err := g.For(origin)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func serve(t *testing.T, fn http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(fn)
	t.Cleanup(s.Close)
	return s
}

func TestGuard_OriginsByForm(t *testing.T) {
	strict, loose := egress.New(egress.Config{}), egress.New(egress.Config{LoopbackHTTP: true})
	for origin, want := range map[string]string{ // which guard allows it
		"https://issuer.example":          "both",
		"https://issuer.example:8443/a/b": "both",
		"http://127.0.0.1:1/":             "loose",
		"https://127.8.9.1":               "loose",
		"http://[::1]:8080":               "loose",
		"http://[::ffff:127.0.0.1]":       "loose",
		"http://LocalHost.":               "loose",
		"http://a.localhost":              "loose",
		"http://issuer.example":           "none",
		"http://10.0.0.1":                 "none",
		"ftp://127.0.0.1":                 "none",
		"https://u:p@issuer.example":      "none",
		"https://issuer.example/?a":       "none",
		"https://issuer.example/#a":       "none",
		"https:issuer.example":            "none",
		"https://":                        "none",
		"https://:443":                    "none",
		"issuer.example":                  "none",
		"://":                             "none",
	} {
		got := "none"
		_, s := strict.For(origin)
		_, l := loose.For(origin)
		switch {
		case s == nil && l == nil:
			got = "both"
		case l == nil:
			got = "loose"
		case !errors.Is(l, egress.ErrForbidden):
			t.Errorf("%s: %v", origin, l)
		}
		if got != want {
			t.Errorf("%s: %s allows it, want %s", origin, got, want)
		}
	}
}

// These addresses are never dialed.
func TestGuard_ForbiddenAddresses(t *testing.T) {
	for _, loopback := range []bool{false, true} {
		g := egress.New(egress.Config{LoopbackHTTP: loopback})
		for _, host := range []string{
			"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0",
			"224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "[::]", "[::1]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]",
			"[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[::ffff:0:10.0.0.1]", "[2002:a00:1::]", "[ff02::1]", "[::10.0.0.1]", "2130706433", "0x7f000001", "localhost",
		} {
			_, err := fetch(t, g, "https://issuer.example", "https://"+host+":1/")
			if !errors.Is(err, egress.ErrForbidden) && !isNoSuchHost(err) {
				t.Errorf("%s, with loopback %v: %v", host, loopback, err)
			}
		}
	}
}

// isNoSuchHost is for old notations of addresses, which not every resolver accepts.
func isNoSuchHost(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "no such host") || strings.Contains(err.Error(), "lookup "))
}

func TestGuard_AllowedNetworks(t *testing.T) {
	g := egress.New(egress.Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/0")}})
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("loopback was reached through an allowed network") })
	if _, err := fetch(t, g, "https://issuer.example", strings.Replace(s.URL, "http:", "https:", 1)); !errors.Is(err, egress.ErrForbidden) {
		t.Error(err)
	}
	// An allowed address is dialed. Nothing listens there, which is another error.
	if _, err := fetch(t, g, "https://issuer.example", "https://0.0.0.1:1/"); err == nil || errors.Is(err, egress.ErrForbidden) {
		t.Error(err)
	}
}

func TestGuard_Redirects(t *testing.T) {
	g := egress.New(egress.Config{LoopbackHTTP: true})
	var s *httptest.Server
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		var hops int
		switch _, to, ok := strings.Cut(r.URL.RawQuery, "to="); {
		case ok:
			http.Redirect(w, r, to, http.StatusFound)
		default:
			if _, err := fmt.Sscanf(r.URL.Path, "/%d", &hops); err == nil && hops > 0 {
				http.Redirect(w, r, fmt.Sprintf("%s/%d", s.URL, hops-1), http.StatusFound)
				return
			}
			fmt.Fprint(w, "here")
		}
	})
	if got, err := fetch(t, g, s.URL, s.URL+"/3"); got != "here" {
		t.Errorf("three redirects: %q, %v", got, err)
	}
	for _, url := range []string{"/4", "/?to=http://10.0.0.1/", "/?to=https://169.254.169.254/", "/?to=file:///etc/passwd", "/?to=ftp://127.0.0.1/"} {
		if _, err := fetch(t, g, s.URL, s.URL+url); !errors.Is(err, egress.ErrForbidden) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestGuard_BoundedBodies(t *testing.T) {
	g := egress.New(egress.Config{LoopbackHTTP: true, MaxBody: 10})
	for _, declared := range []bool{true, false} {
		for size, want := range map[int]error{0: nil, 10: nil, 11: egress.ErrTooLarge, 100_000: egress.ErrTooLarge} {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if declared {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				} else {
					w.(http.Flusher).Flush()
				}
				io.WriteString(w, strings.Repeat("x", size))
			})
			got, err := fetch(t, g, s.URL, s.URL)
			if !errors.Is(err, want) || err == nil && len(got) != size || len(got) > 10 {
				t.Errorf("%d bytes, declared %v: %d bytes, %v", size, declared, len(got), err)
			}
		}
	}
}

// The size of a decompressed answer cannot be bounded beforehand, so none is
// decompressed.
func TestGuard_CompressedAnswers(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write(make([]byte, 64<<20)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	g := egress.New(egress.Config{LoopbackHTTP: true, MaxBody: 1 << 20})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if coding := r.Header.Get("Accept-Encoding"); coding != "" {
			t.Errorf("the request accepts %s", coding)
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb.Bytes())
	})
	if got, err := fetch(t, g, s.URL, s.URL); err != nil || len(got) != bomb.Len() {
		t.Errorf("%d bytes, %v, want the %d that were sent", len(got), err, bomb.Len())
	}
}

// Proxies that the environment sets for other programs are not used.
func TestGuard_EnvironmentProxies(t *testing.T) {
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	g := egress.New(egress.Config{})
	if _, err := fetch(t, g, "https://issuer.example", "https://10.0.0.1/"); !errors.Is(err, egress.ErrForbidden) {
		t.Error(err)
	}
}
