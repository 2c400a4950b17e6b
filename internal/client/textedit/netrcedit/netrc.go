// Package netrcedit changes the password for one machine in a netrc file and
// leaves every other byte as it was.
//
// The format is the one of ftp(1): words between white space, in any number of
// lines. An entry is `machine NAME`, or `default`, and then any of `login
// NAME`, `password WORD` and `account WORD`. `macdef NAME` begins a macro,
// which ends at the next empty line. In place of a keyword, a # starts a
// comment until the end of the line. A word may be in double quotes.
package netrcedit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

var errWord = errors.New("words in a netrc file cannot be empty or contain spaces or quotes")

var errNotReadBack = errors.New("the text cannot be edited: the result would not be read back")

// An entry is what a file says about a machine, with its position. start and
// end surround the entry, passwordFrom and passwordTo the word of the password.
// The latter are equal if there is no password.
type entry struct {
	machine, login, password string
	start, end               int
	passwordFrom, passwordTo int
	isDefault                bool
}

// Get returns the login and the password of a machine's first entry.
func Get(text []byte, machine string) (login, password string, ok bool, err error) {
	f, err := parse(text)
	if err != nil {
		return "", "", false, err
	}
	if e := f.find(machine); e != nil {
		return e.login, e.password, true, nil
	}
	return "", "", false, nil
}

// Set returns the text with the password for a machine and a login. It returns
// an error if the text has another login for the machine: clients take the
// first entry, so a second one would have no effect.
func Set(text []byte, machine, login, password string) ([]byte, error) {
	for _, word := range []string{machine, login, password} {
		if word == "" || strings.ContainsAny(word, " \t\r\n\"#\\") {
			return nil, errWord
		}
	}
	f, err := parse(text)
	if err != nil {
		return nil, err
	}
	out := text
	switch e := f.find(machine); {
	case e == nil:
		out = insert(text, f.insertAt, "machine "+machine+" login "+login+" password "+password)
	case e.login != login:
		return nil, fmt.Errorf("line %d: there is an entry for %s already, with the login %q, and clients take the first one: remove it", line(text, e.start), machine, e.login)
	case e.password == password:
	case e.passwordFrom == e.passwordTo:
		out = splice(text, e.end, e.end, " password "+password)
	default:
		out = splice(text, e.passwordFrom, e.passwordTo, password)
	}
	if l, p, ok, err := Get(out, machine); !ok || err != nil || l != login || p != password {
		return nil, errNotReadBack
	}
	return out, nil
}

// Delete returns the text without the entry for a machine and a login. A text
// without it is returned as it is.
func Delete(text []byte, machine, login string) ([]byte, error) {
	f, err := parse(text)
	if err != nil {
		return nil, err
	}
	e := f.find(machine)
	if e == nil || e.login != login {
		return text, nil
	}
	// Lines that hold nothing else are removed as well.
	from, to := e.start, e.end
	for from > 0 && (text[from-1] == ' ' || text[from-1] == '\t') {
		from--
	}
	for to < len(text) && (text[to] == ' ' || text[to] == '\t') {
		to++
	}
	begins := from == len(lines.Mark(text)) || text[from-1] == '\n'
	switch rest := text[to:]; {
	case !begins:
		return splice(text, e.start, e.end, ""), nil
	case bytes.HasPrefix(rest, []byte("\r\n")):
		to += 2
	case bytes.HasPrefix(rest, []byte("\n")):
		to++
	case len(rest) == 0 && from > 0 && text[from-1] == '\n': // the last line, which had no end
		from--
		if from > 0 && text[from-1] == '\r' {
			from--
		}
	case len(rest) > 0:
		from = e.start
	}
	return splice(text, from, to, ""), nil
}

func (f *file) find(machine string) *entry {
	for i, e := range f.entries {
		if !e.isDefault && strings.EqualFold(e.machine, machine) {
			return &f.entries[i]
		}
	}
	return nil
}

// insert adds a line before the one at an offset.
func insert(text []byte, at int, added string) []byte {
	t := lines.Split(text)
	offset, index := len(t.Mark), 0
	for offset < at && index < len(t.Lines) {
		offset += len(t.Lines[index].Text) + len(t.Lines[index].End)
		index++
	}
	if index > 0 && offset > at { // in the middle of a line
		index--
	}
	t.Insert(index, added)
	return t.Bytes()
}

func splice(text []byte, from, to int, with string) []byte {
	return append(append(bytes.Clone(text[:from]), with...), text[to:]...)
}

func line(text []byte, at int) int { return 1 + bytes.Count(text[:at], []byte("\n")) }

// A file is the parsed content of a text.
type file struct {
	entries []entry
	// insertAt is where another machine can be added: before the default entry,
	// which matches every machine, and before the first macro.
	insertAt int
}

func parse(text []byte) (file, error) {
	f := file{insertAt: len(text)}
	s := scanner{text: text, at: len(lines.Mark(text))}
	for {
		start, word, ok := s.next()
		if s.err != nil || !ok {
			return f, s.err
		}
		switch {
		case strings.HasPrefix(word, "#"):
			s.skipLine(start)
		case word == "default":
			f.insertAt = min(f.insertAt, start)
			f.entries = append(f.entries, entry{isDefault: true, start: start, end: s.at})
		case word == "macdef":
			f.insertAt = min(f.insertAt, start)
			s.skipMacro()
		default:
			if err := f.read(word, start, &s); err != nil {
				return file{}, err
			}
		}
	}
}

// read reads a keyword that has a value.
func (f *file) read(word string, start int, s *scanner) error {
	switch word {
	case "machine", "login", "password", "account":
	default: // it may be a secret
		return fmt.Errorf("line %d: this word is not a netrc keyword", line(s.text, start))
	}
	from, value, ok := s.next()
	switch {
	case s.err != nil:
		return s.err
	case !ok:
		return fmt.Errorf("line %d: %q has no value", line(s.text, start), word)
	case word == "machine":
		f.entries = append(f.entries, entry{machine: value, start: start, end: s.at})
		return nil
	case len(f.entries) == 0:
		return fmt.Errorf("line %d: %q does not belong to a machine", line(s.text, start), word)
	}
	e := &f.entries[len(f.entries)-1]
	e.end = s.at
	switch word {
	case "login":
		e.login = value
	case "password":
		e.password, e.passwordFrom, e.passwordTo = value, from, s.at
	}
	return nil
}

// A scanner reads words.
type scanner struct {
	text []byte
	at   int
	err  error
}

func (s *scanner) next() (start int, word string, ok bool) {
	for s.at < len(s.text) && isSpace(s.text[s.at]) {
		s.at++
	}
	if s.at == len(s.text) {
		return 0, "", false
	}
	start = s.at
	if s.text[s.at] == '"' {
		return start, s.quoted(start), true
	}
	for s.at < len(s.text) && !isSpace(s.text[s.at]) {
		s.at++
	}
	return start, string(s.text[start:s.at]), true
}

// quoted reads a word in double quotes, in which a backslash escapes the next
// character. It ends on the same line.
func (s *scanner) quoted(start int) string {
	var b strings.Builder
	for s.at++; s.at < len(s.text) && s.text[s.at] != '\n'; s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return b.String()
		case c == '\\' && s.at+1 < len(s.text):
			s.at++
			b.WriteByte(s.text[s.at])
		default:
			b.WriteByte(c)
		}
	}
	s.err = fmt.Errorf("line %d: the quoted word is not closed", line(s.text, start))
	return ""
}

func (s *scanner) skipLine(from int) {
	if i := bytes.IndexByte(s.text[from:], '\n'); i >= 0 {
		s.at = from + i + 1
		return
	}
	s.at = len(s.text)
}

// skipMacro skips to the end of the empty line that ends a macro.
func (s *scanner) skipMacro() {
	for s.at < len(s.text) {
		s.skipLine(s.at)
		rest := s.text[s.at:]
		if bytes.HasPrefix(rest, []byte("\n")) || bytes.HasPrefix(rest, []byte("\r\n")) {
			return
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
