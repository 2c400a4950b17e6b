package postgres

import (
	"net"
	"time"
)

// peerTimeout is how long a host that does not answer any more keeps a connection.
const peerTimeout = 20 * time.Second

// dialer finds out within [peerTimeout] that a host has gone, which the operating
// system would not for hours.
var dialer = &net.Dialer{
	Control:         setUserTimeout,
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 2},
}
