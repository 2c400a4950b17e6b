//go:build !unix

package keys

import "os/exec"

// endWithChildren is for systems with process groups.
func endWithChildren(*exec.Cmd) {}
