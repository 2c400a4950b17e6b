package login

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/gatehouse-registry/gatehouse/internal/redact"
)

// Changes are what a piece of work will change, or has changed.
type Changes struct {
	Files []FileChange
	// Linked and Unlinked are the paths of links to this program.
	Linked, Unlinked []string
	// Notes are what a person has to know or do, including what could not be
	// undone.
	Notes []string

	secrets []string
}

// A FileChange is the change of one file.
type FileChange struct {
	Path          string
	before, after []byte // nil if there is no file
	was, mode     fs.FileMode
}

func (pl *plan) changes() Changes {
	c := Changes{Notes: pl.notes, secrets: pl.secrets}
	for _, s := range pl.changedFiles() {
		c.Files = append(c.Files, FileChange{Path: s.path, before: s.text, after: s.after, was: s.mode, mode: s.afterMode})
	}
	for _, l := range pl.linked {
		c.Linked = append(c.Linked, l.Path)
	}
	for _, l := range pl.unlinked {
		c.Unlinked = append(c.Unlinked, l.Path)
	}
	return c
}

// Lines describes the changes, one line each.
func (c Changes) Lines() []string {
	var lines []string
	for _, f := range c.Files {
		verb := "changed"
		switch {
		case f.before == nil:
			verb = "created"
		case f.after == nil:
			verb = "removed"
		}
		line := verb + " " + f.Path
		if f.before != nil && f.after != nil && f.was != f.mode {
			line += fmt.Sprintf(" (mode %04o, was %04o)", f.mode, f.was)
		}
		lines = append(lines, line)
	}
	for _, path := range c.Linked {
		lines = append(lines, "linked "+path)
	}
	for _, path := range c.Unlinked {
		lines = append(lines, "removed "+path)
	}
	return lines
}

// Diff returns a unified diff of every file, followed by the links. Secrets are
// shown as ****.
func (c Changes) Diff() string {
	var b strings.Builder
	for _, f := range c.Files {
		from, to := f.Path, f.Path
		if f.before == nil {
			from = devNull
		}
		if f.after == nil {
			to = devNull
		}
		b.WriteString(udiff.Unified(from, to, string(f.before), string(f.after)))
		if f.before != nil && f.after != nil && f.was != f.mode {
			fmt.Fprintf(&b, "mode of %s: %04o, was %04o\n", f.Path, f.mode, f.was)
		}
	}
	for _, path := range c.Linked {
		fmt.Fprintf(&b, "link %s\n", path)
	}
	for _, path := range c.Unlinked {
		fmt.Fprintf(&b, "remove link %s\n", path)
	}
	return redact.Config(b.String(), c.secrets...)
}

// devNull is the name in a diff for a file that does not exist.
const devNull = "/dev/null"
