// Package app is the only place where the parts of the server are constructed
// and joined. cmd/gatehouse and the tests start a server through [Start].
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	"github.com/gatehouse-registry/gatehouse/internal/redact"
	"github.com/gatehouse-registry/gatehouse/internal/server/asynclog"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// An Option changes what a server is made of, beyond its configuration.
type Option func(*parts)

// WithClock makes the server live by another clock than the machine's, and say
// so in the Date of its answers: clients correct their signatures by it.
func WithClock(now func() time.Time) Option {
	return func(p *parts) { p.now, p.dates = now, dating(now) }
}

// WithLog sends the server's log to w instead of standard error.
func WithLog(w io.Writer) Option { return func(p *parts) { p.logTo = w } }

// parts are everything that a server consists of, in the order in which it is
// opened. Closing goes backwards.
type parts struct {
	config *config.Config
	now    func() time.Time
	dates  func(http.Handler) http.Handler // the layer that writes Date
	logTo  io.Writer

	lines     *asynclog.Writer
	log       *slog.Logger
	data      *dataDir
	audit     *audit.Log
	metrics   *metrics
	keyring   *token.Keyring
	db        *db.DB
	blobs     *local.Store
	addresses *endpoint.Addresses
	authz     *authz.PolicyAuthorizer
	iam       *iam.Service
	authn     *authn.Authenticator
	images    *images.Service
	packages  *packages.Service

	failure atomic.Pointer[error] // why the server is no longer ready
	closers []func() error
}

// openParts opens everything but the doors. The listener is open already, since
// its port can be part of the address that clients are told.
func openParts(ctx context.Context, c *config.Config, listener net.Listener, data *dataDir, options []Option) (p *parts, err error) {
	p = &parts{config: c, now: time.Now, dates: undated, logTo: os.Stderr, data: data, metrics: newMetrics()}
	for _, o := range options {
		o(p)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.lines = asynclog.New(redact.Writer(p.logTo))
	p.closers = append(p.closers, p.lines.Close)
	p.log = newLog(p.lines, c.Log)
	if p.addresses, err = addresses(c, listener); err != nil {
		return p, err
	}
	if p.audit, err = audit.Open(auditPath(data, c.Audit)); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.audit.Close)
	if p.keyring, err = openKeyring(data, p.now); err != nil {
		return p, err
	}
	if p.db, err = db.OpenSQLite(ctx, data.file("gatehouse.db")); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.db.Close)
	if p.blobs, err = local.Open(data.file("blobs")); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.blobs.Close)
	return p, p.openDomain(ctx)
}

// openDomain constructs the domain and makes sure that every account exists.
func (p *parts) openDomain(ctx context.Context) (err error) {
	guardrail, err := guardrails(p.config)
	if err != nil {
		return err
	}
	p.authz = &authz.PolicyAuthorizer{Observe: p.observeDecision}
	tokens, err := p.webIdentities()
	if err != nil {
		return err
	}
	p.iam, err = iam.New(ctx, iam.Config{DB: p.db, Keyring: p.keyring, Authz: p.authz, WebIdentities: tokens, Now: p.now, Guardrail: guardrail})
	if err != nil {
		return err
	}
	unsignedTarget, err := sigv4.ParseUnsignedTarget(p.config.UnsignedTarget)
	if err != nil {
		return err
	}
	p.authn = authn.New(authn.Config{Directory: p.iam, Keyring: p.keyring, Serves: p.servesRegion, Now: p.now, UnsignedTarget: unsignedTarget})
	p.images, err = images.New(ctx, images.Config{DB: p.db, Blobs: p.blobs, Authz: p.authz, Principals: p.iam, Now: p.now})
	if err != nil {
		return err
	}
	p.packages, err = packages.New(ctx, packages.Config{DB: p.db, Blobs: p.blobs, Authz: p.authz, Principals: p.iam, Now: p.now})
	if err != nil {
		return err
	}
	return p.bootstrap(ctx)
}

// bootstrap creates the accounts that do not exist yet, each with its admin,
// applies what the configuration declares, and writes the profiles with which the
// AWS tools find the server.
func (p *parts) bootstrap(ctx context.Context) error {
	if _, err := p.iam.Bootstrap(ctx, p.config.AllAccounts()); err != nil {
		return err
	}
	if err := p.applyDeclaration(ctx); err != nil {
		return err
	}
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

// observeDecision tells the audit log and the metrics what was decided.
func (p *parts) observeDecision(ctx context.Context, r *authz.Request, d policy.Decision) {
	decision := audit.Decision{Action: r.Action, Resource: r.Resource, Outcome: d.Outcome.String()}
	if !d.Allowed() {
		decision.Reason = d.Because(r.Action)
	}
	e := audit.From(ctx)
	if c := authn.FromContext(ctx); c != nil {
		e.Caller(c) // a web identity is known no earlier
	}
	e.Decided(decision)
	if r.Resource != "*" {
		e.Resource("", r.Resource)
	}
	p.metrics.decided(decision)
}

// fail makes the server not ready; the first reason stays.
func (p *parts) fail(err error) {
	if p.failure.CompareAndSwap(nil, &err) {
		p.log.Error("not ready any more", "error", err)
	}
}

func (p *parts) servesRegion(region string) bool {
	return slices.Contains(p.config.AllRegions(), region)
}

func (p *parts) localAuthority() bool { return p.config.TLS != nil && p.config.TLS.Certificate == "" }

func (p *parts) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	return errors.Join(errs...)
}

func newLog(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // was validated
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
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
			host = "127.0.0.1" // listening everywhere; a name for others is for the configuration to give
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

// openKeyring loads the keyring, which the first start creates. A database
// without its keyring is refused: a new one would silently void every key and
// token that was issued.
func openKeyring(data *dataDir, now func() time.Time) (*token.Keyring, error) {
	const file = "keyring.json"
	if _, err := data.root.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return token.LoadKeyring(data.file(file), now)
	}
	if _, err := data.root.Lstat("gatehouse.db"); err == nil {
		return nil, fmt.Errorf("%s is missing beside a database; restore it from your backup, or remove the data folder to begin anew", data.file(file))
	}
	return token.CreateKeyring(data.file(file), now)
}

func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return abs, nil
}
