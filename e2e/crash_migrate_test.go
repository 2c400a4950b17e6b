package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// migrateThereAndBack moves an installation from SQLite and files to PostgreSQL and S3
// and back by the command, which is killed again and again. On each side a server must
// have every item byte for byte and go on, and gatehouse verify must find no problem.
func migrateThereAndBack(t *testing.T, seed uint64) {
	stores, dir := newStores(t), t.TempDir()
	database, err := stores.newDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ledger, begun := newLedger(), &uploads{bytes: map[string][]byte{}}
	side := func(name, settings string) (config string, start func() *process) {
		config = filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(config, fmt.Appendf(nil, "data: %s\n%s", filepath.Join(dir, name), settings), 0o600); err != nil {
			t.Fatal(err)
		}
		return config, func() *process {
			return startProcessWith(t, stores.environment(), filepath.Join(dir, name), "--config", config)
		}
	}
	here, startHere := side("here", "")
	there, startThere := side("there", fmt.Sprintf("database: %s\nblobs: %s\n", stores.url(database), stores.bucket(database)))
	back, startBack := side("back", "")

	s := connectFirst(t, startHere(), filepath.Join(dir, "here"), ledger)
	s.workSteps(t, clients(s, 0, seed, begun), 15)
	s.resume(t, begun) // unfinished uploads do not move
	s.stop()
	for round, move := range []struct {
		from, to, data string
		start          func() *process
	}{
		{here, there, "there", startThere},
		{there, back, "back", startBack},
	} {
		migrateKilled(t, stores.environment(), move.from, move.to)
		verifyInstallation(t, stores.environment(), "--config", move.to)
		s = connect(t, move.start(), filepath.Join(dir, move.data), ledger)
		s.check(t, "in "+move.data)
		s.workSteps(t, clients(s, round+1, seed, begun), 5)
		s.resume(t, begun)
		s.check(t, "later in "+move.data)
		s.stop()
	}
}

// migrateKilled runs gatehouse migrate and kills it, each time somewhat later, until it
// ends by itself.
func migrateKilled(t *testing.T, env []string, from, to string) {
	t.Helper()
	killed, begin := 0, time.Now()
	for limit := 200 * time.Millisecond; ; limit += limit / 2 {
		cmd := exec.CommandContext(t.Context(), filepath.Join(binary, "gatehouse"), "migrate", "--from", from, "--to", to)
		cmd.Env = append(os.Environ(), env...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(limit/2+rand.N(limit), func() { _ = cmd.Process.Kill() }) // it may have ended
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			t.Logf("%s in %v after %d kills", strings.Split(out.String(), "\n")[0], time.Since(begin).Round(time.Millisecond), killed)
			return
		}
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.Exited() {
			t.Fatalf("migrate: %v\n%s", err, out.String())
		}
		killed++
	}
}
