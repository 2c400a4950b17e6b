// Package script edits the configuration of tools whose configuration is a
// program: Gradle's init scripts, sbt's settings. Login writes one file of its
// own for such a tool, with a line for each login, because what they do to a
// build has to be decided together.
package script

import (
	"errors"
	"regexp"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// loginsMark is the line of a template that the logins replace.
const loginsMark = "//LOGINS\n"

// A File is a tool's script.
type File struct {
	// Template is the file's text, in which the logins replace the line
	// //LOGINS. Its first line identifies the file as login's own.
	Template string
	// Login matches the line of a login with its line end. The first group is
	// the login's name, the second the repository's address.
	Login *regexp.Regexp
}

// Edit adds the login's line to the file at a path, or replaces the line that
// is there.
func (f File) Edit(path, name, line string) login.Edit {
	return login.Edit{
		Path: path, Mode: 0o644,
		Apply: func(text []byte) ([]byte, error) {
			lines, err := f.logins(text)
			if err != nil {
				return nil, err
			}
			return f.render(append(f.without(lines, name), line)), nil
		},
		Remove: func(text []byte) ([]byte, error) {
			lines, err := f.logins(text)
			rest := f.without(lines, name)
			if err != nil || len(rest) == len(lines) {
				return text, nil // another program's file, or already removed
			}
			return f.render(rest), nil
		},
	}
}

// Addresses returns the addresses of the logins. Repositories in a build's own
// scripts are not found: only the tool understands their language.
func (f File) Addresses(path string, read login.ReadFile) ([]string, error) {
	return read.Addresses(func(text []byte) ([]string, error) {
		lines, err := f.logins(text)
		if err != nil {
			return nil, nil // another program's file
		}
		var all []string
		for _, l := range lines {
			all = append(all, f.Login.FindStringSubmatch(l)[2])
		}
		return all, nil
	}, path)
}

// logins returns the lines of a text that are logins. The error says that the
// file is not login's own.
func (f File) logins(text []byte) ([]string, error) {
	header, _, _ := strings.Cut(f.Template, "\n")
	if len(text) > 0 && !strings.HasPrefix(string(text), header) {
		return nil, errors.New("line 1: login uses this file name for a file of its own, but this file is another one: rename it")
	}
	var lines []string
	for l := range strings.Lines(string(text)) {
		if l = strings.Replace(l, "\r\n", "\n", 1); f.Login.MatchString(l) {
			lines = append(lines, l)
		}
	}
	return lines, nil
}

func (f File) without(lines []string, name string) []string {
	var rest []string
	for _, l := range lines {
		if f.Login.FindStringSubmatch(l)[1] != name {
			rest = append(rest, l)
		}
	}
	return rest
}

// render returns the file with the logins; nil if there are none.
func (f File) render(lines []string) []byte {
	if len(lines) == 0 {
		return nil
	}
	return []byte(strings.Replace(f.Template, loginsMark, strings.Join(lines, ""), 1))
}
