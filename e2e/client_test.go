package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// A client does one thing with a server after the other. It has names of its
// own, so that it knows what they stand for.
type client struct {
	*session
	kind    string
	round   int
	step    func(*client) error // the next thing that it does
	rand    *rand.Rand
	n       int // things named so far
	uploads *uploads
}

// uploads are the bytes of uploads that are under way, by address.
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

// next is a name that nobody has used.
func (c *client) next() string {
	c.n++
	return fmt.Sprintf("%s-%d-%d", c.kind, c.round, c.n)
}

// version is one that nobody has published.
func (c *client) version() string {
	c.n++
	return fmt.Sprintf("1.%d.%d", c.round, c.n)
}

// chance is true once in n times.
func (c *client) chance(n int) bool { return c.rand.IntN(n) == 0 }

// content makes incompressible bytes, of 1 KiB to 2 MiB, mostly small.
func content(r *rand.Rand) []byte {
	b := make([]byte, 1<<10+r.IntN(1<<(10+r.IntN(12))))
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(r.Uint32())
	}
	rand.NewChaCha8(seed).Read(b)
	return b
}

// clients are those of one round. Three push images, so that layers arrive side
// by side.
func clients(s *session, round int, seed uint64, u *uploads) []*client {
	all := []*client{
		{kind: "a", step: (*client).changeImages},
		{kind: "b", step: (*client).changeImages},
		{kind: "c", step: (*client).changeImages},
		{kind: "pull", step: (*client).pull},
		{kind: "npm", step: (*client).changeNPM},
		{kind: "pypi", step: (*client).uploadWheel},
		{kind: "api", step: (*client).changeAccounts},
	}
	for i, c := range all {
		c.session, c.round, c.uploads = s, round, u
		c.rand = rand.New(rand.NewPCG(seed, uint64(round*len(all)+i)))
	}
	return all
}
