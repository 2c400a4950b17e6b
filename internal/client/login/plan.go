package login

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A view is the record and the files as they are, and what they become.
type view struct {
	disk   disk
	places Environment
	tools  []Tool

	was, next record
	sheets    map[string]*sheet // by path
	order     []*sheet          // as they were first looked at

	linked, unlinked []link
	moved            []link // stand where one of linked will
	linkFolders      []string
	emptied          []string // folders of ours, each after the one that it is in
	notes            []string
	secrets          []string
}

// A sheet is one file.
type sheet struct {
	path  string
	text  []byte // nil where there is no file
	mode  fs.FileMode
	state fileState // how the text came from its base
	base  []byte    // nil where there is no file
	lost  [][]byte

	after     []byte
	afterMode fs.FileMode
	folders   []string // that have to be made for it
}

// present is a login that the record has, with its edits as they were made, by
// the path of the file.
type present struct {
	held
	edits map[string][]Edit
	// whole says that the edits are to be had with everything that they wrote: the
	// login holds no token, or it was found.
	whole bool
}

// A Login points a tool at a repository or a registry, in place of an earlier
// login of the same tool to the same one.
type Login struct {
	Tool   Tool
	Target Target
	// BinDir is where a link for the tool's helper goes. "" lets it be found.
	BinDir string
}

func (l Login) plan(v *view) error {
	target := l.Target
	if l.Tool.Secret == FromHelper || target.Variable != "" {
		target.Token = authtoken.Token{}
	}
	seen := map[string]string{}
	places := v.places
	places.Getenv = func(name string) string {
		value := v.places.Getenv(name)
		if value != "" && (target.Token.Password == "" || !strings.Contains(value, target.Token.Password)) {
			seen[name] = value
		}
		return value
	}
	edits, err := l.Tool.allEdits(target, places)
	if err != nil {
		return err
	}
	h := held{
		Tool: l.Tool.Name, Helper: l.Tool.Helper, Target: hold(target), Token: holdToken(target.Token),
		Places: heldPlaces{Home: places.Home, Dir: places.Dir, GOOS: places.GOOS, Program: places.Program, Env: seen},
	}
	byFile := map[string][]Edit{}
	for _, e := range edits {
		real, err := v.disk.real(e.Path)
		if err != nil {
			return err
		}
		if f := (editedFile{Path: e.Path, Real: real}); !slices.Contains(h.Files, f) {
			h.Files = append(h.Files, f)
		}
		byFile[real] = append(byFile[real], e)
	}
	v.secrets = append(v.secrets, forms(target.Token)...)
	p := &present{held: h, edits: byFile, whole: true}
	if err := v.enter(p); err != nil {
		return err
	}
	v.warn(p)
	v.helper(l.Tool.Helper, l.BinDir)
	return nil
}

// allEdits are the tool's, and the address book's where a helper has to be told
// more than the address.
func (t Tool) allEdits(target Target, p Environment) ([]Edit, error) {
	edits, err := t.Edits(target, p)
	if err != nil {
		return nil, err
	}
	for _, e := range edits {
		if !filepath.IsAbs(e.Path) {
			return nil, fmt.Errorf("the path %q of a file to change is not absolute: is HOME set?", e.Path)
		}
	}
	if t.Secret == FromHelper {
		edits = append(edits, remember(target, p)...)
	}
	return edits, nil
}

// remember is the change of the address book: none where the helper finds
// everything without it.
func remember(t Target, p Environment) []Edit {
	entry := credential.Address{Host: credential.AddressOf(t.Endpoint), AWS: t.AWS, Duration: t.Duration}
	if _, ok := authtoken.ParseRepositoryURL(t.Endpoint.String()); ok {
		entry.Region = "" // the address names it
	} else if _, ok := authtoken.ParseRegistryHost(t.Endpoint.String()); ok {
		entry.Region = ""
	}
	if entry.Empty() {
		return nil
	}
	return []Edit{{
		Path: credential.AddressFile(p.Home, p.GOOS, p.Getenv), Mode: 0o644,
		Apply:  func(text []byte) ([]byte, error) { return credential.SetAddress(text, entry) },
		Remove: func(text []byte) ([]byte, error) { return credential.RemoveAddress(text, entry.Host) },
	}}
}

// enter adds a login, in place of an earlier one of its kind. It comes last, as
// what it says goes before what the others do: so it does in the file.
func (v *view) enter(l *present) error {
	i := slices.IndexFunc(v.was.Logins, l.same)
	v.next.Logins = append(slices.DeleteFunc(v.next.Logins, l.same), l.held)
	if i < 0 {
		return v.change(nil, l)
	}
	before := v.was.Logins[i]
	if before.Target.equal(l.Target) && slices.Equal(before.Files, l.Files) {
		return v.change(nil, l) // renewed
	}
	gone, err := v.open(before)
	if err != nil {
		return err
	}
	return v.change([]*present{gone}, l)
}

// helper makes the link that a tool's helper needs.
func (v *view) helper(name, bin string) {
	if name == "" {
		return
	}
	l, notes := helperLink(name, bin, v.places, v.disk, v.was.Links)
	v.notes = append(v.notes, notes...)
	if l == nil || slices.Contains(v.was.Links, *l) && v.disk.linked(l.Program, l.Path) {
		return
	}
	for _, old := range v.was.Links {
		if old.Path == l.Path {
			v.moved = append(v.moved, old)
		}
	}
	v.next.Links = slices.DeleteFunc(v.next.Links, func(old link) bool { return old.Path == l.Path })
	v.next.Links = append(v.next.Links, *l)
	v.linked = append(v.linked, *l)
	v.linkFolders = v.missing(l.Path)
}

// ErrNotLoggedIn says that there is nothing to undo.
var ErrNotLoggedIn = errors.New("not logged in")

// A Logout undoes the logins of a tool.
type Logout struct {
	Tool string
	// Match says which of them; nil is all.
	Match func(Target) bool
}

func (l Logout) plan(v *view) error {
	var gone []*present
	for _, h := range v.was.Logins {
		if h.Tool != l.Tool {
			continue
		}
		p, err := v.open(h)
		if err != nil {
			return err
		}
		t, err := h.Target.target(authtoken.Token{})
		if err != nil {
			return err
		}
		if l.Match == nil || l.Match(t) {
			gone = append(gone, p)
			v.next.Logins = slices.DeleteFunc(v.next.Logins, h.same)
		}
	}
	if len(gone) == 0 {
		return ErrNotLoggedIn
	}
	return v.change(gone, nil)
}

// open makes the edits of a login in the record again.
func (v *view) open(h held) (*present, error) {
	i := slices.IndexFunc(v.tools, func(t Tool) bool { return t.Name == h.Tool })
	if i < 0 {
		return nil, fmt.Errorf("the record has a login of %q, which this version of the program does not know: log it out with the version that made it", h.Tool)
	}
	p := &present{held: h, edits: map[string][]Edit{}, whole: h.Token == nil}
	token := h.Token.unknown()
	for _, f := range h.Files {
		if h.Token == nil || p.whole {
			break
		}
		s, err := v.sheet(f.Real)
		if err != nil {
			return nil, err
		}
		if found, ok := h.Token.find(s.text); ok {
			token, p.whole = found, true
			v.secrets = append(v.secrets, forms(found)...)
		}
	}
	target, err := h.Target.target(token)
	if err != nil {
		return nil, err
	}
	edits, err := v.tools[i].allEdits(target, h.Places.places())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Tool, err)
	}
	for _, e := range edits {
		if j := slices.IndexFunc(h.Files, func(f editedFile) bool { return f.Path == e.Path }); j >= 0 {
			real := h.Files[j].Real
			p.edits[real] = append(p.edits[real], e)
		}
	}
	return p, nil
}

// sheet reads a file once.
func (v *view) sheet(path string) (*sheet, error) {
	if s, ok := v.sheets[path]; ok {
		return s, nil
	}
	text, mode, err := v.disk.read(path)
	if err != nil {
		return nil, err
	}
	s := &sheet{path: path, text: text, mode: mode, after: text, afterMode: mode}
	if r, ok := v.was.Files[path]; ok {
		s.state = r.of(text)
	} else {
		s.state = fileState{patch: newPatch(text, text), Absent: text == nil, Mode: mode, Left: mode}
	}
	v.sheets[path] = s
	v.order = append(v.order, s)
	return s, nil
}

// missing are the folders that a file's path needs and that are not there.
func (v *view) missing(path string) []string {
	var dirs []string
	for dir := filepath.Dir(path); !v.disk.exists(dir) && filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// writes are the files that change.
func (v *view) writes() []*sheet {
	var all []*sheet
	for _, s := range v.order {
		if !bytes.Equal(s.text, s.after) || (s.text == nil) != (s.after == nil) || s.mode != s.afterMode {
			all = append(all, s)
		}
	}
	return all
}

// between is the record while the files are being written.
func (v *view) between(writes []*sheet) record {
	r := v.was.toward(v.next)
	for _, s := range writes {
		next := s.next()
		r.Files[s.path] = fileRecord{Now: s.now(), Next: &next}
	}
	return r
}

// settle finds what of the record is not needed any more.
func (v *view) settle() {
	for _, l := range slices.Clone(v.next.Links) {
		needed := slices.ContainsFunc(v.next.Logins, func(h held) bool { return h.Helper == l.Name })
		if !needed {
			v.unlinked = append(v.unlinked, l)
			v.next.Links = slices.DeleteFunc(v.next.Links, func(o link) bool { return o == l })
		}
	}
	for _, s := range v.writes() {
		if s.after != nil {
			s.folders = v.missing(s.path)
			v.made(s.folders)
		}
	}
	v.made(v.linkFolders)
	v.next.Folders = slices.DeleteFunc(v.next.Folders, func(dir string) bool {
		for path := range v.next.Files {
			if below(dir, path) {
				return false
			}
		}
		if slices.ContainsFunc(v.next.Links, func(l link) bool { return below(dir, l.Path) }) {
			return false
		}
		v.emptied = append(v.emptied, dir)
		return true
	})
}

func (v *view) made(dirs []string) {
	for _, dir := range dirs {
		if !slices.Contains(v.next.Folders, dir) {
			v.next.Folders = append(v.next.Folders, dir)
		}
	}
}
