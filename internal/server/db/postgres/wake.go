package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// listenCheck is how often a connection that listens is tested.
	listenCheck = 15 * time.Second
	listenRetry = time.Second
	pingLimit   = 5 * time.Second
)

// channel is the name for NOTIFY, which is common to all schemas of a database.
func (b *backend) channel() string { return fmt.Sprintf("gatehouse_%x", b.hash()) }

// Wake implements [db.Backend].
func (b *backend) Wake(context.Context) {
	b.notifying.Do(func() { b.running.Go(b.notify) })
	offer(b.wake)
}

// notify sends what Wake asks for. It is not part of the transactions: NOTIFY in a
// transaction makes all of their commits wait for each other.
func (b *backend) notify() {
	for {
		select {
		case <-b.background.Done():
			return
		case <-b.wake:
		}
		ctx, cancel := context.WithTimeout(b.background, statementLimit)
		_, _ = b.pool.ExecContext(ctx, `SELECT pg_notify($1, '')`, b.channel())
		cancel()
	}
}

// Woken implements [db.Backend].
func (b *backend) Woken() <-chan struct{} {
	b.listening.Do(func() { b.running.Go(b.listen) })
	return b.woken
}

// listen receives until Close, on one connection after the other.
func (b *backend) listen() {
	for b.background.Err() == nil {
		_ = b.listenOnce()
		select {
		case <-b.background.Done():
		case <-time.After(listenRetry):
		}
	}
}

// listenOnce receives until its connection is lost.
func (b *backend) listenOnce() error {
	c, err := pgx.ConnectConfig(b.background, b.config)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), pingLimit)
		defer cancel()
		_ = c.Close(ctx)
	}()
	if _, err := c.Exec(b.background, `LISTEN `+b.channel()); err != nil {
		return err
	}
	offer(b.woken) // for what was sent before
	for {
		ctx, cancel := context.WithTimeout(b.background, listenCheck)
		_, err := c.WaitForNotification(ctx)
		cancel()
		if err == nil {
			offer(b.woken)
			continue
		}
		ctx, cancel = context.WithTimeout(b.background, pingLimit)
		err = c.Ping(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
}

// offer fills a channel that holds one value.
func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
