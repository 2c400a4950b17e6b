package login

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/redact"
)

// report says what of a file could not be undone, when nothing of ours is left
// in it.
func (pl *plan) reportLosses(s *fileEdit, state fileState) {
	for _, lost := range state.Lost {
		pl.notes = append(pl.notes, fmt.Sprintf("%s was rewritten after the login, so this was not put back: %s", s.path, redact.Config(string(bytes.TrimSpace(lost)), pl.secrets...)))
	}
}

// warn says where a token is written that others may get to see.
func (pl *plan) warnAboutToken(l *loginEdits) {
	if l.Token == nil {
		return
	}
	for _, f := range l.Files {
		holds := false
		for _, e := range l.edits[f.Real] {
			holds = holds || e.Mode == 0o600
		}
		if dir := pl.workTree(f.Real); holds && dir != "" {
			pl.notes = append(pl.notes, fmt.Sprintf("%s gets a token and is in the work tree of git at %s: keep it out of commits", f.Real, dir))
		}
	}
}

// workTree is the work tree of git that a file is in; "" where it is in none.
func (pl *plan) workTree(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if pl.disk.exists(filepath.Join(dir, ".git")) {
			return dir
		}
		if filepath.Dir(dir) == dir {
			return ""
		}
	}
}
