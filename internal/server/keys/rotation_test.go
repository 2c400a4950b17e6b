package keys_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A load mints tokens at random servers and opens them at random others, while keys are
// rotated and retired. It fails for a valid token that is refused, and for a token of
// a retired key that is accepted.
type load struct {
	t       *testing.T
	servers []*server

	mu      sync.Mutex
	tokens  []string
	retired map[string]time.Time // zero while the retirement is under way
	opened  int
}

// state returns whether a key is about to be retired, and whether it is.
func (l *load) state(key string) (ending, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ending := l.retired[key]
	return ending, ending && !at.IsZero()
}

func (l *load) run(ctx context.Context) {
	for ctx.Err() == nil {
		minted, err := l.servers[rand.IntN(len(l.servers))].Keyring().Mint(token.ECR, claims())
		if err != nil {
			l.t.Errorf("Mint: %v", err)
			return
		}
		l.mu.Lock()
		if len(l.tokens) < 2000 {
			l.tokens = append(l.tokens, minted)
		} else {
			l.tokens[rand.IntN(len(l.tokens))] = minted
		}
		other := l.tokens[rand.IntN(len(l.tokens))]
		l.mu.Unlock()
		for _, text := range []string{minted, other} {
			l.open(text)
		}
	}
}

func (l *load) open(text string) {
	key := keyOf(l.t, text)
	_, endedBefore := l.state(key)
	_, err := l.servers[rand.IntN(len(l.servers))].Keyring().Open(token.ECR, text)
	endingAfter, _ := l.state(key)
	l.mu.Lock()
	l.opened++
	l.mu.Unlock()
	switch {
	case err != nil && !endingAfter:
		l.t.Errorf("a token of key %s was refused: %v", key, err)
	case err == nil && endedBefore:
		l.t.Errorf("a token of key %s, which is retired, was accepted", key)
	}
}

func TestRotate_UnderLoad(t *testing.T) {
	in := install(t, fast)
	l := &load{t: t, servers: []*server{in.start(), in.start(), in.start()}, retired: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() { l.run(ctx) })
	}
	for n := range 5 {
		s := l.servers[n%3]
		r, err := s.Rotate(operator(t.Context()))
		if err != nil || !r.Done || len(r.Behind) > 0 || r.New == r.Former {
			t.Fatalf("%+v, %v", r, err)
		}
		for i, s := range l.servers {
			if got := s.Keyring().ActiveKeyID(); got != r.New {
				t.Errorf("server %d seals with %s after the rotation to %s", i, got, r.New)
			}
		}
		l.mu.Lock()
		l.retired[r.Former] = time.Time{}
		l.mu.Unlock()
		if _, err := s.Retire(operator(t.Context()), r.Former, true); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		l.retired[r.Former] = time.Now()
		l.mu.Unlock()
	}
	cancel()
	running.Wait()
	if l.opened < 1000 {
		t.Errorf("only %d tokens were opened", l.opened)
	}
}

// Rotations, retirements, starts, stops and crashes of up to four servers in any order:
// every server that answers opens every token whose key is not retired.
func TestRotate_AnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := install(t, keys.Timing{Poll: 4 * time.Millisecond, Lease: 150 * time.Millisecond, Settle: 10 * time.Second})
		up := []*server{in.start(), in.start()}
		var tokens []string
		retired := map[string]bool{}
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			i := rapid.IntRange(0, len(up)-1).Draw(rt, "server")
			switch rapid.SampledFrom([]string{"start", "stop", "cut", "rotate", "rotate", "crash", "retire"}).Draw(rt, "step") {
			case "start":
				if len(up) < 4 {
					up = append(up, in.start())
				}
			case "stop":
				if len(up) > 1 {
					up[i].stop()
					up = append(up[:i:i], up[i+1:]...)
				}
			case "cut":
				if len(up) > 1 { // it is out until the end
					up[i].store.cut.Store(true)
					up = append(up[:i:i], up[i+1:]...)
				}
			case "rotate":
				if r, err := up[i].Rotate(operator(t.Context())); err != nil || !r.Done {
					rt.Fatalf("%+v, %v", r, err)
				}
			case "crash":
				crashAt := rapid.IntRange(0, 3).Draw(rt, "crash at")
				up[i].store.replace = crashing(crashAt)
				_, _ = up[i].Rotate(operator(t.Context()))
				up[i].stop()
				up[i] = in.start()
			case "retire":
				for _, k := range up[i].Keyring().Keys().List() {
					if k.State == token.VerifyOnly && !k.Staged() {
						if _, err := up[i].Retire(operator(t.Context()), k.ID, true); err != nil {
							rt.Fatal(err)
						}
						retired[k.ID] = true
					}
				}
			}
			for _, s := range up {
				var text string
				if err := answer(func() (err error) { text, err = s.Keyring().Mint(token.ECR, claims()); return err }); err != nil {
					rt.Fatalf("Mint: %v", err)
				}
				tokens = append(tokens, text)
				for _, other := range up {
					for _, text := range tokens {
						key := keyOf(t, text)
						err := answer(func() error { _, err := other.Keyring().Open(token.ECR, text); return err })
						if (err == nil) == retired[key] {
							rt.Fatalf("a token of key %s, retired: %v: %v", key, retired[key], err)
						}
					}
				}
			}
		}
		for _, s := range up {
			s.stop()
		}
	})
}

var errCrash = errors.New("crashed")

// crashing fails from the n-th replacement on. An odd n fails after the replacement
// was made, an even one before.
func crashing(n int) func(func() error) error {
	calls := 0
	return func(replace func() error) error {
		calls++
		switch {
		case calls <= n/2:
			return replace()
		case calls == n/2+1 && n%2 == 1:
			return errors.Join(replace(), errCrash)
		}
		return errCrash
	}
}

// A server that fails at any step leaves a keyring with which the next one goes on,
// and the rotation then is the one that was begun.
func TestRotate_CrashAtEachStep(t *testing.T) {
	for n := range 4 {
		in := install(t, fast)
		first := in.start()
		before, err := first.Keyring().Mint(token.ECR, claims())
		if err != nil {
			t.Fatal(err)
		}
		former := first.Keyring().ActiveKeyID()
		first.store.replace = crashing(n)
		_, rotateErr := first.Rotate(operator(t.Context()))
		// A replacement whose answer is lost is found out about: the crash is the
		// one of the next.
		if want := n < 3; (rotateErr != nil) != want {
			t.Errorf("crash %d: Rotate = %v", n, rotateErr)
		}
		first.stop()
		second := in.start()
		staged, isStaged := second.Keyring().Keys().Staged()
		if isStaged != (n == 1 || n == 2) {
			t.Errorf("crash %d: staged %v", n, isStaged)
		}
		if _, err := second.Keyring().Open(token.ECR, before); err != nil {
			t.Errorf("crash %d: %v", n, err)
		}
		if n == 3 {
			continue // it was finished
		}
		r, err := second.Rotate(operator(t.Context()))
		if err != nil || !r.Done || r.Former != former || isStaged && r.New != staged.ID || len(second.Keyring().Keys().List()) != 2 {
			t.Errorf("crash %d: %+v, %v", n, r, err)
		}
	}
}

// A server that is starting has reported nothing yet when a rotation begins. It is
// waited for, since it may have read the keyring before that.
func TestRotate_ServerStarts(t *testing.T) {
	timing := keys.Timing{Poll: 5 * time.Millisecond, Lease: time.Minute, Settle: 300 * time.Millisecond}
	in := install(t, timing)
	first := in.start()
	reading, goOn := make(chan struct{}), make(chan struct{})
	started := make(chan *server, 1)
	once := sync.OnceFunc(func() { close(reading) })
	go func() {
		s, err := in.tryStart(func(string) error { once(); <-goOn; return nil })
		if err != nil {
			t.Error(err)
		}
		started <- s
	}()
	<-reading
	r, err := first.Rotate(operator(t.Context()))
	if err != nil || r.Done || len(r.Behind) != 1 || r.Behind[0] != "host server-2" {
		t.Fatalf("a rotation beside a server that starts: %+v, %v", r, err)
	}
	if first.Keyring().ActiveKeyID() != r.Former {
		t.Error("the new key is active")
	}
	close(goOn)
	second := <-started
	again, err := first.Rotate(operator(t.Context()))
	if err != nil || !again.Done || again.New != r.New {
		t.Fatalf("%+v, %v; before %+v", again, err, r)
	}
	text, err := first.Keyring().Mint(token.ECR, claims())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Keyring().Open(token.ECR, text); err != nil {
		t.Error(err)
	}
}

// A server that is cut off refuses everything by the time a key is retired without
// it, and comes back with the newest keyring.
func TestRetire_ServerCutOff(t *testing.T) {
	in := install(t, keys.Timing{Poll: 5 * time.Millisecond, Lease: 500 * time.Millisecond, Settle: 30 * time.Second})
	a, b := in.start(), in.start()
	old, err := b.Keyring().Mint(token.ECR, claims())
	if err != nil {
		t.Fatal(err)
	}
	b.store.cut.Store(true)
	r, err := a.Rotate(operator(t.Context()))
	if err != nil || !r.Done {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := a.Retire(operator(t.Context()), r.Former, true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Keyring().Open(token.ECR, old); !fault.Is(err, "ServiceUnavailable") {
		t.Errorf("Open at the server that is cut off = %v", err)
	}
	if _, err := b.Keyring().Mint(token.ECR, claims()); !fault.Is(err, "ServiceUnavailable") {
		t.Errorf("Mint there = %v", err)
	}
	b.store.cut.Store(false)
	minted, err := a.Keyring().Mint(token.ECR, claims())
	if err != nil {
		t.Fatal(err)
	}
	if err := answer(func() error { _, err := b.Keyring().Open(token.ECR, minted); return err }); err != nil {
		t.Fatalf("Open after the return = %v", err)
	}
	if _, err := b.Keyring().Open(token.ECR, old); !fault.Is(err, "InvalidToken") {
		t.Errorf("Open of a token of the retired key = %v", err)
	}
}

// Two servers that rotate at the same time make one rotation, or two after each other.
func TestRotate_AtTheSameTime(t *testing.T) {
	in := install(t, fast)
	servers := []*server{in.start(), in.start(), in.start()}
	var running sync.WaitGroup
	for _, s := range servers {
		running.Go(func() {
			if r, err := s.Rotate(operator(t.Context())); err != nil || !r.Done {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	running.Wait()
	for _, s := range servers {
		if _, staged := s.Keyring().Keys().Staged(); staged {
			t.Error("a key is staged")
		}
	}
}
