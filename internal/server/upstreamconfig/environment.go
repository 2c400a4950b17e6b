package upstreamconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds the files of clients, in bytes.
const maxFile = 1 << 20

// An Environment is where the clients of this machine have their settings.
type Environment struct {
	Getenv func(string) string
	Home   string // of the user; empty if it is not known
	Root   string // of the file system
}

// Machine is the environment of this process.
func Machine() Environment {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // a service without HOME has no settings of its own
	}
	return Environment{Getenv: os.Getenv, Home: home, Root: "/"}
}

// home returns a path below the user's folder, or "".
func (e Environment) home(elements ...string) string {
	if e.Home == "" {
		return ""
	}
	return filepath.Join(append([]string{e.Home}, elements...)...)
}

// system returns an absolute path of the machine.
func (e Environment) system(path string) string { return filepath.Join(e.Root, path) }

// configHome returns a path below the folder for settings of the XDG specification.
func (e Environment) configHome(elements ...string) string {
	if dir := e.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(append([]string{dir}, elements...)...)
	}
	return e.home(append([]string{".config"}, elements...)...)
}

// first returns the address that the first of some files has for a client. Files that are
// missing, or that this user may not read, are passed over, as the clients do.
func (e Environment) first(client string, parse func(text string) (string, error), paths ...string) (address, error) {
	for _, path := range paths {
		if path == "" {
			continue
		}
		text, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return address{}, fmt.Errorf("%s: %w", client, err)
		}
		found, err := parse(text)
		if err != nil {
			return address{}, fmt.Errorf("%s: %s: %w", client, path, err)
		}
		if found != "" {
			return address{found, client + ": " + path}, nil
		}
	}
	return address{}, errNotSet
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fs.ErrNotExist // a folder or a pipe is not a file of settings
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return string(text), err
}

// variable returns the first of some environment variables that is set.
func (e Environment) variable(client string, names ...string) (address, bool) {
	for _, name := range names {
		if value := strings.TrimSpace(e.Getenv(name)); value != "" {
			return address{value, client + ": environment variable " + name}, true
		}
	}
	return address{}, false
}

// iniValue returns the last value of a key in a section of a file in the form of INI, with
// = or : between them. The empty section is what comes before the first.
func iniValue(text, section string, isKey func(string) bool) (value string) {
	current := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", line[0] == '#', line[0] == ';':
			continue
		case line[0] == '[' && line[len(line)-1] == ']':
			current = strings.TrimSpace(line[1 : len(line)-1])
			continue
		case current != section:
			continue
		}
		if at := strings.IndexAny(line, "=:"); at > 0 && isKey(strings.TrimSpace(line[:at])) {
			value = strings.Trim(strings.TrimSpace(line[at+1:]), `"'`)
		}
	}
	return value
}
