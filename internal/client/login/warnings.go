package login

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/redact"
)

// reportLosses notes which parts of a file could not be restored, once login's
// last change is out of it.
func (pl *plan) reportLosses(s *fileEdit, state fileState) {
	for _, lost := range state.Lost {
		pl.notes = append(pl.notes, fmt.Sprintf("%s was rewritten after the login, so this could not be restored: %s", s.path, redact.Config(string(bytes.TrimSpace(lost)), pl.secrets...)))
	}
}

// warnAboutToken notes if a token is written to a file that may become public.
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
			pl.notes = append(pl.notes, fmt.Sprintf("%s contains a token and is in the git work tree %s: do not commit it", f.Real, dir))
		}
	}
}

// workTree returns the git work tree that a file is in; "" if it is in none.
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
