package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// A client sends one request after the other. It uses names of its own, so it knows
// what each of them must refer to.
type client struct {
	*session
	kind    string
	round   int
	step    func(*client) error // one step of its work
	rand    *rand.Rand
	n       int // names used so far
	uploads *uploads
	// published are the versions that changeFormats has published, and not unlisted.
	published []publishedVersion
}

// uploads has the bytes of unfinished uploads, by path.
type uploads struct {
	mu    sync.Mutex
	bytes map[string][]byte
}

func (u *uploads) put(path string, b []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes[path] = b
}

func (u *uploads) get(path string) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bytes[path]
}

// next returns an unused name.
func (c *client) next() string {
	c.n++
	return fmt.Sprintf("%s-%d-%d", c.kind, c.round, c.n)
}

// version returns an unpublished version.
func (c *client) version() string {
	c.n++
	return fmt.Sprintf("1.%d.%d", c.round, c.n)
}

// chance returns true once in n times.
func (c *client) chance(n int) bool { return c.rand.IntN(n) == 0 }

// content returns 1 KiB to 2 MiB of incompressible bytes, mostly few.
func content(r *rand.Rand) []byte {
	b := make([]byte, 1<<10+r.IntN(1<<(10+r.IntN(12))))
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(r.Uint32())
	}
	rand.NewChaCha8(seed).Read(b)
	return b
}

// clients returns the clients of one round. Three push images, so that layers arrive
// concurrently.
func clients(s *session, round int, seed uint64, u *uploads) []*client {
	all := []*client{
		{kind: "a", step: (*client).changeImages},
		{kind: "b", step: (*client).changeImages},
		{kind: "c", step: (*client).changeImages},
		{kind: "pull", step: (*client).pull},
		{kind: "npm", step: (*client).changeNPM},
		{kind: "pypi", step: (*client).uploadWheel},
		{kind: "formats", step: (*client).changeFormats},
		{kind: "api", step: (*client).changeAccounts},
	}
	for i, c := range all {
		c.session, c.round, c.uploads = s, round, u
		c.rand = rand.New(rand.NewPCG(seed, uint64(round*len(all)+i)))
	}
	return all
}
