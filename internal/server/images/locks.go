package images

import (
	"context"
	"sync"
)

// keyedLocks has a lock for each key that is in use.
type keyedLocks struct {
	mu   sync.Mutex
	keys map[string]*keyedLock
}

type keyedLock struct {
	held  chan struct{} // has one element while the lock is held
	users int           // number of goroutines that hold it or wait for it
}

// lock waits for the lock of key until ctx ends. waited is true if it was not free.
func (l *keyedLocks) lock(ctx context.Context, key string) (unlock func(), waited bool, err error) {
	if unlock, ok := l.try(key); ok {
		return unlock, false, nil
	}
	k := l.join(key)
	select {
	case k.held <- struct{}{}:
		return func() { <-k.held; l.leave(key, k) }, true, nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, true, ctx.Err()
	}
}

// try takes the lock of key if it is free.
func (l *keyedLocks) try(key string) (unlock func(), ok bool) {
	k := l.join(key)
	select {
	case k.held <- struct{}{}:
		return func() { <-k.held; l.leave(key, k) }, true
	default:
		l.leave(key, k)
		return nil, false
	}
}

func (l *keyedLocks) join(key string) *keyedLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = make(map[string]*keyedLock)
	}
	k := l.keys[key]
	if k == nil {
		k = &keyedLock{held: make(chan struct{}, 1)}
		l.keys[key] = k
	}
	k.users++
	return k
}

func (l *keyedLocks) leave(key string, k *keyedLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.keys, key)
	}
}
