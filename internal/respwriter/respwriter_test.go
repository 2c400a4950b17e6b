package respwriter_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
)

// A fileWriter notes that ReadFrom was used, as net/http's writer does to send a
// file from the kernel.
type fileWriter struct {
	*httptest.ResponseRecorder
	readFrom bool
}

func (f *fileWriter) ReadFrom(src io.Reader) (int64, error) {
	f.readFrom = true
	return io.Copy(f.ResponseRecorder, src)
}

func TestRecorder(t *testing.T) {
	for name, tt := range map[string]struct {
		handle func(http.ResponseWriter)
		status int
		bytes  int64
	}{
		"nothing":         {func(http.ResponseWriter) {}, 0, 0},
		"status":          {func(w http.ResponseWriter) { w.WriteHeader(404); io.WriteString(w, "none") }, 404, 4},
		"implicit status": {func(w http.ResponseWriter) { io.WriteString(w, "x") }, 200, 1},
		"informational":   {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(201) }, 201, 0},
		"first status":    {func(w http.ResponseWriter) { w.WriteHeader(400); w.WriteHeader(200) }, 400, 0},
		"copied":          {func(w http.ResponseWriter) { io.Copy(w, io.LimitReader(strings.NewReader("file"), 4)) }, 200, 4},
	} {
		below := &fileWriter{ResponseRecorder: httptest.NewRecorder()}
		r := &respwriter.Recorder{ResponseWriter: below}
		tt.handle(r)
		if r.Status != tt.status || r.Bytes != tt.bytes {
			t.Errorf("%s: status %d and %d bytes, want %d and %d", name, r.Status, r.Bytes, tt.status, tt.bytes)
		}
		if (name == "copied") != below.readFrom {
			t.Errorf("%s: ReadFrom of the writer below used: %v", name, below.readFrom)
		}
		if err := http.NewResponseController(r).Flush(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
