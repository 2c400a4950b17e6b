//go:build !linux

package local

import "os"

// A folder opens files below it for reading.
type folder struct{ root *os.Root }

func openFolder(root *os.Root) (*folder, error) { return &folder{root}, nil }

// open opens a file. The path is relative to the folder.
func (f *folder) open(path string) (*os.File, error) { return f.root.Open(path) }

func (f *folder) close() error { return f.root.Close() }
