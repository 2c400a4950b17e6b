package images

import (
	"context"
	"sync"
)

// keyedLocks is a lock for each key that is in use.
type keyedLocks struct {
	mu   sync.Mutex
	keys map[string]*keyedLock
}

type keyedLock struct {
	held  chan struct{} // has one element while the lock is held
	users int           // who hold it or wait for it
}

// lock waits for the lock of key, as long as ctx lasts.
func (l *keyedLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	if l.keys == nil {
		l.keys = make(map[string]*keyedLock)
	}
	k := l.keys[key]
	if k == nil {
		k = &keyedLock{held: make(chan struct{}, 1)}
		l.keys[key] = k
	}
	k.users++
	l.mu.Unlock()
	select {
	case k.held <- struct{}{}:
		return func() { <-k.held; l.leave(key, k) }, nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, ctx.Err()
	}
}

// busy reports whether somebody holds the lock of key or waits for it.
func (l *keyedLocks) busy(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys[key] != nil
}

func (l *keyedLocks) leave(key string, k *keyedLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.keys, key)
	}
}
