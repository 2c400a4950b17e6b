package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A Webhook is an address to which events are posted, as JSON, one a request. Requests
// are signed as the specification Standard Webhooks says (standardwebhooks.com):
//
//	webhook-id         the id of the event, the same in each attempt
//	webhook-timestamp  the time of the attempt, in seconds since 1970
//	webhook-signature  "v1," and the HMAC-SHA256 of ID.TIMESTAMP.BODY in base64, once
//	                   for each secret, with spaces between them
//
// The delivery succeeds if the answer has a status of 200 to 299. Redirects are not
// followed. Everything else is tried again for about half a day, later each time, and
// stays in the work queue as failed then.
type Webhook struct {
	// Name is part of the kind of work, which people see. It must not change while
	// deliveries wait.
	Name string
	// URL is the address. It may have a query.
	URL string
	// Secrets returns the secrets that sign a request: more than one while a receiver
	// changes from one to the next. It is called for each attempt.
	Secrets func() ([]Secret, error)
	// Filter chooses the events. An empty one chooses all.
	Filter Filter
}

// A Secret is a key that a webhook's receiver has too.
type Secret struct{ key []byte }

// secretPrefix precedes a secret in base64 (Standard Webhooks, "Signature scheme").
const secretPrefix = "whsec_"

// The bounds of a secret in bytes, from the same source.
const (
	minSecret = 24
	maxSecret = 64
)

// ParseSecret reads a secret: 24 to 64 bytes in base64, after "whsec_". The error does
// not repeat it.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return Secret{}, errors.New("a secret begins with " + secretPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return Secret{}, errors.New("what follows " + secretPrefix + " is not base64")
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, fmt.Errorf("a secret has %d to %d bytes, and this one has %d", minSecret, maxSecret, len(key))
	}
	return Secret{key}, nil
}

// sign returns the signature of a request.
func (s Secret) sign(id, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s.%s.", id, timestamp)
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// The deliveries to one webhook are one kind of work, so a receiver that is slow or down
// delays only its own.
const (
	webhookKind        = "events/webhook/"
	webhookConcurrency = 2
	webhookTimeout     = 30 * time.Second
	webhookAttempts    = 20 // about twelve hours
	maxDiscarded       = 64 << 10
)

// A webhook is a Webhook that is ready to use.
type webhook struct {
	Webhook
	client *http.Client
	now    func() time.Time
}

func newWebhook(w Webhook, c Config) (*webhook, error) {
	u, err := url.Parse(w.URL)
	if err != nil {
		return nil, fmt.Errorf("events: webhook %s: its address is not a URL", w.Name)
	}
	guarded, err := c.Client(u.Scheme + "://" + u.Host)
	if err != nil {
		return nil, fmt.Errorf("events: webhook %s: %w", w.Name, err)
	}
	client := *guarded
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &webhook{w, &client, c.Now}, nil
}

// A delivery is the payload of a job. It has the event, which may be removed from the log
// before it is delivered.
type delivery struct {
	ID    string          `json:"id"`
	Event json.RawMessage `json:"event"`
}

func (w *webhook) kind() work.Kind {
	return work.Kind{
		Name: webhookKind + w.Name, Concurrency: webhookConcurrency, Timeout: webhookTimeout, MaxAttempts: webhookAttempts,
		Run: work.JSON(w.deliver),
	}
}

func (w *webhook) job(s *stored) work.Job {
	return work.Job{Kind: webhookKind + w.Name, Key: s.id, Payload: delivery{s.id, json.RawMessage(s.body)}}
}

// deliver posts one event. Its errors are stored and shown, so they must not have the
// address, whose query may be secret.
func (w *webhook) deliver(ctx context.Context, d delivery) error {
	secrets, err := w.Secrets()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(d.Event))
	if err != nil {
		return errors.New("the address is not a URL")
	}
	timestamp := strconv.FormatInt(w.now().Unix(), 10)
	var signatures []string
	for _, s := range secrets {
		signatures = append(signatures, s.sign(d.ID, timestamp, d.Event))
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Gatehouse")
	r.Header.Set("Webhook-Id", d.ID)
	r.Header.Set("Webhook-Timestamp", timestamp)
	r.Header.Set("Webhook-Signature", strings.Join(signatures, " "))
	response, err := w.client.Do(r)
	if err != nil {
		var in *url.Error
		if errors.As(err, &in) {
			err = in.Err
		}
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxDiscarded)) // so that the connection can be used again
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the receiver answered with status %d", response.StatusCode)
	}
	return nil
}

// handleFormer registers the webhooks whose deliveries wait although the configuration
// does not have them any more. Their deliveries fail, and are removed as all failed work
// is.
func (l *Log) handleFormer(ctx context.Context) error {
	backlog, err := l.c.Work.Backlog(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, w := range l.webhooks {
		known[webhookKind+w.Name] = true
	}
	for _, b := range backlog {
		if !strings.HasPrefix(b.Kind, webhookKind) || known[b.Kind] {
			continue
		}
		known[b.Kind] = true
		err := l.c.Work.Handle(work.Kind{Name: b.Kind, MaxAttempts: webhookAttempts, Run: func(context.Context, work.Run) error {
			return errors.New("the configuration of this server has no webhook of this name")
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
