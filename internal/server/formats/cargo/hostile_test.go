package cargo_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

// The host is what the client writes, and need not be one.
func TestWebAPI_StrangeHost(t *testing.T) {
	s, app := start(t)
	want(t, http.StatusOK, publish(t, s, formatstest.Admin, app, "sample", "1.0.0", "one"))
	r := want(t, http.StatusOK, s.Do(formatstest.Reader, "GET", app+"api/v1/crates/sample", "", "Host: %zz"))
	path, _ := strings.CutPrefix(app, s.URL)
	if !strings.Contains(r.Body, `"dl_path":"`+path+`api/v1/crates/sample/1.0.0/download"`) {
		t.Error(r.Body)
	}
}

func TestSearch_ManyWords(t *testing.T) {
	s, app := start(t)
	want(t, http.StatusOK, publish(t, s, formatstest.Admin, app, "sample", "1.0.0", "one"))
	var words strings.Builder
	for i := range 100 {
		words.WriteString("w" + strconv.Itoa(i) + "+")
	}
	want(t, http.StatusBadRequest, s.Do(formatstest.Reader, "GET", app+"api/v1/crates?q="+words.String(), ""))
	want(t, http.StatusOK, s.Do(formatstest.Reader, "GET", app+"api/v1/crates?q="+strings.Repeat("sample+", 1000), ""), "sample")
}

// The metadata of a crate, which name it, are not read for a caller who may neither
// publish nor read.
func TestPublish_AuthorizedFirst(t *testing.T) {
	s, app := start(t)
	want(t, http.StatusForbidden, s.Do(formatstest.Stranger, "PUT", app+"api/v1/crates/new", request("not JSON", nil)))
}
