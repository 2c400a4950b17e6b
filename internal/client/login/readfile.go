package login

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// ReadFile reads a file; fs.ErrNotExist if there is none.
type ReadFile func(path string) ([]byte, error)

// Text returns the contents of a file; nil if there is no file.
func (read ReadFile) Text(path string) ([]byte, error) {
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// Addresses returns what named finds in the contents of the files, each once
// and sorted. A file that does not exist has none. The error names the file
// that cannot be read.
func (read ReadFile) Addresses(named func(text []byte) ([]string, error), paths ...string) ([]string, error) {
	var all []string
	for _, path := range paths {
		text, err := read.Text(path)
		if err != nil {
			return nil, err
		}
		if text == nil {
			continue
		}
		found, err := named(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, found...)
	}
	return Unique(all...), nil
}

// Unique sorts addresses and removes duplicates.
func Unique(addresses ...string) []string {
	slices.Sort(addresses)
	return slices.Compact(addresses)
}
