// Package idletimeout ends exchanges in which nothing moves any more, or so
// little that the peer keeps them open on purpose. An exchange as a
// whole may take any time: layers are large and networks are slow.
//
// A peer has an allowance of [Limits.Idle]. Time in which the server waits for
// the peer is taken from it; each byte that moves gives 1/[Limits.MinRate] seconds
// back, up to Idle. Time that the server itself needs does not count. So a peer
// that stops is disconnected after Idle, and one that stays below MinRate soon after.
//
// It takes two halves, and a server needs both:
//
//   - [Listen] bounds writing to a connection, of any protocol, including what
//     net/http writes when a handler has returned.
//   - [Handler] bounds reading the bodies of requests and, in HTTP/2, writing to a
//     stream whose client opens no window for it. It also reads what a handler left
//     of a body, so that a client which sends before it reads gets its answer.
//
// http.Server's ReadHeaderTimeout and IdleTimeout bound the headers and idle
// connections. [WithCancel] is for exchanges with an upstream, which end
// by their context.
package idletimeout

import "time"

// Limits say how slow a peer may be.
type Limits struct {
	// Idle is how long nothing may move. It must be more than zero.
	Idle time.Duration
	// MinRate is how many bytes a second must move on average while the peer is
	// waited for. 0 means that any progress is enough.
	MinRate int64
	// MaxDrain is how many bytes of a body are read that a handler left unread, so
	// that the client comes to read the answer. 0 means none.
	MaxDrain int64
	// DrainTime bounds the reading of MaxDrain as a whole. 0 means Idle.
	DrainTime time.Duration
}

// An allowance is how long a peer may still be waited for.
type allowance struct {
	limits Limits
	left   time.Duration
}

func newAllowance(l Limits) allowance { return allowance{limits: l, left: l.Idle} }

// account takes the time that was waited, and gives back what the bytes are worth.
func (a *allowance) account(waited time.Duration, bytes int64) {
	if a.limits.MinRate == 0 {
		if a.left -= waited; bytes > 0 {
			a.left = a.limits.Idle
		}
		return
	}
	const enough = 1 << 30 // bytes; more are worth no more, and could overflow
	earned := time.Duration(min(bytes, enough)) * time.Second / time.Duration(a.limits.MinRate)
	a.left = min(a.limits.Idle, a.left-waited+earned)
}
