package proxy

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

// A refusal is a request that the proxy does not send on.
type requestError struct {
	status int
	reason string
}

func (r *requestError) Error() string { return r.reason }

func writeRefusal(w http.ResponseWriter, err *requestError) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.Error(w, "gatehouse proxy: "+err.reason, err.status)
}

// stay takes out the offer to go over to another protocol, which a server may
// leave unanswered (RFC 9110, 7.8): cargo offers HTTP/2 with every request.
func removeUpgrade(h http.Header) {
	h.Del("Upgrade")
	h.Del("Http2-Settings")
}

// methods are those of the protocols that are served.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// guard says why a request is not sent on, or nil. It is against a web page that
// a browser on this machine shows, and against targets that others than the
// upstream could understand otherwise than the proxy does.
func (p *Proxy) checkRequest(r *http.Request) *requestError {
	switch {
	case !slices.Contains(methods, r.Method):
		return &requestError{http.StatusMethodNotAllowed, r.Method + " is not served"}
	case !strings.HasPrefix(r.RequestURI, "/"): // http://…, as to a forward proxy
		return &requestError{http.StatusBadRequest, "this is no forward proxy: use its own address in place of the repository's"}
	case !p.isOwnHost(r.Host): // a name that was made to lead here
		return &requestError{http.StatusMisdirectedRequest, "it answers to " + p.host + " alone"}
	case fromWebPage(r.Header):
		return &requestError{http.StatusForbidden, "web pages are not served"}
	case r.ProtoMajor != 1:
		return &requestError{http.StatusHTTPVersionNotSupported, "no other protocol than HTTP/1.1 is spoken"}
	}
	if err := checkPath(r.URL.EscapedPath()); err != nil {
		return &requestError{http.StatusBadRequest, err.Error()}
	}
	return nil
}

// names reports whether a Host is the proxy's own: its port, and any name of the
// loopback.
func (p *Proxy) isOwnHost(host string) bool {
	_, port, err := net.SplitHostPort(p.host)
	if err != nil {
		return false
	}
	name, asked, err := net.SplitHostPort(host)
	if err != nil { // a port that goes without saying
		name, asked = strings.Trim(host, "[]"), "80"
	}
	return asked == port && loopback.Is(name)
}

// ofPage reports whether a browser says that a page has made the request (Fetch,
// "Origin header"; Fetch Metadata, "Sec-Fetch-Site"). A page of this origin is out
// of a package, which anybody may have written. What a person asks for by hand is
// of no page.
func fromWebPage(h http.Header) bool {
	return len(h.Values("Origin")) > 0 || slices.ContainsFunc(h.Values("Sec-Fetch-Site"), func(site string) bool { return site != "none" })
}

// maxDecoding is how often a path may be percent-encoded over and over.
const maxDecoding = 4

// checkPath refuses paths with a part that leads upwards, however it is encoded:
// what is sent on must stay below the upstream's own path. Encoded slashes are
// allowed, since npm encodes that of @scope/name.
func checkPath(path string) error {
	for range maxDecoding {
		for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			// ";" begins a parameter of the part for some servers.
			if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
				return fmt.Errorf("the path leads out of what is served")
			}
		}
		if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("the path has control characters")
		}
		decoded := decode(path)
		if decoded == path {
			return nil // the last of it
		}
		path = decoded
	}
	return fmt.Errorf("the path is encoded too many times")
}

var triplet = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// decode percent-decodes a path once and leaves what only looks encoded, as some
// servers do.
func decode(path string) string {
	return triplet.ReplaceAllStringFunc(path, unescaped)
}
