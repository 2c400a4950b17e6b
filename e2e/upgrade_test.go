package e2e

import (
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRollingUpgrade_NextVersionsSchema checks the half of the rule for upgrades that this
// version must keep: while a server of the next version has brought the schema up to date,
// with all that docs/operations.md allows such a step to do, the servers of this version
// that still run must work as before. A server of this version that is started then must
// be refused, since it cannot know what else is different.
func TestRollingUpgrade_NextVersionsSchema(t *testing.T) {
	s := newServers(t, newStores(t), 2, "log: {level: warn}")
	ledger := newLedger()
	session := connectFirst(t, &process{t: t, url: s.balancer.url}, s.data(0), ledger)
	begun := &uploads{bytes: map[string][]byte{}}
	work := func(round int) {
		t.Helper()
		session.workSteps(t, clients(session, round, newSeed(t), begun), 10)
		session.check(t, "the next version's schema")
		session.resume(t, begun)
	}
	work(0)
	applyNextSchema(t, s.database)
	work(1)

	// While it runs, it is ready; started again, it is refused.
	s.balancer.waitFor(t, 2)
	p, _ := launchWith(t, s.stores.environment(), s.data(2), "--config", s.config, "--database", s.database)
	if err := p.cmd.Wait(); err == nil || !strings.Contains(p.logged(), "which this version does not know") {
		t.Errorf("a server of this version started on the next one's database: %v\n%s", err, p.logged())
	}
	for i := range 2 {
		s.stop(i)
		if log := s.process[i].logged(); log != "" {
			t.Errorf("server %d logged:\n%s", i, log)
		}
	}
}

// previousRelease is the commit of the oldest version beside which this one must run. It
// moves to the last release when there is one.
const previousRelease = "6d28c786e319f45c1d79be86fe79dfd24b4af4e7"

// buildPrevious builds the previous release and returns the program. In a checkout without
// the history it is this version: then the test shows that servers can be replaced one by
// one, and not more.
func buildPrevious(t *testing.T, current string) string {
	t.Helper()
	known := exec.CommandContext(t.Context(), "git", "cat-file", "-e", previousRelease+"^{commit}")
	known.Dir = module
	if out, err := known.CombinedOutput(); err != nil {
		t.Logf("this checkout does not have the previous release, so this version replaces itself: %v: %s", err, out)
		return current
	}
	source, program := t.TempDir(), filepath.Join(t.TempDir(), "gatehouse")
	unpack := exec.CommandContext(t.Context(), "sh", "-c", `git archive "$0" | tar -x -C "$1"`, previousRelease, source)
	unpack.Dir = module
	// The flags of this version's build, so that both share what they have in common.
	race, err := raceFlags()
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"build", "-buildvcs=false", "-o", program}, race, []string{"./cmd/gatehouse"})...)
	build.Dir = source
	for _, cmd := range []*exec.Cmd{unpack, build} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("the previous release: %v: %v\n%s", cmd, err, out)
		}
	}
	return program
}

// TestRollingUpgrade_PreviousRelease replaces two servers of the previous release one
// after the other by this version. In between both work on the same database and bucket,
// each request at either of them.
func TestRollingUpgrade_PreviousRelease(t *testing.T) {
	s := prepareServers(t, newStores(t), 2, "log: {level: warn}")
	current := s.program
	s.program = buildPrevious(t, current)
	s.start(0)
	s.start(1)
	s.balancer.waitFor(t, 2)
	ledger, begun, seed := newLedger(), &uploads{bytes: map[string][]byte{}}, newSeed(t)
	session := connectFirst(t, &process{t: t, url: s.balancer.url}, s.data(0), ledger)
	replaced := 0 // servers of this version
	work := func(round int, when string) {
		t.Helper()
		working := clients(session, round, seed, begun)
		if replaced < 2 { // the previous release does not serve these formats
			working = slices.DeleteFunc(working, func(c *client) bool { return c.kind == "formats" })
		}
		session.workSteps(t, working, 5)
		session.resume(t, begun)
		session.check(t, when)
	}
	work(0, "on the previous release")
	s.program = current
	for i := range 2 {
		s.stop(i)
		s.start(i)
		s.balancer.waitFor(t, 2)
		replaced++
		work(i+1, fmt.Sprintf("with %d servers of this version", replaced))
		if i == 0 { // each loads the keys that the other makes
			g := &fixture{t: t, url: s.balancer.url, data: s.data(0)}
			g.run("", "gatehouse", "keys", "rotate")
		}
	}
	verifyInstallation(t, s.stores.environment(), "--config", s.config, "--database", s.database, "--data", s.data(0))
	for i := range 2 {
		s.stop(i)
		if log := s.process[i].logged(); log != "" {
			t.Errorf("server %d logged:\n%s", i, log)
		}
	}
}

// applyNextSchema does to a database what a step of the next version may do: new tables,
// new columns with a default, new indexes.
func applyNextSchema(t *testing.T, address string) {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		steps = append(steps,
			`ALTER TABLE "`+table+`" ADD COLUMN next_version text NOT NULL DEFAULT 'x'`,
			`CREATE INDEX "`+table+`_next_version" ON "`+table+`" (next_version)`)
	}
	if err := rows.Err(); err != nil || len(steps) < 20 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	steps = append(steps, `CREATE TABLE next_version (id bigint PRIMARY KEY)`, `INSERT INTO migration (name) VALUES ('images/999-next-version')`)
	for _, step := range steps {
		if _, err := db.ExecContext(t.Context(), step); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
}
