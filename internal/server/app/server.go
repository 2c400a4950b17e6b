package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/jobs"
)

// Bounds of a connection between and before bodies.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	jobTick           = time.Minute
)

// clientLimits bound how slowly a client may send a body or take an answer.
var clientLimits = idletimeout.Limits{Idle: time.Minute, MinRate: 1 << 10, MaxDrain: 1 << 30, DrainTime: 5 * time.Minute}

// errDraining is the reason why a server that is shutting down is not ready.
var errDraining = errors.New("shutting down")

// A Server is a running server.
type Server struct {
	components *components
	http       *http.Server
	stopJobs   context.CancelFunc
	jobs       sync.WaitGroup
	served     chan error
	ctx        context.Context
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
		return nil, fmt.Errorf("listen: %w", err)
	}
	data, err := openData(c.Data)
	if err != nil {
		listener.Close()
		return nil, err
	}
	p, err := openComponents(ctx, c, listener, data, options)
	if err != nil {
		listener.Close()
		return nil, errors.Join(err, data.close())
	}
	s, err := newServer(ctx, p)
	if err != nil {
		listener.Close()
		return nil, errors.Join(err, p.close(), data.close())
	}
	go func() { s.served <- s.serve(listener) }()
	return s, nil
}

func newServer(ctx context.Context, p *components) (*Server, error) {
	handler, err := p.handler()
	if err != nil {
		return nil, err
	}
	runner, err := p.runner(ctx)
	if err != nil {
		return nil, err
	}
	jobsCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{
		components: p, ctx: ctx, stopJobs: stop, served: make(chan error, 1),
		http: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: readHeaderTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
			BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		},
	}
	if p.config.TLS != nil {
		if s.http.TLSConfig, err = p.tlsConfig(); err != nil {
			stop()
			return nil, err
		}
	}
	s.jobs.Go(func() { runner.Loop(jobsCtx, jobTick) })
	s.jobs.Go(func() { p.maintainIAM(jobsCtx) })
	s.jobs.Go(func() { p.iam.Replicate(jobsCtx, p.log) })
	return s, nil
}

func (p *components) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.localAuthority() {
		ca, err := openAuthority(p.data, p.addresses.Serves, p.now)
		if err != nil {
			return nil, err
		}
		c.GetCertificate = ca.certificate
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(p.config.TLS.Certificate, p.config.TLS.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

func (s *Server) serve(l net.Listener) error {
	l = idletimeout.Listen(l, clientLimits)
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(l, "", "")
	}
	return s.http.Serve(l)
}

// runner does the background work: it removes uploads that were never finished and
// data that nothing refers to.
func (p *components) runner(ctx context.Context) (*jobs.Runner, error) {
	images := func(sweep func(context.Context, time.Duration) (int, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := sweep(ctx, p.config.UploadExpiry)
			return err
		}
	}
	return jobs.New(ctx, p.db, randid.Text(), p.now, p.log,
		jobs.Job{Name: "images/uploads", Every: time.Hour, Limit: time.Hour, Run: images(p.images.SweepUploads)},
		jobs.Job{Name: "images/blobs", Every: time.Hour, Limit: time.Hour, Run: images(p.images.SweepBlobs)},
		jobs.Job{Name: "images/objects", Every: 24 * time.Hour, Limit: 6 * time.Hour, Run: images(p.images.SweepObjects)},
		jobs.Job{Name: "packages/garbage", Every: 5 * time.Minute, Limit: time.Hour, Run: p.packages.SweepGarbage},
		jobs.Job{Name: "packages/staged", Every: 24 * time.Hour, Limit: 6 * time.Hour, Run: p.packages.SweepStaged},
	)
}

// maintainIAM periodically stores what IAM collects in memory, and once more at the
// end. It is not a job, because each replica has its own to store.
func (p *components) maintainIAM(ctx context.Context) {
	tick := time.NewTicker(jobTick)
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
	}
}

// URL is the address that clients are told, which is the value of endpoint_url.
func (s *Server) URL() string { return s.components.addresses.URL() }

// RegistryHost is the host of image references in the first account.
func (s *Server) RegistryHost() string {
	return s.components.addresses.RegistryHost(endpoint.Registry{Account: s.components.config.Account, Region: s.components.config.Region})
}

// Wait returns when the server has ended. It returns nil after a shutdown in which
// every request finished.
func (s *Server) Wait() error {
	var err error
	select {
	case err = <-s.served: // the listener failed
	case <-s.ctx.Done():
		err = s.drain()
	}
	s.stopJobs()
	s.jobs.Wait()
	return errors.Join(err, s.components.close(), s.components.data.close())
}

func (s *Server) drain() error {
	s.components.log.Info("shutting down")
	s.components.failure.CompareAndSwap(nil, &errDraining)
	ctx, cancel := context.WithTimeout(context.Background(), s.components.config.DrainTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		return fmt.Errorf("requests were still in flight after %v: %w", s.components.config.DrainTimeout, err)
	}
	return nil
}
