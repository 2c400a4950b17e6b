package e2e

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A processWatcher polls the command lines and environments of all processes of the
// test. Every user of a machine can read command lines; their owner can read
// environments.
type processWatcher struct {
	mark   string
	secret *regexp.Regexp
	end    chan struct{}
	once   sync.Once
	done   sync.WaitGroup

	seen  int // processes; like leaks, read it after stop
	leaks []string
}

func startProcessWatcher(mark string, secret *regexp.Regexp) *processWatcher {
	w := &processWatcher{mark: mark, secret: secret, end: make(chan struct{})}
	w.done.Go(func() {
		known := map[string]bool{}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			w.look(known)
			select {
			case <-w.end:
				w.seen = len(known)
				return
			case <-tick.C:
			}
		}
	})
	return w
}

func (w *processWatcher) stop() {
	w.once.Do(func() { close(w.end) })
	w.done.Wait()
}

func (w *processWatcher) look(known map[string]bool) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err != nil {
			continue
		}
		cmdline, environ, ok := readProcess(p.Name())
		if !ok || !bytes.Contains(environ, []byte(w.mark)) || known[p.Name()+string(cmdline)] {
			continue
		}
		known[p.Name()+string(cmdline)] = true
		w.judge(cmdline, environ)
	}
}

// readProcess reads the command line and the environment of one program. A process that
// executes another program between the two readings, or has ended, is not ok: the
// environment of env, which has the token for its child, was once taken for the child's.
func readProcess(pid string) (cmdline, environ []byte, ok bool) {
	before, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil || len(before) == 0 {
		return nil, nil, false
	}
	environ, err = os.ReadFile("/proc/" + pid + "/environ")
	if err != nil {
		return nil, nil, false
	}
	after, err := os.ReadFile("/proc/" + pid + "/cmdline")
	return after, environ, err == nil && bytes.Equal(before, after)
}

func (w *processWatcher) judge(cmdline, environ []byte) {
	name := w.secret.ReplaceAllString(strings.ReplaceAll(string(cmdline), "\x00", " "), "SECRET")
	if w.secret.Match(cmdline) {
		w.leaks = append(w.leaks, "on a command line: "+name)
	}
	if w.secret.Match(environ) && !bytes.Contains(environ, []byte(child)) && !bytes.Contains(cmdline, []byte(child)) {
		w.leaks = append(w.leaks, "in the environment of: "+name)
	}
}
