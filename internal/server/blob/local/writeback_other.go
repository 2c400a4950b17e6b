//go:build !linux

package local

import "os"

// beginWriteback does nothing: sync_file_range exists on Linux only.
func beginWriteback(*os.File, int64, int64) {}
