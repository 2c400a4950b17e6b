// Package app constructs the server and connects its components. Nothing else
// does: cmd/gatehouse and the tests start a server through [Start].
//
// [Start] opens the components in the order of the struct components, builds the
// HTTP handler (routes.go) and listens (server.go). A request passes through
//
//	listener   a limit of connections, the PROXY protocol, deadlines, TLS
//	proxies    the client's address, host and scheme, if a trusted proxy is between
//	opsMux     /healthz, /readyz and /metrics, which are not audited
//	router     chooses the registry, the package formats or an AWS API
//	requestLog begins the audit entry; writes the record, the log line and the metrics
//	           refuses requests of addresses that exceed their rate, and of web pages
//	           of other sites
//
// Everything that serve needs may be imported here; nothing imports this package
// but commands, tests and benchmarks.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/redact"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/asynclog"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal"
	"github.com/gatehouse-registry/gatehouse/internal/server/bodybudget"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/traits"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scanworker"
	"github.com/gatehouse-registry/gatehouse/internal/server/installation"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/migrate"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/sdnotify"
	"github.com/gatehouse-registry/gatehouse/internal/server/secrets"
	"github.com/gatehouse-registry/gatehouse/internal/server/signing"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
	"github.com/gatehouse-registry/gatehouse/internal/server/trustedproxy"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// An Option changes how a server is constructed, beyond its configuration.
type Option func(*components)

// WithClock makes the server use another clock than the machine's. The header Date
// of its answers follows, since clients correct the time of their signatures by it.
func WithClock(now func() time.Time) Option {
	return func(p *components) { p.now, p.dateHeader = now, withClock(now) }
}

// WithLog sends the server's log to w instead of standard error.
func WithLog(w io.Writer) Option { return func(p *components) { p.logTo = w } }

// WithVersion says which version of the program this is. The default is "unknown".
func WithVersion(version string) Option { return func(p *components) { p.version = version } }

// WithScanWorker makes the server scan images. program is the path of an executable that
// runs scanworker.Main if its argument is scanworker.Command. Without it, nothing is scanned.
func WithScanWorker(program string) Option {
	return func(p *components) { p.layerReader = scanworker.Runner{Program: program} }
}

// components are what a server consists of, in the order in which they are opened.
// They are closed in reverse order.
type components struct {
	config     *config.Config
	now        func() time.Time
	dateHeader func(http.Handler) http.Handler // sets Date
	logTo      io.Writer
	notifier   *sdnotify.Notifier // nil if there is no supervisor
	version    string
	// layerReader is nil if this server scans no images.
	layerReader images.LayerReader
	serverID    string // of this process among the servers of the installation
	started     time.Time

	lines      *asynclog.Writer
	logLevel   *slog.LevelVar
	log        *slog.Logger
	data       *dataDir
	audit      *audit.Log
	metrics    *metrics
	follower   *keys.Follower
	keyring    *token.Keyring // of follower
	db         *db.DB
	blobs      blobStore
	addresses  *endpoint.Addresses
	authz      authz.Authorizer
	rates      *rates
	bodies     *bodybudget.Budget
	archives   *archive.Limiter
	proxies    *trustedproxy.Proxies
	refusals   *refusals
	feed       *changefeed.Feed
	iam        *iam.Service
	authn      *authn.Authenticator
	images     *images.Service
	packages   *packages.Service
	advisories *advisories.Service
	secrets    *secrets.Service
	signing    *signing.Service

	upstreams    []remoteRegistry
	egress       egress.Services
	sources      *source.Cache
	work         *work.Queue
	removals     *removal.Outbox
	events       *events.Log
	operators    installation.Operators
	installation *installation.Service
	keys         *keys.Service

	guardrails atomic.Pointer[guardrailFunc]
	failure    atomic.Pointer[error] // why the server is not ready
	closers    []func() error
}

// openComponents opens everything except the HTTP server. The listener is open
// already, because its port can be part of the address that clients are told.
func openComponents(ctx context.Context, c *config.Config, listener net.Listener, data *dataDir, options []Option) (p *components, err error) {
	p = &components{config: c, now: time.Now, dateHeader: withMachineClock, logTo: os.Stderr, version: "unknown", serverID: randid.Text(), data: data, metrics: newMetrics()}
	for _, o := range options {
		o(p)
	}
	p.started = p.now()
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.lines = asynclog.New(redact.Writer(p.logTo))
	p.closers = append(p.closers, p.lines.Close)
	p.logLevel = new(slog.LevelVar)
	p.log = newLog(p.lines, c.Log.Format, p.logLevel)
	p.setLogLevel(c.Log.Level)
	networks, err := c.ProxyNetworks()
	if err != nil {
		return p, err
	}
	p.archives = archive.NewLimiter(archiveMemory, archivePatience)
	p.proxies, p.rates, p.bodies = trustedproxy.New(networks), newRates(c.Limits), bodybudget.New(int64(c.Limits.BodyMemory))
	if p.addresses, err = addresses(c, listener); err != nil {
		return p, err
	}
	rotation := audit.Rotation{MaxSize: int64(c.AuditRotation.MaxSize), MaxAge: c.AuditRotation.MaxAge, MaxTotal: int64(c.AuditRotation.MaxTotal)}
	if p.audit, err = audit.Open(auditPath(data, c.Audit), rotation, p.now); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.audit.Close)
	p.refusals = newRefusals(p.log, p.audit, p.now)
	p.metrics.registry.MustRegister(p.audit.Metrics()...)
	if err := p.openBlobs(ctx); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.blobs.Close)
	if p.db, err = data.openDatabase(ctx, c.Database); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.db.Close)
	p.db.Know(laterSchema()...)
	if err := migrate.CheckFinished(ctx, p.db); err != nil {
		return p, err
	}
	if err = p.openKeyring(ctx); err != nil {
		return p, err
	}
	p.metrics.registry.MustRegister(append(p.db.Metrics(), p.blobs.Metrics()...)...)
	return p, p.openDomain(ctx)
}

// openDomain constructs the domain services and creates missing accounts.
func (p *components) openDomain(ctx context.Context) (err error) {
	guardrail, err := guardrails(p.config)
	if err != nil {
		return err
	}
	p.guardrails.Store(&guardrail)
	p.authz = &throttledAuthorizer{&authz.PolicyAuthorizer{Observe: p.observeDecision, Refuse: p.audit.CheckWritable}, p.rates}
	tokens, err := p.webIdentities()
	if err != nil {
		return err
	}
	// The domains would do the same, each in a transaction of its own, which costs a sync.
	if err := p.db.Migrate(ctx, Schema()...); err != nil {
		return err
	}
	if err := p.openWork(ctx); err != nil {
		return err
	}
	if p.feed, err = changefeed.New(ctx, changefeed.Config{DB: p.db, Log: p.log, Woken: p.work.Wake}); err != nil {
		return err
	}
	p.metrics.registry.MustRegister(p.feed.Metrics()...)
	p.iam, err = iam.New(ctx, iam.Config{DB: p.db, Feed: p.feed, Keyring: p.keyring, Authz: p.authz, WebIdentities: tokens, URL: p.addresses.URL(), Now: p.now, Guardrail: p.guardrail})
	if err != nil {
		return err
	}
	unsignedTarget, err := sigv4.ParseUnsignedTarget(p.config.UnsignedTarget)
	if err != nil {
		return err
	}
	p.authn = authn.New(authn.Config{Directory: p.iam, Keyring: p.keyring, Serves: p.servesRegion, Now: p.now, UnsignedTarget: unsignedTarget})
	if p.secrets, err = secrets.New(ctx, secrets.Config{DB: p.db, Authz: p.authz, Sealer: p.keyring, Now: p.now}); err != nil {
		return err
	}
	if p.signing, err = signing.New(ctx, signing.Config{DB: p.db, Authz: p.authz, Sealer: p.keyring, Now: p.now}); err != nil {
		return err
	}
	if err := p.openSources(ctx); err != nil {
		return err
	}
	elsewhere, err := p.destinations()
	if err != nil {
		return err
	}
	damage := integrity.NewMonitor(p.log)
	p.metrics.damagedObjects(damage.Found)
	p.operators = installation.Operators{Authz: p.authz, Account: p.config.Account}
	if err := p.openAdvisories(ctx); err != nil {
		return err
	}
	p.images, err = images.New(ctx, images.Config{
		Scanning:    images.Scanning{Reader: p.layerReader, Advisories: p.advisories},
		PullThrough: images.PullThrough{Upstreams: p.cacheUpstreams(p.egress), Check: p.config.UpstreamCache.ImageTags, Exclusive: p.sources.Exclusive, Log: p.log},
		DB:          p.db, Feed: p.feed, Work: p.work, CheckClock: p.checkClock, Audit: p.auditImages, Blobs: p.blobs, Removals: p.removals, Events: p.events, Authz: p.authz, Principals: p.iam, Roles: p.iam, Damage: damage, Now: p.now, MaxSweepShare: p.config.Sweep.MaxShare,
		Serves: p.servesRegistry, Destinations: elsewhere, LinkRole: p.linkRole, Signer: imageSigner{p.signing},
		Quotas: images.Quotas{
			Repositories: p.config.Quotas.Repositories, Images: p.config.Quotas.Images,
			RepositoryBytes: int64(p.config.Quotas.RepositoryBytes), RegistryBytes: int64(p.config.Quotas.RegistryBytes),
		},
	})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, p.images.Close)
	p.packages, err = packages.New(ctx, packages.Config{
		DB: p.db, Feed: p.feed, Work: p.work, CheckClock: p.checkClock, Audit: p.auditWork, Blobs: p.blobs, Removals: p.removals, Events: p.events, Authz: p.authz, Principals: p.iam, Damage: damage, Now: p.now, MaxSweepShare: p.config.Sweep.MaxShare,
		Remote: p.sources, SpoolDir: p.data.path, Log: p.log, ObserveAdmission: p.observeAdmission, Advisories: p.advisories, CheckRelease: checkRelease, Traits: traits.Reader{},
	})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, p.packages.Close)
	p.metrics.ingested(p.packages.Ingested)
	p.metrics.admissions(p.packages.Admissions)
	p.keys = keys.New(keys.Config{Follower: p.follower, Operators: p.operators, AccessKeys: p.accessKeysOf, Now: p.now})
	p.installation = installation.New(installation.Config{DB: p.db, Work: p.work, Events: p.events, Operators: p.operators, Now: p.now, Server: installation.ServerInfo{
		Version: p.version, ServerID: p.serverID, Started: p.started, Account: p.config.Account, Regions: p.config.AllRegions(), URL: p.addresses.URL(), Database: databaseEngine(p.config),
	}})
	if err := p.checkBlobs(ctx); err != nil {
		return err
	}
	return p.bootstrap(ctx)
}

// openWork opens the work queue, which the domains use. It runs nothing yet.
func (p *components) openWork(ctx context.Context) (err error) {
	p.work, err = work.New(ctx, work.Config{DB: p.db, Now: p.now, Log: p.log, Server: p.serverID, Exclusive: !p.db.Shared()})
	if err != nil {
		return err
	}
	p.metrics.registry.MustRegister(p.work.Metrics()...)
	if p.removals, err = removal.New(p.work, p.blobs, p.now); err != nil {
		return err
	}
	p.events, err = p.openEvents(ctx)
	return err
}

// bootstrap creates missing accounts, each with its admin, applies the identities
// that the configuration declares, and writes profiles for the AWS tools.
func (p *components) bootstrap(ctx context.Context) error {
	if err := p.checkAccount(ctx); err != nil {
		return err
	}
	if _, err := p.iam.Bootstrap(ctx, p.config.AllAccounts()); err != nil {
		return err
	}
	if err := p.applyDeclaration(ctx, p.config); err != nil {
		return err
	}
	return p.writeProfiles()
}

// writeProfiles writes the profiles of admins and of declared access keys.
func (p *components) writeProfiles() error {
	admins, err := p.iam.AdminCredentials(p.config.AllAccounts())
	if err != nil {
		return err
	}
	var profiles []Profile
	for _, a := range admins {
		profiles = append(profiles, Profile{profileName(p.config.Account, a.Account), a.AccessKeyID, a.Secret})
	}
	declared, err := p.declaredProfiles()
	if err != nil {
		return err
	}
	profiles = append(profiles, declared...)
	ca := ""
	if p.localAuthority() {
		ca = p.data.file("tls/ca.pem")
	}
	return writeProfiles(p.data, p.addresses.URL(), p.config.Region, ca, profiles)
}

// advisoriesChanged is called in each transaction that changes advisories, after the start.
func (p *components) advisoriesChanged(ctx context.Context, tx *db.Tx) error {
	return p.images.AdvisoriesChanged(ctx, tx)
}

// observeDecision passes a decision on to the audit entry and the metrics.
func (p *components) observeDecision(ctx context.Context, r *authz.Request, d policy.Decision) {
	decision := audit.Decision{Action: r.Action, Resource: r.Resource, Outcome: d.Outcome.String()}
	if !d.Allowed() {
		decision.Reason = d.Because(r.Action)
	}
	e := audit.From(ctx)
	if c := authn.FromContext(ctx); c != nil {
		e.Caller(c) // a web identity is known only now
	}
	e.Decided(decision)
	if r.Resource != "*" {
		e.Resource("", r.Resource)
	}
	p.metrics.decided(decision)
}

// observeAdmission passes what was decided about the download of a version on to the audit
// entry and, unless it is the answer to the client, to the log.
func (p *components) observeAdmission(ctx context.Context, a packages.AdmissionEvent) {
	d := audit.Decision{Action: a.Action, Resource: a.Resource, Reason: "version " + a.Version + ": " + a.Reason}
	switch a.Outcome {
	case packages.Denied:
		d.Outcome = policy.ExplicitDeny.String()
	case packages.Excepted, packages.Reported:
		d.Outcome = policy.Allowed.String()
		p.log.InfoContext(ctx, "a version was downloaded that a rule would deny", "package", a.Resource, "version", a.Version, "outcome", string(a.Outcome), "reason", a.Reason)
	}
	audit.From(ctx).Decided(d)
}

// auditWork writes the audit record of what background work did.
func (p *components) auditWork(_ context.Context, event, resource string, params map[string]any) error {
	return p.audit.Write(audit.ServiceEvent("gatehouse", event, resource, params, p.now()))
}

// auditImages writes an audit record of what lifecycle policies and replication did.
func (p *components) auditImages(ctx context.Context, e images.ServiceEvent) error {
	if e.Details == nil {
		return p.auditWork(ctx, e.Name, e.Repository, e.Params)
	}
	return p.audit.Write(audit.ServiceExecution("ecr", e.Name, "AWS::ECR::Repository", e.Repository, e.Details, p.now()))
}

// lostRecord logs that an audit record could not be kept.
func (p *components) lostRecord(err error) {
	p.log.Error("an audit record is lost", "error", err)
}

func (p *components) servesRegion(region string) bool {
	return slices.Contains(p.config.AllRegions(), region)
}

func (p *components) servesRegistry(id images.RegistryID) bool {
	return slices.Contains(p.config.AllAccounts(), id.Account) && p.servesRegion(id.Region)
}

// linkRole creates the service-linked role of a service, unless it exists.
func (p *components) linkRole(ctx context.Context, service string) error {
	if p.iam.HasServiceLinkedRole(ctx, service) {
		return nil
	}
	_, err := p.iam.CreateServiceLinkedRole(ctx, service, "", "")
	return err
}

func (p *components) localAuthority() bool {
	return p.config.TLS != nil && p.config.TLS.Certificate == ""
}

func (p *components) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	return errors.Join(errs...)
}

func (p *components) setLogLevel(name string) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(name)) // was validated
	p.logLevel.Set(level)
}

func newLog(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func addresses(c *config.Config, l net.Listener) (*endpoint.Addresses, error) {
	base := c.URL
	if base == "" {
		host, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1" // the configuration must name the address for other machines
		}
		base = "http://" + net.JoinHostPort(host, port)
		if c.TLS != nil {
			base = "https://" + net.JoinHostPort(host, port)
		}
	}
	return endpoint.New(base, c.DomainSuffix)
}

func auditPath(data *dataDir, path string) string {
	if path == "-" || filepath.IsAbs(path) {
		return path
	}
	return data.file(path)
}

func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return abs, nil
}
