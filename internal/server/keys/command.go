package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A CommandWrapper runs external commands, such as a client of a key management
// service: what is to be wrapped or unwrapped is on standard input, and the result on
// standard output, both as bytes. There is no shell.
type CommandWrapper struct {
	// WrapArgs and UnwrapArgs are a program and its arguments.
	WrapArgs, UnwrapArgs []string
	// Timeout bounds each run.
	Timeout time.Duration
}

// maxWrapped bounds what a command may print, in bytes.
const maxWrapped = 64 << 10

// Name returns "command".
func (*CommandWrapper) Name() string { return "command" }

// Wrap runs the command that encrypts.
func (w *CommandWrapper) Wrap(ctx context.Context, dataKey []byte) ([]byte, error) {
	wrapped, err := w.run(ctx, w.WrapArgs, dataKey)
	if err == nil && bytes.Contains(wrapped, dataKey) {
		return nil, fmt.Errorf("%s printed what it should encrypt", program(w.WrapArgs))
	}
	return wrapped, err
}

// Unwrap runs the command that decrypts.
func (w *CommandWrapper) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	return w.run(ctx, w.UnwrapArgs, wrapped)
}

// run returns what a command prints. Neither its arguments nor what it writes to
// standard error are in the error, since a secret could be in both.
func (w *CommandWrapper) run(ctx context.Context, args []string, input []byte) ([]byte, error) {
	if len(args) == 0 {
		return nil, errors.New("no command is configured for it")
	}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	var out bytes.Buffer
	limited := &limitedWriter{to: &out, left: maxWrapped}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), limited, io.Discard
	cmd.Env = withoutKeys(os.Environ())
	cmd.WaitDelay = time.Second // for children that keep the pipe
	endWithChildren(cmd)
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not finish within %s", program(args), w.Timeout)
	case limited.exceeded:
		return nil, fmt.Errorf("%s printed more than %d bytes", program(args), maxWrapped)
	case err != nil:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("%s failed: %s; run it by hand to see why", program(args), exit.ProcessState)
		}
		return nil, fmt.Errorf("%s: %w", program(args), err)
	case out.Len() == 0:
		return nil, fmt.Errorf("%s printed nothing", program(args))
	}
	return out.Bytes(), nil
}

func program(args []string) string {
	if len(args) == 0 {
		return "the command"
	}
	return filepath.Base(args[0])
}

// withoutKeys removes the variables that hold wrapping keys.
func withoutKeys(environ []string) []string {
	var kept []string
	for _, v := range environ {
		if !strings.HasPrefix(v, "GATEHOUSE_KEYRING_") {
			kept = append(kept, v)
		}
	}
	return kept
}

type limitedWriter struct {
	to       io.Writer
	left     int
	exceeded bool
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		w.exceeded = true
		return 0, io.ErrShortWrite
	}
	w.left -= len(p)
	return w.to.Write(p)
}
