// Package subprocess runs a command in place of this program: the command gets this
// program's terminal, input, output and signals, and its exit code becomes this
// program's. While it runs, it has a private folder.
//
// The command is a child process, although exec(2) could replace this program on Unix,
// since the folder must be removed at the end. If this program is killed (SIGKILL),
// the folder stays, so nothing secret may be put into it.
package subprocess

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
)

// Exit codes of a shell for a command that could not be started, and the number to
// which the signal's is added for a command that a signal ended.
const (
	notExecutable = 126
	notFound      = 127
	signalBase    = 128
)

// A Command is the command to run.
type Command struct {
	// Args are the program, looked for on PATH, and its arguments.
	Args []string
	// Stdin, Stdout and Stderr are passed on; files directly.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Environment returns the child's environment in the form of os.Environ. It may
	// put files into the private folder.
	Environment func(dir string) ([]string, error)
}

// Run runs the command to its end and returns its exit code, which is 128 plus the
// signal's number if a signal ended it. Signals that would end this program go to the
// child instead, as soon as Run is called.
//
// The error says why the command could not be started; code is then the one of a
// shell for that case.
func (c Command) Run() (code int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)

	dir, err := os.MkdirTemp("", "gatehouse-")
	if err != nil {
		return 1, err
	}
	defer func() {
		if removing := os.RemoveAll(dir); removing != nil {
			err = errors.Join(err, removing)
		}
	}()
	environ, err := c.Environment(dir)
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = c.Stdin, c.Stdout, c.Stderr, environ
	if err := cmd.Start(); err != nil {
		return startError(c.Args[0], err)
	}
	ended := make(chan struct{})
	forwarding := make(chan struct{})
	go func() {
		defer close(forwarding)
		forward(cmd.Process, signals, ended)
	}()
	err = cmd.Wait()
	close(ended)
	<-forwarding
	return exitStatus(cmd.ProcessState, err)
}

// forward passes signals on to the child, except those that the terminal has sent to
// it already.
func forward(p *os.Process, signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			if !sentByTerminal(s) {
				// An error means that the child has just ended.
				_ = p.Signal(s)
			}
		case <-ended:
			return
		}
	}
}

// startError says why a command did not start.
func startError(name string, err error) (int, error) {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return notFound, fmt.Errorf("%s: there is no such command", name)
	case errors.Is(err, exec.ErrDot):
		return notFound, fmt.Errorf("%s: it is only in the working folder: write ./%s if you mean that", name, name)
	}
	return notExecutable, err
}

// exitStatus is the exit code of a command that has ended. A failed command is not
// an error.
func exitStatus(state *os.ProcessState, err error) (int, error) {
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return 1, err
	}
	if n, ok := signalOf(state); ok {
		return signalBase + n, nil
	}
	return state.ExitCode(), nil
}
