// Package iniedit changes one value in a text of sections and keys, and leaves
// every other byte as it was: comments, order, indentation, line endings, a
// byte order mark, a missing newline at the end.
//
// There is no single INI format. The two that package clients read are
// [Dialect]s: [Python], for pip.conf and .pypirc, and [NPM], for .npmrc. The
// functions Get, Set and Delete use Python.
//
// Each change parses the text to a document, edits its lines, and parses the
// result again to check that it says exactly what was asked for.
package iniedit

import (
	"bytes"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

// A Dialect says how a text is read.
type Dialect int

const (
	// Python is what configparser.RawConfigParser of Python's library reads
	// with its defaults: a key ends at the first = or :, keys ignore case, a
	// comment is a line that starts with # or ;, a line that is indented deeper
	// than its key continues the value. Every key is in a section. A duplicate
	// section or key is an error.
	Python Dialect = iota
	// NPM is what npm's package ini reads. pnpm, Yarn 1 and bun read the part
	// of it that matters in an .npmrc. A key ends at the first =, an unescaped
	// ; or # starts a comment, \ escapes these, keys and values may be JSON
	// strings, lines do not continue, and the last of duplicate keys counts.
	// Nothing is an error.
	NPM
)

// Get returns the value of a key, read as [Python].
func Get(text []byte, section, key string) (string, bool) { return Python.Get(text, section, key) }

// Set sets a key's value, read as [Python]; see [Dialect.Set].
func Set(text []byte, section, key, value string) ([]byte, error) {
	return Python.Set(text, section, key, value)
}

// Delete removes a key, read as [Python]; see [Dialect.Delete].
func Delete(text []byte, section, key string) ([]byte, error) {
	return Python.Delete(text, section, key)
}

// Get returns the value of a key, and whether the key is there. The section ""
// is the part above the first header. The lines of a continued value are joined
// with "\n", without their indentation. In a text with errors, Get finds only
// what comes before the first one.
func (d Dialect) Get(text []byte, section, key string) (string, bool) {
	doc, _ := d.parse(text)
	if e := doc.find(section, key); e != nil {
		return e.value, true
	}
	return "", false
}

// Entries returns all entries in order. The error is the one of [Dialect.Set].
func (d Dialect) Entries(text []byte) ([]Entry, error) {
	doc, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(doc.entries))
	for _, e := range doc.entries {
		out = append(out, Entry{e.section, e.key, e.value})
	}
	return out, nil
}

// An Entry is one key and its value.
type Entry struct{ Section, Key, Value string }

// Set sets a key's value. If the key is already there, only its value is
// replaced. Otherwise the key is added after the section's last one, in the
// same style. A section that does not exist is added at the end.
//
// The error is about the text, as "line 3: …", or says that the dialect cannot
// represent the key or the value. It does not contain the value.
func (d Dialect) Set(text []byte, section, key, value string) ([]byte, error) {
	doc, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	if e := doc.find(section, key); e == nil {
		doc.insert(section, key, value)
	} else if e.value != value {
		doc.replace(e, value)
	} else {
		return text, nil
	}
	out := doc.Bytes()
	if !d.differs(text, out, section, key, &value) {
		return nil, fmt.Errorf("%s cannot have that value in this file's format", name(section, key))
	}
	return out, nil
}

// Delete removes every entry of a key. If its section has nothing else, the
// header and the empty line above it go too, as Set added them. Comments stay.
// A text without the key is returned as it is. The error is the one of Set.
func (d Dialect) Delete(text []byte, section, key string) ([]byte, error) {
	doc, err := d.parse(text)
	if err != nil {
		return nil, err
	}
	if doc.find(section, key) == nil {
		return text, nil
	}
	doc.remove(section, key)
	out := doc.Bytes()
	if !d.differs(text, out, section, key, nil) {
		return nil, fmt.Errorf("%s cannot be removed from this file without changing something else", name(section, key))
	}
	return out, nil
}

// differs reports whether two texts say the same except for one key. In the
// second text the key has the value want, or is missing if want is nil.
func (d Dialect) differs(before, after []byte, section, key string, want *string) bool {
	old, err := d.parse(before)
	if err != nil {
		return false
	}
	now, err := d.parse(after)
	if err != nil {
		return false
	}
	e := now.find(section, key)
	if (e == nil) != (want == nil) || e != nil && e.value != *want {
		return false
	}
	a, b := old.others(section, key), now.others(section, key)
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return !bytes.Equal(before, after)
}

func name(section, key string) string {
	if section == "" {
		return key
	}
	return "[" + section + "] " + key
}

func (d Dialect) grammar() grammar {
	if d == NPM {
		return npm{}
	}
	return python{}
}

// A grammar is what differs between the dialects.
type grammar interface {
	// parse finds headers and entries in the lines. It stops at the first line
	// that is wrong, and returns its error with what it found before.
	parse(all []lines.Line) ([]header, []entry, error)
	// fold returns the form in which equal keys are equal.
	fold(key string) string
	// key and value return how they are written; value returns lines.
	key(key string) string
	value(value string) []string
	// separator stands between key and value if the file does not show another.
	separator() string
}
