package scanworker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// DefaultTimeout is how long a scan may take.
const DefaultTimeout = 10 * time.Minute

// maxAnswer is the size of the largest answer, in bytes.
const maxAnswer = 64 << 20

// A Runner starts workers.
type Runner struct {
	// Program is the path of a program that calls [Main] if its argument is [Command].
	Program string
	// Timeout bounds one image; 0 means [DefaultTimeout].
	Timeout time.Duration
}

// A Layer is one of an image.
type Layer struct {
	Digest string
	Size   int64 // in bytes, as Open's stream has them
	Open   func(context.Context) (io.ReadCloser, error)
}

// An ImageError says why an image cannot be scanned, for people who look at it. Trying again
// does not help.
type ImageError struct{ Reason string }

func (e *ImageError) Error() string { return e.Reason }

// Read returns what is installed in an image with the given layers, the lowest first. The
// error is an [*ImageError] if the cause is the image.
func (r Runner) Read(ctx context.Context, layers []Layer) (*inventory.Inventory, error) {
	timeout := r.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := r.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("start the scan worker: %w", err)
	}
	sending := p.send(ctx, layers)
	text, reading := io.ReadAll(io.LimitReader(p.out, maxAnswer+1))
	if len(text) > maxAnswer {
		reading = errors.New("its answer is too long")
	}
	if reading != nil {
		cancel()
	}
	ended := p.cmd.Wait()
	if ctx.Err() != nil && reading == nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, &ImageError{fmt.Sprintf("The scan took longer than %s.", timeout)}
		}
		return nil, ctx.Err()
	}
	var a answer
	bad := json.Unmarshal(text, &a)
	switch {
	case bad == nil && a.Problem != "":
		return nil, &ImageError{a.Problem}
	case sending != nil && !errors.Is(sending, errWorkerEnded):
		return nil, sending // a layer could not be opened or read
	case ended != nil || reading != nil || bad != nil || a.Inventory == nil:
		return nil, &ImageError{truncate.String("The scan of the image needed too much memory or time, or failed: "+reason(errors.Join(ended, reading, bad), p.messages.String()), 500)}
	}
	return a.Inventory, nil
}

// reason is how a worker ended: its state and the first line of what it wrote.
func reason(err error, messages string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(messages), "\n")
	if err == nil {
		return line
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	if line != "" {
		text += ": " + line
	}
	return text
}

// A process is a worker that runs.
type process struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      io.Reader
	messages *head
}

// start starts a worker with as few rights as the system lets it have.
func (r Runner) start(ctx context.Context) (*process, error) {
	var first error
	for _, isolate := range isolations {
		p := &process{cmd: exec.CommandContext(ctx, r.Program, Command), messages: new(head)}
		p.cmd.Env = []string{}
		p.cmd.Stderr = p.messages
		p.cmd.WaitDelay = 5 * time.Second
		isolate(p.cmd)
		in, err := p.cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := p.cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		p.in, p.out = in, out
		if err = p.cmd.Start(); err == nil {
			return p, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// errWorkerEnded means that the worker does not read any more. Its answer says why.
var errWorkerEnded = errors.New("scanworker: the worker ended")

// send sends the layers and closes the stream.
func (p *process) send(ctx context.Context, layers []Layer) error {
	defer p.in.Close()
	for _, l := range layers {
		if err := p.sendLayer(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) sendLayer(ctx context.Context, l Layer) error {
	body, err := l.Open(ctx)
	if err != nil {
		return fmt.Errorf("the layer %s: %w", l.Digest, err)
	}
	defer body.Close()
	line, err := json.Marshal(frame{l.Digest, l.Size})
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return errWorkerEnded
	}
	w := &pipe{w: p.in}
	if _, err = io.CopyN(w, body, l.Size); w.ended {
		return errWorkerEnded
	}
	if err != nil {
		return fmt.Errorf("the layer %s: %w", l.Digest, err)
	}
	return nil
}

// A pipe tells errors of writing from errors of reading.
type pipe struct {
	w     io.Writer
	ended bool
}

func (p *pipe) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.ended = err != nil
	return n, err
}

// A head keeps the beginning of what a worker writes to its standard error.
type head struct{ bytes.Buffer }

func (h *head) Write(b []byte) (int, error) {
	if room := 4<<10 - h.Len(); room > 0 {
		h.Buffer.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}
