package app

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// What is answered around the handlers of an AWS API has its code in every place in
// which a client may look for it alone. Nothing makes a handler of a server panic, and
// so this test has handlers of its own.
func TestAnswers_CodeInEveryPlace(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	requests := &requestLog{log: logger, metrics: newMetrics(), refusals: newRefusals(logger, nil, time.Now), now: time.Now}
	full := newRates(config.Limits{AddressRate: 1})
	panics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1")
		w.Header().Set("Etag", "x")
		panic("broken handler")
	})
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	spend := httptest.NewRequest(http.MethodGet, "/", nil)
	for range 10 {
		full.byAddress(ok, answerText).ServeHTTP(httptest.NewRecorder(), spend)
	}
	for _, around := range []struct {
		description     string
		handler         http.Handler
		rpcStatus, rest int
		json, query     string
	}{
		{"a panic", panics, 500, 500, "InternalFailure", "InternalFailure"},
		{"too many requests", full.byAddress(ok, answerAPI), 400, 429, "ThrottlingException", "Throttling"},
		{"a page of another site", sameOrigin(ok, answerAPI), 403, 403, "AccessDeniedException", "AccessDenied"},
	} {
		server := httptest.NewServer(requests.wrap(new(atomic.Int64), answerAPI, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = spend.RemoteAddr
			around.handler.ServeHTTP(w, r)
		})))
		for _, c := range []struct {
			protocol, path string
			header         [2]string
			status         int
		}{
			{"awsJson", "/", [2]string{"X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry"}, around.rpcStatus},
			{"restJson", "/v1/domain?domain=x", [2]string{}, around.rest},
			{"awsQuery", "/", [2]string{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}, around.rpcStatus},
			{"awsQuery without a type", "/", [2]string{}, around.rpcStatus},
			{"awsQuery at another path", "/iam", [2]string{"Content-Type", "application/x-www-form-urlencoded"}, around.rpcStatus},
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+c.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			if c.header[0] != "" {
				r.Header.Set(c.header[0], c.header[1])
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatalf("%s, %s: %v", around.description, c.protocol, err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			code := around.json
			if strings.HasPrefix(c.protocol, "awsQuery") {
				code = around.query
			}
			id := res.Header.Get("X-Amzn-Requestid")
			if err != nil || res.StatusCode != c.status || res.Header.Get("X-Amzn-Errortype") != code || id == "" || res.Header.Get("Etag") != "" {
				t.Errorf("%s, %s: %d %v %s: %v", around.description, c.protocol, res.StatusCode, res.Header, body, err)
			}
			if code == around.query && strings.HasPrefix(c.protocol, "awsQuery") {
				var answer struct {
					Code      string `xml:"Error>Code"`
					Message   string `xml:"Error>Message"`
					RequestID string `xml:"RequestId"`
				}
				if err := xml.Unmarshal(body, &answer); err != nil || answer.Code != code || answer.Message == "" || answer.RequestID != id {
					t.Errorf("%s, %s: %s: %v", around.description, c.protocol, body, err)
				}
				continue
			}
			var answer struct {
				Type    string `json:"__type"`
				Code    string `json:"code"`
				Message string `json:"message"`
			}
			if err := json.Unmarshal(body, &answer); err != nil || answer.Type != code || answer.Code != code || answer.Message == "" {
				t.Errorf("%s, %s: %s: %v", around.description, c.protocol, body, err)
			}
		}
		server.Close()
	}
	if !strings.Contains(log.String(), "broken handler") || !strings.Contains(log.String(), "answers_internal_test.go") {
		t.Error("the log has no panic with its stack")
	}
}
