//go:build !unix

package app

// maxFiles is how many file descriptors the process may have; 0 is no limit.
func maxFiles() int { return 0 }
