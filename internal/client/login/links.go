package login

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// A link is a name on PATH by which a tool starts this program.
type link struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Program string `json:"program"`
}

// helperLink decides which link has to be made so that a tool finds this
// program under a name. It returns none if the tool finds it already, or if the
// name belongs to another program. The notes are for the person to read or do.
func helperLink(name, bin string, p Environment, d disk, ours []link) (made *link, notes []string) {
	found := lookPath(p, name)
	if found != "" && isProgram(found, p, d) {
		return recordedLink(found, ours), nil
	}
	dir := bin
	if dir == "" {
		if found != "" {
			return nil, []string{fmt.Sprintf("%s is %s, which is another program and was not changed: the tool asks that one and gets no token; log in again with --bin-dir and a folder that comes before %s on PATH",
				name, found, filepath.Dir(found))}
		}
		dir = linkDir(p)
	}
	path := filepath.Join(dir, name)
	if p.GOOS == "windows" {
		path += ".exe"
	}
	switch {
	case isProgram(path, p, d):
		made = recordedLink(path, ours)
	case d.exists(path) && !slices.ContainsFunc(ours, func(l link) bool { return l.Path == path && d.linked(l.Program, path) }):
		return nil, []string{fmt.Sprintf("%s is another program and was not changed: choose another folder with --bin-dir", path)}
	default:
		made = &link{Name: name, Path: path, Program: p.Program}
	}
	if !onPath(p, dir) {
		notes = append(notes, fmt.Sprintf("%s is not on PATH, so the tool does not find %s: %s", dir, name, pathCommand(p, dir)))
	} else if found != "" && comesBefore(p, filepath.Dir(found), dir) {
		notes = append(notes, fmt.Sprintf("%s comes before %s on PATH, so the program %s there is used instead of this one", filepath.Dir(found), dir, name))
	}
	return made, notes
}

// errTemporaryProgram says that a tool would be configured to start a program that
// go removes from its cache after some days.
var errTemporaryProgram = errors.New("the tool would start this program later, but go run keeps it only for a while: install it (go install ./cmd/gatehouse) and log in with the installed gatehouse")

// buildCacheFolder is the folder of an executable in Go's build cache: a hash, of
// what it was built from.
var buildCacheFolder = lazyregexp.New(`^[0-9a-f]{64}-d$`)

// temporaryProgram reports whether this program was started by go run: it is in
// Go's build cache, or in the temporary folder of a build.
func (p Environment) temporaryProgram() bool {
	dir := filepath.Dir(p.Program)
	if buildCacheFolder.MatchString(filepath.Base(dir)) {
		return true
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if strings.HasPrefix(filepath.Base(dir), "go-build") {
			return true
		}
	}
	return false
}

// recordedLink returns our link at a path, which one more login then needs.
func recordedLink(path string, ours []link) *link {
	i := slices.IndexFunc(ours, func(l link) bool { return l.Path == path })
	if i < 0 {
		return nil
	}
	return &ours[i]
}

// isProgram reports whether a file is this program, or another installation of
// it under this name.
func isProgram(path string, p Environment, d disk) bool {
	if d.linked(p.Program, path) {
		return true
	}
	target, err := filepath.EvalSymlinks(path)
	return err == nil && strings.TrimSuffix(filepath.Base(target), ".exe") == "gatehouse"
}

// linkDir is the folder for links if the person names none. The person's own
// folder comes first if it is on PATH, since a link in a shared folder would be
// made and removed for everybody. Then comes the program's folder, and last the
// person's own, which they have to add to PATH.
func linkDir(p Environment) string {
	own := filepath.Join(p.Home, ".local", "bin")
	if beside := filepath.Dir(p.Program); !onPath(p, own) && onPath(p, beside) && mayCreate(beside) {
		return beside
	}
	return own
}

// lookPath finds a command; "" if there is none.
func lookPath(p Environment, name string) string {
	suffixes := []string{""}
	if p.GOOS == "windows" {
		suffixes = strings.Split(strings.ToLower(p.Getenv("PATHEXT")), ";")
		if suffixes[0] == "" {
			suffixes = []string{".com", ".exe", ".bat", ".cmd"}
		}
	}
	for _, dir := range pathDirs(p) {
		for _, suffix := range suffixes {
			path := filepath.Join(dir, name+suffix)
			info, err := os.Stat(path)
			if err == nil && info.Mode().IsRegular() && (p.GOOS == "windows" || info.Mode()&0o111 != 0) {
				return path
			}
		}
	}
	return ""
}

// Installed reports whether one of the tool's programs is on PATH.
func (t Tool) Installed(p Environment) bool {
	return len(t.Programs) == 0 || slices.ContainsFunc(t.Programs, func(name string) bool { return lookPath(p, name) != "" })
}

// pathDirs returns the absolute folders on PATH. What a relative one means
// depends on where the tool is started.
func pathDirs(p Environment) []string {
	return slices.DeleteFunc(filepath.SplitList(p.Getenv("PATH")), func(dir string) bool { return !filepath.IsAbs(dir) })
}

func onPath(p Environment, dir string) bool { return pathIndex(p, dir) >= 0 }

func comesBefore(p Environment, a, b string) bool { return pathIndex(p, a) < pathIndex(p, b) }

func pathIndex(p Environment, dir string) int {
	return slices.IndexFunc(pathDirs(p), func(d string) bool { return filepath.Clean(d) == filepath.Clean(dir) })
}

// pathCommand returns the line that adds a folder to PATH, for a POSIX shell or
// for PowerShell.
func pathCommand(p Environment, dir string) string {
	if p.GOOS == "windows" {
		return fmt.Sprintf(`[Environment]::SetEnvironmentVariable("Path", "%s;" + [Environment]::GetEnvironmentVariable("Path", "User"), "User")`, dir)
	}
	if rest, ok := strings.CutPrefix(dir, p.Home+"/"); ok {
		dir = "$HOME/" + rest
	}
	return fmt.Sprintf(`export PATH="%s:$PATH"`, dir)
}

// folderMode is the mode of a new folder. A folder made for a secret is
// private.
func folderMode(file fs.FileMode) fs.FileMode {
	if file == 0o600 {
		return 0o700
	}
	return 0o755
}
