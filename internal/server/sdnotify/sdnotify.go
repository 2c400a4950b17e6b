// Package sdnotify tells systemd what the process is doing: that it is ready, reloads,
// stops, and is alive. It implements the client side of sd_notify(3), and of
// sd_watchdog_enabled(3). Other supervisors speak the same protocol.
//
// [FromEnvironment] finds the supervisor of this process. A nil [*Notifier]
// sends nothing.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The states of a service. [Notifier.Send] takes any number of them, and assignments
// such as "STATUS=text".
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Reloading returns the state of a service that has begun to reload. It must be followed
// by [Ready] when that has ended. Some versions of systemd need the time of it.
func Reloading() string {
	if usec, ok := monotonicMicroseconds(); ok {
		return "RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(usec, 10)
	}
	return "RELOADING=1"
}

// Status returns an assignment of a line that "systemctl status" shows.
func Status(text string) string {
	return "STATUS=" + strings.ReplaceAll(text, "\n", " ")
}

// ExtendTimeout returns an assignment that makes the supervisor wait longer for a stop.
func ExtendTimeout(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}

// A Notifier sends states to a supervisor. Its methods may be called on nil, and by
// several goroutines.
type Notifier struct {
	address  *net.UnixAddr
	watchdog time.Duration
}

// New returns a notifier that sends to the socket, a path or "@" and an abstract name.
// watchdog is the time after which a silent service is restarted, or 0.
func New(socket string, watchdog time.Duration) *Notifier {
	return &Notifier{address: &net.UnixAddr{Name: socket, Net: "unixgram"}, watchdog: watchdog}
}

// FromEnvironment returns the notifier that the supervisor set up with NOTIFY_SOCKET,
// WATCHDOG_USEC and WATCHDOG_PID. It returns nil if the program was started without a
// supervisor.
func FromEnvironment() (*Notifier, error) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil
	}
	if socket[0] != '/' && socket[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %q is not the address of a Unix socket", socket)
	}
	var watchdog time.Duration
	if usec := os.Getenv("WATCHDOG_USEC"); usec != "" && isForThisProcess(os.Getenv("WATCHDOG_PID")) {
		n, err := strconv.ParseInt(usec, 10, 64)
		if err != nil || n <= 0 || n > int64(1<<62)/int64(time.Microsecond) {
			return nil, fmt.Errorf("WATCHDOG_USEC: %q is not a time in microseconds", usec)
		}
		watchdog = time.Duration(n) * time.Microsecond
	}
	return New(socket, watchdog), nil
}

func isForThisProcess(pid string) bool { return pid == "" || pid == strconv.Itoa(os.Getpid()) }

// WatchdogInterval is how often to send [Alive]: half of the time that the supervisor
// waits, as it recommends. 0 means never.
func (n *Notifier) WatchdogInterval() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog / 2
}

// Send sends states in one message.
func (n *Notifier) Send(states ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, n.address)
	if err != nil {
		return fmt.Errorf("notify the supervisor: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("notify the supervisor: %w", err)
	}
	return nil
}
