package events_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

const (
	secretText  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secretText2 = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)

func secrets(t *testing.T, texts ...string) func() ([]events.Secret, error) {
	var all []events.Secret
	for _, text := range texts {
		s, err := events.ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return func() ([]events.Secret, error) { return all, nil }
}

// verified reports whether a signature is right. It is written from the specification.
func verified(secret, id, timestamp, body, signature string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	h := hmac.New(sha256.New, key)
	io.WriteString(h, id+"."+timestamp+"."+body)
	return slices.Contains(strings.Split(signature, " "), "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
}

// TestVerified checks the check with the example of the specification's libraries.
func TestVerified(t *testing.T) {
	if !verified(secretText, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=") {
		t.Error("the signature of the example is wrong")
	}
}

// A receiver is a webhook's server on this machine.
type receiver struct {
	*httptest.Server
	f       *fixture
	secrets []string

	mu     sync.Mutex
	answer http.HandlerFunc // nil is 204
	got    []string         // the ids of the events, as they arrived
	bodies []string
	came   chan struct{} // receives for each request
}

func (f *fixture) receiver() *receiver {
	r := &receiver{f: f, secrets: []string{secretText}, came: make(chan struct{}, 1000)}
	r.Server = httptest.NewServer(r)
	f.t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.f.t.Error(err)
	}
	id, timestamp := q.Header.Get("Webhook-Id"), q.Header.Get("Webhook-Timestamp")
	for _, s := range r.secrets {
		if !verified(s, id, timestamp, string(body), q.Header.Get("Webhook-Signature")) {
			r.f.t.Errorf("the signature of %s is wrong: %v", body, q.Header)
		}
	}
	if q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" || timestamp != strconv.FormatInt(r.f.now().Unix(), 10) || !strings.Contains(string(body), `"id":"`+id+`"`) {
		r.f.t.Errorf("%s %v %s", q.Method, q.Header, body)
	}
	r.mu.Lock()
	r.got, r.bodies = append(r.got, id), append(r.bodies, string(body))
	answer := r.answer
	r.mu.Unlock()
	r.came <- struct{}{}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, q)
}

func (r *receiver) answerWith(h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = h
}

// names are what was received, sorted: deliveries have no order.
func (r *receiver) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []events.Numbered
	for _, b := range r.bodies {
		all = append(all, events.Numbered{Body: b})
	}
	out := names(r.f.t, all)
	slices.Sort(out)
	return out
}

func (r *receiver) want(want ...string) {
	r.f.t.Helper()
	if got := r.names(); !slices.Equal(got, want) {
		r.f.t.Fatalf("received %v, want %v", got, want)
	}
}

// hooks is the configuration of webhooks on this machine.
func hooks(all ...events.Webhook) events.Config {
	return events.Config{Webhooks: all, Client: egress.New(egress.Config{LoopbackHTTP: true}).For}
}

// deliver collects, and runs the work that is due.
func (s *server) deliver() {
	s.f.t.Helper()
	s.read(0)
	s.f.ok(s.work.RunDue(s.f.t.Context()))
}

// failed are the deliveries that are not tried again by themselves.
func (s *server) failed() []work.Item {
	s.f.t.Helper()
	items, err := s.work.List(s.f.t.Context(), work.Filter{State: work.Failed}, "", 1000)
	s.f.ok(err)
	return items
}

func TestWebhook(t *testing.T) {
	f := open(t)
	a, b := f.receiver(), f.receiver()
	b.secrets = []string{secretText, secretText2} // while one is replaced
	s := f.server(hooks(
		events.Webhook{Name: "a", URL: a.URL + "/hook?key=value", Secrets: secrets(t, secretText)},
		events.Webhook{Name: "b", URL: b.URL, Secrets: secrets(t, secretText, secretText2), Filter: events.Filter{Sources: []string{"aws.b"}, Domains: []string{"d"}}},
	))
	s.write("a/1", "b/1", "c/1")
	s.deliver()
	a.want("a/1", "b/1", "c/1")
	b.want("b/1")
	s.deliver()
	a.want("a/1", "b/1", "c/1") // once
	// What a server wrote right before it was killed, the next one delivers.
	s.write("a/2")
	s = f.server(hooks(events.Webhook{Name: "a", URL: a.URL, Secrets: secrets(t, secretText)}))
	s.deliver()
	a.want("a/1", "a/2", "b/1", "c/1")
}

// Run delivers soon after a change, also what was written before.
func TestRun(t *testing.T) {
	f := open(t)
	r := f.receiver()
	s := f.server(hooks(events.Webhook{Name: "a", URL: r.URL, Secrets: secrets(t, secretText)}))
	s.write("a/1")
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { s.Run(ctx) })
	group.Go(func() { s.work.Run(ctx) })
	<-r.came
	s.write("a/2")
	<-r.came
	cancel()
	group.Wait()
	r.want("a/1", "a/2")
}

func TestWebhook_Fails(t *testing.T) {
	elsewhere := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere = true }))
	defer other.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"error": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "t0ps3cret", http.StatusInternalServerError)
		}, "the receiver answered with status 500"},
		"redirect": {func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, other.URL, http.StatusTemporaryRedirect)
		}, "the receiver answered with status 307"},
		"cut off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"slow":    {func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }, "Client.Timeout exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			r := f.receiver()
			c2 := hooks(events.Webhook{Name: "a", URL: r.URL + "/?token=t0ps3cret", Secrets: secrets(t, secretText)})
			if name == "slow" {
				c2.Client = func(string) (*http.Client, error) { return &http.Client{Timeout: time.Second}, nil }
			}
			s := f.server(c2)
			r.answerWith(c.answer)
			s.write("a/1")
			s.deliver()
			items, err := s.work.List(t.Context(), work.Filter{Kind: "events/webhook/a"}, "", 10)
			f.ok(err)
			if len(items) != 1 || items[0].State != work.Queued || !strings.Contains(items[0].LastError, c.want) || strings.Contains(items[0].LastError, "t0ps3cret") {
				t.Fatalf("%+v", items)
			}
			r.answerWith(nil)
			f.pass(time.Minute)
			s.deliver()
			r.want("a/1", "a/1") // the same event again
			if r.got[0] != r.got[1] {
				t.Errorf("the ids of the attempts are %v", r.got)
			}
			if elsewhere {
				t.Error("the redirect was followed")
			}
		})
	}
}

// A delivery that fails for long is kept, can be seen, and is tried again.
func TestWebhook_DeadLetter(t *testing.T) {
	f := open(t)
	down, up := f.receiver(), f.receiver()
	s := f.server(hooks(
		events.Webhook{Name: "down", URL: down.URL, Secrets: secrets(t, secretText)},
		events.Webhook{Name: "up", URL: up.URL, Secrets: secrets(t, secretText)},
	))
	down.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	s.write("a/1")
	for range 30 {
		s.deliver()
		f.pass(2 * time.Hour)
	}
	up.want("a/1")
	items := s.failed()
	if len(items) != 1 || items[0].Kind != "events/webhook/down" || items[0].Attempts != 20 || items[0].LastError != "the receiver answered with status 502" {
		t.Fatalf("%+v", items)
	}
	// The event itself is not in the log any more.
	f.ok(s.work.RunDue(t.Context()))
	s.want(0)
	down.answerWith(nil)
	n, err := s.work.RetryFailed(t.Context(), "events/webhook/down")
	f.ok(err)
	s.deliver()
	if got := down.names(); n != 1 || len(got) != 21 || len(s.failed()) > 0 {
		t.Errorf("%d tried again, %d requests", n, len(got))
	}
}

// What waits for a webhook that the configuration has no more fails, and can be seen.
func TestWebhook_Removed(t *testing.T) {
	f := open(t)
	r := f.receiver()
	hook := events.Webhook{Name: "a", URL: r.URL, Secrets: func() ([]events.Secret, error) { return nil, errors.New("there is no secret") }}
	s := f.server(hooks(hook))
	s.write("a/1")
	s.deliver()
	r.want() // nothing leaves unsigned
	s = f.server(events.Config{})
	for range 30 {
		f.pass(2 * time.Hour)
		s.deliver()
	}
	items := s.failed()
	if len(items) != 1 || !strings.Contains(items[0].LastError, "no webhook of this name") {
		t.Fatalf("%+v", items)
	}
	hook.Secrets = secrets(t, secretText)
	s = f.server(hooks(hook))
	_, err := s.work.RetryFailed(t.Context(), "")
	f.ok(err)
	s.deliver()
	r.want("a/1")
}

func TestNew_ForbiddenWebhook(t *testing.T) {
	f := open(t)
	c := hooks(events.Webhook{Name: "a", URL: "http://127.0.0.1:1/", Secrets: secrets(t, secretText)})
	c.Client = egress.New(egress.Config{}).For
	c.DB, c.Now = f.db, f.now
	c.Work = f.server(events.Config{}).work
	if _, err := events.New(t.Context(), c); !errors.Is(err, egress.ErrForbidden) {
		t.Errorf("%v, want ErrForbidden", err)
	}
}
