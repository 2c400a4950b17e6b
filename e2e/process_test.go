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

// A process is the built server, running on a data folder.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	log   string // the file with its log
	ended chan error
}

// launch starts the built server on a data folder without waiting for it. flags
// are more of those of serve.
func launch(t *testing.T, data string, flags ...string) (*process, io.Reader) {
	t.Helper()
	p := &process{t: t, log: data + ".log", ended: make(chan error, 1)}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(filepath.Join(binary, "gatehouse"), append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "warn"}, flags...)...)
	p.cmd.Dir, p.cmd.Stderr = t.TempDir(), log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() }) // for a test that failed before it did
	return p, out
}

// startProcess starts the built server on a data folder and waits until it answers.
func startProcess(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	p, out := launch(t, data, flags...)
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
		t.Fatal("the server did not come up")
	}
	return p
}

// kill ends the process as nothing else can end: it does not learn of it.
func (p *process) kill() { p.cmd.Process.Signal(syscall.SIGKILL) }

// wait returns how the process ended, once it has.
func (p *process) wait() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(waitTimeout):
		p.t.Fatal("the server did not end")
		return nil
	}
}

// terminate sends SIGTERM and returns when the server takes no more connections.
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
			p.t.Fatal("the server goes on taking connections after SIGTERM")
		}
		if err != nil {
			return
		}
		c.Close()
	}
}

// logged is what the server has logged: nothing, when all is well.
func (p *process) logged() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// A killTrigger kills a process at the n-th event: a request that begins, a piece of a
// body or a whole one that is sent, or an answer that arrives.
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

// RoundTrip counts the events of a request.
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

// pieces is a body whose end is an event, and so is each piece of it.
type pieces struct {
	io.ReadCloser
	trigger *killTrigger
	sent    int // since the last event
}

// piece is small beside the largest bodies and large beside most: the moments
// that count are those when a request is complete.
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
