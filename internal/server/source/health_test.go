package source_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

const many = 30

func name(i int) string { return fmt.Sprint("package-", i) }

// outdated returns a cache that has old documents of many packages.
func outdated(f *fixture, s source.Settings) *source.Cache {
	c := f.cache(s)
	for i := range many {
		f.get(c, name(i))
	}
	f.pass(time.Hour)
	f.codec.asked.Store(0)
	return c
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// isStale reports whether a package is answered from an older document.
func isStale(f *fixture, c *source.Cache, name string) bool {
	f.t.Helper()
	p, state, err := c.Package(f.t.Context(), "public:npmjs", packages.PackageID{Format: packages.NPM, Name: name})
	if err != nil || p.Tags["latest"] != name {
		f.t.Fatalf("%s: %+v, %v", name, p, err)
	}
	return state.Failure != nil
}

// While a registry does not answer, a package with an older document does not wait for it.
func TestCache_RegistryHangs(t *testing.T) {
	f := open(t)
	c := outdated(f, source.Settings{Patience: 20 * time.Millisecond})
	back := make(chan struct{})
	f.codec.fail(func(ctx context.Context) error {
		select {
		case <-back:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for i := range many {
		if !isStale(f, c, name(i)) {
			t.Errorf("%s was confirmed", name(i))
		}
	}
	// Three wait in vain, one more may before that is noted, and one finds out.
	eventually(t, "a question finds out", func() bool { return f.codec.asked.Load() >= 4 })
	if n := f.codec.asked.Load(); n > 8 {
		t.Errorf("the registry was asked %d times while it hangs", n)
	}
	close(back)
	eventually(t, "the registry is used again", func() bool {
		f.pass(6 * time.Second) // the pause between two such questions
		return !isStale(f, c, name(many-1))
	})
}

func TestCache_RegistryDown(t *testing.T) {
	f := open(t)
	c := outdated(f, source.Settings{})
	f.codec.fail(func(context.Context) error {
		return &egress.Error{Kind: egress.Unreachable, Upstream: "public:npmjs", Message: "no connection"}
	})
	for i := range many {
		if !isStale(f, c, name(i)) {
			t.Errorf("%s was confirmed", name(i))
		}
	}
	eventually(t, "a question finds out", func() bool { return f.codec.asked.Load() == 4 })
	// What is not known is asked for all the same.
	if _, _, err := c.Package(t.Context(), "public:npmjs", packages.PackageID{Format: packages.NPM, Name: "unknown"}); !packages.IsRemoteFailure(err) || f.codec.asked.Load() != 5 {
		t.Errorf("an unknown package: %v", err)
	}
	f.codec.fail(func(context.Context) error { return nil })
	f.get(c, "another-one")
	if isStale(f, c, name(7)) {
		t.Error("after an answer, packages are not asked for")
	}
}

// A registry that fails for some packages is asked about the others.
func TestCache_RegistryAnswersErrors(t *testing.T) {
	f := open(t)
	c := outdated(f, source.Settings{})
	f.codec.fail(func(context.Context) error {
		return &egress.Error{Kind: egress.Answered, Status: http.StatusInternalServerError, Message: "it answered 500"}
	})
	for i := range many {
		isStale(f, c, name(i))
	}
	if n := f.codec.asked.Load(); n != many {
		t.Errorf("the registry was asked %d times", n)
	}
}

// Close waits for questions, which use the database.
func TestCache_CloseWaits(t *testing.T) {
	f := open(t)
	c := f.cache(source.Settings{})
	asked, ended, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
	f.codec.fail(func(ctx context.Context) error {
		close(asked)
		<-ctx.Done()
		<-end
		return ctx.Err()
	})
	id := packages.PackageID{Format: packages.NPM, Name: "left-pad"}
	go func() { _, _, _ = c.Package(context.Background(), "public:npmjs", id) }()
	<-asked
	go func() {
		defer close(ended)
		c.Close()
	}()
	select {
	case <-ended:
		t.Error("Close returned while a question was under way")
	case <-time.After(100 * time.Millisecond):
	}
	close(end)
	<-ended
	if _, _, err := c.Package(t.Context(), "public:npmjs", id); err == nil {
		t.Error("a closed cache answers")
	}
}
