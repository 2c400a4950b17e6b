package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSupervisor_Notifications runs the program as systemd does with Type=notify, and
// checks what it says and when.
func TestSupervisor_Notifications(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "notify")
	supervisor, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer supervisor.Close()
	receive := func(want string) string {
		t.Helper()
		message := make([]byte, 1<<10)
		for {
			supervisor.SetReadDeadline(time.Now().Add(waitTimeout))
			n, err := supervisor.Read(message)
			if err != nil {
				t.Fatalf("while waiting for %s: %v", want, err)
			}
			got := string(message[:n])
			if strings.HasPrefix(got, want) {
				return got
			}
			if got != "WATCHDOG=1" {
				t.Fatalf("%q, want %s", got, want)
			}
		}
	}
	file := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(file, []byte("drain_delay: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "200000")
	p := startProcess(t, filepath.Join(dir, "data"), "--config", file)
	ready := func() int {
		t.Helper()
		res, err := http.Get(p.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}

	if got := receive("READY=1"); got != "READY=1\nSTATUS=serving at "+p.url {
		t.Errorf("%q", got)
	}
	if status := ready(); status != http.StatusOK {
		t.Errorf("/readyz answers %d after READY=1", status)
	}
	receive("WATCHDOG=1")
	p.cmd.Process.Signal(syscall.SIGHUP)
	if got := receive("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("%q", got)
	}
	receive("READY=1\nSTATUS=the configuration was reloaded")
	if err := os.WriteFile(file, []byte("drain_delay: soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	receive("RELOADING=1")
	receive("READY=1\nSTATUS=the configuration was not reloaded: ")
	p.cmd.Process.Signal(syscall.SIGTERM)
	receive("STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000\n")
	if status := ready(); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d after STOPPING=1", status)
	}
	if err := p.wait(); err != nil {
		t.Error(err)
	}
}
