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

// A plan is the record and the files as they are, and what they become.
type plan struct {
	disk  disk
	env   Environment
	tools []Tool

	was, next record
	files     map[string]*fileEdit // by path
	order     []*fileEdit          // in the order of first use

	linked, unlinked []link
	moved            []link // are replaced by one of linked
	linkFolders      []string
	emptied          []string // our folders, each after its parent
	notes            []string
	secrets          []string
}

// A fileEdit is one file and its planned change.
type fileEdit struct {
	path  string
	text  []byte // nil if there is no file
	mode  fs.FileMode
	state fileState // how the text came from its base
	base  []byte    // nil if there is no file
	lost  [][]byte

	after     []byte
	afterMode fs.FileMode
	folders   []string // to be made for it
}

// loginEdits is a recorded login with the edits that it made, by the path of
// the file.
type loginEdits struct {
	recordedLogin
	edits map[string][]Edit
	// complete says that the edits can be made again with everything that they
	// wrote: the login stores no token, or its token was found.
	complete bool
}

// A Login points a tool at a repository or a registry. It replaces an earlier
// login of the same tool to the same one.
type Login struct {
	Tool   Tool
	Target Target
	// BinDir is the folder for a link to the tool's helper. If it is "", a
	// folder on PATH is chosen.
	BinDir string
}

func (l Login) addTo(pl *plan) error {
	if l.Tool.Secret == FromHelper && pl.env.temporaryProgram() {
		return errTemporaryProgram
	}
	target := l.Target
	if l.Tool.Secret == FromHelper || target.Variable != "" {
		target.Token = authtoken.Token{}
	}
	seen := map[string]string{}
	env := pl.env
	env.Getenv = func(name string) string {
		value := pl.env.Getenv(name)
		if value != "" && (target.Token.Password == "" || !strings.Contains(value, target.Token.Password)) {
			seen[name] = value
		}
		return value
	}
	edits, err := l.Tool.allEdits(target, env)
	if err != nil {
		return err
	}
	h := recordedLogin{
		Tool: l.Tool.Name, Helper: l.Tool.Helper, Target: recordTarget(target), Token: recordToken(target.Token),
		Environment: recordedEnvironment{Home: env.Home, Dir: env.Dir, GOOS: env.GOOS, Program: env.Program, Env: seen},
	}
	byFile := map[string][]Edit{}
	for _, e := range edits {
		resolve, err := pl.disk.resolve(e.Path)
		if err != nil {
			return err
		}
		if f := (editedFile{Path: e.Path, Real: resolve}); !slices.Contains(h.Files, f) {
			h.Files = append(h.Files, f)
		}
		byFile[resolve] = append(byFile[resolve], e)
	}
	pl.secrets = append(pl.secrets, encodings(target.Token)...)
	p := &loginEdits{recordedLogin: h, edits: byFile, complete: true}
	if err := pl.addLogin(p); err != nil {
		return err
	}
	pl.warnAboutToken(p)
	pl.linkHelper(l.Tool.Helper, l.BinDir)
	return nil
}

// allEdits returns the tool's edits, and the one of the address book if a
// helper has to be told more than the address.
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
		edits = append(edits, addressBookEdit(target, p)...)
	}
	return edits, nil
}

// addressBookEdit returns the change of the address book. There is none if the
// helper finds everything in the address.
func addressBookEdit(t Target, p Environment) []Edit {
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

// addLogin adds a login, in place of an earlier one of the same tool and
// target. It comes last: the latest login wins in the file, too.
func (pl *plan) addLogin(l *loginEdits) error {
	i := slices.IndexFunc(pl.was.Logins, l.same)
	pl.next.Logins = append(slices.DeleteFunc(pl.next.Logins, l.same), l.recordedLogin)
	if i < 0 {
		return pl.changeFiles(nil, l)
	}
	before := pl.was.Logins[i]
	if before.Target.equal(l.Target) && slices.Equal(before.Files, l.Files) {
		return pl.changeFiles(nil, l) // renewed
	}
	removed, err := pl.editsOf(before)
	if err != nil {
		return err
	}
	return pl.changeFiles([]*loginEdits{removed}, l)
}

// linkHelper plans the link that a tool's helper needs.
func (pl *plan) linkHelper(name, bin string) {
	if name == "" {
		return
	}
	l, notes := helperLink(name, bin, pl.env, pl.disk, pl.was.Links)
	pl.notes = append(pl.notes, notes...)
	if l == nil || slices.Contains(pl.was.Links, *l) && pl.disk.linked(l.Program, l.Path) {
		return
	}
	for _, old := range pl.was.Links {
		if old.Path == l.Path {
			pl.moved = append(pl.moved, old)
		}
	}
	pl.next.Links = slices.DeleteFunc(pl.next.Links, func(old link) bool { return old.Path == l.Path })
	pl.next.Links = append(pl.next.Links, *l)
	pl.linked = append(pl.linked, *l)
	pl.linkFolders = pl.missingFolders(l.Path)
}

// ErrNotLoggedIn says that there is nothing to undo.
var ErrNotLoggedIn = errors.New("not logged in")

// A Logout undoes the logins of a tool.
type Logout struct {
	Tool string
	// Match selects the logins; nil selects all.
	Match func(Target) bool
}

func (l Logout) addTo(pl *plan) error {
	var removed []*loginEdits
	for _, h := range pl.was.Logins {
		if h.Tool != l.Tool {
			continue
		}
		p, err := pl.editsOf(h)
		if err != nil {
			return err
		}
		t, err := h.Target.target(authtoken.Token{})
		if err != nil {
			return err
		}
		if l.Match == nil || l.Match(t) {
			removed = append(removed, p)
			pl.next.Logins = slices.DeleteFunc(pl.next.Logins, h.same)
		}
	}
	if len(removed) == 0 {
		return ErrNotLoggedIn
	}
	return pl.changeFiles(removed, nil)
}

// editsOf makes the edits of a recorded login again.
func (pl *plan) editsOf(h recordedLogin) (*loginEdits, error) {
	i := slices.IndexFunc(pl.tools, func(t Tool) bool { return t.Name == h.Tool })
	if i < 0 {
		return nil, fmt.Errorf("the record has a login of %q, which this version of the program does not know: log it out with the version that made it", h.Tool)
	}
	p := &loginEdits{recordedLogin: h, edits: map[string][]Edit{}, complete: h.Token == nil}
	token := h.Token.placeholder()
	for _, f := range h.Files {
		if h.Token == nil || p.complete {
			break
		}
		s, err := pl.file(f.Real)
		if err != nil {
			return nil, err
		}
		if found, ok := h.Token.find(s.text); ok {
			token, p.complete = found, true
			pl.secrets = append(pl.secrets, encodings(found)...)
		}
	}
	target, err := h.Target.target(token)
	if err != nil {
		return nil, err
	}
	edits, err := pl.tools[i].allEdits(target, h.Environment.environment())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Tool, err)
	}
	for _, e := range edits {
		if j := slices.IndexFunc(h.Files, func(f editedFile) bool { return f.Path == e.Path }); j >= 0 {
			resolve := h.Files[j].Real
			p.edits[resolve] = append(p.edits[resolve], e)
		}
	}
	return p, nil
}

// file reads a file once.
func (pl *plan) file(path string) (*fileEdit, error) {
	if s, ok := pl.files[path]; ok {
		return s, nil
	}
	text, mode, err := pl.disk.read(path)
	if err != nil {
		return nil, err
	}
	s := &fileEdit{path: path, text: text, mode: mode, after: text, afterMode: mode}
	if r, ok := pl.was.Files[path]; ok {
		s.state = r.nearest(text)
	} else {
		s.state = fileState{patch: newPatch(text, text), Absent: text == nil, Mode: mode, Left: mode}
	}
	pl.files[path] = s
	pl.order = append(pl.order, s)
	return s, nil
}

// missingFolders returns the folders above a path that do not exist.
func (pl *plan) missingFolders(path string) []string {
	var dirs []string
	for dir := filepath.Dir(path); !pl.disk.exists(dir) && filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// changedFiles returns the files that change.
func (pl *plan) changedFiles() []*fileEdit {
	var all []*fileEdit
	for _, s := range pl.order {
		if !bytes.Equal(s.text, s.after) || (s.text == nil) != (s.after == nil) || s.mode != s.afterMode {
			all = append(all, s)
		}
	}
	return all
}

// recordDuring is the record while the files are being written.
func (pl *plan) recordDuring(writes []*fileEdit) record {
	r := pl.was.mergedWith(pl.next)
	for _, s := range writes {
		next := s.next()
		r.Files[s.path] = fileRecord{Now: s.now(), Next: &next}
	}
	return r
}

// dropUnneeded removes from the record what no login needs any more.
func (pl *plan) dropUnneeded() {
	for _, l := range slices.Clone(pl.next.Links) {
		needed := slices.ContainsFunc(pl.next.Logins, func(h recordedLogin) bool { return h.Helper == l.Name })
		if !needed {
			pl.unlink(l)
			pl.next.Links = slices.DeleteFunc(pl.next.Links, func(o link) bool { return o == l })
		}
	}
	for _, s := range pl.changedFiles() {
		if s.after != nil {
			s.folders = pl.missingFolders(s.path)
			pl.addFolders(s.folders)
		}
	}
	pl.addFolders(pl.linkFolders)
	pl.next.Folders = slices.DeleteFunc(pl.next.Folders, func(dir string) bool {
		for path := range pl.next.Files {
			if below(dir, path) {
				return false
			}
		}
		if slices.ContainsFunc(pl.next.Links, func(l link) bool { return below(dir, l.Path) }) {
			return false
		}
		pl.emptied = append(pl.emptied, dir)
		return true
	})
}

// unlink plans the removal of a link that no login needs any more. A link that
// others have changed since is theirs and stays.
func (pl *plan) unlink(l link) {
	switch {
	case pl.disk.linked(l.Program, l.Path):
		pl.unlinked = append(pl.unlinked, l)
	case pl.disk.exists(l.Path):
		pl.notes = append(pl.notes, fmt.Sprintf("%s is another program by now and was left in place: remove it if nothing needs it", l.Path))
	}
}

func (pl *plan) addFolders(dirs []string) {
	for _, dir := range dirs {
		if !slices.Contains(pl.next.Folders, dir) {
			pl.next.Folders = append(pl.next.Folders, dir)
		}
	}
}
