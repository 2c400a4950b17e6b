package login

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// change makes every file what it is without the logins that are gone, and with
// the one that comes; either may be none.
//
// Whatever is in force, a file's base is what it would be without any of ours:
// the record's patch is taken back from the file as it is now, so that what
// others have changed since is part of the base. Then
//
//   - where no login is left, the file becomes its base, to the byte;
//   - where others are left, it becomes its base with their edits made again, in
//     their order: as if those that are gone had never been;
//   - a login that comes makes its edits on that, or on the file as it is.
//
// At the end the record gets the difference between the base and the result.
// So it does not grow when a login is renewed, and any order of logging out ends
// with the base.
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

// pathsOf are the files of logins, each once.
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
	if len(s.after) == 0 && s.base == nil {
		s.after = nil
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

// loginsOf are the logins that the record has for a file, and those of them that
// stay.
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

// findBase finds the text without any change of ours.
func (s *fileEdit) findBase(logins []*loginEdits) error {
	if s.text == nil { // onlyOurs of ours is left in a file that was removed
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
				return fmt.Errorf("what login wrote cannot be taken out, as the file cannot be read (%w): mend it, and log out again", err)
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

// canApply reports whether the logins' edits can be made: whether the text is one
// that the tools can read.
func canApply(logins []*loginEdits, path string, text []byte) bool {
	for _, l := range logins {
		if _, err := l.apply(path, text); err != nil {
			return false
		}
	}
	return true
}

// onlyOurs reports whether a text, taken out of a file that login has made, has
// onlyOurs in it but what is left of a file that has only ever been login's,
// whatever its spaces and line ends.
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

// removeLogins makes the text what it is without the logins that are gone.
func (s *fileEdit) removeLogins(removed, rest []*loginEdits) (err error) {
	if s.after, err = reapply(s.path, s.base, rest); err == nil {
		return nil
	}
	// The edits of a login that stays cannot be made again, so the text is left
	// with them.
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

// errTokenLost says that the token which a login wrote is not to be found.
var errTokenLost = errors.New("its token is not in the file any more")

// reapply makes the edits of logins that stay.
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

// modeFor is the file's mode with the given logins' edits in it.
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

// baseMode is the mode without us: the one before login, unless somebody has
// changed it since.
func (s *fileEdit) baseMode() fs.FileMode {
	if s.mode == s.state.Left && !s.state.Absent {
		return s.state.Mode
	}
	return s.mode
}

// now is the state of the file as it is.
func (s *fileEdit) now() fileState { return s.stateOf(s.text, s.mode) }

// next is the state of the file after the change.
func (s *fileEdit) next() fileState { return s.stateOf(s.after, s.afterMode) }

func (s *fileEdit) stateOf(text []byte, mode fs.FileMode) fileState {
	state := fileState{patch: newPatch(s.base, text), Absent: s.base == nil, Lost: append(slices.Clone(s.state.Lost), s.lost...)}
	if !state.Absent {
		state.Mode, state.Left = s.baseMode(), mode
	}
	return state
}
