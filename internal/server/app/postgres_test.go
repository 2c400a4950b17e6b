//go:build stores

package app_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
)

// onPostgres chooses the database of a server.
func onPostgres(url string) func(*config.Config) {
	return func(c *config.Config) { c.Database = url }
}

func TestStoresPostgres_Serve(t *testing.T) {
	database := dbtest.Schema(t)
	g := startWith(t, onPostgres(database))
	g.createRepository("app")
	layer := g.push("Basic "+g.imageToken(g.admin(victim)), "app", "x")
	g.stop()
	g.serve() // what is in the database is there for the next process
	if names := g.repositoryNames(); names != "app" {
		t.Errorf("repositories %q", names)
	}
	if status, body := g.raw(http.MethodGet, "/v2/app/blobs/"+layer.String(), "Basic "+g.imageToken(g.admin(victim))); status != http.StatusOK || body != "x" {
		t.Errorf("the layer: %d %q", status, body)
	}
	if _, body := g.send(g.get("/metrics", "")); !strings.Contains(body, "gatehouse_db_connections ") || !strings.Contains(body, "gatehouse_db_commit_seconds_count") {
		t.Error("the metrics say nothing about the database")
	}
	if _, err := os.Stat(filepath.Join(g.data, "gatehouse.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a SQLite database: %v", err)
	}
	if password := passwordOf(t, database); strings.Contains(g.log.String(), password) {
		t.Error("the log has the password of the database")
	}
}

func TestStoresPostgres_LostDatabase(t *testing.T) {
	g := startWith(t, onPostgres(dbtest.Schema(t)))
	g.stop()
	empty := dbtest.Schema(t)
	err := tryStart(t, g.data, onPostgres(empty))
	if !errors.Is(err, app.ErrLostDatabase) || !strings.Contains(err.Error(), "keyring.json") || strings.Contains(err.Error(), passwordOf(t, empty)) {
		t.Errorf("an empty database beside a keyring: %v", err)
	}
	if err := tryStart(t, g.data, nil); !errors.Is(err, app.ErrLostDatabase) {
		t.Errorf("without the URL: %v", err)
	}
}

// A server without its database says so, changes nothing, and goes on when the
// database is back.
func TestStoresPostgres_DatabaseAway(t *testing.T) {
	link := newLink(t, dbtest.Schema(t))
	g := startWith(t, onPostgres(link.url))
	g.createRepository("before")
	link.cut()
	if status := g.status("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz without the database: %d", status)
	}
	_, err := ecr.NewFromConfig(g.admin(victim)).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("while")})
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusServiceUnavailable {
		t.Errorf("a change without the database: %v", err)
	}
	link.restore()
	for began := time.Now(); g.status("/readyz") != http.StatusOK; {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("the server is not ready again")
		}
	}
	g.createRepository("after")
	if names := g.repositoryNames(); names != "after before" {
		t.Errorf("repositories %q", names)
	}
}

func passwordOf(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	return password
}

// A link is the network between a server and its database.
type link struct {
	url      string
	database string // HOST:PORT
	mu       sync.Mutex
	down     bool
	open     []net.Conn
}

func newLink(t *testing.T, database string) *link {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{database: u.Host}
	u.Host = listener.Addr().String()
	l.url = u.String()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { l.forward(c) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.cut()
		running.Wait()
	})
	return l
}

// forward copies both ways until one side ends.
func (l *link) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.database)
	if err != nil {
		return
	}
	defer server.Close()
	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return
	}
	l.open = append(l.open, client, server)
	l.mu.Unlock()
	go io.Copy(server, client)
	io.Copy(client, server)
}

// cut ends all connections and refuses new ones.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
}

func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// Tokens and pulls read no database: with it away, tokens are issued and what was pulled
// before is pulled again, as long as the server has its lease.
func TestStoresPostgres_TokensAndPullsWithoutDatabase(t *testing.T) {
	link := newLink(t, dbtest.Schema(t))
	g := startWith(t, onPostgres(link.url))
	g.fill()
	layer := g.push("Basic "+g.imageToken(g.admin(victim)), "app", "x")
	for try := 1; ; try++ {
		g.pullAll(layer.String())
		link.cut()
		began := time.Now()
		failed := g.pullAll(layer.String())
		switch {
		case failed == "":
			return
		case time.Since(began) < changefeed.DefaultLease/2 || try == 5:
			t.Fatalf("without the database, after %s: %s", time.Since(began), failed)
		}
		link.restore() // this machine was too slow: the lease may have ended
		for g.status("/readyz") != http.StatusOK {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// pullAll asks for both kinds of token, and pulls what fill has stored. It returns which
// request failed.
func (g *fixture) pullAll(layer string) (failed string) {
	g.t.Helper()
	admin := g.admin(victim)
	domain := "first"
	image, err := ecr.NewFromConfig(admin).GetAuthorizationToken(g.t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return err.Error()
	}
	packages, err := codeartifact.NewFromConfig(admin).GetAuthorizationToken(g.t.Context(), &codeartifact.GetAuthorizationTokenInput{Domain: &domain})
	if err != nil {
		return err.Error()
	}
	basic, bearer := "Basic "+*image.AuthorizationData[0].AuthorizationToken, "Bearer "+*packages.AuthorizationToken
	npm := strings.TrimSuffix(libPath, "-/ping")
	for _, request := range [][2]string{
		{"/v2/", basic},
		{"/v2/app/manifests/latest", basic},
		{"/v2/app/blobs/" + layer, basic},
		{"/v2/app/tags/list", basic},
		{npm + "left", bearer},
		{npm + "left/-/left-1.0.0.tgz", bearer},
	} {
		if status, body := g.raw(http.MethodGet, request[0], request[1]); status != http.StatusOK {
			return fmt.Sprintf("%s: %d %s", request[0], status, body)
		}
	}
	return ""
}
