// Package iniedit changes one value in a text of sections and keys, and leaves every
// other byte as it was: comments, order, indentation, line endings, a byte order
// mark, a missing newline at the end.
//
// There is no one INI format. The two that package clients read are a [Dialect]
// each: [Python], of pip.conf and .pypirc, and [NPM], of .npmrc. Get, Set and
// Delete of this package are those of Python.
package iniedit

import (
	"bytes"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

// A Dialect says how a text is read.
type Dialect int

const (
	// Python is what configparser.RawConfigParser of Python's library reads with
	// its defaults: a key ends at the first = or :, keys are the same in upper and
	// lower case, a comment is a line of its own that starts with # or ;, a line
	// that is indented deeper than its key continues the value. Every key is in a
	// section. A section or a key that is there twice is an error.
	Python Dialect = iota
	// NPM is what npm's package ini reads, of which pnpm, Yarn 1 and bun read the
	// part that matters in an .npmrc: a key ends at the first =, what follows an
	// unescaped ; or # is a comment, \ escapes these, keys and values may be JSON
	// strings, lines do not continue, of keys that are there twice the last holds.
	// Nothing is an error.
	NPM
)

// Get returns the value of a key, read as [Python].
func Get(text []byte, section, key string) (string, bool) { return Python.Get(text, section, key) }

// Set gives a key a value, read as [Python]; see [Dialect.Set].
func Set(text []byte, section, key, value string) ([]byte, error) {
	return Python.Set(text, section, key, value)
}

// Delete takes a key out, read as [Python]; see [Dialect.Delete].
func Delete(text []byte, section, key string) ([]byte, error) {
	return Python.Delete(text, section, key)
}

// Get returns the value of a key, and whether it is there; "" is the section
// above the first header. The lines of a value that is continued are joined with
// "\n", without their indentation. In a text with errors, what comes after the
// first one is not seen.
func (d Dialect) Get(text []byte, section, key string) (string, bool) {
	doc, _ := d.parse(text)
	if e := doc.find(section, key); e != nil {
		return e.value, true
	}
	return "", false
}

// Entries returns what the text says, in its order. The error is that of
// [Dialect.Set].
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

// Set gives a key a value. If the key is there already, its value alone is
// replaced. Otherwise it comes after the section's last key, written as that is,
// and a section that is not there comes at the end.
//
// The error is about the text, as "line 3: …", or says that the dialect has no
// way to write the key or the value; it does not name the value.
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

// Delete takes a key out, however often it is there, with a section that held
// nothing else and the empty line above it: what Set added. Comments stay. A
// text without the key comes back as it is. The error is that of Set.
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
		return nil, fmt.Errorf("%s cannot be taken out of this file by itself", name(section, key))
	}
	return out, nil
}

// differs reports whether two texts say the same but for one key, which has the
// value want in the second one, or is not there if that is nil.
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
	// parse finds headers and entries in the lines. The error is that of the first
	// line that is wrong; what was found before it is returned as well.
	parse(all []lines.Line) ([]header, []entry, error)
	// fold returns the form in which equal keys are equal.
	fold(key string) string
	// key and value are written so; of a value, its lines.
	key(key string) string
	value(value string) []string
	// separator stands between key and value where the file shows no other.
	separator() string
}
