package egress_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// newUpstream returns a client for a server on this machine.
func newUpstream(t *testing.T, c egress.UpstreamConfig, s egress.Services) *egress.Upstream {
	t.Helper()
	c.AllowPrivate = true
	if c.Name == "" {
		c.Name = "public:test"
	}
	if c.Proxy == "" {
		c.Proxy = "none"
	}
	u, err := egress.NewUpstream(c, s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// get asks for a path and reads the whole answer.
func get(t *testing.T, u *egress.Upstream, r egress.Request) (string, *egress.Response, error) {
	t.Helper()
	if r.MaxBytes == 0 {
		r.MaxBytes = 1 << 20
	}
	res, err := u.Do(t.Context(), r)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), res, err
}

func TestUpstream_Get(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, r.RequestURI)
	})
	u := newUpstream(t, egress.UpstreamConfig{URL: s.URL + "/npm"}, egress.Services{})
	if body, res, err := get(t, u, egress.Request{URL: "@a%2fb?x=http://c"}); err != nil || body != "/npm/@a%2fb?x=http://c" || res.Length != int64(len(body)) {
		t.Errorf("%q, %+v, %v", body, res, err)
	}
	body, res, err := get(t, u, egress.Request{URL: s.URL + "/other", Header: http.Header{"If-None-Match": {`"1"`}}})
	if err != nil || body != "" || res.Status != http.StatusNotModified {
		t.Errorf("%q, %+v, %v", body, res, err)
	}
}
