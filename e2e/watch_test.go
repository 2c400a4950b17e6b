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
		environ, err := os.ReadFile("/proc/" + p.Name() + "/environ")
		if err != nil || !bytes.Contains(environ, []byte(w.mark)) {
			continue
		}
		cmdline, err := os.ReadFile("/proc/" + p.Name() + "/cmdline")
		if err != nil || known[p.Name()+string(cmdline)] {
			continue
		}
		known[p.Name()+string(cmdline)] = true
		w.judge(cmdline, environ)
	}
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
