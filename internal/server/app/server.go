package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Bounds of a connection between and before bodies.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	maintainEvery     = time.Minute
)

// A body that a handler leaves unread is read within these bounds, so that the client
// comes to read the answer. NuGet and Maven 4 send the whole of an asset before they
// know that credentials are asked for, so maxDrain is the size of the largest asset.
const (
	maxDrain  = packages.MaxAssetSize
	drainTime = 5 * time.Minute
)

// shutdownTime is how long connections have to end when no request is in flight.
const shutdownTime = 2 * time.Second

// stopMargin is how long the server may take to stop beyond Config.DrainTimeout.
const stopMargin = 30 * time.Second

// listenError says what to do about an address that is taken.
func listenError(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: stop the program that uses it, or choose another address with --listen", err)
	}
	return err
}

// errDraining is the reason why a server that is shutting down is not ready.
var errDraining = errors.New("shutting down")

// A Server is a running server.
type Server struct {
	components   *components
	http         *http.Server
	debug        *http.Server // nil if there is none
	certificates *certificates
	supervision  *supervision
	listener     net.Listener
	jobsCtx      context.Context
	stopJobs     context.CancelFunc
	jobs         sync.WaitGroup
	served       chan error
	ctx          context.Context
}

// Start opens the data folder, creates what is missing, and serves until ctx ends.
// Requests in flight may then go on for Config.DrainTimeout. Start returns as soon as
// the server answers; [Server.Wait] returns when it has ended.
//
// Start fails, and leaves nothing running, if the address is taken, if the data
// folder is in use (ErrDataInUse) or damaged, or if the declared identities cannot
// be applied (ErrConfiguration).
func Start(ctx context.Context, c *config.Config, options ...Option) (*Server, error) {
	if err := checkDeclaration(c); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, listenError(err)
	}
	data, err := openData(c.Data)
	if err != nil {
		listener.Close()
		return nil, err
	}
	p, err := openComponents(ctx, c, listener, data, options)
	if err != nil {
		listener.Close()
		return nil, errors.Join(data.explainDamage(err), data.close())
	}
	s, err := newServer(ctx, p)
	if err != nil {
		listener.Close()
		return nil, errors.Join(data.explainDamage(err), p.close(), data.close())
	}
	if err := s.startDebug(); err != nil {
		listener.Close()
		s.stopJobs()
		s.jobs.Wait()
		return nil, errors.Join(err, p.close(), data.close())
	}
	s.listener = listener
	p.warnOfPlainHTTP(listener.Addr())
	go func() { s.served <- s.serve(listener) }()
	s.jobs.Go(func() { s.supervision.run(s.jobsCtx, p.checkReady, "serving at "+s.URL()) })
	return s, nil
}

func newServer(ctx context.Context, p *components) (*Server, error) {
	handler, err := p.handler()
	if err != nil {
		return nil, err
	}
	if err := p.sweeps(); err != nil {
		return nil, err
	}
	if err := p.finishStart(ctx); err != nil {
		return nil, err
	}
	jobsCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{
		components: p, ctx: ctx, jobsCtx: jobsCtx, stopJobs: stop, served: make(chan error, 1),
		supervision: &supervision{notifier: p.notifier, log: p.log},
		http: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: readHeaderTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
			BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
			ConnContext:       withConnection,
		},
	}
	if p.config.TLS != nil {
		s.http.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: min(maxStreams, streamsPerClient(maxConnections(p.config.Limits.Connections)))}
		if s.certificates, err = p.openCertificates(); err != nil {
			stop()
			return nil, err
		}
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificates.get}
	}
	s.jobs.Go(func() { p.work.Run(jobsCtx) })
	s.jobs.Go(func() { p.events.Run(jobsCtx) })
	s.jobs.Go(func() { p.maintain(jobsCtx) })
	s.jobs.Go(func() { p.feed.Run(jobsCtx) })
	s.jobs.Go(func() { p.follower.Run(jobsCtx) })
	s.jobs.Go(func() { p.refusals.run(jobsCtx) })
	s.jobs.Go(func() { p.afterStart(jobsCtx) })
	return s, nil
}

// finishStart runs when every domain is open and before the first request.
func (p *components) finishStart(ctx context.Context) error {
	if err := p.db.CheckSchema(ctx); err != nil {
		return err
	}
	if err := p.db.SetComplete(ctx); err != nil {
		return err
	}
	if err := p.db.Stamp(ctx); err != nil { // a full disk must not stop the start
		p.log.Warn("the database keeps the stamp of an earlier start", "error", err)
	}
	return p.feed.Begin(ctx)
}

// afterStart does what the first requests need not wait for.
func (p *components) afterStart(ctx context.Context) {
	wait(ctx, startGarbageDelay)
	debug.FreeOSMemory()
	p.data.restoreBallast() // its sync can take long
}

// startGarbageDelay is when the memory that the start has used is given back. The
// next garbage collection could be hours away on a server with little to do.
const startGarbageDelay = 200 * time.Millisecond

// warnOfPlainHTTP warns if credentials can be read on the network, or if it seems that
// a proxy is not configured.
func (p *components) warnOfPlainHTTP(listening net.Addr) {
	if p.config.TLS != nil || len(p.config.TrustedProxies) > 0 {
		return
	}
	if a, err := netip.ParseAddrPort(listening.String()); err == nil && !a.Addr().IsLoopback() {
		p.log.Warn("listening beyond this machine without TLS: passwords and tokens can be read on the network; set tls, or listen on 127.0.0.1 behind a proxy that terminates TLS", "address", listening.String())
	}
	if strings.HasPrefix(p.config.URL, "https:") {
		p.log.Warn("clients are told an https address, but the server speaks HTTP and trusts no proxy: aws:SecureTransport is false and aws:SourceIp is the proxy's; set trusted_proxies", "url", p.config.URL)
	}
}

func (s *Server) serve(l net.Listener) error {
	p := s.components
	l = limitConnections(l, maxConnections(p.config.Limits.Connections), p.config.TLS == nil, p.metrics.refused)
	if p.config.ProxyProtocol {
		l = p.proxies.Listen(l)
	}
	l = idletimeout.Listen(l, p.clientLimits())
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(l, "", "")
	}
	return s.http.Serve(l)
}

// sweeps registers the work that recurs: it removes uploads that were never finished and
// data that nothing refers to.
func (p *components) sweeps() error {
	run := func(sweep func(context.Context) error) work.Handler {
		return func(ctx context.Context, _ work.Run) error {
			if err := p.checkClock(ctx); err != nil {
				return err
			}
			return sweep(ctx)
		}
	}
	images := func(sweep func(context.Context, time.Duration) (int, error)) work.Handler {
		return run(func(ctx context.Context) error {
			_, err := sweep(ctx, p.config.UploadExpiry)
			return err
		})
	}
	if err := p.work.Handle(slices.Concat(p.packages.RetentionWork(), p.images.LifecycleWork(), p.images.ReplicationWork(), p.images.StorageClassWork(), p.images.ScanWork(), p.images.SigningWork(), p.advisories.Work())...); err != nil {
		return err
	}
	return p.work.Handle(
		work.Kind{Name: "images/uploads", Every: time.Hour, Run: images(p.images.SweepUploads)},
		work.Kind{Name: "images/blobs", Every: time.Hour, Run: images(p.images.SweepBlobs)},
		work.Kind{Name: "images/objects", Every: 24 * time.Hour, Timeout: 6 * time.Hour, Run: images(p.images.SweepObjects)},
		work.Kind{Name: "secrets/deleted", Every: time.Hour, Run: run(p.secrets.Sweep)},
		work.Kind{Name: "secrets/reseal", Every: time.Hour, Run: run(p.secrets.Reseal)},
		work.Kind{Name: "signing/reseal", Every: time.Hour, Run: run(p.signing.Reseal)},
		work.Kind{Name: "source/documents", Every: time.Hour, Run: run(p.sources.Sweep)},
		work.Kind{Name: "packages/garbage", Every: time.Hour, Run: run(p.packages.SweepGarbage)},
		work.Kind{Name: "packages/staged", Every: 24 * time.Hour, Timeout: 6 * time.Hour, Run: run(p.packages.SweepStaged)},
		work.Kind{Name: "blobs/purge", Every: 24 * time.Hour, Timeout: 6 * time.Hour, Run: run(p.purgeBlobs)},
	)
}

// maxClockDifference is how far this server's clock may be from the database's.
const maxClockDifference = 5 * time.Minute

// checkClock returns an error if this server's clock is wrong. A sweep would take what
// other servers have just begun for old. With SQLite there is no other clock to ask.
func (p *components) checkClock(ctx context.Context) error {
	if !p.db.Shared() {
		return nil
	}
	micros, err := db.One(ctx, p.db, db.Scalar[int64], `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`)
	if err != nil {
		return err
	}
	if ahead := p.now().Sub(db.Time(micros)); ahead.Abs() > maxClockDifference {
		return fmt.Errorf("the clock of this server is %v ahead of the database's: correct the wrong one", ahead.Round(time.Second))
	}
	return nil
}

// purgeBlobs deletes what the sweeps set aside long enough ago.
func (p *components) purgeBlobs(ctx context.Context) error {
	_, err := p.blobs.Purge(ctx, p.now().Add(-p.config.Sweep.Keep))
	return err
}

// maintain periodically stores what the domains collect in memory, and once more at the
// end. It is not in the work queue, because each server has its own to store.
func (p *components) maintain(ctx context.Context) {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		if err := p.iam.Maintain(context.WithoutCancel(ctx)); err != nil {
			p.log.Error("maintain IAM", "error", err)
		}
		if err := p.images.Maintain(context.WithoutCancel(ctx)); err != nil {
			p.log.Error("store the times of pulls", "error", err)
		}
		if err := p.packages.Maintain(context.WithoutCancel(ctx)); err != nil {
			p.log.Error("store the downloads of packages", "error", err)
		}
	}
}

// Address is the address on which the server listens, as a URL.
func (s *Server) Address() string {
	if s.components.config.TLS != nil {
		return "https://" + s.listener.Addr().String()
	}
	return "http://" + s.listener.Addr().String()
}

// URL is the address that clients are told, which is the value of endpoint_url.
func (s *Server) URL() string { return s.components.addresses.URL() }

// RegistryHost is the host of image references in the first account.
func (s *Server) RegistryHost() string {
	return s.components.addresses.RegistryHost(endpoint.Registry{Account: s.components.config.Account, Region: s.components.config.Region})
}

// Wait returns when the server has ended. After a shutdown it returns nil, also if
// requests had to be cut off at the end of Config.DrainTimeout.
func (s *Server) Wait() error {
	var err error
	select {
	case err = <-s.served: // the listener failed
	case <-s.ctx.Done():
		s.drain()
	}
	s.stopJobs()
	s.jobs.Wait()
	if s.debug != nil {
		s.debug.Close()
	}
	return errors.Join(err, s.components.close(), s.components.data.close())
}

// drain ends the server without failing a request. First /readyz answers 503 for
// Config.DrainDelay while everything is served as before: a load balancer needs that
// time to send its requests elsewhere. Then the listener closes, and the requests in
// flight may finish. Refusing new requests with 503 instead of closing the listener was
// tried: a load balancer passes such an answer on to its client, while it tries another
// server if it cannot connect.
func (s *Server) drain() {
	p := s.components
	p.failure.CompareAndSwap(nil, &errDraining)
	s.supervision.stop(p.config.DrainTimeout + stopMargin)
	ctx, cancel := context.WithTimeout(context.Background(), p.config.DrainTimeout)
	defer cancel()
	p.log.Info("shutting down; interrupt again to stop at once", "requests in flight", p.metrics.requestsInFlight(), "at most", p.config.DrainTimeout)
	p.events.StopWaiting()
	if p.config.DrainDelay > 0 {
		wait(ctx, p.config.DrainDelay)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.http.Shutdown(ctx) }()
	for p.metrics.requestsInFlight() > 0 && ctx.Err() == nil {
		wait(ctx, drainPoll)
	}
	if n := p.metrics.requestsInFlight(); n > 0 {
		p.log.Warn("requests were cut off", "count", n, "drain_timeout", p.config.DrainTimeout)
		s.http.Close()
	}
	// Connections without a request do not delay the end for long.
	select {
	case <-ended:
	case <-time.After(shutdownTime):
		s.http.Close()
	}
}

// drainPoll is how often the requests in flight are counted while draining.
const drainPoll = 20 * time.Millisecond

// wait returns after a time, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
