package sdnotify_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/sdnotify"
)

// listen opens a supervisor's socket and returns a function that receives a message.
func listen(t *testing.T, address string) func() string {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func() string {
		t.Helper()
		message := make([]byte, 1<<10)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		return string(message[:n])
	}
}

func TestNotifier_Send(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "notify"), "@gatehouse-sdnotify-" + strconv.Itoa(os.Getpid())} {
		receive := listen(t, address)
		t.Setenv("NOTIFY_SOCKET", address)
		n, err := sdnotify.FromEnvironment()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			states []string
			want   string // a pattern
		}{
			{[]string{sdnotify.Ready, sdnotify.Status("two\nlines")}, `READY=1\nSTATUS=two lines`},
			{[]string{sdnotify.Stopping, sdnotify.ExtendTimeout(90 * time.Second)}, `STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000`},
			{[]string{sdnotify.Reloading()}, `RELOADING=1\nMONOTONIC_USEC=[0-9]+`},
		} {
			if err := n.Send(c.states...); err != nil {
				t.Fatal(err)
			}
			if got := receive(); !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
				t.Errorf("%q", got)
			}
		}
	}
}

func TestFromEnvironment_Watchdog(t *testing.T) {
	for _, c := range []struct {
		socket, usec, pid string
		want              time.Duration
		valid             bool
	}{
		{"", "1000000", "", 0, true},
		{"/run/notify", "", "", 0, true},
		{"/run/notify", "3000000", "", 1500 * time.Millisecond, true},
		{"/run/notify", "3000000", strconv.Itoa(os.Getpid()), 1500 * time.Millisecond, true},
		{"/run/notify", "3000000", strconv.Itoa(os.Getpid() + 1), 0, true},
		{"/run/notify", "soon", "", 0, false},
		{"/run/notify", "0", "", 0, false},
		{"notify", "", "", 0, false},
	} {
		t.Setenv("NOTIFY_SOCKET", c.socket)
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		n, err := sdnotify.FromEnvironment()
		if (err == nil) != c.valid || err == nil && n.WatchdogInterval() != c.want {
			t.Errorf("%+v: %v, %v", c, n.WatchdogInterval(), err)
		}
	}
}

func TestNotifier_Nil(t *testing.T) {
	var n *sdnotify.Notifier
	if err := n.Send(sdnotify.Ready); err != nil || n.WatchdogInterval() != 0 {
		t.Error(err)
	}
	if err := sdnotify.New(filepath.Join(t.TempDir(), "none"), 0).Send(sdnotify.Ready); err == nil {
		t.Error("a message to a socket that does not exist was sent")
	}
}
