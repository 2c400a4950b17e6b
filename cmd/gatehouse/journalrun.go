package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/tools"
)

// journal returns the person's journal of logins.
func journal(env login.Environment) *login.Journal {
	return login.NewJournal(login.StateDir(env), env, tools.All())
}

// A journalRunner carries out a piece of work, or shows what it would change.
type journalRunner struct {
	journal *login.Journal
	out     io.Writer
	err     messages
	preview bool
}

// do prints what was done below a line that says so, or the diff.
func (w journalRunner) do(ctx context.Context, done string, work login.Work) error {
	if w.preview {
		changes, err := w.journal.Preview(work)
		if err != nil {
			return err
		}
		diff := changes.Diff()
		if palette(w.out) != nil {
			diff = coloured(diff)
		}
		_, err = io.WriteString(w.out, diff)
		w.notes(changes)
		return err
	}
	changes, err := w.journal.Do(ctx, work)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out, done)
	for _, line := range changes.Lines() {
		fmt.Fprintln(w.out, "  "+line)
	}
	w.notes(changes)
	return nil
}

func (w journalRunner) notes(c login.Changes) {
	for _, note := range c.Notes {
		fmt.Fprintln(w.err, "note: "+note)
	}
}

// coloured colours a diff for a terminal.
func coloured(diff string) string {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		text := strings.TrimSuffix(line, "\n")
		end := line[len(text):]
		code := ""
		switch {
		case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"):
			code = "1"
		case strings.HasPrefix(text, "+"):
			code = "32"
		case strings.HasPrefix(text, "-"):
			code = "31"
		case strings.HasPrefix(text, "@@"):
			code = "36"
		}
		if code != "" {
			text = "\x1b[" + code + "m" + text + "\x1b[0m"
		}
		b.WriteString(text + end)
	}
	return b.String()
}
