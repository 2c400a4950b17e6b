// Package subprocess runs one command in the place of this program: with its
// terminal, its input and output, its signals and its exit code, and with a
// private folder that is there as long as the command is.
//
// The command is a child also where exec(2) could replace this program by it:
// somebody has to remove the folder at the end. When this program is killed (9)
// the folder stays; nothing secret belongs into it.
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

// Exit codes of a shell for a command that could not be started, and the start
// of those for one that a signal ended.
const (
	notExecutable = 126
	notFound      = 127
	signalBase    = 128
)

// A Command is what is run.
type Command struct {
	// Args are the program, looked for on PATH, and its arguments.
	Args []string
	// Stdin, Stdout and Stderr are given on; files as they are.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Environment returns the child's environment, as in os.Environ, and may put
	// files into the private folder.
	Environment func(dir string) ([]string, error)
}

// Run runs the command to its end and returns its exit code, which is 128 and
// the signal's number if a signal ended it. Signals that would end this program
// reach the child instead, from the moment that Run is called.
//
// The error says why the command could not be started; the code goes with it.
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

// forward gives signals to the child, but for those that the terminal has given
// it already.
func forward(p *os.Process, signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			if !sentByTerminal(s) {
				// A child that has just ended needs no signal.
				_ = p.Signal(s)
			}
		case <-ended:
			return
		}
	}
}

// refusal says why a command did not start.
func startError(name string, err error) (int, error) {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return notFound, fmt.Errorf("%s: there is no such command", name)
	case errors.Is(err, exec.ErrDot):
		return notFound, fmt.Errorf("%s: it is in the working folder alone: say ./%s if that is meant", name, name)
	}
	return notExecutable, err
}

// status is the exit code of a command that has ended. Its own failing is no
// error.
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
