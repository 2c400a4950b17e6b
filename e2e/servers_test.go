package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Servers are several servers on one database and one bucket, behind a load balancer.
type servers struct {
	t        *testing.T
	stores   *stores
	dir      string
	database string // the database's address
	config   string // the configuration file
	program  string // the path of gatehouse
	balancer *balancer
	process  []*process
}

// newServers starts so many servers on a new database. settings are lines of their
// configuration.
func newServers(t *testing.T, stores *stores, n int, settings string) *servers {
	t.Helper()
	s := prepareServers(t, stores, n, settings)
	for i := range n {
		s.start(i)
	}
	s.balancer.waitFor(t, n)
	return s
}

// prepareServers is newServers without starting them.
func prepareServers(t *testing.T, stores *stores, n int, settings string) *servers {
	t.Helper()
	balancer, stop := newBalancer(n)
	t.Cleanup(stop)
	name, err := stores.newDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &servers{t: t, stores: stores, dir: dir, balancer: balancer, process: make([]*process, n), database: stores.url(name), config: filepath.Join(dir, "servers.yaml"), program: filepath.Join(binary, "gatehouse")}
	if err := writeSharedConfig(s.config, balancer.url, stores.bucket(name), settings); err != nil {
		t.Fatal(err)
	}
	return s
}

// writeSharedConfig writes the configuration that several servers have in common, and
// beside it the key that wraps their keyring.
func writeSharedConfig(file, url, blobs, settings string) error {
	key := filepath.Join(filepath.Dir(file), "wrapping.key")
	text := fmt.Sprintf("url: %s\nblobs: %s\nkeyring: database\nkeyring_wrapping: {key_file: %s}\ndrain_delay: 1s\n%s\n", url, blobs, key, settings)
	return errors.Join(
		os.WriteFile(key, []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="), 0o600),
		os.WriteFile(file, []byte(text), 0o600),
	)
}

// data is the folder of a server. The first one has the profiles that tests use.
func (s *servers) data(i int) string { return filepath.Join(s.dir, fmt.Sprint("data", i)) }

// start starts a server, or starts it again.
func (s *servers) start(i int) {
	s.t.Helper()
	s.startAt(i, s.database)
}

// startAt starts a server that reaches the database at another address.
func (s *servers) startAt(i int, database string) {
	s.t.Helper()
	s.process[i] = startProgram(s.t, s.program, s.stores.environment(), s.data(i), "--config", s.config, "--database", database)
	s.balancer.set(i, s.process[i].url)
}

// stop ends a server with SIGTERM, and expects that it ends well.
func (s *servers) stop(i int) {
	s.t.Helper()
	if err := s.process[i].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.process[i].wait(); err != nil {
		s.t.Errorf("server %d after SIGTERM: %v\n%s", i, err, s.process[i].logged())
	}
}
