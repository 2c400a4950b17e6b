package e2e

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

const (
	revocations = 10
	// lease is how long a server decides without hearing of the others:
	// changefeed.DefaultLease.
	lease = 5 * time.Second
	// askers is how many clients ask one server at a time.
	askers = 8
)

// Asking is a load of requests with one user's token on one server.
type asking struct {
	url, basic string
	revoked    *atomic.Int64 // when the revoking call returned, in nanoseconds, or 0
	asked      atomic.Int64
	accepted   atomic.Int64
	wrong      atomic.Int64 // requests that were accepted and began after the revocation
	failures   sync.Map     // other statuses
}

// run asks until ctx ends.
func (a *asking) run(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: askers}}
	defer client.CloseIdleConnections()
	var running sync.WaitGroup
	for range askers {
		running.Go(func() {
			for ctx.Err() == nil {
				a.ask(ctx, client)
			}
		})
	}
	running.Wait()
}

func (a *asking) ask(ctx context.Context, client *http.Client) {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, a.url+"/v2/app/manifests/v1", nil)
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", a.basic)
	revoked := a.revoked.Load() // before the request begins
	res, err := client.Do(r)
	if err != nil {
		return
	}
	res.Body.Close()
	a.asked.Add(1)
	switch res.StatusCode {
	case http.StatusOK:
		a.accepted.Add(1)
		if revoked != 0 {
			a.wrong.Add(1)
		}
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusServiceUnavailable:
	default:
		a.failures.Store(res.StatusCode, true)
	}
}

// waitUntil waits until a condition holds, and returns how long that took.
func waitUntil(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !holds() {
		if time.Since(begin) > waitTimeout {
			t.Fatalf("%s does not happen", what)
		}
		pause()
	}
	return time.Since(begin)
}

// TestRevocation_SeveralServers revokes a permission again and again while three servers
// get requests that need it, and cuts one of them off from the database. A request that
// begins after the revoking call has returned must be refused by every server. Then the
// keyring is rotated: see rotateUnderLoad.
func TestRevocation_SeveralServers(t *testing.T) {
	stores := newStores(t)
	s := newServers(t, stores, several, "log: {level: error}")
	network := newPartition(t, stores.postgres.address)
	s.stop(2)
	s.startAt(2, stores.urlAt(network.address(), "test1"))
	s.balancer.waitFor(t, several)

	admin := connectFirst(t, s.process[0], s.data(0), newLedger())
	home := newClientHome(t, admin)
	if err := home.prepare(); err != nil {
		t.Fatal(err)
	}
	g := &fixture{t: t, url: s.process[0].url, data: s.data(0)}
	pull := `{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*"}`
	alice, bob := g.user("alice", pull), g.user("bob", pull)
	api := iam.NewFromConfig(g.profile(account))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	var revoked, never atomic.Int64
	loads, allowed := make([]*asking, several), make([]*asking, several)
	aliceToken, bobToken := "Basic "+*ecrToken(t, alice).AuthorizationToken, "Basic "+*ecrToken(t, bob).AuthorizationToken
	for i := range several {
		loads[i] = &asking{url: s.process[i].url, basic: aliceToken, revoked: &revoked}
		allowed[i] = &asking{url: s.process[i].url, basic: bobToken, revoked: &never}
		running.Go(func() { loads[i].run(ctx) })
		running.Go(func() { allowed[i].run(ctx) })
	}
	progress := func(loads ...*asking) func() bool {
		before := make([]int64, len(loads))
		for i, l := range loads {
			before[i] = l.accepted.Load()
		}
		return func() bool {
			for i, l := range loads {
				if l.accepted.Load() <= before[i]+askers {
					return false
				}
			}
			return true
		}
	}
	revoke := func() time.Duration {
		t.Helper()
		begin := time.Now()
		if _, err := api.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: aws.String("alice"), PolicyName: aws.String("p")}); err != nil {
			t.Fatal(err)
		}
		revoked.Store(time.Now().UnixNano())
		return time.Since(begin)
	}
	permit := func() {
		t.Helper()
		revoked.Store(0)
		g.allow("alice", pull)
	}

	begin := time.Now()
	var longest time.Duration
	for range revocations {
		waitUntil(t, "a request of a user with the permission", progress(loads...))
		longest = max(longest, revoke())
		waitUntil(t, "a request of the other user", progress(allowed...)) // so that servers are asked after it
		permit()
	}
	total := int64(0)
	for i := range several {
		total += loads[i].asked.Load() + allowed[i].asked.Load()
	}
	t.Logf("%.0f requests a second on each of %d servers; %d revocations took at most %v", float64(total)/time.Since(begin).Seconds()/several, several, revocations, longest)

	waitUntil(t, "a request of a user with the permission", progress(loads...))
	network.set(true)
	cut := time.Now()
	took := revoke()
	if took > 2*lease {
		t.Errorf("with one server cut off the revocation took %v", took)
	}
	// The server that is cut off accepts nothing of anyone after its lease.
	waitUntil(t, "the end of the lease", func() bool {
		before := allowed[2].accepted.Load()
		pause()
		return allowed[2].accepted.Load() == before
	})
	refused := time.Since(cut)
	if refused > 2*lease {
		t.Errorf("the server that is cut off refused only after %v", refused)
	}
	waitUntil(t, "requests on the other servers", progress(allowed[:2]...))
	if s.balancer.count() == several {
		waitUntil(t, "/readyz of the server that is cut off", func() bool { return s.balancer.count() == several-1 })
	}
	network.set(false)
	recovered := waitUntil(t, "the recovery of the server that was cut off", progress(allowed[2]))
	t.Logf("cut off: the revocation took %v, the server refused after %v, and recovered after %v", took, refused, recovered)
	permit()
	waitUntil(t, "a request of a user with the permission", progress(loads...))
	stop()
	running.Wait()
	for i, l := range loads {
		if n := l.wrong.Load(); n > 0 {
			t.Errorf("server %d accepted %d requests that began after the revocation", i, n)
		}
	}
	for _, l := range append(loads, allowed...) {
		l.failures.Range(func(status, _ any) bool {
			t.Errorf("a request was answered with %v", status)
			return true
		})
	}
	rotateUnderLoad(t, g, s.process, bob)
}
