package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// The codes of PostgreSQL's errors:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	notInRepertoire      = "22021" // a NUL byte, or not UTF-8
	diskFull             = "53100"
	noResources          = "53"    // a class: memory, connections, limits of the server
	systemError          = "58"    // a class: the server cannot read or write its files
	readOnly             = "25006" // a standby, or a primary that was demoted
	unsupported          = "0A000" // of what this program does, only a standby does not support all
	queryCanceled        = "57014" // by statement_timeout: the caller's cancellation is context.Canceled
	lockNotAvailable     = "55P03" // by lock_timeout
	idleInTransaction    = "25P03"
	connectionException  = "08"   // a class
	shutdown             = "57P0" // by an administrator, by a crash, or it is starting
)

// code returns the code of a server's error, or "".
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Retry implements [db.Backend]. The server has rolled a transaction back that
// conflicts with another, and one whose connection was lost before its commit. A
// connection that cannot be made is not tried again: that takes too long.
func (b *backend) Retry(err error) bool {
	if errors.Is(err, db.ErrUnclearCommit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var unreachable *pgconn.ConnectError
	return b.Conflict(err) || lost(err) && !errors.As(err, &unreachable)
}

// Conflict implements [db.Backend].
func (*backend) Conflict(err error) bool {
	c := code(err)
	return c == serializationFailure || c == deadlockDetected
}

// Unique implements [db.Backend].
func (*backend) Unique(err error) bool { return code(err) == uniqueViolation }

// Full implements [db.Backend].
func (*backend) Full(err error) bool { return code(err) == diskFull }

// Unstorable implements [db.Backend].
func (*backend) Unstorable(err error) bool { return code(err) == notInRepertoire }

// Unavailable implements [db.Backend].
func (*backend) Unavailable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	switch code(err) {
	case queryCanceled, lockNotAvailable, idleInTransaction:
		return true
	}
	if c := code(err); strings.HasPrefix(c, noResources) || strings.HasPrefix(c, systemError) || demoted(err) {
		return true
	}
	return errors.Is(err, db.ErrUnclearCommit) || errors.Is(err, context.DeadlineExceeded) || lost(err)
}

// demoted reports whether the server takes no changes, because another one has taken over.
func demoted(err error) bool { return code(err) == readOnly || code(err) == unsupported }

// lost reports whether there is no connection to the server, or no longer.
func lost(err error) bool {
	if c := code(err); strings.HasPrefix(c, connectionException) || strings.HasPrefix(c, shutdown) {
		return true
	}
	var unreachable *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &unreachable) || errors.As(err, &network) || pgconn.SafeToRetry(err) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
