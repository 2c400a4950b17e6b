package authtoken

import "time"

// An Option changes what a source asks for, or where it keeps it.
type Option func(*options)

type options struct {
	domainOwner string
	registryID  string
	duration    *int64 // seconds
	cacheDir    string
	now         func() time.Time
}

// DomainOwner is the 12-digit account that owns the CodeArtifact domain, where
// it is not the caller's own. ECR has no use for it.
func DomainOwner(account string) Option { return func(o *options) { o.domainOwner = account } }

// RegistryID is the 12-digit account whose registry address ECR answers with,
// where it is not the caller's own. The token is the same and opens every
// registry that the caller may reach. CodeArtifact has no use for it.
func RegistryID(account string) Option { return func(o *options) { o.registryID = account } }

// Duration is how long a CodeArtifact token lives: 15 minutes to 12 hours in
// whole seconds, or 0 for as long as the caller's temporary credentials. Without
// it a token lives for 12 hours, as those of ECR always do.
func Duration(d time.Duration) Option {
	seconds := int64(d / time.Second)
	return func(o *options) { o.duration = &seconds }
}

// CacheDir keeps tokens in another folder than [os.UserCacheDir]/gatehouse. It
// is created with mode 0700 when the first token is kept.
func CacheDir(dir string) Option { return func(o *options) { o.cacheDir = dir } }

// InMemory keeps tokens in memory alone.
func InMemory() Option { return func(o *options) { o.cacheDir = "" } }

// Clock is the clock by which tokens grow old, for tests. Requests are signed by
// the time of the machine, which the SDK corrects by the Date of the answer to
// the first that is refused.
func Clock(now func() time.Time) Option { return func(o *options) { o.now = now } }
