package formats_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

func newTable(called *string) *formats.Table[string] {
	route := func(kind formats.Kind, method string) formats.Route[string] {
		return formats.Route[string]{Kind: kind, Method: method, Action: "ReadFromRepository", Serve: func(_ http.ResponseWriter, _ *formats.Request, p string) error {
			*called = method + " " + string(kind) + " " + p
			return nil
		}}
	}
	parse := func(escaped string) (formats.Kind, string) {
		switch escaped {
		case "file", "page", "anything":
			return formats.Kind(escaped), escaped + "!"
		}
		return "", ""
	}
	return formats.NewTable(parse, "Files are at /file.", route("file", "GET"), route("file", "PUT"), route("page", "GET"), route("page", "HEAD"), route("anything", "POST"), route("anything", ""))
}

func TestTable_Serve(t *testing.T) {
	for _, c := range []struct {
		method, path, called, code, allow string
	}{
		{"GET", "file", "GET file file!", "", ""},
		{"HEAD", "file", "GET file file!", "", ""},
		{"PUT", "/file", "PUT file file!", "", ""},
		{"DELETE", "file", "", "MethodNotAllowed", "GET, HEAD, PUT"},
		{"HEAD", "page", "HEAD page page!", "", ""},
		{"PUT", "page", "", "MethodNotAllowed", "GET, HEAD"},
		{"POST", "anything", "POST anything anything!", "", ""},
		{"HEAD", "anything", " anything anything!", "", ""},
		{"GET", "nothing", "", "NotFound", ""},
	} {
		var called string
		w := httptest.NewRecorder()
		err := newTable(&called).Serve(w, &formats.Request{Request: httptest.NewRequest(c.method, "/", nil), Rest: c.path})
		code := ""
		if err != nil {
			code = fault.From(err).Code
		}
		if called != c.called || code != c.code || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: called %q, fault %q, Allow %q", c.method, c.path, called, code, w.Header().Get("Allow"))
		}
	}
}

func TestTable_Routes(t *testing.T) {
	var called string
	infos := newTable(&called).Routes()
	if len(infos) != 6 || infos[1] != (formats.RouteInfo{Kind: "file", Method: "PUT", Action: "ReadFromRepository"}) {
		t.Error(infos)
	}
}

func TestNewTable_DuplicateRoute(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a table has two routes for one request")
		}
	}()
	r := formats.Route[int]{Kind: "file", Method: "GET", Serve: func(http.ResponseWriter, *formats.Request, int) error { return nil }}
	formats.NewTable(func(string) (formats.Kind, int) { return "", 0 }, "", slices.Repeat([]formats.Route[int]{r}, 2)...)
}
