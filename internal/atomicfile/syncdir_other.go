//go:build !unix

package atomicfile

// syncDir does nothing: Windows offers no way to sync a folder.
func syncDir(string) error { return nil }
