package keys_test

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/installation"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// fast is a timing for servers that do not stop in the middle of a test. The lease is
// longer than a busy machine holds them up.
var fast = keys.Timing{Poll: 10 * time.Millisecond, Lease: time.Minute, Settle: 30 * time.Second}

const account = "000000000001"

// An installation is a database with a keyring in it, and the servers that use it.
type installed struct {
	t       testing.TB
	db      *db.DB
	wrapper keys.Wrapper
	timing  keys.Timing
	started atomic.Int64
}

func install(t testing.TB, timing keys.Timing) *installed {
	t.Helper()
	return &installed{t: t, db: dbtest.Open(t), wrapper: wrapper(t, 'w'), timing: timing}
}

// wrapper is one with a key made of one letter.
func wrapper(t testing.TB, letter byte) keys.Wrapper {
	t.Helper()
	key := make([]byte, 32)
	for i := range key {
		key[i] = letter
	}
	w, err := keys.NewKeyWrapper(base64.StdEncoding.EncodeToString(key), "the test's key")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A server has the keyring of the installation.
type server struct {
	*keys.Service
	*keys.Follower
	store *faultyStore
	stop  func()
}

// start starts another server. It stops with the test, if not earlier.
func (in *installed) start() *server {
	in.t.Helper()
	s, err := in.tryStart(nil)
	for range 20 {
		// The leases of the tests are so short that a loaded machine may not be able to
		// start a server within one. A supervisor would start it again.
		if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
		s, err = in.tryStart(nil)
	}
	if err != nil {
		in.t.Fatal(err)
	}
	return s
}

// tryStart starts a server whose store calls before each access.
func (in *installed) tryStart(before func(step string) error) (*server, error) {
	store, err := keys.NewDBStore(in.t.Context(), in.db)
	if err != nil {
		return nil, err
	}
	s := &server{store: &faultyStore{Store: store, before: before}}
	id := "server-" + strconv.FormatInt(in.started.Add(1), 10)
	s.Follower, err = keys.NewFollower(in.t.Context(), keys.FollowerConfig{
		DB: in.db, Store: s.store, Codec: &keys.Codec{Wrapper: in.wrapper}, Create: true, Shared: true, ID: id, Host: "host",
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Timing: in.timing,
	})
	if err != nil {
		return nil, err
	}
	s.Service = keys.New(keys.Config{
		Follower: s.Follower, Operators: installation.Operators{Authz: everyone{}, Account: account}, Now: time.Now,
		AccessKeys: func(string) []keys.AccessKey { return nil },
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(in.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	s.stop = func() { cancel(); running.Wait() }
	in.t.Cleanup(s.stop)
	return s, nil
}

// everyone is allowed everything.
type everyone struct{}

func (everyone) Authorize(context.Context, *authz.Request) error { return nil }

// faultyStore is a store that fails on demand.
type faultyStore struct {
	keys.Store
	before  func(step string) error // nil does nothing
	cut     atomic.Bool
	replace func(replace func() error) error // nil replaces
}

var errCut = errors.New("cut off")

func (s *faultyStore) Load(ctx context.Context) ([]byte, error) {
	if s.cut.Load() {
		return nil, errCut
	}
	if s.before != nil {
		if err := s.before("load"); err != nil {
			return nil, err
		}
	}
	return s.Store.Load(ctx)
}

func (s *faultyStore) Replace(ctx context.Context, former, next []byte) error {
	if s.cut.Load() {
		return errCut
	}
	do := func() error { return s.Store.Replace(ctx, former, next) }
	if s.replace != nil {
		return s.replace(do)
	}
	return do()
}

func claims() token.Claims {
	now := time.Now()
	return token.Claims{ID: "ABIA2222333344445555", Account: account, PrincipalID: "AIDA2222333344445555A", Issued: now, Expires: now.Add(12 * time.Hour), Region: "us-east-1"}
}

// keyOf is the id of the key that sealed a token.
func keyOf(t testing.TB, text string) string {
	t.Helper()
	frame, err := base64.RawURLEncoding.DecodeString(text[len("ghet_"):])
	if err != nil {
		t.Fatal(err)
	}
	const digits = "0123456789abcdef"
	var id []byte
	for _, b := range frame[1:5] {
		id = append(id, digits[b>>4], digits[b&15])
	}
	return string(id)
}

func operator(ctx context.Context) context.Context {
	return authn.WithCaller(ctx, &authn.Caller{Principal: &authn.Principal{Account: account}, Region: "us-east-1"})
}

// answer calls fn until the server that it asks does not say that it is cut off: the
// machine may be too busy for a short lease.
func answer(fn func() error) error {
	for {
		if err := fn(); !fault.Is(err, "ServiceUnavailable") {
			return err
		}
		runtime.Gosched()
	}
}
