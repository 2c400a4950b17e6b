package login

import (
	"errors"
	"io/fs"
)

// ErrCrashed is what every step returns after the crash.
var ErrCrashed = errors.New("crashed")

// CrashAfter lets a number of steps change the disk, and fails every later one.
func (j *Journal) CrashAfter(steps int) *Journal {
	c := *j
	c.disk = &crashing{disk: j.disk, left: steps}
	return &c
}

// Interfere calls a function before the first step that changes the disk.
func (j *Journal) Interfere(do func()) *Journal {
	c := *j
	c.disk = &interfering{disk: j.disk, do: do}
	return &c
}

// Staged is the path at which a file's new text waits.
var Staged = stagingPath

type crashing struct {
	disk
	left int
}

func (c *crashing) step(do func() error) error {
	if c.left == 0 {
		return ErrCrashed
	}
	c.left--
	return do()
}

func (c *crashing) stage(path string, text []byte, mode fs.FileMode) error {
	if c.left == 1 { // in the middle of it
		c.left = 0
		_ = c.disk.stage(path, text[:len(text)/2], mode)
		return ErrCrashed
	}
	return c.step(func() error { return c.disk.stage(path, text, mode) })
}

func (c *crashing) rename(path string) error {
	return c.step(func() error { return c.disk.rename(path) })
}

func (c *crashing) unstage(path string) error {
	return c.step(func() error { return c.disk.unstage(path) })
}

func (c *crashing) remove(path string) error {
	return c.step(func() error { return c.disk.remove(path) })
}

func (c *crashing) mkdir(path string, mode fs.FileMode) error {
	return c.step(func() error { return c.disk.mkdir(path, mode) })
}

func (c *crashing) link(program, path string) error {
	return c.step(func() error { return c.disk.link(program, path) })
}

type interfering struct {
	disk
	do func()
}

func (m *interfering) stage(path string, text []byte, mode fs.FileMode) error {
	err := m.disk.stage(path, text, mode)
	if m.do != nil && path[len(path)-5:] != ".json" {
		do := m.do
		m.do = nil
		do()
	}
	return err
}

// Patch is newPatch and revert.
func Patch(base, text []byte) func(text []byte) (reverted []byte, missing int) {
	p := newPatch(base, text)
	return func(text []byte) ([]byte, int) {
		reverted, missing := p.revert(text)
		return reverted, len(missing)
	}
}
