package proxy

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

// A requestError says why the proxy does not send a request on.
type requestError struct {
	status int
	reason string
}

func (r *requestError) Error() string { return r.reason }

func writeRefusal(w http.ResponseWriter, err *requestError) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.Error(w, "gatehouse proxy: "+err.reason, err.status)
}

// removeUpgrade removes the offer to switch to another protocol, which a server may
// ignore (RFC 9110, 7.8): cargo offers HTTP/2 with every request.
func removeUpgrade(h http.Header) {
	h.Del("Upgrade")
	h.Del("Http2-Settings")
}

// methods are the methods of the protocols that are served.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// checkRequest says why a request is not sent on; nil if it is. It protects against
// web pages that a browser on this machine shows, and against paths that the
// upstream could read in another way than the proxy does.
func (p *Proxy) checkRequest(r *http.Request) *requestError {
	switch {
	case !slices.Contains(methods, r.Method):
		return &requestError{http.StatusMethodNotAllowed, r.Method + " is not served"}
	case !strings.HasPrefix(r.RequestURI, "/"): // http://…, as to a forward proxy
		return &requestError{http.StatusBadRequest, "this is not a forward proxy: use its own address in place of the repository's"}
	case !p.isOwnHost(r.Host): // DNS rebinding: another name that was made to lead here
		return &requestError{http.StatusMisdirectedRequest, "the proxy answers to " + p.host + " only"}
	case fromWebPage(r.Header):
		return &requestError{http.StatusForbidden, "web pages are not served"}
	case r.ProtoMajor != 1:
		return &requestError{http.StatusHTTPVersionNotSupported, "the proxy speaks HTTP/1.1 only"}
	}
	if err := checkPath(r.URL.EscapedPath()); err != nil {
		return &requestError{http.StatusBadRequest, err.Error()}
	}
	return nil
}

// isOwnHost reports whether a Host header is the proxy's own: its port, and any
// name of the loopback.
func (p *Proxy) isOwnHost(host string) bool {
	_, port, err := net.SplitHostPort(p.host)
	if err != nil {
		return false
	}
	name, asked, err := net.SplitHostPort(host)
	if err != nil { // without a port, which then is the scheme's
		name, asked = strings.Trim(host, "[]"), "80"
	}
	return asked == port && loopback.Is(name)
}

// fromWebPage reports whether a browser says that a page has made the request
// (Fetch, "Origin header"; Fetch Metadata, "Sec-Fetch-Site"). Pages of this origin
// count as well: they come from packages, which anybody may have written. An
// address that a person types is not a page's request.
func fromWebPage(h http.Header) bool {
	return len(h.Values("Origin")) > 0 || slices.ContainsFunc(h.Values("Sec-Fetch-Site"), func(site string) bool { return site != "none" })
}

// maxDecoding is how many layers of percent-encoding a path may have.
const maxDecoding = 4

// checkPath refuses paths with a segment that leads upwards, however it is encoded:
// what is sent on must stay below the upstream's own path. Encoded slashes are
// allowed, since npm encodes the slash of @scope/name.
func checkPath(path string) error {
	for range maxDecoding {
		for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			// For some servers ";" begins a parameter of the segment.
			if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
				return fmt.Errorf("the path leads out of the repository")
			}
		}
		if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("the path has control characters")
		}
		decoded := decode(path)
		if decoded == path {
			return nil // completely decoded
		}
		path = decoded
	}
	return fmt.Errorf("the path is encoded too many times")
}

var triplet = lazyregexp.New("%[0-9A-Fa-f]{2}")

// decode percent-decodes a path once. It leaves what only looks encoded, as some
// servers do.
func decode(path string) string {
	return triplet.ReplaceAllStringFunc(path, unescaped)
}
