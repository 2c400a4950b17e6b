// Package script edits the configuration of tools whose configuration is a
// program: Gradle's init scripts, sbt's settings. Login writes one file of its own
// for such a tool, which holds a line for each login, as what they do to a build
// has to be decided together.
package script

import (
	"errors"
	"regexp"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// place is the line of a template in whose place the logins are.
const place = "//LOGINS\n"

// A File is a tool's script.
type File struct {
	// Template is its text, in which the line //LOGINS stands for the logins. Its
	// first line says whose it is.
	Template string
	// Login matches the line of a login with its end. The first group is the
	// login's name, and the second the repository's address.
	Login *regexp.Regexp
}

// Edit puts the login's line into the file at a path, or in the place of the one
// that it has already.
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
				return text, nil // another's file, or nothing of it
			}
			return f.render(rest), nil
		},
	}
}

// Addresses are those of the logins. What a build's own scripts name is in a
// language that only the tool understands.
func (f File) Addresses(path string, read login.ReadFile) ([]string, error) {
	return read.Addresses(func(text []byte) ([]string, error) {
		lines, err := f.logins(text)
		if err != nil {
			return nil, nil // another's file
		}
		var all []string
		for _, l := range lines {
			all = append(all, f.Login.FindStringSubmatch(l)[2])
		}
		return all, nil
	}, path)
}

// logins are the lines of a text that are logins. The error says that the text is
// not that of login's own file.
func (f File) logins(text []byte) ([]string, error) {
	header, _, _ := strings.Cut(f.Template, "\n")
	if len(text) > 0 && !strings.HasPrefix(string(text), header) {
		return nil, errors.New("line 1: login keeps a file of its own under this name, and this is another one: rename it")
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

// render is the file with the logins; nil where there are none.
func (f File) render(lines []string) []byte {
	if len(lines) == 0 {
		return nil
	}
	return []byte(strings.Replace(f.Template, place, strings.Join(lines, ""), 1))
}
