//go:build stores

package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
)

// startServers starts servers on one database and one bucket, each with a data folder
// of its own and with the same keyring. The database of each has the URL that reach
// returns for it.
func startServers(t *testing.T, n int, reach func(server int, database string) string) (all []*fixture) {
	t.Helper()
	database, bucket := dbtest.Schema(t), blobtest.S3URL(t)
	for i := range n {
		g := &fixture{t: t, data: filepath.Join(t.TempDir(), "data"), log: new(buffer)}
		g.change = func(c *config.Config) { c.Database, c.Blobs = reach(i, database), bucket }
		if i > 0 {
			keyring := must(os.ReadFile(all[0].file("keyring.json")))(t)
			if err := os.Mkdir(g.data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(g.file("keyring.json"), keyring, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g.serve()
		all = append(all, g)
	}
	return all
}

func directly(_ int, database string) string { return database }

// reader returns a user who may pull, with a token for images.
func (g *fixture) reader(name string) (id, token string) {
	g.t.Helper()
	c := g.user(victim, name, allow("ecr:*", "*"))
	return g.keys(c).AccessKeyID, "Basic " + g.imageToken(c)
}

func (g *fixture) setKey(user, id string, status types.StatusType) {
	g.t.Helper()
	must(iam.NewFromConfig(g.admin(victim)).UpdateAccessKey(g.t.Context(), &iam.UpdateAccessKeyInput{UserName: &user, AccessKeyId: aws.String(id), Status: status}))(g.t)
}

// pushIndex pushes an empty image index with an annotation, and returns its body.
func (g *fixture) pushIndex(token, tag, annotation string) string {
	g.t.Helper()
	body := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"n":"` + annotation + `"}}`
	r := g.request(http.MethodPut, "/v2/app/manifests/"+tag, body)
	r.Header.Set("Authorization", token)
	r.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	if status, answer := g.send(r); status != http.StatusCreated {
		g.t.Fatalf("push of %s: %d %s", tag, status, answer)
	}
	return body
}

// A tag that was moved at one server is moved at all of them, from the moment of the
// answer, while all of them serve it.
func TestStoresServers_MovedTag(t *testing.T) {
	all := startServers(t, 3, directly)
	all[0].createRepository("app")
	_, token := all[0].reader("reader")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for _, g := range all {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					g.send(g.get("/v2/app/manifests/latest", token))
				}
			}
		})
	}
	var times []time.Duration
	for i := range 40 {
		began := time.Now()
		want := all[i%3].pushIndex(token, "latest", began.String())
		times = append(times, time.Since(began))
		for n, g := range all {
			if status, body := g.send(g.get("/v2/app/manifests/latest", token)); status != http.StatusOK || body != want {
				t.Errorf("move %d: server %d answers %d %s, want %s", i, n, status, body, want)
			}
		}
	}
	close(stop)
	clients.Wait()
	slices.Sort(times)
	t.Logf("a push of a tag under load: median %v, longest %v", times[len(times)/2], times[len(times)-1])
}

// After a key was deactivated at one server, no server accepts its token, whatever is
// being requested at that moment.
func TestStoresServers_Revocation(t *testing.T) {
	all := startServers(t, 3, directly)
	all[0].createRepository("app")
	id, token := all[0].reader("reader")
	var revoked, accepted, wrong, requests atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for _, g := range all {
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					after := revoked.Load()
					status, _ := g.send(g.get("/v2/app/tags/list", token))
					requests.Add(1)
					switch {
					case status == http.StatusOK && after != 0 && revoked.Load() == after: // not active again yet
						wrong.Add(1)
					case status == http.StatusOK:
						accepted.Add(1)
					}
				}
			})
		}
	}
	began := time.Now()
	for i := range 10 {
		time.Sleep(50 * time.Millisecond) // the load goes on
		all[i%3].setKey("reader", id, types.StatusTypeInactive)
		revoked.Store(int64(i) + 1)
		time.Sleep(50 * time.Millisecond)
		revoked.Store(0)
		all[(i+1)%3].setKey("reader", id, types.StatusTypeActive)
	}
	took := time.Since(began)
	close(stop)
	clients.Wait()
	if wrong.Load() > 0 || accepted.Load() == 0 {
		t.Errorf("%d requests were accepted after the key was deactivated, and %d before", wrong.Load(), accepted.Load())
	}
	t.Logf("%.0f requests a second", float64(requests.Load())/took.Seconds())
}

// A server that is cut off from the database refuses within its lease, and a change at
// another one is not answered before. It serves again when the database is back.
func TestStoresServers_CutOff(t *testing.T) {
	var away *link
	all := startServers(t, 2, func(server int, database string) string {
		if server == 0 {
			return database
		}
		away = newLink(t, database)
		return away.url
	})
	all[0].createRepository("app")
	id, token := all[0].reader("reader")
	tags := func(g *fixture) int { status, _ := g.send(g.get("/v2/app/tags/list", token)); return status }
	if status := tags(all[1]); status != http.StatusOK {
		t.Fatalf("at first: %d", status)
	}
	away.cut()
	all[0].setKey("reader", id, types.StatusTypeInactive)
	if status := tags(all[1]); status != http.StatusServiceUnavailable {
		t.Errorf("cut off from the database, and after the revocation was answered: %d", status)
	}
	if status, why := all[1].send(all[1].get("/readyz", "")); status != http.StatusServiceUnavailable || !strings.Contains(why, "database") {
		t.Errorf("/readyz: %d %s", status, why)
	}
	away.restore()
	for began := time.Now(); all[1].status("/readyz") != http.StatusOK; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("the server is not ready again")
		}
	}
	if status := tags(all[1]); status != http.StatusUnauthorized {
		t.Errorf("back again: %d", status)
	}
}
