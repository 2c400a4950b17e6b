package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Minute
	stopTimeout  = 20 * time.Second
	// clockTick is the unit of /proc/PID/stat: USER_HZ, which is 100 on every Linux
	// that Go supports.
	clockTick = time.Second / 100
)

// A process is a server under measurement.
type process struct {
	url  string
	pid  int
	end  context.CancelFunc
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read it after done
}

// start runs a server and returns when it has printed its address. The server's
// standard error goes to this program's.
func start(ctx context.Context, binary string, args ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	cmd.Stderr = os.Stderr
	lines := newFirstLine()
	cmd.Stdout = lines
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, end: cancel, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	select {
	case line := <-lines.read:
		url, ok := strings.CutPrefix(line, "listening on ")
		if !ok {
			return nil, errors.Join(fmt.Errorf("%s printed %q instead of its address", binary, line), p.stop())
		}
		p.url = url
		return p, nil
	case <-p.done:
		cancel()
		return nil, fmt.Errorf("%s exited immediately: %w", binary, p.err)
	case <-time.After(startTimeout):
		return nil, errors.Join(fmt.Errorf("%s did not print its address in time", binary), p.stop())
	}
}

// stop terminates the server and waits until it has exited.
func (p *process) stop() error {
	p.end()
	<-p.done
	if errors.Is(p.err, context.Canceled) { // it exited with code 0 after the signal
		return nil
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
		return nil // it does not handle the signal
	}
	return p.err
}

// address is the server's HOST:PORT.
func (p *process) address() string { return strings.TrimPrefix(p.url, "http://") }

// cpu returns the processor time that the server has used, in steps of 10 ms:
// fields 14 and 15 of /proc/PID/stat (proc(5)).
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses. It may contain spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		ticks += time.Duration(n)
	}
	return ticks * clockTick, nil
}

// memory returns the server's resident set in bytes: VmRSS of /proc/PID/status.
func (p *process) memory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc shows no VmRSS")
}

// A firstLine is a writer that passes the first line on and discards the rest.
type firstLine struct {
	read chan string
	text []byte
	done bool
}

func newFirstLine() *firstLine { return &firstLine{read: make(chan string, 1)} }

// Write is called by one goroutine of [exec.Cmd].
func (f *firstLine) Write(b []byte) (int, error) {
	if f.done {
		return len(b), nil
	}
	f.text = append(f.text, b...)
	if line, _, whole := strings.Cut(string(f.text), "\n"); whole {
		f.done = true
		f.read <- line
	}
	return len(b), nil
}
