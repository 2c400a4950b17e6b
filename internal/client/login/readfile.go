package login

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// ReadFile reads a file; fs.ErrNotExist where there is none.
type ReadFile func(path string) ([]byte, error)

// Text is that of a file, and nil where there is none.
func (read ReadFile) Text(path string) ([]byte, error) {
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// Addresses are those that named finds in the texts of files, each once and in
// order. A file that is not there has none. The error names the file that cannot
// be read.
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

// Unique are the addresses in order, without those that are there twice.
func Unique(addresses ...string) []string {
	slices.Sort(addresses)
	return slices.Compact(addresses)
}
