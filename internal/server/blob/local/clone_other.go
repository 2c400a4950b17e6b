//go:build !linux

package local

import "os"

// cloneFile is for Linux only.
func cloneFile(*os.File, string, string) error { return errNoLink }
