package source_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/ruby"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const gems = "public:ruby-gems-org"

// A lister is a cache that reads the list of a registry, with a clock of its own.
type lister struct {
	*upstreamtest.Server
	*source.Cache
	t   *testing.T
	dir string
	now time.Time
}

func newLister(t *testing.T) *lister {
	l := &lister{Server: upstreamtest.New(t), t: t, dir: t.TempDir(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	l.open()
	return l
}

// open starts the cache, as after a restart.
func (l *lister) open() {
	l.t.Helper()
	c, err := source.New(l.t.Context(), source.Config{
		DB: dbtest.Open(l.t), Dir: l.dir, Now: func() time.Time { return l.now }, Settings: source.Settings{Background: time.Nanosecond, Patience: 5 * time.Second},
		Registries: []*source.Registry{{Connection: gems, Client: l.Upstream(l.t, gems), Codec: ruby.Codec{}}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = c.Close() })
	l.Cache = c
}

// put serves a list, with the hashes that the public registry tells.
func (l *lister) put(lines string) string {
	text := "created_at: 2026-01-01T00:00:00Z\n---\n" + lines
	s1, s2 := md5.Sum([]byte(text)), sha256.Sum256([]byte(text))
	l.Put("/versions", upstreamtest.File{Body: []byte(text), Type: "text/plain", ETag: `"` + hex.EncodeToString(s1[:]) + `"`, Header: http.Header{
		"Repr-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(s2[:]) + ":"},
	}})
	return text
}

// list returns the list an hour later.
func (l *lister) list() (string, packages.RemoteState, error) {
	l.t.Helper()
	l.now = l.now.Add(time.Hour)
	x, state, err := l.Index(l.t.Context(), gems)
	if err != nil {
		return "", state, err
	}
	f, err := x.Open()
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		l.t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	if x.Revision != hex.EncodeToString(sum[:]) {
		l.t.Errorf("the revision is %s", x.Revision)
	}
	return string(text), state, nil
}

func (l *lister) want(text string) {
	l.t.Helper()
	if got, state, err := l.list(); got != text || err != nil || state.Failure != nil {
		l.t.Fatalf("the list is %q, %v, %v; want %q", got, state.Failure, err, text)
	}
}

func (l *lister) lastRange() string {
	all := l.Requests()
	return all[len(all)-1].Header.Get("Range")
}

const line = "a 1.0 0123456789abcdef0123456789abcdef\n"

func TestIndex(t *testing.T) {
	l := newLister(t)
	text := l.put(line)
	l.want(text)
	if _, _, err := l.Index(t.Context(), gems); err != nil || l.Count("/versions") != 1 {
		t.Errorf("%d questions within a minute, %v", l.Count("/versions"), err)
	}
	l.want(text)
	// What is new is appended.
	longer := l.put(line + strings.Replace(line, "a", "b", 1))
	l.want(longer)
	if got := l.lastRange(); got != fmt.Sprintf("bytes=%d-", len(text)-1) {
		t.Errorf("the range is %q", got)
	}
	// Also after a restart.
	l.open()
	longest := l.put(line + strings.Replace(line, "a", "b", 1) + strings.Replace(line, "a", "c", 1))
	l.want(longest)
	if l.lastRange() == "" {
		t.Error("everything was asked for again after a restart")
	}
	// A list that was made anew replaces it: one that is longer, one that is shorter, and
	// one of the same size.
	for _, lines := range []string{strings.Repeat(strings.Replace(line, "a", "z", 1), 9), line, strings.Replace(line, "a", "d", 1)} {
		l.want(l.put(lines))
	}
}

// While the registry fails or lies, the last list that was right is served.
func TestIndex_Faults(t *testing.T) {
	for name, f := range map[string]upstreamtest.Fault{
		"500": upstreamtest.Status(500), "404": upstreamtest.Status(404), "cut": upstreamtest.Cut(30), "wrong bytes": upstreamtest.WrongBytes(), "HTML": upstreamtest.HTML(),
		"longer": upstreamtest.Longer(3), "hangs up": upstreamtest.Hangup(), "empty": upstreamtest.Shorter(1 << 20),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLister(t)
			l.put(line)
			l.Fail("/versions", f)
			if _, _, err := l.list(); !packages.IsRemoteFailure(err) || !strings.Contains(err.Error(), gems) {
				t.Fatalf("without an older list: %v", err)
			}
			l.Heal()
			text := l.put(line)
			l.want(text)
			l.Fail("/versions", f)
			longer := l.put(line + strings.Replace(line, "a", "b", 1))
			got, state, err := l.list()
			if name == "longer" && got == longer && err == nil {
				return // what is behind the length that it tells is not looked at
			}
			if got != text || err != nil || !packages.IsRemoteFailure(state.Failure) {
				t.Fatalf("the list is %q, %v, %v", got, state.Failure, err)
			}
			l.now = l.now.Add(8 * 24 * time.Hour)
			if _, _, err := l.list(); !packages.IsRemoteFailure(err) {
				t.Errorf("after more than a week: %v", err)
			}
			l.Heal()
			l.want(l.put(line + strings.Replace(line, "a", "c", 1)))
		})
	}
}

// A registry that tells no hash is asked for the whole: an addition could not be checked.
func TestIndex_NoDigest(t *testing.T) {
	l := newLister(t)
	for _, lines := range []string{line, line + strings.Replace(line, "a", "b", 1)} {
		text := "created_at: x\n---\n" + lines
		l.Put("/versions", upstreamtest.File{Body: []byte(text), Type: "text/plain"})
		l.want(text)
		if l.lastRange() != "" {
			t.Error("a part was asked for")
		}
	}
}

// What an interrupted change has left does not count.
func TestIndex_Damaged(t *testing.T) {
	l := newLister(t)
	text := l.put(line)
	l.want(text)
	path := filepath.Join(l.dir, "public:ruby-gems-org")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"more behind it": text + "half a li", "shorter": text[:20], "other bytes": strings.Repeat("x", len(text)), "empty": ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		l.open()
		if got, _, err := l.list(); got != text || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
