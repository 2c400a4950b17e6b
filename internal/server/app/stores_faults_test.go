//go:build stores

package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
)

// eventually waits until a server does something by itself.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("waited for a minute until %s", what)
		}
	}
}

// Without its object store a server goes on with everything that needs no bytes, and
// stays ready: the other servers have the same store, and a load balancer without any
// server would end the rest too.
func TestStores_ObjectStoreAway(t *testing.T) {
	t.Parallel()
	address := must(url.Parse(blobtest.S3URL(t)))(t)
	query := address.Query()
	link := newLink(t, query.Get("endpoint"))
	query.Set("endpoint", link.url)
	address.RawQuery = query.Encode()
	g, token, path := startOnBucket(t, address.String(), "stream")

	link.cut()
	if status := g.status("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d", status)
	}
	authorization := "Basic " + g.imageToken(g.admin(victim))
	if status, _ := g.send(g.get("/v2/app/tags/list", authorization)); status != http.StatusOK {
		t.Errorf("tags: %d", status)
	}
	var failing sync.WaitGroup
	for what, r := range map[string]*http.Request{
		"pull": g.get(path, token),
		"push": g.request(http.MethodPost, "/v2/app/blobs/uploads/?digest="+digest.FromString("new").String(), "new"),
	} {
		r.Header.Set("Authorization", token)
		failing.Go(func() {
			if status, body := g.send(r); status != http.StatusServiceUnavailable || !strings.Contains(body, "object store") {
				t.Errorf("%s: %d %s", what, status, body)
			}
		})
	}
	failing.Wait()
	link.restore()
	if status, body := g.send(g.get(path, token)); status != http.StatusOK || body != "layer" {
		t.Errorf("pull afterwards: %d %s", status, body)
	}
}

// A server that cannot read the keyring any more, such as one that still has the former
// wrapping key, refuses tokens when its lease is over, and is not ready.
func TestStores_KeyringCannotBeRead(t *testing.T) {
	t.Parallel()
	database := dbtest.Schema(t)
	g := startWith(t, func(c *config.Config) {
		inDatabase(c)
		c.Database = database
	})
	token := g.imageToken(g.admin(victim))
	admin, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	var stored []byte
	if err := admin.QueryRow(t.Context(), `SELECT content FROM keyring`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	replace := func(content []byte) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), `UPDATE keyring SET content = $1`, content); err != nil {
			t.Fatal(err)
		}
	}
	replace(bytes.Replace(stored, []byte(`"by"`), []byte(`"to"`), 1))
	eventually(t, "the server is not ready", func() bool { return g.status("/readyz") == http.StatusServiceUnavailable })
	if _, why := g.send(g.get("/readyz", "")); !strings.Contains(why, "keyring") {
		t.Errorf("/readyz: %s", why)
	}
	if status, _ := g.send(g.get("/v2/", "Basic "+token)); status != http.StatusServiceUnavailable {
		t.Errorf("a token: %d", status)
	}
	replace(stored)
	eventually(t, "the server is ready again", func() bool { return g.status("/readyz") == http.StatusOK })
	if !g.opens(token) {
		t.Error("the token is refused")
	}
}

// A server whose clock is wrong sweeps nothing: what others have just begun is old to it.
func TestStoresServers_WrongClock(t *testing.T) {
	all := startServers(t, 2, directly)
	all[0].createRepository("app")
	authorization := "Basic " + all[0].imageToken(all[0].admin(victim))
	begin := all[0].request(http.MethodPost, "/v2/app/blobs/uploads/", "")
	begin.Header.Set("Authorization", authorization)
	res, _ := all[0].answer(begin)
	upload := must(url.Parse(res.Header.Get("Location")))(t).Path
	if res.StatusCode != http.StatusAccepted {
		t.Fatal(res.Status)
	}
	wrong := all[1]
	wrong.stop()
	wrong.offset.Store(int64(48 * time.Hour))
	wrong.serve()
	eventually(t, "the sweep has failed", func() bool {
		return strings.Contains(wrong.log.String(), `kind=images/uploads`)
	})
	if log := wrong.log.String(); !strings.Contains(log, "clock of this server") {
		t.Errorf("the log does not say that the clock is wrong: %s", log)
	}
	if status, body := all[0].send(all[0].get(upload, authorization)); status != http.StatusNoContent {
		t.Errorf("the upload: %d %s", status, body)
	}
}

// An upload that is completed at two servers at once is completed once, and the loser is
// told so.
func TestStoresServers_UploadCompletedTwice(t *testing.T) {
	all := startServers(t, 2, directly)
	all[0].createRepository("app")
	authorization := "Basic " + all[0].imageToken(all[0].admin(victim))
	for i := range 10 {
		content := strings.Repeat(fmt.Sprint(i), 1000)
		sum := digest.FromString(content).String()
		begin := all[0].request(http.MethodPost, "/v2/app/blobs/uploads/", "")
		begin.Header.Set("Authorization", authorization)
		res, _ := all[0].answer(begin)
		upload := must(url.Parse(res.Header.Get("Location")))(t).Path
		statuses := make([]int, len(all))
		var completing sync.WaitGroup
		for j, g := range all {
			r := g.request(http.MethodPut, upload+"?digest="+sum, content)
			r.Header.Set("Authorization", authorization)
			completing.Go(func() {
				res, body := g.answer(r)
				if statuses[j] = res.StatusCode; res.StatusCode >= 500 {
					t.Errorf("server %d: %d %s", j, res.StatusCode, body)
				}
			})
		}
		completing.Wait()
		if !slices.Contains(statuses, http.StatusCreated) {
			t.Errorf("upload %d: %v", i, statuses)
		}
		for j, g := range all {
			if status, body := g.send(g.get("/v2/app/blobs/"+sum, authorization)); status != http.StatusOK || body != content {
				t.Errorf("upload %d at server %d: %d, %d bytes", i, j, status, len(body))
			}
		}
	}
}
