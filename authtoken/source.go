package authtoken

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/singleflight"
)

const (
	// margin is how long before its expiry a token is no longer handed out: long
	// enough to be used.
	margin = time.Minute
	// retryAfter is how long a valid token is left alone when renewing it failed.
	retryAfter = time.Minute
	// callTimeout bounds a call for a first token, with the SDK's retries.
	callTimeout = time.Minute
	// renewTimeout bounds a call that somebody with a valid token waits for.
	renewTimeout = 10 * time.Second
	// lockTimeout is how long another process is waited for. One that was stopped
	// while it held the lock must not stop everybody else.
	lockTimeout = 30 * time.Second
)

// A Source hands out tokens. It is safe for use by many goroutines.
type Source struct {
	credentials aws.CredentialsProvider // nil where the configuration has none
	region      string
	scope       scope
	fetch       fetchFunc
	cache       *cache // nil: in memory alone
	now         func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	who    [3]string // the credentials that whose was derived from
	whose  key
	key    key   // whose token is held
	held   entry // the zero entry is usable at no time
}

type fetchFunc func(context.Context, aws.CredentialsProvider) (Token, error)

func newSource(cfg aws.Config, o *options, s scope, fetch fetchFunc) *Source {
	source := &Source{credentials: cfg.Credentials, region: cfg.Region, scope: s, fetch: fetch, now: o.now}
	if o.cacheDir != "" {
		source.cache = &cache{dir: o.cacheDir, now: o.now}
	}
	return source
}

// Token returns a token that is valid for at least a minute, or as long as the
// service makes them.
//
// Errors are the SDK's: for CodeArtifact the modelled exceptions of
// codeartifact/types, for ECR those of ecr/types and smithy.APIError; a
// [*CredentialsError] where there are no credentials and an
// [*aws.MissingRegionError] where there is no region. While a token is valid,
// failing to renew it is no error.
func (s *Source) Token(ctx context.Context) (Token, error) {
	c, k, err := s.caller(ctx)
	if err != nil {
		return Token{}, err
	}
	if e := s.inMemory(k); e.fresh(s.now()) {
		return e.Token, nil
	}
	// The call outlives the caller who happened to begin it.
	work := context.WithoutCancel(ctx)
	done := s.flight.DoChan(k.name, func() (any, error) { return s.renew(work, c, k) })
	select {
	case r := <-done:
		if r.Err != nil {
			return Token{}, r.Err
		}
		return r.Val.(entry).Token, nil
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
}

// Forget drops the token that is kept, so that the next call fetches a new one:
// for when the service refuses it before its time.
func (s *Source) Forget(ctx context.Context) error {
	_, k, err := s.caller(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.held = entry{}
	s.mu.Unlock()
	return s.cache.remove(k)
}

// Kept returns the token that is kept for the caller, and asks for none; ok is
// false where there is none that [Source.Token] would return. The errors are those
// of Token about the caller.
func (s *Source) Cached(ctx context.Context) (t Token, ok bool, err error) {
	_, k, err := s.caller(ctx)
	if err != nil {
		return Token{}, false, err
	}
	e := s.newest(k)
	if !e.usable(s.now()) {
		return Token{}, false, nil
	}
	return e.Token, true, nil
}

// caller is who asks, and the key of what is kept for them.
func (s *Source) caller(ctx context.Context) (aws.Credentials, key, error) {
	if s.region == "" {
		return aws.Credentials{}, key{}, &aws.MissingRegionError{}
	}
	if s.credentials == nil {
		return aws.Credentials{}, key{}, &CredentialsError{errors.New("the configuration names no source of credentials")}
	}
	c, err := s.credentials.Retrieve(ctx)
	if err == nil && !c.HasKeys() {
		err = errors.New("they are anonymous")
	}
	if known := (*CredentialsError)(nil); err != nil && !errors.As(err, &known) {
		err = &CredentialsError{err}
	}
	if err != nil {
		return aws.Credentials{}, key{}, err
	}
	k, err := s.keyOf(c)
	return c, k, err
}

// keyOf is newKey, which takes longer than all the rest, done once for the same
// credentials.
func (s *Source) keyOf(c aws.Credentials) (key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := [3]string{c.AccessKeyID, c.SecretAccessKey, c.SessionToken}
	if s.who == who {
		return s.whose, nil
	}
	k, err := newKey(c, s.scope)
	if err == nil {
		s.who, s.whose = who, k
	}
	return k, err
}

// renew returns a fresh token, by a call unless another process made it first.
func (s *Source) renew(ctx context.Context, c aws.Credentials, k key) (entry, error) {
	held := s.newest(k)
	if held.fresh(s.now()) {
		return held, nil
	}
	if held.usable(s.now()) {
		return s.renewAhead(ctx, c, k, held), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout+callTimeout)
	defer cancel()
	defer s.cache.lock(ctx, k)()
	if held := s.newest(k); held.usable(s.now()) { // another process was first
		return held, nil
	}
	return s.call(ctx, c, k)
}

// renewAhead renews a token that is still valid, and returns that one if
// another process is at it, or if it cannot be done now.
func (s *Source) renewAhead(ctx context.Context, c aws.Credentials, k key, held entry) entry {
	unlock, ok := s.cache.tryLock(k)
	if !ok {
		return held
	}
	defer unlock()
	if newer := s.newest(k); newer.fresh(s.now()) {
		return newer
	}
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	e, err := s.call(ctx, c, k)
	if err != nil {
		held.Refresh = s.now().Add(retryAfter)
		s.keep(k, held)
		return held
	}
	return e
}

// call asks the service, as c and as nobody else, and keeps the answer.
func (s *Source) call(ctx context.Context, c aws.Credentials, k key) (entry, error) {
	t, err := s.fetch(ctx, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil }))
	if err != nil {
		return entry{}, err
	}
	now := s.now()
	life := t.Expires.Sub(now)
	// At half of its life, give or take a tenth of it, so that what was started
	// together does not come back together.
	e := entry{Token: t, Refresh: now.Add(life / 1000 * time.Duration(400+rand.IntN(201)))}
	s.keep(k, e)
	return e, nil
}

// keep remembers an entry. A file that cannot be written costs the next process
// a call, and nothing else.
func (s *Source) keep(k key, e entry) {
	s.mu.Lock()
	s.key, s.held = k, e
	s.mu.Unlock()
	s.cache.write(k, e)
}

// newest is the entry for k that expires last, from memory or from the file.
func (s *Source) newest(k key) entry {
	e := s.inMemory(k)
	kept := s.cache.read(k)
	if !kept.newer(e) {
		return e
	}
	s.mu.Lock()
	s.key, s.held = k, kept
	s.mu.Unlock()
	return kept
}

func (s *Source) inMemory(k key) entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != k {
		return entry{}
	}
	return s.held
}

// An entry is a token and when to replace it.
type entry struct {
	Token   Token
	Refresh time.Time
}

func (e entry) usable(now time.Time) bool { return now.Before(e.Token.Expires.Add(-margin)) }
func (e entry) fresh(now time.Time) bool  { return e.usable(now) && now.Before(e.Refresh) }

// newer reports whether e was made, or put off, after the other.
func (e entry) newer(than entry) bool {
	if !e.Token.Expires.Equal(than.Token.Expires) {
		return e.Token.Expires.After(than.Token.Expires)
	}
	return e.Refresh.After(than.Refresh)
}
