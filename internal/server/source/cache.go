package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Config configures a [Cache].
type Config struct {
	DB *db.DB
	// Shared says that other servers use the database.
	Shared bool
	// Registries are those that can be asked.
	Registries []*Registry
	Settings   Settings
	// Dir is for the lists of registries; empty means that none are read.
	Dir string
	Now func() time.Time
	// Log gets failures of registries. nil discards it.
	Log *slog.Logger
}

// A Cache reads packages of registries and keeps what they said. It implements
// [packages.Remote]. Close it after its last use.
type Cache struct {
	db         *db.DB
	shared     bool
	registries map[string]*Registry
	settings   Settings
	own        map[string]Settings // of each registry
	// shortestStale is the smallest Settings.MaxStale.
	shortestStale time.Duration
	now           func() time.Time
	log           *slog.Logger
	metrics       *metrics

	documents *lru.Cache[key, *document]
	failures  *lru.Cache[key, failure]
	health    map[string]*health // by registry
	indexes   map[string]*index  // by connection
	budget    *budget
	flights   singleflight.Group
	later     later
	// background has a value for each question in the background.
	background chan struct{}

	life    context.Context // of all questions
	stop    context.CancelFunc
	closing sync.Mutex // a use of running begins before life ends, or not at all
	running sync.WaitGroup
}

// A failure is why a registry did not answer.
type failure struct {
	at  time.Time
	err error
}

const (
	maxBackground = 32   // questions in the background at a time
	maxFailures   = 4096 // failures that are remembered
)

// New applies the migrations and returns a cache.
func New(ctx context.Context, c Config) (*Cache, error) {
	if err := c.DB.Migrate(ctx, Migrations()...); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	cache := &Cache{
		db: c.DB, shared: c.Shared, registries: map[string]*Registry{}, settings: c.Settings.WithDefaults(), now: c.Now, log: c.Log,
		metrics: newMetrics(), background: make(chan struct{}, maxBackground),
		failures: lru.New[key](lru.Config[failure]{MaxCost: maxFailures}), later: later{waiting: map[key]*document{}},
		health: map[string]*health{}, own: map[string]Settings{}, indexes: map[string]*index{},
	}
	// Documents are large, so there are few shards.
	cache.documents = lru.New[key](lru.Config[*document]{MaxCost: cache.settings.MemoryBytes, Shards: 2, Cost: func(d *document) int64 { return d.bytes + 512 }})
	largest := cache.settings.MaxDocument
	cache.shortestStale = cache.settings.MaxStale
	for _, r := range c.Registries {
		settings := cache.settings.with(r.Settings)
		registry := *r
		registry.Settings.MaxDocument = settings.MaxDocument
		largest = max(largest, settings.MaxDocument)
		cache.shortestStale = min(cache.shortestStale, settings.MaxStale)
		cache.registries[r.Connection], cache.own[r.Connection], cache.health[r.Connection] = &registry, settings, &health{}
	}
	cache.budget = newBudget(cache.settings.ReceivingBytes, largest)
	if err := cache.openIndexes(c.Dir); err != nil {
		return nil, err
	}
	cache.life, cache.stop = context.WithCancel(context.Background())
	return cache, nil
}

// Close ends the questions that are under way, and waits for their end.
func (c *Cache) Close() error {
	c.closing.Lock()
	c.stop()
	c.closing.Unlock()
	c.running.Wait()
	return nil
}

// enter reports whether something may begin that Close waits for. Then running.Done ends it.
func (c *Cache) enter() bool {
	c.closing.Lock()
	defer c.closing.Unlock()
	if c.life.Err() != nil {
		return false
	}
	c.running.Add(1)
	return true
}

// start runs f in the background. It reports false if the cache is closed.
func (c *Cache) start(f func()) bool {
	if !c.enter() {
		return false
	}
	go func() {
		defer c.running.Done()
		f()
	}()
	return true
}

// flight runs f, once for all who wait for the same name.
func (c *Cache) flight(name string, f func() (any, error)) <-chan singleflight.Result {
	return c.flights.DoChan(name, func() (any, error) {
		if !c.enter() {
			return nil, shuttingDown(context.Canceled)
		}
		defer c.running.Done()
		return f()
	})
}

func shuttingDown(err error) error {
	return fault.Wrap(err, fault.Unavailable, "ServiceUnavailable", "The server is shutting down. Try again in a moment.")
}

// of returns the settings of a registry.
func (c *Cache) of(registry string) Settings {
	if s, ok := c.own[registry]; ok {
		return s
	}
	return c.settings // it is not configured
}

// Connected implements [packages.Remote].
func (c *Cache) Connected(connection string) bool { return c.registries[connection] != nil }

// Describe implements [packages.Remote].
func (c *Cache) Describe(connection string, id packages.PackageID, metadata json.RawMessage) *packages.Description {
	return c.registries[connection].Codec.Describe(id, metadata)
}

// DescribeFile implements [packages.Remote].
func (c *Cache) DescribeFile(connection string, id packages.PackageID, name string, content io.Reader) *packages.Description {
	codec, ok := c.registries[connection].Codec.(FileCodec)
	if !ok {
		return nil
	}
	return codec.DescribeFile(id, name, content)
}

// Package implements [packages.Remote].
func (c *Cache) Package(ctx context.Context, connection string, id packages.PackageID) (*packages.RemotePackage, packages.RemoteState, error) {
	return c.lookUp(ctx, key{registry: connection, id: id})
}

// File implements [packages.Remote]. What a registry says of a file is a document of its
// own.
func (c *Cache) File(ctx context.Context, connection string, id packages.PackageID, version, name string) (*packages.RemoteAsset, packages.RemoteState, error) {
	p, state, err := c.lookUp(ctx, key{registry: connection, id: id, version: version, file: name})
	if err != nil {
		return nil, state, err
	}
	return &p.Versions[0].Assets[0], state, nil
}

// lookUp returns a document, asking the registry if it is not fresh.
func (c *Cache) lookUp(ctx context.Context, k key) (*packages.RemotePackage, packages.RemoteState, error) {
	d, err := c.known(ctx, k)
	if err != nil {
		return nil, packages.RemoteState{}, err
	}
	failed, settings := c.failures.Lookup(k).Value, c.of(k.registry)
	var since time.Time
	down := false
	if h := c.health[k.registry]; h != nil {
		since, down = h.down()
	}
	switch {
	case c.fresh(k, d):
		return c.answer(d, nil)
	case failed.err != nil && c.age(failed.at) < settings.Retry:
		return c.answerStale(k, d, failed.err)
	case down && c.usable(k, d):
		c.probe(k)
		return c.answerStale(k, d, c.downFailure(k, since))
	case d != nil && d.pkg != nil && c.age(d.checked) < settings.Fresh+settings.Background:
		c.refreshInBackground(k)
		return c.answer(d, nil)
	}
	return c.ask(ctx, k, d)
}

// ask asks the registry and waits for it, but not long if there is an older answer.
func (c *Cache) ask(ctx context.Context, k key, d *document) (*packages.RemotePackage, packages.RemoteState, error) {
	var impatient <-chan time.Time
	patience := c.of(k.registry).Patience
	if c.usable(k, d) {
		t := time.NewTimer(patience)
		defer t.Stop()
		impatient = t.C
	}
	select {
	case r := <-c.flight("ask "+k.String(), func() (any, error) { return c.refresh(k) }):
		if r.Err != nil {
			return c.answerStale(k, d, r.Err)
		}
		return c.answer(r.Val.(*document), nil)
	case <-impatient:
		return c.answerStale(k, d, fault.New(fault.GatewayTimeout, "UpstreamTimeout", "The upstream %s did not answer within %s.", k.registry, patience))
	case <-ctx.Done():
		return nil, packages.RemoteState{}, ctx.Err()
	}
}

func (c *Cache) refreshInBackground(k key) {
	c.inBackground(func() {
		<-c.flight("ask "+k.String(), func() (any, error) { return c.refresh(k) }) // noted as a failure
	})
}

// inBackground asks unless many questions in the background are under way.
func (c *Cache) inBackground(ask func()) {
	select {
	case c.background <- struct{}{}:
	default:
		return // later
	}
	started := c.start(func() {
		defer func() { <-c.background }()
		ask()
	})
	if !started {
		<-c.background
	}
}

// maxSkew is how far the clock of a server may be ahead.
const maxSkew = time.Minute

// age is how long ago a time is. If it is far ahead, the clock that it came from was wrong.
// Then the answer must be confirmed, and may be used only if the registry fails.
func (c *Cache) age(t time.Time) time.Duration {
	age := c.now().Sub(t)
	if age < -maxSkew {
		return c.shortestStale - 1
	}
	return max(age, 0)
}

// fresh reports whether a document may be used without asking.
func (c *Cache) fresh(k key, d *document) bool {
	switch {
	case d == nil:
		return false
	case d.pkg == nil:
		return c.age(d.checked) < c.of(k.registry).Missing
	case k.request.SHA256 != "": // it never changes
		return true
	}
	return c.age(d.checked) < c.of(k.registry).Fresh
}

// usable reports whether a document may be used if the registry fails.
func (c *Cache) usable(k key, d *document) bool {
	return d != nil && d.pkg != nil && c.age(d.checked) < c.of(k.registry).MaxStale
}

func (c *Cache) answer(d *document, failure error) (*packages.RemotePackage, packages.RemoteState, error) {
	state := packages.RemoteState{Checked: d.checked, Failure: failure}
	if d.pkg == nil {
		return nil, state, packages.ErrNoRemotePackage
	}
	return d.pkg, state, nil
}

// answerStale answers with an older document because of a failure.
func (c *Cache) answerStale(k key, d *document, failure error) (*packages.RemotePackage, packages.RemoteState, error) {
	if !c.usable(k, d) || !packages.IsRemoteFailure(failure) && !fault.Is(failure, codeBusy) {
		return nil, packages.RemoteState{}, failure
	}
	c.metrics.stale.Inc()
	return c.answer(d, failure)
}

// known returns the document of memory or of the table, or nil.
func (c *Cache) known(ctx context.Context, k key) (*document, error) {
	have := c.documents.Lookup(k)
	if have.State == lru.Fresh {
		return have.Value, nil
	}
	select {
	case r := <-c.flight("read "+k.String(), func() (any, error) {
		d, err := c.readBody(c.life, k)
		if err == nil && d != nil {
			c.documents.Store(k, d, have)
		}
		return d, err
	}):
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*document), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refresh asks the registry, or takes what another server has got.
func (c *Cache) refresh(k key) (*document, error) {
	ctx, cancel := context.WithTimeout(c.life, c.of(k.registry).Timeout)
	defer cancel()
	ended := c.watch(k)
	d, err := c.refreshLeased(ctx, k)
	ended(err)
	if err == nil {
		c.failures.Drop(k)
		return d, nil
	}
	err = c.failed(ctx, k, err)
	if packages.IsRemoteFailure(err) {
		c.log.Warn("a package registry fails", "registry", k.registry, "package", k.text(), "error", err)
		c.metrics.failed.Inc()
		c.failures.Store(k, failure{c.now(), err}, c.failures.Lookup(k))
	}
	return nil, err
}

func (c *Cache) refreshLeased(ctx context.Context, k key) (*document, error) {
	registry := c.registries[k.registry]
	if registry == nil {
		return nil, fmt.Errorf("source: %s is not configured", k.registry)
	}
	release, err := c.Exclusive(ctx, k.String())
	if err != nil {
		return nil, err
	}
	defer release()
	have := c.documents.Lookup(k)
	d := have.Value
	if (d == nil || c.shared) && !k.fleeting() {
		if d, err = c.read(ctx, k, have.Value); err != nil {
			return nil, err
		}
	}
	if c.fresh(k, d) { // another question has ended since the caller looked
		c.documents.Store(k, d, have)
		return d, nil
	}
	next, err := c.fetch(ctx, registry, k, d)
	if err != nil {
		return nil, err
	}
	if err := c.store(ctx, k, next); err != nil {
		// The answer is good. It is lost at the next restart.
		c.log.Warn("an answer of a package registry could not be stored", "registry", k.registry, "package", k.text(), "error", err)
	}
	next.body = nil
	c.documents.Store(k, next, have)
	return next, nil
}

// fetch asks the registry. d is the last answer, or nil.
func (c *Cache) fetch(ctx context.Context, r *Registry, k key, d *document) (*document, error) {
	known := ""
	if d != nil && d.pkg != nil {
		known = d.validator
	}
	c.metrics.asked.Inc()
	ctx, release := c.budget.reserve(ctx)
	defer release()
	p, validator, err := c.readAnswer(ctx, r, k, known)
	switch {
	case errors.Is(err, ErrNotModified) && known != "":
		return d.confirmed(c.now()), nil
	case errors.Is(err, packages.ErrNoRemotePackage):
		return &document{checked: c.now()}, nil
	case err != nil:
		return nil, err
	}
	noteSeen(p, d, c.now())
	return newDocument(p, validator, c.now())
}

// noteSeen notes when a version, or a file that was added to it later, was first seen, if the
// registry does not tell when it was published. d is the last answer, or nil.
func noteSeen(p *packages.RemotePackage, d *document, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	lastVersions := sync.OnceValue(func() map[string]*packages.RemoteVersion {
		all := map[string]*packages.RemoteVersion{}
		if d != nil && d.pkg != nil {
			for i := range d.pkg.Versions {
				all[d.pkg.Versions[i].Version] = &d.pkg.Versions[i]
			}
		}
		return all
	})
	for i := range p.Versions {
		v := &p.Versions[i]
		if !v.Published.IsZero() && len(v.Assets) < 2 { // its time is the one of its file
			continue
		}
		last := lastVersions()[v.Version]
		switch {
		case !v.Published.IsZero():
		case last != nil && !last.Seen.IsZero():
			v.Seen = last.Seen
		case v.Seen.IsZero() || v.Seen.After(now): // the codec may know an earlier time
			v.Seen = now
		}
		noteFilesSeen(v, last, now)
	}
}

// noteFilesSeen gives files without a time the one at which they were first seen, but for
// those that came with the version. last is the version in the last answer, or nil.
func noteFilesSeen(v, last *packages.RemoteVersion, now time.Time) {
	timed := slices.ContainsFunc(v.Assets, func(a packages.RemoteAsset) bool { return !a.Published.IsZero() })
	for i := range v.Assets {
		a := &v.Assets[i]
		if !a.Published.IsZero() {
			continue
		}
		known := -1
		if last != nil {
			known = slices.IndexFunc(last.Assets, func(b packages.RemoteAsset) bool { return b.Name == a.Name })
		}
		switch {
		case known >= 0:
			a.Published = last.Assets[known].Published
		case last != nil || timed:
			a.Published = now
		}
	}
}

// readAnswer asks the codec. It runs outside of a request, where a panic because of what
// a registry sent would end the server.
func (c *Cache) readAnswer(ctx context.Context, r *Registry, k key, known string) (p *packages.RemotePackage, validator string, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("an answer of a package registry could not be read", "registry", r.Connection, "package", k.text(), "panic", v, "stack", string(debug.Stack()))
			err = &BadAnswer{What: "reading it failed because of a fault of this server, which the log describes"}
		}
	}()
	switch {
	case k.request.Kind != "":
		return readDocument(ctx, r, k.request, known)
	case k.file == "":
		return r.Codec.Package(ctx, r, k.id, known)
	}
	codec, ok := r.Codec.(FileCodec)
	if !ok {
		return nil, "", fmt.Errorf("source: %s lists its files", k.registry)
	}
	a, err := codec.File(ctx, r, k.id, k.version, k.file)
	if err != nil {
		return nil, "", err
	}
	return &packages.RemotePackage{Versions: []packages.RemoteVersion{{Version: k.version, Status: packages.Published, Assets: []packages.RemoteAsset{*a}}}}, "", nil
}

// failed returns the fault of a failure, which names the registry.
func (c *Cache) failed(ctx context.Context, k key, err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return f
	}
	bad := (*BadAnswer)(nil)
	switch {
	case c.life.Err() != nil:
		return shuttingDown(err)
	case egress.KindOf(err) != "":
		return upstreamFault(err, k.registry)
	case errors.As(err, &bad):
		return fault.Wrap(err, fault.BadGateway, "UpstreamInvalid", "The upstream %s gave an answer about %s that cannot be used: %s", k.registry, k.subject(), sentence(bad.What))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(err, fault.GatewayTimeout, "UpstreamTimeout", "The upstream %s did not answer within %s.", k.registry, c.of(k.registry).Timeout)
	}
	return err
}

// upstreamFault is the fault of an error of package egress, whose text says which
// upstream failed, why, and what to do.
func upstreamFault(err error, registry string) error {
	kind, code := fault.BadGateway, "UpstreamFailed"
	if egress.KindOf(err) == egress.TimedOut {
		kind, code = fault.GatewayTimeout, "UpstreamTimeout"
	}
	var e *egress.Error
	if errors.As(err, &e) {
		return fault.Wrap(err, kind, code, "The upstream %s failed: %s", registry, sentence(e.Message))
	}
	return fault.Wrap(err, kind, code, "The upstream %s failed.", registry)
}

// sentence ends a text with a full stop.
func sentence(s string) string {
	if s != "" && s[len(s)-1] != '.' {
		s += "."
	}
	return s
}
