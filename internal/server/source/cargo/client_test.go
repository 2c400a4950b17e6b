package cargo_test

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// A fixed client has an answer for each path.
type fixed map[string]string

func (fixed) Base() string { return "https://index.example/" }

func (f fixed) Do(_ context.Context, r egress.Request) (*egress.Response, error) {
	return &egress.Response{Status: http.StatusOK, Header: http.Header{}, URL: f.Base() + r.URL, Length: -1, Body: io.NopCloser(strings.NewReader(f[r.URL]))}, nil
}
