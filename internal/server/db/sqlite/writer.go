package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// maxGroup is how many transactions share a commit at most. The first one waits
// until the last one has run.
const maxGroup = 32

// A writer runs transactions on its one connection, one after the other.
//
// Nearly the whole cost of a small transaction is the sync at its commit.
// Therefore transactions that arrive during a commit share the next one. The
// first of them is the leader: it begins the transaction, runs its own function,
// lets the others (the followers) run in turn, and commits. Only then do all of
// them return. A follower runs inside a savepoint and on its own goroutine, so
// its error or panic affects no other transaction. If no transaction waits,
// there is no savepoint and no delay.
//
// A follower sees what the earlier ones of its group wrote, and may have based a
// decision on it, even a refusal. Therefore, if the commit fails, all of the
// group fail with the commit's error.
type writer struct {
	pool    *sql.DB
	metrics *metrics

	mu      sync.Mutex
	led     bool // a leader is running
	waiting []*follower
	conn    *connection // nil before the first transaction, and after Close
	closed  bool
}

// A follower is a transaction that waits for its turn.
type follower struct {
	turn    chan *connection // the group's connection; nil makes it the leader
	ran     chan error       // it has run; an error means that it ended the group's transaction
	outcome chan error       // of the group's commit
}

func newFollower() *follower {
	return &follower{make(chan *connection, 1), make(chan error, 1), make(chan error, 1)}
}

// tx runs fn in a transaction.
func (w *writer) tx(ctx context.Context, fn func(db.Conn) error) error {
	f, c, err := w.enter(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if c == nil {
		return w.lead(ctx, fn)
	}
	return f.follow(c, fn)
}

// enter waits for the caller's turn and returns its group's connection. If the
// connection is nil, the caller is the leader and must call leave.
func (w *writer) enter(ctx context.Context) (*follower, *connection, error) {
	w.mu.Lock()
	if !w.led {
		w.led = true
		w.mu.Unlock()
		return nil, nil, nil
	}
	f := newFollower()
	w.waiting = append(w.waiting, f)
	w.mu.Unlock()
	select {
	case c := <-f.turn:
		return f, c, nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	if i := slices.Index(w.waiting, f); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
		w.mu.Unlock()
		return nil, nil, ctx.Err()
	}
	w.mu.Unlock()
	return f, <-f.turn, nil // the leader has called it already and waits for it
}

// leave makes the next waiting transaction the leader.
func (w *writer) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		w.led = false
		return
	}
	w.waiting[0].turn <- nil
	w.waiting = slices.Delete(w.waiting, 0, 1)
}

// gather takes the waiting transactions into the caller's group.
func (w *writer) gather() []*follower {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.waiting), maxGroup-1)
	group := slices.Clone(w.waiting[:n])
	w.waiting = slices.Delete(w.waiting, 0, n)
	return group
}

// lead runs fn and then the waiting transactions, and commits.
func (w *writer) lead(ctx context.Context, fn func(db.Conn) error) error {
	defer w.leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	c, err := w.begin()
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	open := true
	rollback := func() {
		if open = false; c.exec(`ROLLBACK`) != nil {
			w.drop(c) // which ends the transaction too
		}
	}
	defer func() { // also if fn panics
		if open {
			rollback()
		}
	}()
	if err := fn(c); err != nil {
		return err
	}
	group, err := w.call(c, w.gather())
	if err == nil {
		began := time.Now()
		err = c.exec(`COMMIT`)
		w.metrics.commit.Observe(time.Since(began).Seconds())
		w.metrics.group.Observe(float64(len(group) + 1))
	}
	if open = err != nil; open {
		err = fmt.Errorf("commit: %w", err)
		rollback()
	}
	for _, f := range group {
		f.outcome <- err
	}
	return err
}

// call lets the followers run one after the other and returns those that ran.
// If one of them ends the group's transaction, the rest go back to the queue.
func (w *writer) call(c *connection, group []*follower) ([]*follower, error) {
	for i, f := range group {
		f.turn <- c
		if err := <-f.ran; err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.waiting = slices.Insert(w.waiting, 0, group[i+1:]...)
			return group[:i+1], err
		}
	}
	return group, nil
}

// follow runs fn as a part of the group's transaction and waits for its end.
func (f *follower) follow(c *connection, fn func(db.Conn) error) error {
	err := f.inSavepoint(c, fn)
	if failed := <-f.outcome; failed != nil {
		return failed
	}
	return err
}

// inSavepoint runs fn and returns the turn to the leader. If fn fails or
// panics, its writes are undone.
func (f *follower) inSavepoint(c *connection, fn func(db.Conn) error) (err error) {
	kept := false
	defer func() {
		var ended error
		if !kept {
			if e := c.exec(`ROLLBACK TO follower`, `RELEASE follower`); e != nil {
				if full(err) { // for all of them
					f.ran <- fmt.Errorf("the transaction ended: %w", err)
					return
				}
				// The cause is not wrapped: it is not the other followers' error.
				ended = fmt.Errorf("another transaction of the same commit failed (%v) and ended it: %w", err, e)
			}
		}
		f.ran <- ended
	}()
	if err = c.exec(`SAVEPOINT follower`); err != nil {
		return err
	}
	if err = fn(c); err != nil {
		return err
	}
	err = c.exec(`RELEASE follower`)
	kept = err == nil
	return err
}

// begin returns the connection with a transaction begun.
func (w *writer) begin() (*connection, error) {
	c, err := w.connect()
	if err != nil {
		return nil, err
	}
	if err := c.exec(`BEGIN IMMEDIATE`); err != nil {
		w.drop(c)
		return nil, err
	}
	return c, nil
}

// connect returns the connection, and opens it if there is none.
func (w *writer) connect() (*connection, error) {
	w.mu.Lock()
	c := w.conn
	w.mu.Unlock()
	if c != nil {
		return c, nil
	}
	conn, err := w.pool.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errors.Join(sql.ErrConnDone, conn.Close())
	}
	w.conn = &connection{conn, map[string]*sql.Stmt{}}
	return w.conn, nil
}

// drop closes a connection whose state is unknown.
func (w *writer) drop(c *connection) {
	w.mu.Lock()
	w.conn = nil
	w.mu.Unlock()
	_ = c.Raw(func(any) error { return driver.ErrBadConn }) // closes it
}

// Close closes the connection, even if a transaction runs on it. Otherwise it
// moves the write-ahead log into the database first.
func (w *writer) Close() error {
	w.mu.Lock()
	c, idle := w.conn, !w.led
	w.conn, w.closed = nil, true
	w.mu.Unlock()
	var errs []error
	if c != nil && idle {
		errs = append(errs, c.checkpoint())
	}
	if c != nil {
		for query, s := range c.statements {
			delete(c.statements, query)
			errs = append(errs, s.Close())
		}
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, w.pool.Close())...)
}

// checkpoint moves the write-ahead log into the database, between transactions.
func (w *writer) checkpoint() error {
	if _, _, err := w.enterAsLeader(); err != nil {
		return err
	}
	defer w.leave()
	c, err := w.connect()
	if err != nil {
		return err
	}
	return c.checkpoint()
}

// enterAsLeader waits until no transaction runs and keeps others from running
// until leave is called.
func (w *writer) enterAsLeader() (*follower, *connection, error) {
	for {
		f, c, err := w.enter(context.Background())
		if err != nil || c == nil {
			return f, c, err
		}
		f.ran <- nil // it was called into a group: let the group go on, and wait again
		<-f.outcome
	}
}

// A connection is the connection for writing with its prepared statements. Only
// the transaction that has the turn uses it.
type connection struct {
	*sql.Conn
	statements map[string]*sql.Stmt // by the query as written
}

// prepare returns the statement of query, prepared once.
func (c *connection) prepare(query string) (*sql.Stmt, error) {
	if s := c.statements[query]; s != nil {
		return s, nil
	}
	s, err := c.PrepareContext(context.Background(), rewrite(query))
	if err != nil {
		return nil, err
	}
	c.statements[query] = s
	return s, nil
}

// checkpoint moves the write-ahead log into the database and empties it. A reader
// may keep a part of the log in use, and then it stays: that is not an error.
func (c *connection) checkpoint() error {
	rows, err := c.QueryContext(context.Background(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	for rows.Next() { // the one row says how much was moved
	}
	return errors.Join(rows.Err(), rows.Close())
}

// exec runs statements that have no parameters.
func (c *connection) exec(queries ...string) error {
	for _, q := range queries {
		s, err := c.prepare(q)
		if err != nil {
			return err
		}
		if _, err := s.ExecContext(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// The statements of a transaction do not end with the caller's context: SQLite
// would end the whole transaction, and others may share its commit.

// Query implements [db.Conn].
func (c *connection) Query(ctx context.Context, query string, args []any) (db.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	if len(query) > maxPrepared {
		return rowsOf(c.QueryContext(ctx, rewrite(query), args...))
	}
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	return rowsOf(s.QueryContext(ctx, args...))
}

// Exec implements [db.Conn].
func (c *connection) Exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	ctx = context.WithoutCancel(ctx)
	if len(query) > maxPrepared {
		return c.ExecContext(ctx, rewrite(query), args...)
	}
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// Script implements [db.Conn].
func (c *connection) Script(ctx context.Context, statements string) error {
	_, err := c.ExecContext(context.WithoutCancel(ctx), statements)
	return err
}
