package login

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// changeFiles makes every file what it is without the removed logins and with
// the added one. Either may be missing.
//
// A file's base is its text without any of our changes. The record's patch is
// reverted on the file as it is now, so that what others have changed since
// becomes part of the base. Then
//
//   - if no login is left, the file becomes its base, byte for byte;
//   - if other logins are left, it becomes its base with their edits made again, in
//     their order, as if the removed ones had never been there;
//   - an added login makes its edits on the result, or on the file as it is.
//
// At the end the record stores the difference between the base and the result.
// So it does not grow when a login is renewed, and logging out in any order
// ends with the base.
func (pl *plan) changeFiles(removed []*loginEdits, added *loginEdits) error {
	for _, path := range pathsOf(removed, added) {
		s, err := pl.file(path)
		if err != nil {
			return err
		}
		if err := pl.changeFile(s, removed, added); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// pathsOf returns the files of all logins, each once.
func pathsOf(removed []*loginEdits, added *loginEdits) []string {
	if added != nil {
		removed = append(slices.Clone(removed), added)
	}
	var paths []string
	for _, l := range removed {
		for _, f := range l.Files {
			if !slices.Contains(paths, f.Real) {
				paths = append(paths, f.Real)
			}
		}
	}
	return paths
}

func (pl *plan) changeFile(s *fileEdit, removed []*loginEdits, added *loginEdits) error {
	all, rest, err := pl.loginsOf(s, removed)
	if err != nil {
		return err
	}
	if err := s.findBase(all); err != nil {
		return err
	}
	removed = slices.DeleteFunc(slices.Clone(removed), func(l *loginEdits) bool { return !l.recordedLogin.edits(s.path) })
	if len(removed) > 0 {
		if err := s.removeLogins(removed, rest); err != nil {
			return err
		}
	}
	if added != nil {
		if s.after, err = added.apply(s.path, s.after); err != nil {
			return err
		}
		rest = append(rest, added)
	}
	switch { // nil says that there is no file, and an edit returns it for no text, too
	case len(s.after) > 0:
	case s.base == nil:
		s.after = nil
	default:
		s.after = []byte{}
	}
	if s.afterMode = s.mode; s.after != nil {
		s.afterMode = s.modeFor(rest)
	}
	if next := s.next(); next.changes() && len(rest) > 0 {
		pl.next.Files[s.path] = fileRecord{Now: next}
	} else {
		delete(pl.next.Files, s.path)
		pl.reportLosses(s, next)
	}
	return nil
}

// loginsOf returns all logins that the record has for a file, and those of them
// that stay.
func (pl *plan) loginsOf(s *fileEdit, removed []*loginEdits) (all, rest []*loginEdits, err error) {
	for _, h := range pl.was.Logins {
		if !h.edits(s.path) {
			continue
		}
		if i := slices.IndexFunc(removed, func(l *loginEdits) bool { return l.same(h) }); i >= 0 {
			all = append(all, removed[i])
			continue
		}
		p, err := pl.editsOf(h)
		if err != nil {
			return nil, nil, err
		}
		all, rest = append(all, p), append(rest, p)
	}
	return all, rest, nil
}

// findBase finds the text without our changes.
func (s *fileEdit) findBase(logins []*loginEdits) error {
	if s.text == nil { // a file that was removed has none of our changes
		s.state = fileState{patch: newPatch(nil, nil), Absent: true}
		return nil
	}
	base, missing := s.state.revert(s.text)
	if !s.state.describes(s.text) && (len(missing) > 0 || !canApply(logins, s.path, base) && canApply(logins, s.path, s.text)) {
		if len(missing) == 0 { // others have built on what we wrote
			base, missing = s.text, s.state.Hunks
		}
		var err error
		for _, l := range slices.Backward(logins) {
			if base, err = l.remove(s.path, base); err != nil {
				return fmt.Errorf("login's changes cannot be removed, because the file cannot be read (%w): repair it and log out again", err)
			}
		}
		for _, h := range missing {
			if !isBlank(h.Before) && !bytes.Contains(base, bytes.TrimSpace(h.Before)) {
				s.lost = append(s.lost, h.Before)
			}
		}
	}
	if s.state.Absent && onlyOurs(logins, s.path, base) {
		base = nil
	} else if base == nil {
		base = []byte{}
	}
	s.base = base
	return nil
}

// canApply reports whether the logins' edits can be made, which means that the
// tools can read the text.
func canApply(logins []*loginEdits, path string, text []byte) bool {
	for _, l := range logins {
		if _, err := l.apply(path, text); err != nil {
			return false
		}
	}
	return true
}

// onlyOurs reports whether a text from which our edits were removed holds only
// the remains of a file that login created. Spaces and line ends do not count.
func onlyOurs(logins []*loginEdits, path string, text []byte) bool {
	if isBlank(text) {
		return true
	}
	var ours []byte
	var err error
	for _, l := range logins {
		if ours, err = l.apply(path, ours); err != nil {
			return false
		}
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	for _, l := range slices.Backward(logins) {
		if text, err = l.remove(path, text); err != nil {
			return false
		}
		if ours, err = l.remove(path, ours); err != nil {
			return false
		}
	}
	return isBlank(text) || bytes.Equal(bytes.Join(bytes.Fields(text), nil), bytes.Join(bytes.Fields(ours), nil))
}

func isBlank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }

// removeLogins sets the text to what it is without the removed logins.
func (s *fileEdit) removeLogins(removed, rest []*loginEdits) (err error) {
	if s.after, err = reapply(s.path, s.base, rest); err == nil {
		return nil
	}
	// The edits of a login that stays cannot be made again, so its lines are
	// left in the text as they are.
	text := s.text
	for _, l := range slices.Backward(removed) {
		if text, err = l.remove(s.path, text); err != nil {
			return err
		}
	}
	for _, l := range rest { // what they share with those that are gone
		if shared, err := reapply(s.path, text, []*loginEdits{l}); err == nil {
			text = shared
		}
	}
	s.after = text
	return nil
}

// errTokenLost says that the token which a login wrote cannot be found.
var errTokenLost = errors.New("its token is no longer in the file")

// reapply makes the edits of the logins that stay.
func reapply(path string, text []byte, logins []*loginEdits) ([]byte, error) {
	for _, l := range logins {
		if !l.complete {
			return nil, errTokenLost
		}
		var err error
		if text, err = l.apply(path, text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func (l *loginEdits) apply(path string, text []byte) ([]byte, error) {
	for _, e := range l.edits[path] {
		var err error
		if text, err = e.Apply(text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func (l *loginEdits) remove(path string, text []byte) ([]byte, error) {
	for _, e := range slices.Backward(l.edits[path]) {
		var err error
		if text, err = e.Remove(text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// modeFor returns the file's mode with the edits of these logins in it.
func (s *fileEdit) modeFor(logins []*loginEdits) fs.FileMode {
	var modes []fs.FileMode
	for _, l := range logins {
		for _, e := range l.edits[s.path] {
			modes = append(modes, e.Mode)
		}
	}
	mode := s.baseMode()
	if s.text == nil && len(modes) > 0 {
		mode = modes[0]
	}
	if slices.Contains(modes, 0o600) {
		mode &= 0o600
	}
	return mode
}

// baseMode is the mode without our changes: the mode before login, unless
// somebody has changed it since.
func (s *fileEdit) baseMode() fs.FileMode {
	if s.mode == s.state.Left && !s.state.Absent {
		return s.state.Mode
	}
	return s.mode
}

// now is the file's state before the change.
func (s *fileEdit) now() fileState { return s.stateOf(s.text, s.mode) }

// next is the file's state after the change.
func (s *fileEdit) next() fileState { return s.stateOf(s.after, s.afterMode) }

func (s *fileEdit) stateOf(text []byte, mode fs.FileMode) fileState {
	state := fileState{patch: newPatch(s.base, text), Absent: s.base == nil, Lost: append(slices.Clone(s.state.Lost), s.lost...)}
	if !state.Absent {
		state.Mode, state.Left = s.baseMode(), mode
	}
	return state
}
