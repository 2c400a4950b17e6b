//go:build unix

package subprocess

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that the child gets: those that end a program or request
// something from it.
var forwarded = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// sentByTerminal reports whether the child got a signal from the terminal, which
// sends the signals of its keys to the whole foreground process group. A second
// signal would make many programs end at once, without cleaning up.
func sentByTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil { // there is no terminal
		return false
	}
	defer tty.Close()
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// signalOf returns the signal that ended a process.
func signalOf(state *os.ProcessState) (int, bool) {
	s, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !s.Signaled() {
		return 0, false
	}
	return int(s.Signal()), true
}
