package asynclog_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/asynclog"
)

func TestWriter_EveryLineArrivesWhole(t *testing.T) {
	var out bytes.Buffer
	w := asynclog.New(&out)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				if _, err := fmt.Fprintf(w, "%d-%d\n", g, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		seen[line] = true
	}
	if len(seen) != 8*500 {
		t.Fatalf("%d different lines, want %d", len(seen), 8*500)
	}
	if _, err := w.Write([]byte("late\n")); !errors.Is(err, asynclog.ErrClosed) {
		t.Fatalf("a write after Close: %v", err)
	}
}

type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.release; return len(p), nil }

func TestWriter_SlowDiskHoldsCallersBack(t *testing.T) {
	s := stuck{make(chan struct{})}
	w := asynclog.New(s)
	line := bytes.Repeat([]byte("x"), 1<<19)
	wrote := make(chan int)
	go func() {
		defer close(wrote)
		for i := range 8 {
			if _, err := w.Write(line); err != nil {
				t.Error(err)
			}
			wrote <- i
		}
	}()
	for range 4 { // one is being written, and a little over a mebibyte waits
		<-wrote
	}
	close(s.release)
	for range wrote {
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// A disk takes a number of bytes and is then full, as the operating system reports
// it: the write before the failure may be short.
type disk struct {
	mu   sync.Mutex
	room int
	text bytes.Buffer
}

var errFull = errors.New("no space left")

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(p), d.room)
	d.room -= n
	d.text.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func (d *disk) free(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += n
}

func TestWriter_FullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 5}
		w := asynclog.New(d)
		write := func(line string) {
			t.Helper()
			if _, err := w.Write([]byte(line)); err != nil {
				t.Error(err)
			}
		}
		write("one\n")
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		write("two\n")
		if err := w.Flush(); !errors.Is(err, errFull) || !errors.Is(w.Err(), errFull) {
			t.Errorf("Flush = %v, Err = %v, want that of the disk", err, w.Err())
		}
		time.Sleep(time.Hour)
		write("three\n") // waits in memory
		if bytes, oldest := w.Lag(); bytes != 3+6 || oldest < time.Hour {
			t.Errorf("Lag = %d, %v", bytes, oldest)
		}
		d.free(100)
		time.Sleep(3 * time.Second)
		if err := w.Err(); err != nil {
			t.Errorf("Err = %v after space was freed", err)
		}
		write("four\n")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if got, want := d.text.String(), "one\ntwo\nthree\nfour\n"; got != want {
			t.Errorf("the file holds %q, want %q", got, want)
		}
	})
}

// A caller must not wait for a disk that fails: it would never answer.
func TestWriter_FullDiskBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		w := asynclog.New(d)
		line := append(bytes.Repeat([]byte("x"), 1<<18), '\n')
		accepted, refused := 0, 0
		for range 20 {
			_, err := w.Write(line)
			switch {
			case err == nil:
				accepted++
			case errors.Is(err, asynclog.ErrBacklog) && errors.Is(err, errFull):
				refused++
			default:
				t.Errorf("err = %v, want ErrBacklog", err)
			}
			synctest.Wait()
		}
		if refused == 0 || accepted < 4 {
			t.Errorf("%d accepted, %d refused", accepted, refused)
		}
		d.free(1 << 30)
		time.Sleep(3 * time.Second)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if got := bytes.Count(d.text.Bytes(), []byte("\n")); got != accepted {
			t.Errorf("%d lines were written, want the %d that were accepted", got, accepted)
		}
	})
}

func TestClose_FullDisk(t *testing.T) {
	w := asynclog.New(&disk{room: 2})
	if _, err := w.Write([]byte("line\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close = %v, want that of the disk", err)
	}
}

// A counter counts writes and the lines in them.
type counter struct{ writes, lines int }

func (c *counter) Write(p []byte) (int, error) {
	c.writes++
	c.lines += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

// Under load lines share a write. A line that comes alone does not wait for others.
func TestWriter_LinesShareWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out counter
		w := asynclog.New(&out)
		defer w.Close()
		for range 1000 {
			fmt.Fprintln(w, "line")
			time.Sleep(10 * time.Microsecond)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.lines != 1000 || out.writes > 10 {
			t.Errorf("%d lines in %d writes", out.lines, out.writes)
		}
		time.Sleep(time.Second)
		began, before := time.Now(), out.lines
		fmt.Fprintln(w, "line")
		synctest.Wait()
		if out.lines != before+1 || time.Since(began) > 0 {
			t.Errorf("%d lines are written %v after a single one", out.lines-before, time.Since(began))
		}
	})
}
