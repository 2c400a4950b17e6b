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
func (v *view) change(gone []*present, comes *present) error {
	for _, path := range pathsOf(gone, comes) {
		s, err := v.sheet(path)
		if err != nil {
			return err
		}
		if err := v.changeFile(s, gone, comes); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// pathsOf are the files of logins, each once.
func pathsOf(gone []*present, comes *present) []string {
	if comes != nil {
		gone = append(slices.Clone(gone), comes)
	}
	var paths []string
	for _, l := range gone {
		for _, f := range l.Files {
			if !slices.Contains(paths, f.Real) {
				paths = append(paths, f.Real)
			}
		}
	}
	return paths
}

func (v *view) changeFile(s *sheet, gone []*present, comes *present) error {
	all, rest, err := v.loginsOf(s, gone)
	if err != nil {
		return err
	}
	if err := s.findBase(all); err != nil {
		return err
	}
	gone = slices.DeleteFunc(slices.Clone(gone), func(l *present) bool { return !l.held.edits(s.path) })
	if len(gone) > 0 {
		if err := s.without(gone, rest); err != nil {
			return err
		}
	}
	if comes != nil {
		if s.after, err = comes.apply(s.path, s.after); err != nil {
			return err
		}
		rest = append(rest, comes)
	}
	if len(s.after) == 0 && s.base == nil {
		s.after = nil
	}
	if s.afterMode = s.mode; s.after != nil {
		s.afterMode = s.modeFor(rest)
	}
	if next := s.next(); next.changes() && len(rest) > 0 {
		v.next.Files[s.path] = fileRecord{Now: next}
	} else {
		delete(v.next.Files, s.path)
		v.report(s, next)
	}
	return nil
}

// loginsOf are the logins that the record has for a file, and those of them that
// stay.
func (v *view) loginsOf(s *sheet, gone []*present) (all, rest []*present, err error) {
	for _, h := range v.was.Logins {
		if !h.edits(s.path) {
			continue
		}
		if i := slices.IndexFunc(gone, func(l *present) bool { return l.same(h) }); i >= 0 {
			all = append(all, gone[i])
			continue
		}
		p, err := v.open(h)
		if err != nil {
			return nil, nil, err
		}
		all, rest = append(all, p), append(rest, p)
	}
	return all, rest, nil
}

// findBase finds the text without any change of ours.
func (s *sheet) findBase(logins []*present) error {
	if s.text == nil { // nothing of ours is left in a file that was removed
		s.state = fileState{patch: newPatch(nil, nil), Absent: true}
		return nil
	}
	base, missing := s.state.revert(s.text)
	if !s.state.describes(s.text) && (len(missing) > 0 || !applies(logins, s.path, base) && applies(logins, s.path, s.text)) {
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
			if !blank(h.Before) && !bytes.Contains(base, bytes.TrimSpace(h.Before)) {
				s.lost = append(s.lost, h.Before)
			}
		}
	}
	if s.state.Absent && nothing(logins, s.path, base) {
		base = nil
	} else if base == nil {
		base = []byte{}
	}
	s.base = base
	return nil
}

// applies reports whether the logins' edits can be made: whether the text is one
// that the tools can read.
func applies(logins []*present, path string, text []byte) bool {
	for _, l := range logins {
		if _, err := l.apply(path, text); err != nil {
			return false
		}
	}
	return true
}

// nothing reports whether a text, taken out of a file that login has made, has
// nothing in it but what is left of a file that has only ever been login's,
// whatever its spaces and line ends.
func nothing(logins []*present, path string, text []byte) bool {
	if blank(text) {
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
	return blank(text) || bytes.Equal(bytes.Join(bytes.Fields(text), nil), bytes.Join(bytes.Fields(ours), nil))
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }

// without makes the text what it is without the logins that are gone.
func (s *sheet) without(gone, rest []*present) (err error) {
	if s.after, err = again(s.path, s.base, rest); err == nil {
		return nil
	}
	// The edits of a login that stays cannot be made again, so the text is left
	// with them.
	text := s.text
	for _, l := range slices.Backward(gone) {
		if text, err = l.remove(s.path, text); err != nil {
			return err
		}
	}
	for _, l := range rest { // what they share with those that are gone
		if shared, err := again(s.path, text, []*present{l}); err == nil {
			text = shared
		}
	}
	s.after = text
	return nil
}

// errTokenLost says that the token which a login wrote is not to be found.
var errTokenLost = errors.New("its token is not in the file any more")

// again makes the edits of logins that stay.
func again(path string, text []byte, logins []*present) ([]byte, error) {
	for _, l := range logins {
		if !l.whole {
			return nil, errTokenLost
		}
		var err error
		if text, err = l.apply(path, text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func (l *present) apply(path string, text []byte) ([]byte, error) {
	for _, e := range l.edits[path] {
		var err error
		if text, err = e.Apply(text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func (l *present) remove(path string, text []byte) ([]byte, error) {
	for _, e := range slices.Backward(l.edits[path]) {
		var err error
		if text, err = e.Remove(text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// modeFor is the file's mode with the given logins' edits in it.
func (s *sheet) modeFor(logins []*present) fs.FileMode {
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
func (s *sheet) baseMode() fs.FileMode {
	if s.mode == s.state.Left && !s.state.Absent {
		return s.state.Mode
	}
	return s.mode
}

// now is the state of the file as it is.
func (s *sheet) now() fileState { return s.as(s.text, s.mode) }

// next is the state of the file after the change.
func (s *sheet) next() fileState { return s.as(s.after, s.afterMode) }

func (s *sheet) as(text []byte, mode fs.FileMode) fileState {
	state := fileState{patch: newPatch(s.base, text), Absent: s.base == nil, Lost: append(slices.Clone(s.state.Lost), s.lost...)}
	if !state.Absent {
		state.Mode, state.Left = s.baseMode(), mode
	}
	return state
}
