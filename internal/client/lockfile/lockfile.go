// Package lockfile keeps a proxy's addresses out of the lock files of a project.
//
// Package clients write into their lock file where each package came from. Behind
// `gatehouse proxy -- COMMAND` that is an address on this machine whose port is
// another one tomorrow: a colleague, or a build server, could not install from such
// a lock file. [Restore] runs after the command and puts the repositories' own
// addresses in the place of the proxy's. It changes nothing else.
package lockfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
)

// names are the lock files of the clients that write addresses into theirs.
var names = []string{
	"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock",
	"uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock",
	"Cargo.lock", "Gemfile.lock", "gradle.lockfile", "packages.lock.json", "Package.resolved",
}

// skipped are folders of installed packages and of tools, which have no lock file
// of the project in them.
var skipped = []string{"node_modules", "venv", "target", "vendor", "__pycache__"}

const (
	maxSize    = 64 << 20 // bytes of a lock file
	maxDepth   = 6        // folders below the first one
	maxFolders = 5000
)

// A Replacement is an address of the proxy and the one that it stands for. Both
// end in a slash.
type Replacement struct{ Proxy, Repository *url.URL }

// Restore looks for lock files in a folder, in the folders below it, and in those
// above it up to the root of the repository of version control, which is where
// workspaces have theirs. The home folder and what is above it is left alone.
//
// It returns the files that it changed. The error names those that have the
// proxy's address and cannot be changed; the others are changed all the same.
func Restore(dir, home string, replacements []Replacement) (changed []string, err error) {
	r := newReplacer(replacements)
	var failed []error
	for _, path := range find(dir, home) {
		restored, err := r.restore(path)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s has addresses of the proxy, and they cannot be replaced: %w", path, err))
		}
		if restored {
			changed = append(changed, path)
		}
	}
	return changed, errors.Join(failed...)
}

// find returns the paths of the lock files. Folders that cannot be read have none.
func find(dir, home string) []string {
	found := above(dir, home)
	folders := 0
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir
		case !entry.IsDir():
			if slices.Contains(names, entry.Name()) {
				found = append(found, path)
			}
			return nil
		}
		if folders++; folders > maxFolders {
			return fs.SkipAll
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || path != dir && (strings.HasPrefix(entry.Name(), ".") || slices.Contains(skipped, entry.Name())) ||
			strings.Count(rel, string(filepath.Separator)) >= maxDepth {
			return fs.SkipDir
		}
		return nil
	})
	return found
}

// above returns the lock files above a folder, if the folder is in a repository of
// version control.
func above(dir, home string) []string {
	var found []string
	for !isRoot(dir) {
		dir = filepath.Dir(dir)
		if dir == home || dir == filepath.Dir(dir) {
			return nil
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			if _, err := os.Lstat(path); err == nil {
				found = append(found, path)
			}
		}
	}
	return found
}

// isRoot reports whether a folder is the root of a repository of version control.
func isRoot(dir string) bool {
	return slices.ContainsFunc([]string{".git", ".hg", ".svn", ".jj"}, func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	})
}

// A replacer replaces text.
type replacer struct {
	hosts    [][]byte // one of which is in every text that has something to replace
	replacer *strings.Replacer
}

func newReplacer(replacements []Replacement) *replacer {
	var r replacer
	var oldnew []string
	for _, p := range replacements {
		from, to := strings.TrimSuffix(p.Proxy.String(), "/"), strings.TrimSuffix(p.Repository.String(), "/")
		// Yarn writes addresses percent-encoded into the names of packages.
		oldnew = append(oldnew, from, to, url.QueryEscape(from), url.QueryEscape(to))
		r.hosts = append(r.hosts, []byte(p.Proxy.Host), []byte(url.QueryEscape(p.Proxy.Host)))
	}
	r.replacer = strings.NewReplacer(oldnew...)
	return &r
}

// restore changes a file if it has something to replace. A link stays one.
func (r *replacer) restore(path string) (restored bool, err error) {
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return false, nil // a link to nothing has no addresses
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxSize {
		return false, nil
	}
	text, err := os.ReadFile(path)
	if err != nil || !slices.ContainsFunc(r.hosts, func(host []byte) bool { return bytes.Contains(text, host) }) {
		return false, nil
	}
	replaced := r.replacer.Replace(string(text))
	if replaced == string(text) {
		return false, nil
	}
	err = atomicfile.Replace(path, []byte(replaced), info.Mode().Perm())
	return err == nil, err
}
