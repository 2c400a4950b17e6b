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
	// margin is how long before its expiry a token is no longer returned, so that a
	// returned token can still be used.
	margin = time.Minute
	// retryAfter is the wait after a failed renewal of a valid token.
	retryAfter = time.Minute
	// callTimeout bounds a call for a first token, including the SDK's retries.
	callTimeout = time.Minute
	// renewTimeout bounds a renewal that a caller with a valid token waits for.
	renewTimeout = 10 * time.Second
	// lockTimeout bounds the wait for another process. A process that was stopped
	// while it held the lock must not stop all others.
	lockTimeout = 30 * time.Second
)

// A Source returns tokens. It is safe for use by many goroutines.
type Source struct {
	credentials aws.CredentialsProvider // nil if the configuration has none
	region      string
	scope       scope
	fetch       fetchFunc
	cache       *cache // nil: in memory only
	now         func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	who    [3]string // the credentials from which whose was derived
	whose  key
	key    key   // identifies the caller whose token is held
	held   entry // the zero entry is never usable
}

type fetchFunc func(context.Context, aws.CredentialsProvider) (Token, error)

func newSource(cfg aws.Config, o *options, s scope, fetch fetchFunc) *Source {
	source := &Source{credentials: cfg.Credentials, region: cfg.Region, scope: s, fetch: fetch, now: o.now}
	if o.cacheDir != "" {
		source.cache = &cache{dir: o.cacheDir, now: o.now}
	}
	return source
}

// Token returns a token that is valid for at least a minute.
//
// Errors are the SDK's: for CodeArtifact the modelled exceptions of
// codeartifact/types, for ECR those of ecr/types and smithy.APIError; a
// [*CredentialsError] if there are no credentials and an
// [*aws.MissingRegionError] if there is no region. As long as a token is valid, a
// failed renewal is not an error.
func (s *Source) Token(ctx context.Context) (Token, error) {
	c, k, err := s.caller(ctx)
	if err != nil {
		return Token{}, err
	}
	if e := s.inMemory(k); e.fresh(s.now()) {
		return e.Token, nil
	}
	// Others may wait for the call, so it does not end with the caller who began it.
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

// Forget drops the cached token, so that the next call fetches a new one. Use it if
// the service refuses the token before it expires.
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

// Cached returns the cached token for the caller without asking for a new one; ok is
// false if there is none that [Source.Token] would return. The errors are those of
// Token about the caller's credentials.
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

// caller returns the caller's credentials and the key of their cached token.
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

// keyOf is newKey, which is the slowest step, computed once for the same
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

// renew returns a fresh token. It makes a call unless another process was first.
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

// renewAhead renews a token that is still valid. It returns the old one if another
// process is renewing it, or if the renewal fails.
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

// call asks the service with the credentials c and caches the answer.
func (s *Source) call(ctx context.Context, c aws.Credentials, k key) (entry, error) {
	t, err := s.fetch(ctx, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil }))
	if err != nil {
		return entry{}, err
	}
	now := s.now()
	life := t.Expires.Sub(now)
	// At 40 to 60 percent of its life, so that processes which started together do
	// not renew together.
	e := entry{Token: t, Refresh: now.Add(life / 1000 * time.Duration(400+rand.IntN(201)))}
	s.keep(k, e)
	return e, nil
}

// keep caches an entry. If the file cannot be written, the next process makes a call
// of its own.
func (s *Source) keep(k key, e entry) {
	s.mu.Lock()
	s.key, s.held = k, e
	s.mu.Unlock()
	s.cache.write(k, e)
}

// newest is the entry for k that expires last, in memory or in the file.
func (s *Source) newest(k key) entry {
	e := s.inMemory(k)
	cached := s.cache.read(k)
	if !cached.newer(e) {
		return e
	}
	s.mu.Lock()
	s.key, s.held = k, cached
	s.mu.Unlock()
	return cached
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

// newer reports whether e was fetched, or its renewal put off, after the other.
func (e entry) newer(than entry) bool {
	if !e.Token.Expires.Equal(than.Token.Expires) {
		return e.Token.Expires.After(than.Token.Expires)
	}
	return e.Refresh.After(than.Refresh)
}
