package authtoken

import "time"

// An Option changes what a source asks for, or where it caches tokens.
type Option func(*options)

type options struct {
	domainOwner string
	registryID  string
	duration    *int64 // seconds
	cacheDir    string
	now         func() time.Time
}

// DomainOwner is the 12-digit account that owns the CodeArtifact domain, if it is not
// the caller's own account. ECR ignores it.
func DomainOwner(account string) Option { return func(o *options) { o.domainOwner = account } }

// RegistryID is the 12-digit account whose registry address ECR answers with, if it
// is not the caller's own account. The token is the same and opens every registry
// that the caller may reach. CodeArtifact ignores it.
func RegistryID(account string) Option { return func(o *options) { o.registryID = account } }

// Duration is how long a CodeArtifact token lives: 15 minutes to 12 hours in whole
// seconds, or 0 for as long as the caller's temporary credentials. Without it a
// token lives for 12 hours. ECR's tokens always live for 12 hours.
func Duration(d time.Duration) Option {
	seconds := int64(d / time.Second)
	return func(o *options) { o.duration = &seconds }
}

// CacheDir caches tokens in another folder than [os.UserCacheDir]/gatehouse. The
// folder is created with mode 0700 when the first token is cached.
func CacheDir(dir string) Option { return func(o *options) { o.cacheDir = dir } }

// InMemory caches tokens in memory only.
func InMemory() Option { return func(o *options) { o.cacheDir = "" } }

// Clock replaces the clock by which tokens expire, for tests. Requests are still
// signed with the machine's time, which the SDK corrects by the Date of the answer
// to a request that was refused for its time.
func Clock(now func() time.Time) Option { return func(o *options) { o.now = now } }
