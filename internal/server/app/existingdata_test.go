package app_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	_ "modernc.org/sqlite"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

// tryStart starts a server on a folder and stops it when the test ends.
func tryStart(t *testing.T, data string, change func(*config.Config)) error {
	t.Helper()
	c := config.Default()
	c.Data, c.Listen = data, "127.0.0.1:0"
	if change != nil {
		change(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := app.Start(ctx, c, app.WithLog(new(buffer)))
	if err != nil {
		cancel()
		return err
	}
	cancel()
	return s.Wait()
}

func (g *fixture) createRepository(name string) {
	g.t.Helper()
	if _, err := ecr.NewFromConfig(g.admin(victim)).CreateRepository(g.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(name)}); err != nil {
		g.t.Fatal(err)
	}
}

func (g *fixture) repositoryNames() string {
	g.t.Helper()
	out, err := ecr.NewFromConfig(g.admin(victim)).DescribeRepositories(g.t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		g.t.Fatal(err)
	}
	var names []string
	for _, r := range out.Repositories {
		names = append(names, *r.RepositoryName)
	}
	return strings.Join(names, " ")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// backup copies the database while the server runs, as docs/operations.md says.
func (g *fixture) backup() string {
	g.t.Helper()
	d, err := sql.Open("sqlite", filepath.Join(g.data, "gatehouse.db"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer d.Close()
	file := filepath.Join(g.t.TempDir(), "backup.db")
	if _, err := d.Exec(`VACUUM INTO ?`, file); err != nil {
		g.t.Fatal(err)
	}
	return file
}

// crashed copies the folder of a running server to where a killed one would have
// left it, and moves the fixture there.
func (g *fixture) crashed() {
	g.t.Helper()
	image := filepath.Join(g.t.TempDir(), "crashed")
	if err := os.CopyFS(image, os.DirFS(g.data)); err != nil {
		g.t.Fatal(err)
	}
	g.stop()
	g.data = image
	if err := os.Chmod(filepath.Join(image, "keyring.json"), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func TestStart_LostDatabase(t *testing.T) {
	g := start(t)
	g.createRepository("app")
	g.stop()
	file := filepath.Join(g.data, "gatehouse.db")
	saved := filepath.Join(t.TempDir(), "saved.db")
	copyFile(t, file, saved)
	noTable := filepath.Join(t.TempDir(), "none.db")
	if d, err := sql.Open("sqlite", noTable); err != nil {
		t.Fatal(err)
	} else if _, err := d.Exec(`PRAGMA journal_mode = WAL`); err != nil || d.Close() != nil {
		t.Fatal(err)
	}
	for name, lose := range map[string]func(){
		"missing":       func() {},
		"empty":         func() { copyFile(t, os.DevNull, file) },
		"without table": func() { copyFile(t, noTable, file) },
	} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		lose()
		before, _ := os.ReadFile(file)
		err := tryStart(t, g.data, nil)
		if !errors.Is(err, app.ErrLostDatabase) || !strings.Contains(err.Error(), "Lost database") {
			t.Errorf("%s: err = %v, want ErrLostDatabase and the way out", name, err)
		}
		if after, _ := os.ReadFile(file); string(after) != string(before) {
			t.Errorf("%s: the start changed the database", name)
		}
		copyFile(t, saved, file)
	}
	g.serve()
	if got := g.repositoryNames(); got != "app" {
		t.Errorf("with the database put back: repositories = %q", got)
	}
}

func TestStart_LostDatabaseBesideBlobsAlone(t *testing.T) {
	data := t.TempDir()
	if err := os.MkdirAll(filepath.Join(data, "blobs", "3f"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, data, nil); err != nil {
		t.Errorf("empty folders are not blobs: %v", err)
	}
	data = t.TempDir()
	file := filepath.Join(data, "blobs", "3f", "image-x")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, data, nil); !errors.Is(err, app.ErrLostDatabase) {
		t.Errorf("err = %v, want ErrLostDatabase", err)
	}
}

// A process that is killed during the first start leaves a database and no
// keyring, or both and no account. The next start goes on.
func TestStart_AfterInterruptedFirstStart(t *testing.T) {
	data := t.TempDir()
	d, err := sqlite.Open(t.Context(), filepath.Join(data, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, data, nil); err != nil {
		t.Fatal(err)
	}
	// From now on the keyring belongs to the database.
	if err := os.Remove(filepath.Join(data, "keyring.json")); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, data, nil); err == nil || !strings.Contains(err.Error(), "the keyring is missing beside a database") {
		t.Errorf("err = %v, want that the keyring is missing", err)
	}
}

func TestStart_LogOfAnotherDatabase(t *testing.T) {
	g := start(t)
	g.createRepository("before")
	backup := g.backup()
	g.createRepository("after")
	g.crashed()
	image := g.data
	copyFile(t, backup, filepath.Join(image, "gatehouse.db"))
	err := tryStart(t, image, nil)
	if !errors.Is(err, sqlite.ErrForeignLog) || !strings.Contains(err.Error(), "remove gatehouse.db-wal") {
		t.Errorf("err = %v, want ErrForeignLog and the way out", err)
	}
	for _, name := range []string{"gatehouse.db-wal", "gatehouse.db-shm"} {
		if err := os.Remove(filepath.Join(image, name)); err != nil {
			t.Fatal(err)
		}
	}
	g.serve()
	if got := g.repositoryNames(); got != "before" {
		t.Errorf("repositories = %q, want those of the backup", got)
	}
}

func TestStart_AfterCrash(t *testing.T) {
	g := start(t)
	g.createRepository("app")
	g.crashed()
	if info, err := os.Stat(filepath.Join(g.data, "gatehouse.db-wal")); err != nil || info.Size() == 0 {
		t.Fatalf("the test needs a write-ahead log: %v", err)
	}
	g.serve()
	if got := g.repositoryNames(); got != "app" {
		t.Errorf("repositories = %q", got)
	}
}

// After a clean stop the database file alone is complete.
func TestWait_LeavesNoWriteAheadLog(t *testing.T) {
	g := start(t)
	g.createRepository("app")
	g.stop()
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(filepath.Join(g.data, "gatehouse.db"+suffix)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("gatehouse.db%s is left after the stop: %v", suffix, err)
		}
	}
	restored := t.TempDir()
	for _, name := range []string{"gatehouse.db", "keyring.json"} {
		copyFile(t, filepath.Join(g.data, name), filepath.Join(restored, name))
	}
	g.data = restored
	g.serve()
	if got := g.repositoryNames(); got != "app" {
		t.Errorf("repositories = %q", got)
	}
}

func TestStart_NewerSchema(t *testing.T) {
	for _, step := range []string{"images/999-from-the-future", "scans/001-from-the-future"} {
		data := filepath.Join(t.TempDir(), "data")
		if err := tryStart(t, data, nil); err != nil {
			t.Fatal(err)
		}
		d, err := sql.Open("sqlite", filepath.Join(data, "gatehouse.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Exec(`INSERT INTO migration (name) VALUES (?)`, step); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if err := tryStart(t, data, nil); !errors.Is(err, db.ErrNewerSchema) || !strings.Contains(err.Error(), step) {
			t.Errorf("%s: err = %v, want ErrNewerSchema", step, err)
		}
	}
}

func TestStart_OtherAccount(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	account := func(first string, further ...string) func(*config.Config) {
		return func(c *config.Config) { c.Account, c.Accounts = first, further }
	}
	if err := tryStart(t, data, account("111122223333")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the refused start adds nothing
		err := tryStart(t, data, nil)
		if !errors.Is(err, app.ErrConfiguration) || !strings.Contains(err.Error(), "--account 111122223333") {
			t.Errorf("err = %v, want ErrConfiguration and the way out", err)
		}
	}
	if err := tryStart(t, data, account("111122223333", "000000000001")); err != nil {
		t.Error(err)
	}
	if err := tryStart(t, data, nil); err != nil {
		t.Errorf("an account of the folder is refused: %v", err)
	}
}

// The server's files are for its user alone, also in a folder that exists.
func TestStart_FileModes(t *testing.T) {
	data := t.TempDir()
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gatehouse.db", "audit.jsonl"} { // as an older version left them
		if err := os.WriteFile(filepath.Join(data, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := &fixture{t: t, data: data, log: new(buffer), change: func(*config.Config) {}}
	g.serve()
	g.createRepository("app")
	err := filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == data {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// While the audit log cannot be written, changes are refused and reads go on.
// When it can, everything works again, and nothing that was recorded is missing.
func TestServer_AuditLogFull(t *testing.T) {
	g := start(t)
	g.createRepository("before")
	password := g.imageToken(g.admin(victim))
	g.stop()
	log := filepath.Join(g.data, "audit.jsonl")
	if err := errors.Join(os.Rename(log, log+".old"), os.Symlink("/dev/full", log)); err != nil {
		t.Fatal(err)
	}
	g.serve()
	client := ecr.NewFromConfig(g.admin(victim))
	g.repositoryNames() // the first record finds that the disk is full
	var err error
	for range 100 { // until the log's goroutine has tried to write it
		_, err = client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("refused")})
		if err != nil {
			break
		}
		_, _ = client.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("refused")})
	}
	if err == nil || !strings.Contains(err.Error(), "cannot write its audit log") {
		t.Errorf("CreateRepository = %v, want that the audit log cannot be written", err)
	}
	push := g.request("POST", "/v2/before/blobs/uploads/", "")
	push.Header.Set("Authorization", "Basic "+password)
	if status, body := g.send(push); status != http.StatusServiceUnavailable || !strings.Contains(body, `"UNAVAILABLE"`) {
		t.Errorf("a push = %d %s, want 503 UNAVAILABLE", status, body)
	}
	if got := g.repositoryNames(); got != "before" {
		t.Errorf("repositories = %q", got)
	}
	if status := g.status("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz = %d, want 503", status)
	}
	if err := errors.Join(os.Remove(log), os.Rename(log+".old", log)); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); g.status("/readyz") != http.StatusOK; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("the server does not recover")
		}
	}
	g.createRepository("after")
	g.stop()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"refused"`, `"after"`, `cannot write its audit log`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the audit log does not have %s", want)
		}
	}
}

func (g *fixture) status(path string) int {
	g.t.Helper()
	res, err := http.Get(g.url + path)
	if err != nil {
		g.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
