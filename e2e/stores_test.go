package e2e

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// A storeServer is a PostgreSQL or an S3 server of a test's own. It can be killed and
// started again on the same data and at the same address.
type storeServer struct {
	t       *testing.T
	name    string
	address string
	command func() *exec.Cmd
	ready   func(context.Context) error
	log     string // the file with what it prints
	cmd     *exec.Cmd
}

// start starts the server and waits until it answers.
func (s *storeServer) start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), waitTimeout)
	defer cancel()
	for {
		log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			s.t.Fatal(err)
		}
		s.cmd = s.command()
		s.cmd.Stdout, s.cmd.Stderr = log, log
		err = s.cmd.Start()
		log.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		ended := make(chan struct{})
		go func(cmd *exec.Cmd) { cmd.Wait(); close(ended) }(s.cmd)
		if s.answers(ctx, ended) {
			return
		}
		// PostgreSQL refuses to start as long as children of a killed one are there.
		if ctx.Err() != nil {
			text, _ := os.ReadFile(s.log)
			s.t.Fatalf("%s does not start:\n%s", s.name, text)
		}
	}
}

// answers reports whether the server answers before it ends.
func (s *storeServer) answers(ctx context.Context, ended <-chan struct{}) bool {
	for {
		if s.ready(ctx) == nil {
			return true
		}
		select {
		case <-ended:
			return false
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill kills the process and its children with SIGKILL.
func (s *storeServer) kill() {
	pid := s.cmd.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	syscall.Kill(pid, syscall.SIGKILL)
	for child := range strings.FieldsSeq(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			syscall.Kill(n, syscall.SIGKILL)
		}
	}
}

// Stores are a PostgreSQL server and an S3 server.
type stores struct {
	t            *testing.T
	postgres, s3 *storeServer
	password     string // of both
	databases    atomic.Int64
}

// newStores starts the servers. scripts/with-stores true installs them.
func newStores(t *testing.T) *stores {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-stores-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL has another user
		t.Fatal(err)
	}
	s := &stores{t: t, password: rand.Text()}
	s.postgres = s.newPostgres(dir)
	s.s3 = s.newS3(dir)
	for _, server := range []*storeServer{s.postgres, s.s3} {
		server.start()
	}
	t.Cleanup(func() {
		s.postgres.kill()
		s.s3.kill()
		os.RemoveAll(dir)
	})
	return s
}

// newPostgres creates a database cluster. PostgreSQL does not run as root.
func (s *stores) newPostgres(dir string) *storeServer {
	t := s.t
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is missing; run scripts/with-stores true")
	}
	bin, data, password := filepath.Dir(found[len(found)-1]), filepath.Join(dir, "postgres"), filepath.Join(dir, "password")
	attributes := new(syscall.SysProcAttr)
	if err := errors.Join(os.Mkdir(data, 0o700), os.WriteFile(password, []byte(s.password), 0o600)); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := errors.Join(os.Chown(data, uid, gid), os.Chown(password, uid, gid)); err != nil {
			t.Fatal(err)
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attributes
		return cmd
	}
	initialise := program("initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--username=gatehouse", "--auth=scram-sha-256", "--pwfile="+password, "--pgdata="+data)
	if out, err := initialise.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := freePort(t)
	server := &storeServer{t: t, name: "PostgreSQL", address: "127.0.0.1:" + port, log: filepath.Join(dir, "postgres.log")}
	server.command = func() *exec.Cmd {
		// Killed processes lose nothing that the operating system has, so nothing is synced.
		return program("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "log_min_messages=fatal")
	}
	server.ready = func(ctx context.Context) error {
		db, err := sql.Open("pgx", s.url("postgres"))
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	}
	return server
}

// url is the address of a database.
func (s *stores) url(database string) string {
	return s.urlAt(s.postgres.address, database)
}

// urlAt is the address of a database behind a proxy.
func (s *stores) urlAt(address, database string) string {
	return "postgres://gatehouse:" + s.password + "@" + address + "/" + database + "?sslmode=disable"
}

// newDatabase creates an empty database and returns its name.
func (s *stores) newDatabase(ctx context.Context) (string, error) {
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return "", err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
	return name, err
}

// newS3 creates a bucket "gatehouse".
func (s *stores) newS3(dir string) *storeServer {
	t := s.t
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(module, ".tools/bin/versitygw-v*"))
	if len(found) == 0 {
		t.Fatal("versitygw is missing; run scripts/with-stores true")
	}
	root, port := filepath.Join(dir, "s3"), freePort(t)
	if err := os.MkdirAll(filepath.Join(root, "gatehouse"), 0o700); err != nil {
		t.Fatal(err)
	}
	server := &storeServer{t: t, name: "versitygw", address: "127.0.0.1:" + port, log: filepath.Join(dir, "s3.log")}
	server.command = func() *exec.Cmd {
		cmd := exec.Command(found[len(found)-1], "--port", server.address, "--quiet", "posix", root)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=gatehouse", "ROOT_SECRET_KEY="+s.password)
		return cmd
	}
	server.ready = func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", server.address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	return server
}

// bucket is the address of a prefix in the bucket.
func (s *stores) bucket(prefix string) string {
	return "s3://gatehouse/" + prefix + "?endpoint=http://" + s.s3.address + "&region=us-east-1"
}

// environment has the credentials of the bucket.
func (s *stores) environment() []string {
	return []string{"AWS_ACCESS_KEY_ID=gatehouse", "AWS_SECRET_ACCESS_KEY=" + s.password, "AWS_EC2_METADATA_DISABLED=true"}
}
