package e2e

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A process is a running server, the built program.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	log   string // the file with its log
	ended chan error
}

// launch starts the built server on a data folder without waiting for it. flags are
// additional flags of serve.
func launch(t *testing.T, data string, flags ...string) (*process, io.Reader) {
	t.Helper()
	return launchWith(t, nil, data, flags...)
}

// launchWith is launch with variables in the server's environment.
func launchWith(t *testing.T, env []string, data string, flags ...string) (*process, io.Reader) {
	t.Helper()
	return launchProgram(t, filepath.Join(binary, "gatehouse"), env, data, flags...)
}

func launchProgram(t *testing.T, program string, env []string, data string, flags ...string) (*process, io.Reader) {
	t.Helper()
	p := &process{t: t, log: data + ".log", ended: make(chan error, 1)}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(program, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "warn"}, flags...)...)
	p.cmd.Dir, p.cmd.Stderr, p.cmd.Env = t.TempDir(), log, append(os.Environ(), env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() }) // if the test fails before it stops the process
	return p, out
}

// startProcess starts the built server on a data folder and waits until it answers.
func startProcess(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	return startProcessWith(t, nil, data, flags...)
}

// startProcessWith is startProcess with variables in the server's environment.
func startProcessWith(t *testing.T, env []string, data string, flags ...string) *process {
	t.Helper()
	return startProgram(t, filepath.Join(binary, "gatehouse"), env, data, flags...)
}

// startProgram is startProcessWith for a build of the server.
func startProgram(t *testing.T, program string, env []string, data string, flags ...string) *process {
	t.Helper()
	p, out := launchProgram(t, program, env, data, flags...)
	url := make(chan string, 1)
	go func() {
		defer close(url)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				url <- address
			}
		}
		p.ended <- p.cmd.Wait()
	}()
	select {
	case address, ok := <-url:
		if !ok {
			t.Fatalf("the server did not start: %s", p.logged())
		}
		p.url = address
	case <-time.After(waitTimeout):
		t.Fatal("the server did not start in time")
	}
	return p
}

// kill sends SIGKILL, which the process cannot handle.
func (p *process) kill() { p.cmd.Process.Signal(syscall.SIGKILL) }

// wait waits for the process to exit and returns its exit error.
func (p *process) wait() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(waitTimeout):
		p.t.Fatal("the server did not exit")
		return nil
	}
}

// terminate sends SIGTERM and returns when the server accepts no more connections.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), waitTimeout)
	defer cancel()
	for address := strings.TrimPrefix(p.url, "http://"); ; {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if ctx.Err() != nil {
			p.t.Fatal("the server still accepts connections after SIGTERM")
		}
		if err != nil {
			return
		}
		c.Close()
	}
}

// logged returns the server's log, which is empty if there were no problems.
func (p *process) logged() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// A killTrigger kills a process at the n-th event: a request begins, a piece of a
// body or a whole body is sent, or an answer arrives.
type killTrigger struct {
	left atomic.Int64
	kill func()
}

func (f *killTrigger) event() {
	if f.left.Add(-1) == 0 {
		f.kill()
	}
}

func (f *killTrigger) fired() bool { return f.left.Load() <= 0 }

// RoundTrip sends the request and counts its events.
func (f *killTrigger) RoundTrip(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	f.event()
	if r.Body != nil && r.Body != http.NoBody {
		r = r.Clone(r.Context())
		r.Body = &pieces{ReadCloser: r.Body, trigger: f}
	}
	res, err := next.RoundTrip(r)
	if err == nil {
		f.event()
	}
	return res, err
}

// pieces is a request body. Each piece of it and its end are events.
type pieces struct {
	io.ReadCloser
	trigger *killTrigger
	sent    int // since the last event
}

// piece is larger than most bodies, so most events are complete requests.
const piece = 256 << 10

func (p *pieces) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if p.sent += n; p.sent >= piece || err != nil {
		p.sent = 0
		p.trigger.event()
	}
	return n, err
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
