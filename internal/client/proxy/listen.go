package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

// Listen listens on a loopback address, such as 127.0.0.1:0 for any free port. It
// refuses every other address, which would open the endpoints to the network.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is not HOST:PORT, such as 127.0.0.1:0", address)
	}
	if !loopback.Is(host) {
		return nil, fmt.Errorf("%q is not on the loopback: the proxy serves this machine only, at 127.0.0.1 or [::1]", address)
	}
	if host == "localhost" { // whatever a hosts file says about it
		host = "127.0.0.1"
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
}

// A samePeerListener accepts connections from processes of the same user and of the
// administrator only.
type samePeerListener struct {
	net.Listener
	samePeer func(net.Conn) error
	log      *slog.Logger
}

// Accept implements net.Listener.
func (l samePeerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := l.samePeer(c); err != nil {
			l.log.Warn("connection refused", "from", c.RemoteAddr().String(), "reason", err.Error())
			_ = c.Close() // nothing was sent yet
			continue
		}
		return c, nil
	}
}
