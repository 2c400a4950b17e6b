package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

const rotations = 3

// Holding is a load of clients that get tokens, and that use them and tokens that they
// have had for long, each at any server. Every request must be accepted.
type holding struct {
	servers []*process
	user    aws.Config
	used    atomic.Int64

	held   sync.RWMutex // is locked to take away a token, when no request with it is under way
	tokens []string

	mu      sync.Mutex
	refused []string
}

// run gets and uses tokens until ctx ends.
func (h *holding) run(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: askers}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		h.held.RLock()
		issuer, user := h.any(), h.user
		user.BaseEndpoint = &issuer.url
		if out, err := ecr.NewFromConfig(user).GetAuthorizationToken(ctx, nil); err != nil {
			h.fail(ctx, "a token of %s: %v", issuer.url, err)
		} else {
			h.use(ctx, client, "a new token", *out.AuthorizationData[0].AuthorizationToken)
		}
		for i, token := range h.tokens {
			h.use(ctx, client, fmt.Sprint("held token ", i), token)
		}
		h.held.RUnlock()
	}
}

func (h *holding) any() *process { return h.servers[rand.IntN(len(h.servers))] }

func (h *holding) fail(ctx context.Context, format string, args ...any) {
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = append(h.refused, fmt.Sprintf(format, args...))
}

// use uses a token at any server.
func (h *holding) use(ctx context.Context, client *http.Client, what, token string) {
	server := h.any()
	status, err := headManifest(ctx, client, server.url, token)
	if err != nil || status != http.StatusOK {
		h.fail(ctx, "%s at %s: %d, %v", what, server.url, status, err)
		return
	}
	h.used.Add(1)
}

// headManifest asks for an image and returns the status.
func headManifest(ctx context.Context, client *http.Client, url, token string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, url+"/v2/app/manifests/v1", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Basic "+token)
	res, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// rotateUnderLoad rotates the keyring again and again and then retires the first key, by
// the commands for operators, while clients get and use tokens at three servers. No token
// of a key that is not retired may be refused, and none of the retired one may be accepted
// by any server when the command has returned.
func rotateUnderLoad(t *testing.T, g *fixture, servers []*process, user aws.Config) {
	session, _ := g.session("rotating", "before")
	first := *ecrToken(t, user).AuthorizationToken
	h := &holding{servers: servers, user: user, tokens: []string{first, *ecrToken(t, session).AuthorizationToken}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for range askers {
		running.Go(func() { h.run(ctx) })
	}
	progress := func() {
		t.Helper()
		before := h.used.Load()
		waitUntil(t, "a use of tokens", func() bool { return h.used.Load() > before+10*askers })
	}
	var firstKey string
	for range rotations {
		progress()
		out := g.run("", "gatehouse", "keys", "rotate")
		if firstKey == "" {
			firstKey = strings.Fields(out[strings.Index(out, "\n"):])[1] // "key … is verify-only"
		}
		h.held.Lock()
		h.tokens = append(h.tokens, *ecrToken(t, user).AuthorizationToken)
		h.held.Unlock()
	}
	progress()
	h.held.Lock()
	h.tokens = slices.Delete(h.tokens, 0, 2) // of the first key
	h.held.Unlock()
	g.run("", "gatehouse", "keys", "retire", firstKey, "--end-sessions", firstKey)
	for i, server := range servers {
		if status, err := headManifest(ctx, http.DefaultClient, server.url, first); status != http.StatusUnauthorized {
			t.Errorf("server %d answered %d to a token of the retired key, %v", i, status, err)
		}
		session.BaseEndpoint = &server.url
		if _, err := ecr.NewFromConfig(session).GetAuthorizationToken(ctx, nil); err == nil {
			t.Errorf("server %d accepted a session of the retired key", i)
		}
	}
	progress()
	stop()
	running.Wait()
	for _, refused := range h.refused {
		t.Errorf("refused: %s", refused)
	}
	t.Logf("%d uses of valid tokens during %d rotations and a retirement", h.used.Load(), rotations)
}
