package app

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
)

// startDebug serves profiles and metrics on the address for operators, if there is
// one.
func (s *Server) startDebug() error {
	p := s.components
	if p.config.DebugListen == "" {
		return nil
	}
	l, err := net.Listen("tcp", p.config.DebugListen)
	if err != nil {
		return fmt.Errorf("debug_listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/metrics", p.metrics.handler())
	s.debug = &http.Server{Addr: l.Addr().String(), Handler: sameOrigin(mux, answerText), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout}
	p.log.Info("serving profiles", "address", s.debug.Addr)
	go func() {
		if err := s.debug.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("debug_listen", "error", err)
		}
	}()
	return nil
}

// DebugAddress is the address of the operators' listener, or "" if there is none.
func (s *Server) DebugAddress() string {
	if s.debug == nil {
		return ""
	}
	return s.debug.Addr
}
