package s3

import (
	"net"
	"time"
)

// SetMaxCopy makes the store copy larger objects in several requests.
func (s *Store) SetMaxCopy(bytes int64) { s.maxCopy = bytes }

// NewStallingConn returns a connection that fails if nothing moves for the limit.
func NewStallingConn(c net.Conn, limit time.Duration) net.Conn { return stallingConn{c, limit} }

// NewRetryer returns the retries of every request.
var NewRetryer = newRetryer
