//go:build unix

package keys

import (
	"os/exec"
	"syscall"
)

// endWithChildren makes the end of the context also end what the command started.
func endWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
