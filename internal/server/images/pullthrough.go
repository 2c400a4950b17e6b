package images

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

// A PullThrough is what pull-through cache rules need.
type PullThrough struct {
	// Upstreams opens the registries of rules. If it is nil, rules cannot be created, and
	// have no effect.
	Upstreams Upstreams
	// Check is how long a tag is used without asking the other registry. 0 is 24 hours, as
	// in ECR.
	Check time.Duration
	// Exclusive waits until no other server fetches what has a name. nil means that there
	// are no others.
	Exclusive func(ctx context.Context, name string) (release func(), err error)
	// Log gets failures. nil means none.
	Log *slog.Logger
}

const (
	defaultTagCheck = 24 * time.Hour
	// upstreamPatience is how long a pull waits for the other registry if the image is here.
	upstreamPatience = 3 * time.Second
	// upstreamRetry is how long the other registry is not asked again for what it failed to
	// give, or does not have.
	upstreamRetry = 15 * time.Second
	// importTimeout bounds the import of one image.
	importTimeout = 30 * time.Minute

	cachedChecks   = 64 << 10 // entries
	cachedFailures = 8 << 10
)

// A pullCache is the state of pull-through caching.
type pullCache struct {
	PullThrough
	flights singleflight.Group
	// checks has when tags were last compared with the other registry.
	checks   *lru.Cache[tagKey, time.Time]
	failures *lru.Cache[string, pullFailure]

	life context.Context // ends with Close
	end  context.CancelFunc
	// starting is held while running grows, so that none begins after Close.
	starting sync.Mutex
	running  sync.WaitGroup
}

// begin notes that an import begins. It reports whether the service is open.
func (p *pullCache) begin() bool {
	p.starting.Lock()
	defer p.starting.Unlock()
	if p.life.Err() != nil {
		return false
	}
	p.running.Add(1)
	return true
}

// A pullFailure is why an image could not be got.
type pullFailure struct {
	at  time.Time
	err error
}

func newPullCache(c PullThrough) *pullCache {
	if c.Check == 0 {
		c.Check = defaultTagCheck
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Exclusive == nil {
		c.Exclusive = func(context.Context, string) (func(), error) { return func() {}, nil }
	}
	p := &pullCache{
		PullThrough: c,
		checks:      lru.New[tagKey](lru.Config[time.Time]{MaxCost: cachedChecks, Shards: cacheShards}),
		failures:    lru.New[string](lru.Config[pullFailure]{MaxCost: cachedFailures, Shards: cacheShards}),
	}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Close ends the imports that are under way, and waits for them.
func (s *Service) Close() error {
	s.pull.starting.Lock()
	s.pull.end()
	s.pull.starting.Unlock()
	s.pull.running.Wait()
	return nil
}

// cacheRule returns the pull-through cache rule for a request about a repository, or nil. A
// caller without a token gets what is here: it must not cause imports.
func (s *Service) cacheRule(ctx context.Context, id RepositoryID) *CacheRule {
	if s.pull.Upstreams == nil || authn.IsAnonymous(ctx) {
		return nil
	}
	return s.registries.get(id.registry()).cacheRule(id.Name)
}

// find returns a manifest that the caller may read. If a pull-through cache rule is for the
// repository, it is fetched from the other registry if it is not here, or if it is a tag that
// has not been compared for a while. Action ecr:BatchGetImage. Faults: AccessDenied,
// RepositoryNotFound, ImageNotFound, ImageTagDoesNotMatchDigest, and those of
// [Service.throughCache].
func (s *Service) find(ctx context.Context, id RepositoryID, ref Reference) (*Repository, *Manifest, error) {
	repo, m, err := s.findAny(ctx, id, ref)
	if err == nil {
		err = s.admit(ctx, repo, "ecr:BatchGetImage", m.Digest, m, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	return repo, m, nil
}

// findAny is find without the rules about images.
func (s *Service) findAny(ctx context.Context, id RepositoryID, ref Reference) (*Repository, *Manifest, error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchGetImage")
	if rule := s.cacheRule(ctx, id); rule != nil && (err == nil || fault.Is(err, "RepositoryNotFound")) {
		return s.throughCache(ctx, id, repo, ref, rule)
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := s.manifest(ctx, repo, ref)
	return repo, m, err
}

// throughCache is [Service.find] for a caller who may read the repository, which has a rule.
// repo is nil if it does not exist. Further actions: ecr:BatchImportUpstreamImage, and
// ecr:CreateRepository for a new repository. Who is not allowed them sees what is here, and
// nothing else: not even whether the other registry has the image. Faults: those of
// [upstreamFault].
func (s *Service) throughCache(ctx context.Context, id RepositoryID, repo *Repository, ref Reference, rule *CacheRule) (*Repository, *Manifest, error) {
	var here *Manifest
	if repo != nil {
		m, err := s.manifest(ctx, repo, ref)
		if err != nil && !fault.Is(err, "ImageNotFound") && !fault.Is(err, "ImageArchived") {
			return nil, nil, err
		}
		if err == nil {
			if ref.Tag == "" || s.checkedLately(ctx, repo, ref.Tag) {
				return repo, m, nil
			}
			here = m
		}
	}
	err := s.authorizeImport(ctx, id, repo, ref)
	if err == nil {
		err = s.fetchImage(ctx, id, ref, rule, here != nil)
	}
	switch {
	case err != nil && here != nil:
		return repo, here, nil // what is here is used whenever the check fails
	case err != nil:
		return nil, nil, err
	}
	if repo, err = s.authorize(ctx, id, "ecr:BatchGetImage"); err != nil { // a template can have a policy
		return nil, nil, err
	}
	m, err := s.manifest(ctx, repo, ref)
	return repo, m, err
}

// authorizeImport authorizes an import. A denial looks as if the image or the repository did
// not exist (Amazon ECR User Guide, "Troubleshooting pull through cache issues").
func (s *Service) authorizeImport(ctx context.Context, id RepositoryID, repo *Repository, ref Reference) error {
	err := s.authorizeRequest(ctx, id, repo, authz.Request{Action: "ecr:BatchImportUpstreamImage"})
	if fault.Is(err, "AccessDenied") {
		return imageNotFound(id, ref)
	}
	if err != nil || repo != nil {
		return err
	}
	req := authz.Request{Action: "ecr:CreateRepository"}
	if t := s.registries.get(id.registry()).template(id.Name, CausePullThroughCache); t != nil {
		req.RequestTags = t.Settings.Tags
	}
	if err = s.authorizeRequest(ctx, id, nil, req); fault.Is(err, "AccessDenied") {
		return repositoryNotFound(id)
	}
	return err
}

// checkedLately reports whether a tag was compared with the other registry a short time ago.
func (s *Service) checkedLately(ctx context.Context, repo *Repository, tag string) bool {
	key := tagKey{repo.row, tag}
	known := s.pull.checks.Lookup(key)
	if known.State == lru.Fresh {
		return s.isRecent(known.Value)
	}
	checked, err := s.readCheck(ctx, repo, tag)
	if err != nil {
		return false
	}
	s.pull.checks.Store(key, checked, known)
	return s.isRecent(checked)
}

// isRecent reports whether a comparison still counts. One that seems to be from the future
// does not: a clock that was ahead would keep the tag for as long as it was.
func (s *Service) isRecent(checked time.Time) bool {
	return s.now().Sub(checked).Abs() < s.pull.Check
}

// readCheck returns when a tag was last compared; zero means never.
func (s *Service) readCheck(ctx context.Context, repo *Repository, tag string) (time.Time, error) {
	checked, err := db.One(ctx, s.db, db.Scalar[int64], `SELECT checked FROM image_upstream_tag WHERE repository = $1 AND tag = $2`, repo.row, tag)
	if errors.Is(err, db.ErrNoRows) {
		return time.Time{}, nil
	}
	return db.Time(checked), err
}

// noteCheck stores that a tag was compared.
func (s *Service) noteCheck(ctx context.Context, repo *Repository, tag string) error {
	if tag == "" {
		return nil
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	known := s.pull.checks.Lookup(tagKey{repo.row, tag})
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		if err := checkExists(ctx, tx, repo); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO image_upstream_tag (repository, tag, checked) VALUES ($1, $2, $3)
			ON CONFLICT (repository, tag) DO UPDATE SET checked = excluded.checked`, repo.row, tag, db.Micros(now))
		return err
	})
	if err == nil {
		s.pull.checks.Store(tagKey{repo.row, tag}, now, known)
	}
	return err
}

// forgetChecks deletes what is known about tags that are not here any more.
func (s *Service) forgetChecks(ctx context.Context) error {
	const batch = 1000
	for deleted := int64(batch); deleted == batch; {
		err := s.db.Tx(ctx, func(tx *db.Tx) (err error) {
			deleted, err = tx.Exec(ctx, `DELETE FROM image_upstream_tag WHERE (repository, tag) IN (SELECT u.repository, u.tag FROM image_upstream_tag u
				WHERE NOT EXISTS (SELECT 1 FROM image_tag t WHERE t.repository = u.repository AND t.tag = u.tag) LIMIT $1)`, batch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// errSlow means that the other registry is being asked, and that the image here is used
// meanwhile.
var errSlow = errors.New("images: the upstream registry is slow")

// fetchImage gets an image from the other registry, or finds that the one here is the newest.
// All requests for the same image share one import, which goes on if they leave.
func (s *Service) fetchImage(ctx context.Context, id RepositoryID, ref Reference, rule *CacheRule, here bool) error {
	key := id.ARN() + " " + ref.Tag + " " + string(ref.Digest)
	if f := s.pull.failures.Lookup(key); f.State == lru.Fresh && s.now().Sub(f.Value.at).Abs() < upstreamRetry {
		return f.Value.err
	}
	// The import outlives the request: only who asked is taken over.
	ctxImport := authn.WithCaller(s.pull.life, authn.FromContext(ctx))
	done := s.pull.flights.DoChan(key, func() (any, error) {
		if !s.pull.begin() {
			return nil, upstreamFault(rule, context.Canceled)
		}
		defer s.pull.running.Done()
		ctx, cancel := context.WithTimeout(ctxImport, importTimeout)
		defer cancel()
		return nil, s.importOnce(ctx, id, ref, rule, key)
	})
	var slow <-chan time.Time
	if here {
		t := time.NewTimer(upstreamPatience)
		defer t.Stop()
		slow = t.C
	}
	select {
	case result := <-done:
		return result.Err
	case <-slow:
		return errSlow
	case <-ctx.Done():
		return ctx.Err()
	}
}

// importOnce imports an image unless another server has done it.
func (s *Service) importOnce(ctx context.Context, id RepositoryID, ref Reference, rule *CacheRule, key string) error {
	release, err := s.pull.Exclusive(ctx, "image "+key)
	if err != nil {
		return err
	}
	defer release()
	if repo := s.repositories.get(id); repo != nil && s.fetchedElsewhere(ctx, repo, ref) {
		return nil
	}
	remote, err := s.pull.Upstreams.Open(ctx, id.registry(), rule)
	if err == nil {
		i := &imageImport{s: s, remote: remote, rule: rule, id: id, ref: ref, name: rule.upstreamName(id.Name)}
		err = i.run(ctx)
	}
	if err == nil {
		s.pull.failures.Drop(key)
		return nil
	}
	if ociremote.IsNotFound(err) {
		err = imageNotFound(id, ref)
	} else {
		s.pull.Log.Warn("an image could not be pulled through a cache rule", "repository", id.ARN(), "tag", ref.Tag, "digest", string(ref.Digest), "upstream", rule.URL, "error", err)
		err = upstreamFault(rule, err)
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		s.pull.failures.Store(key, pullFailure{s.now(), err}, s.pull.failures.Lookup(key))
	}
	return err
}

// fetchedElsewhere reports whether another server, or an import that has just ended, got the
// image.
func (s *Service) fetchedElsewhere(ctx context.Context, repo *Repository, ref Reference) bool {
	if _, err := s.manifest(ctx, repo, ref); err != nil {
		return false
	}
	if ref.Tag == "" {
		return true
	}
	known := s.pull.checks.Lookup(tagKey{repo.row, ref.Tag})
	checked, err := s.readCheck(ctx, repo, ref.Tag)
	if err != nil || !s.isRecent(checked) {
		return false
	}
	s.pull.checks.Store(tagKey{repo.row, ref.Tag}, checked, known)
	return true
}

// upstreamFault is the fault of a failure of the other registry. Faults: UpstreamAccessDenied,
// UpstreamTooManyRequests, UpstreamUnavailable, ImageInaccessible (it gave something that
// cannot be used).
func upstreamFault(rule *CacheRule, err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	if errors.Is(err, ociremote.ErrDenied) {
		return fault.Wrap(err, fault.Denied, "UpstreamAccessDenied", "The upstream registry %s denies access. Check the name of the image and the secret of the pull through cache rule '%s'.", rule.URL, rule.Prefix)
	}
	if bad, ok := errors.AsType[*ociremote.BadAnswer](err); ok {
		return fault.Wrap(err, fault.BadGateway, "ImageInaccessible", "The image from the upstream registry %s is not kept: %s. Ask who runs the registry.", rule.URL, bad.What)
	}
	failed, ok := errors.AsType[*egress.Error](err)
	switch {
	case ok && failed.Kind == egress.Throttled:
		return fault.Wrap(err, fault.Throttled, "UpstreamTooManyRequests", "The upstream registry %s failed: %s.", rule.URL, failed.Message)
	case ok && failed.Kind == egress.TimedOut:
		return fault.Wrap(err, fault.GatewayTimeout, "UpstreamUnavailable", "The upstream registry %s failed: %s.", rule.URL, failed.Message)
	case ok && (failed.Kind == egress.Malformed || failed.Kind == egress.TooLarge || failed.Kind == egress.Interrupted):
		return fault.Wrap(err, fault.BadGateway, "ImageInaccessible", "The upstream registry %s failed: %s.", rule.URL, failed.Message)
	case ok:
		return fault.Wrap(err, fault.BadGateway, "UpstreamUnavailable", "The upstream registry %s failed: %s.", rule.URL, failed.Message)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.GatewayTimeout, "UpstreamUnavailable", "The image could not be fetched from the upstream registry %s within %v.", rule.URL, importTimeout)
	case errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.Unavailable, "ServiceUnavailable", "The server is shutting down. Try again.")
	}
	return err
}
