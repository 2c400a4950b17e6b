package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/sdnotify"
)

// newSupervisor returns a supervision, and a function that receives the next message.
func newSupervisor(t *testing.T, watchdog time.Duration) (*supervision, func() string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	receive := func() string {
		t.Helper()
		message := make([]byte, 1<<10)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		return string(message[:n])
	}
	return &supervision{notifier: sdnotify.New(socket, watchdog), log: slog.New(slog.DiscardHandler)}, receive
}

// TestSupervision_ReadyWhenReady checks that the supervisor hears of a server only when
// it is ready, also if it reloads before that.
func TestSupervision_ReadyWhenReady(t *testing.T) {
	s, receive := newSupervisor(t, 20*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	checks := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(ctx, func(context.Context) error {
			if checks++; checks == 4 {
				return nil
			}
			if err := s.reload(func() error { return nil }); err != nil {
				t.Error(err)
			}
			return errors.New("not ready")
		}, "serving")
	}()
	if got := receive(); got != "READY=1\nSTATUS=serving" || checks != 4 {
		t.Errorf("after %d checks: %q", checks, got)
	}
	for range 3 {
		if got := receive(); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	cancel()
	<-done
}

// TestSupervision_ReloadAndStop checks the messages of a ready server, and that nothing
// claims that a stopping server is ready.
func TestSupervision_ReloadAndStop(t *testing.T) {
	s, receive := newSupervisor(t, 0)
	s.started("serving")
	receive()
	if err := s.reload(func() error { return errors.New("a mistake") }); err == nil {
		t.Error("the error of the reload is lost")
	}
	if got := receive(); !strings.HasPrefix(got, "RELOADING=1\n") {
		t.Errorf("%q", got)
	}
	if got := receive(); got != "READY=1\nSTATUS=the configuration was not reloaded: a mistake" {
		t.Errorf("%q", got)
	}
	s.stop(time.Minute)
	if got := receive(); !strings.HasPrefix(got, "STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000\n") {
		t.Errorf("%q", got)
	}
	s.started("serving")
	if err := s.reload(func() error { return nil }); err != nil {
		t.Error(err)
	}
	s.send("LAST=1")
	if got := receive(); got != "LAST=1" {
		t.Errorf("a server that stops said %q", got)
	}
}
