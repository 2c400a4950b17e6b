package keys_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/installation"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A log keeps the lines of a server's log. Make one with newLog.
type log struct {
	mu      sync.Mutex
	lines   bytes.Buffer
	written chan struct{} // is closed by the next line
}

func newLog() *log { return &log{written: make(chan struct{})} }

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.written)
	l.written = make(chan struct{})
	return l.lines.Write(p)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.lines.String(), text)
}

func (l *log) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// await waits until something is done, which the log says when it is.
func (l *log) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for limit := time.After(time.Minute); ; {
		next := l.next()
		if done() {
			return
		}
		select {
		case <-next:
		case <-limit:
			t.Fatalf("waited for a minute until %s", what)
		}
	}
}

// onFile starts a server with a keyring file.
func onFile(t *testing.T, path string, shared bool, operators authz.Authorizer) (*server, *log) {
	t.Helper()
	lines := newLog()
	s := new(server)
	var err error
	s.Follower, err = keys.NewFollower(t.Context(), keys.FollowerConfig{
		DB: dbtest.Open(t), Store: &keys.FileStore{Path: path}, Codec: &keys.Codec{}, Create: true, Shared: shared, ID: "one", Host: "host",
		Now: time.Now, Log: slog.New(slog.NewTextHandler(lines, nil)), Timing: fast,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Service = keys.New(keys.Config{
		Follower: s.Follower, Operators: installation.Operators{Authz: operators, Account: account}, Now: time.Now,
		AccessKeys: func(id string) []keys.AccessKey {
			return []keys.AccessKey{{Account: account, User: "admin", ID: "AKIA-under-" + id, Active: true}}
		},
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s, lines
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A file that is replaced is loaded while the server runs. One that cannot be used
// changes nothing, and the log says why, once.
func TestFollower_File(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	s, lines := onFile(t, path, false, everyone{})
	first := s.Keyring().Keys()
	text, err := s.Keyring().Mint(token.ECR, claims())
	if err != nil {
		t.Fatal(err)
	}
	staged := first.Stage(time.Now())
	write(t, path, encode(t, &keys.Codec{}, staged))
	lines.await(t, "the staged key is loaded", func() bool { return s.Keyring().Keys().Revision() == 2 })

	other := token.NewKeys(time.Now())
	for range 3 {
		other = other.Stage(time.Now())
		if other, err = other.Promote(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for why, bad := range map[string][]byte{
		"JSON is damaged":         []byte(`{"version":2`),
		"is missing or different": encode(t, &keys.Codec{}, other),
		"is older":                encode(t, &keys.Codec{}, first),
		"is wrapped":              encode(t, &keys.Codec{Wrapper: wrapper(t, 'a')}, staged),
	} {
		write(t, path, bad)
		lines.await(t, "the log says that it "+why, func() bool { return lines.count(why) > 0 })
		if s.Keyring().Keys().Revision() != 2 {
			t.Errorf("it %s: revision %d is loaded", why, s.Keyring().Keys().Revision())
		}
		if _, err := s.Keyring().Open(token.ECR, text); err != nil {
			t.Error(err)
		}
		if _, err := s.Rotate(operator(t.Context())); !fault.Is(err, "KeyringUnusable") {
			t.Errorf("it %s: Rotate = %v", why, err)
		}
	}
	if n := lines.count("JSON is damaged"); n != 1 {
		t.Errorf("the log says %d times that the JSON is damaged", n)
	}
	promoted, err := staged.Promote(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, encode(t, &keys.Codec{}, promoted))
	lines.await(t, "the promoted key is loaded", func() bool { return s.Keyring().Keys().Revision() == 3 })
	lines.await(t, "the log says so", func() bool { return lines.count("up to date again") == 1 })
}

func TestFileStore_Mode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	strict, group := &keys.FileStore{Path: path}, &keys.FileStore{Path: path, GroupReadable: true}
	if err := strict.Create(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode][2]bool{0o600: {true, true}, 0o440: {false, true}, 0o460: {false, false}, 0o444: {false, false}} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, strictErr := strict.Load(t.Context())
		_, groupErr := group.Load(t.Context())
		if (strictErr == nil) != want[0] || (groupErr == nil) != want[1] {
			t.Errorf("mode %04o: %v, %v", mode, strictErr, groupErr)
		}
	}
}

// What a key sealed may be in use until the longest session is over.
func TestRetire_InUse(t *testing.T) {
	s, _ := onFile(t, filepath.Join(t.TempDir(), "keyring.json"), false, everyone{})
	ctx := operator(t.Context())
	former := s.Keyring().ActiveKeyID()
	if _, err := s.Retire(ctx, former, true); !fault.Is(err, "KeyInUse") {
		t.Errorf("Retire of the active key = %v", err)
	}
	if _, err := s.Retire(ctx, "00000000", true); !fault.Is(err, "NoSuchKey") {
		t.Errorf("Retire of no key = %v", err)
	}
	r, err := s.Rotate(ctx)
	if err != nil || r.Former != former || r.OpensUntil.Before(time.Now().Add(token.LongestLife)) {
		t.Fatalf("%+v, %v", r, err)
	}
	_, err = s.Retire(ctx, former, false)
	if !fault.Is(err, "KeyInUse") || !strings.Contains(err.Error(), r.OpensUntil.Format(time.RFC3339)) || !strings.Contains(err.Error(), "--end-sessions "+former) {
		t.Errorf("Retire = %v", err)
	}
	key, err := s.Retire(ctx, former, true)
	if err != nil || key.State != token.Retired || len(key.AccessKeys) != 1 {
		t.Errorf("Retire = %+v, %v", key, err)
	}
	l, err := s.List(ctx)
	if err != nil || len(l.Keys) != 2 || l.Keys[0].State != token.Retired || l.Keys[1].ID != r.New || l.Keys[1].AccessKeys[0].ID != "AKIA-under-"+r.New || len(l.Servers) != 0 {
		t.Errorf("List = %+v, %v", l, err)
	}
	// The file has what the server has.
	again, err := token.LoadKeyring(l.Location, time.Now)
	if err != nil || again.ActiveKeyID() != r.New || again.Keys().Revision() != l.Revision {
		t.Errorf("the file: %+v, %v", again, err)
	}
}

// Servers that each have their own file are shown, and none of them changes it.
func TestRotate_FileOfSeveralServers(t *testing.T) {
	s, _ := onFile(t, filepath.Join(t.TempDir(), "keyring.json"), true, everyone{})
	if _, err := s.Rotate(operator(t.Context())); !fault.Is(err, "KeyringReadOnly") {
		t.Errorf("Rotate = %v", err)
	}
	if _, err := s.Retire(operator(t.Context()), s.Keyring().ActiveKeyID(), true); !fault.Is(err, "KeyringReadOnly") {
		t.Errorf("Retire = %v", err)
	}
	l, err := s.List(operator(t.Context()))
	if err != nil || len(l.Servers) != 1 || l.Servers[0].Revision != 1 || l.Servers[0].ID != "one" {
		t.Errorf("List = %+v, %v", l, err)
	}
}

// denied allows nothing, and keeps what was asked for.
type denied struct{ asked []string }

func (d *denied) Authorize(_ context.Context, r *authz.Request) error {
	d.asked = append(d.asked, r.Action+" "+r.Resource)
	return fault.New(fault.Denied, "AccessDenied", "denied")
}

func TestService_AuthorizesFirst(t *testing.T) {
	d := new(denied)
	s, _ := onFile(t, filepath.Join(t.TempDir(), "keyring.json"), false, d)
	ctx, revision := operator(t.Context()), s.Keyring().Keys().Revision()
	_, list := s.List(ctx)
	_, rotate := s.Rotate(ctx)
	_, retire := s.Retire(ctx, "0000000a", true)
	for name, err := range map[string]error{"List": list, "Rotate": rotate, "Retire": retire} {
		if !fault.Is(err, "AccessDenied") {
			t.Errorf("%s = %v", name, err)
		}
	}
	const resource = " arn:aws:gatehouse:us-east-1:" + account + ":key/"
	want := "gatehouse:ListKeys" + resource + "*,gatehouse:RotateKeys" + resource + "*,gatehouse:RetireKey" + resource + "0000000a"
	if got := strings.Join(d.asked, ","); got != want || s.Keyring().Keys().Revision() != revision {
		t.Errorf("asked for %s, want %s", got, want)
	}
}
