//go:build stores

package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
)

func TestPostgres_Conformance(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) func() *db.DB {
		url := dbtest.Schema(t)
		return func() *db.DB { return open(t, url) }
	})
}

func open(t testing.TB, url string) *db.DB {
	t.Helper()
	d, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

var counter = db.Migration{Name: "test/001", SQL: `CREATE TABLE counter (name {text} NOT NULL PRIMARY KEY, n {int} NOT NULL)`}

// set makes the counters what a test begins with.
func set(t *testing.T, d *db.DB, names ...string) {
	t.Helper()
	if err := d.Migrate(t.Context(), counter); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := d.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO counter (name, n) VALUES ($1, 0)`, name)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func value(t *testing.T, q db.Querier, name string) int64 {
	t.Helper()
	n, err := db.One(t.Context(), q, db.Scalar[int64], `SELECT n FROM counter WHERE name = $1`, name)
	if err != nil {
		t.Error(err)
	}
	return n
}

// Two transactions that read what the other one writes cannot both be right.
func TestTx_WriteSkew(t *testing.T) {
	d := open(t, dbtest.Schema(t))
	set(t, d, "a", "b")
	both := make(chan struct{})
	var reading, wg sync.WaitGroup
	reading.Add(2)
	go func() { reading.Wait(); close(both) }()
	for reads, writes := range map[string]string{"a": "b", "b": "a"} {
		wg.Go(func() {
			first := sync.OnceFunc(reading.Done)
			err := d.Tx(t.Context(), func(tx *db.Tx) error {
				n := value(t, tx, reads)
				first()
				<-both
				_, err := tx.Exec(t.Context(), `UPDATE counter SET n = $2 WHERE name = $1`, writes, n+1)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if sum := value(t, d, "a") + value(t, d, "b"); sum != 3 { // 1 and 2: one ran after the other
		t.Errorf("the sum is %d, want 3", sum)
	}
}

// Two transactions that wait for each other do not wait for long.
func TestTx_Deadlock(t *testing.T) {
	d := open(t, dbtest.Schema(t))
	set(t, d, "a", "b")
	both := make(chan struct{})
	var locked, wg sync.WaitGroup
	locked.Add(2)
	go func() { locked.Wait(); close(both) }()
	for first, second := range map[string]string{"a": "b", "b": "a"} {
		wg.Go(func() {
			has := sync.OnceFunc(locked.Done)
			err := d.Tx(t.Context(), func(tx *db.Tx) error {
				if _, err := tx.Exec(t.Context(), `UPDATE counter SET n = n + 1 WHERE name = $1`, first); err != nil {
					return err
				}
				has()
				<-both
				_, err := tx.Exec(t.Context(), `UPDATE counter SET n = n + 1 WHERE name = $1`, second)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if a, b := value(t, d, "a"), value(t, d, "b"); a != 2 || b != 2 {
		t.Errorf("a = %d, b = %d, want 2 and 2", a, b)
	}
}

// A connection that is lost before the commit costs nothing: the transaction runs
// again. One that is lost during the commit leaves the result unknown, and it must
// not run again.
func TestTx_ConnectionLost(t *testing.T) {
	for _, test := range []struct {
		name    string
		at      string // the statement
		answer  bool   // the statement reaches the server, and its answer is lost
		runs    int
		unclear bool
		n       int64 // the counter in the end
	}{
		{name: "before the first statement", at: "BEGIN", runs: 1, n: 1},
		{name: "during a statement", at: "UPDATE", runs: 2, n: 1},
		{name: "before the commit", at: "COMMIT", runs: 1, unclear: true, n: 0},
		{name: "after the commit", at: "COMMIT", answer: true, runs: 1, unclear: true, n: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			schema := dbtest.Schema(t)
			set(t, open(t, schema), "a")
			cut := newCutter(t, schema)
			d := open(t, cut.url)
			cut.arm(test.at, test.answer)
			runs := 0
			err := d.Tx(t.Context(), func(tx *db.Tx) error {
				runs++
				_, err := tx.Exec(t.Context(), `UPDATE counter SET n = n + 1 WHERE name = $1`, "a")
				return err
			})
			if errors.Is(err, db.ErrUnclearCommit) != test.unclear || (err == nil) == test.unclear || runs != test.runs {
				t.Errorf("%d runs, %v", runs, err)
			}
			if test.unclear && fault.From(err).Kind != fault.Unavailable {
				t.Errorf("err = %v, want a fault Unavailable", err)
			}
			if n := value(t, open(t, schema), "a"); n != test.n {
				t.Errorf("the counter is %d, want %d", n, test.n)
			}
		})
	}
}

// Servers of a process each, as they start in reality, migrate one after the other.
func TestMigrate_Processes(t *testing.T) {
	const child = "GATEHOUSE_TEST_MIGRATE"
	steps := []db.Migration{counter, {Name: "test/002", SQL: `ALTER TABLE counter ADD COLUMN m {int} NOT NULL DEFAULT 0; INSERT INTO counter (name, n) VALUES ('one', 1)`}}
	if schema := os.Getenv(child); schema != "" {
		if err := open(t, schema).Migrate(t.Context(), steps...); err != nil {
			t.Error(err)
		}
		return
	}
	schema := dbtest.Schema(t)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMigrate_Processes$")
			c.Env = append(os.Environ(), child+"="+schema)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	if n := value(t, open(t, schema), "one"); n != 1 {
		t.Errorf("n = %d", n)
	}
}

// A migration that fails leaves nothing, although PostgreSQL locks what it touched.
func TestMigrate_Fails(t *testing.T) {
	d := open(t, dbtest.Schema(t))
	broken := db.Migration{Name: "test/001", SQL: counter.SQL + `; SELECT 1 / 0`}
	if err := d.Migrate(t.Context(), broken); err == nil {
		t.Fatal("a broken migration succeeded")
	}
	set(t, d, "a")
}

func TestWake(t *testing.T) {
	schema := dbtest.Schema(t)
	one, other, foreign := open(t, schema), open(t, schema), open(t, dbtest.Schema(t))
	await := func(d *db.DB, why string) {
		t.Helper()
		select {
		case <-d.Woken():
		case <-time.After(time.Minute):
			t.Fatalf("not woken %s", why)
		}
	}
	await(other, "when it begins to listen")
	await(foreign, "when it begins to listen")
	for range 100 {
		one.Wake(t.Context())
	}
	await(other, "by the other server")
	select {
	case <-foreign.Woken():
		t.Error("an installation in another schema was woken")
	default:
	}
	cut := newCutter(t, schema)
	cutOff := open(t, cut.url)
	await(cutOff, "when it begins to listen")
	cut.all()
	await(cutOff, "after its connection was lost")
}

func TestOpen_Unreachable(t *testing.T) {
	for name, change := range map[string]func(*url.URL){
		"port":     func(u *url.URL) { u.Host = "127.0.0.1:1" },
		"password": func(u *url.URL) { u.User = url.UserPassword("gatehouse", "hunter2") },
		"database": func(u *url.URL) { u.Path = "/none" },
		"schema":   func(u *url.URL) { u.RawQuery = "sslmode=disable&search_path=none" },
	} {
		u, err := url.Parse(dbtest.Schema(t))
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		change(u)
		d, err := postgres.Open(t.Context(), u.String())
		if err == nil {
			d.Close()
		}
		if err == nil || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

// A statement that takes too long ends, and its connection is good for the next.
func TestTx_StatementTimeout(t *testing.T) {
	d := open(t, dbtest.Schema(t)+"&statement_timeout=100ms")
	err := d.Tx(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT pg_sleep(60)`)
		return err
	})
	if fault.From(err).Kind != fault.Unavailable {
		t.Errorf("err = %v, want a fault Unavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := d.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `SELECT pg_sleep(60)`)
		return err
	}); err == nil {
		t.Error("a statement outlived its context")
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// What PostgreSQL cannot hold is the fault of the request.
func TestTx_UnstorableText(t *testing.T) {
	d := open(t, dbtest.Schema(t))
	set(t, d, "a")
	for _, name := range []string{"nul \x00", "not UTF-8 \xff"} {
		err := d.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO counter (name, n) VALUES ($1, 0)`, name)
			return err
		})
		if fault.From(err).Kind != fault.Invalid {
			t.Errorf("%q: %v, want a fault Invalid", name, err)
		}
		_, err = db.One(t.Context(), d, db.Scalar[int64], `SELECT n FROM counter WHERE name = $1`, name)
		if fault.From(err).Kind != fault.Invalid {
			t.Errorf("looking for %q: %v, want a fault Invalid", name, err)
		}
	}
}

// A server that may lose what it has committed is refused.
func TestOpen_AsynchronousCommit(t *testing.T) {
	d, err := postgres.Open(t.Context(), dbtest.Schema(t)+"&synchronous_commit=off")
	if err == nil {
		d.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("err = %v", err)
	}
}

// A long list of values is not kept prepared, and works the same.
func TestQuery_Long(t *testing.T) {
	d := open(t, dbtest.Schema(t))
	set(t, d, "a")
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	list, args := db.Values(append(names, "a"))
	n, err := db.One(t.Context(), d, db.Scalar[int64], `SELECT count(*) FROM counter WHERE name IN (`+list+`)`, args...)
	if err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

// A cutter passes connections on to the server, and loses one at a statement.
type cutter struct {
	url string

	mu     sync.Mutex
	at     string
	answer bool
	open   []net.Conn
}

// arm makes the next statement that begins with at lose its connection: before the
// server has it, or before its answer arrives.
func (c *cutter) arm(at string, answer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.answer = at, answer
}

// all loses all connections.
func (c *cutter) all() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
}

// hit reports, once, whether a message of the client is the statement.
func (c *cutter) hit(message []byte) (hit, answer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	statement := message[5:]
	if message[0] == 'P' { // Parse: after the name
		_, statement, _ = bytes.Cut(statement, []byte{0})
	}
	if c.at == "" || message[0] != 'P' && message[0] != 'Q' || !bytes.HasPrefix(statement, []byte(c.at)) {
		return false, false
	}
	c.at = ""
	return true, c.answer
}

func newCutter(t *testing.T, database string) *cutter {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	u.Host = l.Addr().String()
	c := &cutter{url: u.String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { c.forward(client, server) })
		}
	})
	t.Cleanup(func() { l.Close(); c.all(); running.Wait() })
	return c
}

// forward passes on the messages of
// https://www.postgresql.org/docs/current/protocol-message-formats.html: a type, a
// length that includes itself, and the content. The first one has no type.
func (c *cutter) forward(client net.Conn, server string) {
	defer client.Close()
	behind, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer behind.Close()
	c.mu.Lock()
	c.open = append(c.open, client, behind)
	c.mu.Unlock()
	var lose atomic.Bool // the next answer
	go func() {
		defer client.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := behind.Read(buffer)
			if err != nil || lose.Load() {
				behind.Close()
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	for prefix := 0; ; prefix = 1 {
		message := make([]byte, prefix+4)
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		content := make([]byte, binary.BigEndian.Uint32(message[prefix:])-4)
		if _, err := io.ReadFull(client, content); err != nil {
			return
		}
		message = append(message, content...)
		if prefix == 1 {
			hit, answer := c.hit(message)
			if hit && !answer {
				return
			}
			if hit {
				lose.Store(true)
			}
		}
		if _, err := behind.Write(message); err != nil {
			return
		}
	}
}
