package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/proxy"
)

// raw sends bytes as they are, and returns the status of each answer until the
// connection is closed.
func (r *rig) raw(request string) []int {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	var statuses []int
	for in := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		statuses = append(statuses, res.StatusCode)
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}

// None of these reaches the upstream.
func TestProxy_Attacks(t *testing.T) {
	r := start(t, echo, "npm")
	host := strings.TrimPrefix(r.url, "http://")
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	end := " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"absolute form":              {"GET " + r.url + "/acme-lib/npm/left" + end + "\r\n", 400},
		"absolute form, another":     {"GET http://registry.example/acme-lib/npm/left" + end + "\r\n", 400},
		"CONNECT":                    {"CONNECT registry.example:443" + end + "\r\n", 405},
		"CONNECT with a path":        {"CONNECT /acme-lib/npm/left" + end + "\r\n", 405},
		"OPTIONS *":                  {"OPTIONS *" + end + "\r\n", 405},
		"TRACE":                      {"TRACE /acme-lib/npm/left" + end + "\r\n", 405},
		"a method of one's own":      {"PURGE /acme-lib/npm/left" + end + "\r\n", 405},
		"up":                         {"GET /acme-lib/npm/../../v1/domains" + end + "\r\n", 400},
		"up, encoded":                {"GET /acme-lib/npm/%2e%2e/%2E./v1/domains" + end + "\r\n", 400},
		"up, encoded slash":          {"GET /acme-lib/npm/..%2f..%2fv1/domains" + end + "\r\n", 400},
		"up, encoded twice":          {"GET /acme-lib/npm/%252e%252e/v1/domains" + end + "\r\n", 400},
		"up, encoded over and over":  {"GET /acme-lib/npm/%2525252525252e%2525252525252e/" + end + "\r\n", 400},
		"up, beside invalid escapes": {"GET /acme-lib/npm/%252e%252e/%252e%252e/%25zz" + end + "\r\n", 400},
		"up, backslash":              {"GET /acme-lib/npm/..%5c..%5cv1/domains" + end + "\r\n", 400},
		"up, with a parameter":       {"GET /acme-lib/npm/..;/..;/v1/domains" + end + "\r\n", 400},
		"a dot":                      {"GET /acme-lib/npm/./left" + end + "\r\n", 400},
		"a newline":                  {"GET /acme-lib/npm/left%0d%0aHost:%20evil.example" + end + "\r\n", 400},
		"NUL":                        {"GET /acme-lib/npm/left%00" + end + "\r\n", 400},
		"two slashes first":          {"GET //evil.example/acme-lib/npm/left" + end + "\r\n", 404},
		"two slashes, then it":       {"GET //acme-lib/npm/left" + end + "\r\n", 404},
		"another path":               {"GET /v1/domains" + end + "\r\n", 404},
		"a longer name":              {"GET /acme-lib/npmx/left" + end + "\r\n", 404},
		"an encoded name":            {"GET /acme-lib%2fnpm/left" + end + "\r\n", 404},
		"another case":               {"GET /ACME-LIB/npm/left" + end + "\r\n", 404},
		"another Host":               {"GET /v2/ HTTP/1.1\r\nConnection: close\r\nHost: evil.example\r\n\r\n", 421},
		"another Host, our port":     {"GET /v2/ HTTP/1.1\r\nConnection: close\r\nHost: evil.example:" + port + "\r\n\r\n", 421},
		"our Host, another port":     {"GET /v2/ HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1:1\r\n\r\n", 421},
		"no port":                    {"GET /v2/ HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n", 421},
		"a Host that begins as ours": {"GET /v2/ HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1.evil.example:" + port + "\r\n\r\n", 421},
		"a Host with a user":         {"GET /v2/ HTTP/1.1\r\nHost: " + host + "@evil.example\r\n\r\n", 400},
		"two Hosts":                  {"GET /v2/ HTTP/1.1\r\nHost: " + host + "\r\nHost: evil.example\r\n\r\n", 400},
		"no Host":                    {"GET /v2/ HTTP/1.1\r\n\r\n", 400},
		"HTTP/1.0 without a Host":    {"GET /v2/ HTTP/1.0\r\n\r\n", 421},
		"a page's Origin":            {"GET /v2/" + end + "Origin: https://page.example\r\n\r\n", 403},
		"a page's, null":             {"GET /v2/" + end + "Origin: null\r\n\r\n", 403},
		"a page's, another port":     {"GET /v2/" + end + "Origin: http://127.0.0.1:1\r\n\r\n", 403},
		"two Origins":                {"GET /v2/" + end + "Origin: " + r.url + "\r\nOrigin: https://page.example\r\n\r\n", 403},
		"a page's image":             {"GET /v2/" + end + "Sec-Fetch-Site: cross-site\r\n\r\n", 403},
		"a page's of the same site":  {"GET /v2/" + end + "Sec-Fetch-Site: same-site\r\n\r\n", 403},
		"a page of a package's":      {"GET /v2/" + end + "Origin: " + r.url + "\r\nSec-Fetch-Site: same-origin\r\n\r\n", 403},
		"the same, its Origin":       {"PUT /v2/x" + end + "Origin: " + r.url + "\r\nContent-Length: 0\r\n\r\n", 403},
		"the same, its image":        {"GET /v2/" + end + "Sec-Fetch-Site: same-origin\r\n\r\n", 403},
		"HTTP/2 from the start":      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 405},
		"length and chunks":          {"POST /v2/x" + end + "Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		"two lengths":                {"POST /v2/x" + end + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
		"a header with a space":      {"GET /v2/" + end + "Authorization : Basic eA==\r\n\r\n", 400},
		"a folded header":            {"GET /v2/" + end + "X-A: b\r\n Authorization: Basic eA==\r\nTransfer-Encoding: x\r\n\r\n", 501},
		"a large header":             {"GET /v2/" + end + "X-A: " + strings.Repeat("a", 200<<10) + "\r\n\r\n", 431},
	} {
		if got := r.raw(c.request); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %d; want %d", name, got, c.want)
		}
	}
	if seen := r.requests(); len(seen) != 0 {
		t.Errorf("the upstream has seen %s %s", seen[0].Method, seen[0].RequestURI)
	}
}

// Of a connection header's list, and with both ways to say a length, no more than
// one request comes out.
func TestProxy_Smuggling(t *testing.T) {
	r := start(t, echo, "npm")
	host := strings.TrimPrefix(r.url, "http://")
	r.raw("GET /v2/ HTTP/1.1\r\nHost: " + host + "\r\nConnection: close, X-Secret, Authorization\r\nX-Secret: a\r\nAuthorization: Basic eA==\r\n\r\n")
	r.raw("POST /v2/x HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"0\r\n\r\nGET /acme-lib/npm/smuggled HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	for _, q := range r.requests() {
		if strings.Contains(q.RequestURI, "smuggled") || q.Header.Get("X-Secret") != "" || tokenOf(q) != "secret-1" {
			t.Errorf("%s %v", q.RequestURI, q.Header)
		}
	}
}

// An offer to go over to another protocol is not passed on, and not taken.
func TestProxy_Upgrade(t *testing.T) {
	r := start(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Upgrade") != "" || q.Header.Get("Connection") != "" || q.Header.Get("Http2-Settings") != "" {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
	})
	host := strings.TrimPrefix(r.url, "http://")
	for _, offer := range []string{"Connection: Upgrade, close\r\nUpgrade: websocket", "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"} {
		if got := r.raw("GET /v2/ HTTP/1.1\r\nHost: " + host + "\r\n" + offer + "\r\n\r\n"); len(got) != 1 || got[0] != http.StatusOK {
			t.Errorf("%s: %d", offer, got)
		}
	}
}

// Every name of the loopback is the proxy's own. A person may look at an index.
func TestProxy_HostHeader(t *testing.T) {
	r := start(t, echo)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port} {
		if got := r.raw("GET /v2/ HTTP/1.1\r\nHost: " + host + "\r\nSec-Fetch-Site: none\r\nConnection: close\r\n\r\n"); len(got) != 1 || got[0] != 200 {
			t.Errorf("%s: %d", host, got)
		}
	}
}

// triplet is a percent-encoded byte. Some servers leave invalid ones as they are.
var triplet = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// A path that is let through stays where it is, however often somebody decodes
// it.
func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"/left", "/@acme%2fleft", "/%2e%2e/x", "/a/..%2f..", "/a//b", "/%252e%252e", "/..;/", "/a%5c..%5cb", "/%252e%252e/%25zz", "/100%25"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		if !strings.HasPrefix(rest, "/") || proxy.CheckPath(rest) != nil {
			return
		}
		decoded := rest
		for range 8 {
			plain := strings.ReplaceAll(decoded, `\`, "/")
			if cleaned := path.Clean("/base/repository/" + plain); cleaned != "/base/repository" && !strings.HasPrefix(cleaned, "/base/repository/") {
				t.Fatalf("%q leads to %q", rest, cleaned)
			}
			decoded = triplet.ReplaceAllStringFunc(decoded, func(t string) string {
				plain, err := url.PathUnescape(t)
				if err != nil {
					return t
				}
				return plain
			})
		}
	})
}
