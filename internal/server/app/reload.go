package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// watchInterval is how often files are looked at. A file that changed is read when it
// has not changed again for this long, since a certificate and its key are two files.
const watchInterval = time.Second

// Reload applies what can change while the server runs: the listener's certificate,
// declared identities, guardrails and the log level. c has been validated. If
// anything is wrong, nothing changes. Other settings keep their values; the log names
// those that differ from the ones that the server runs with.
func (s *Server) Reload(ctx context.Context, c *config.Config) error {
	p := s.components
	if err := checkDeclaration(c); err != nil {
		return err
	}
	guardrail, err := guardrails(c)
	if err != nil {
		return err
	}
	var pair *tls.Certificate
	if files := c.TLS; s.certificates != nil && s.certificates.authority == nil && files != nil && files.Certificate != "" {
		if pair, err = loadCertificate(files); err != nil {
			return err
		}
	}
	if err := p.applyDeclaration(ctx, c); err != nil { // in one transaction
		return err
	}
	p.guardrails.Store(&guardrail)
	p.iam.RefreshGuardrails()
	if pair != nil {
		s.certificates.loaded.Store(pair)
	}
	p.setLogLevel(c.Log.Level)
	if names := needRestart(p.config, c); len(names) > 0 {
		p.log.Warn("changed settings take effect after a restart", "settings", strings.Join(names, ","))
	}
	if err := p.writeProfiles(); err != nil {
		return err
	}
	attributes := []any{"log level", c.Log.Level}
	if pair != nil {
		attributes = append(attributes, "certificate expires", pair.Leaf.NotAfter)
	}
	p.log.Info("configuration reloaded", attributes...)
	return nil
}

// needRestart returns the names of settings that differ and that Reload does not
// apply. before is the configuration with which the server was started.
func needRestart(before, after *config.Config) (names []string) {
	b, a := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	for i := range b.NumField() {
		if !b.Type().Field(i).IsExported() {
			continue
		}
		name := b.Type().Field(i).Tag.Get("yaml")
		switch name {
		case "-": // not of the file
			continue
		case "iam", "guardrail":
			continue
		case "log":
			if before.Log.Format == after.Log.Format {
				continue
			}
			name = "log.format"
		case "tls":
			if filesOf(before.TLS) == filesOf(after.TLS) {
				continue
			}
		}
		if !reflect.DeepEqual(b.Field(i).Interface(), a.Field(i).Interface()) {
			names = append(names, name)
		}
	}
	return names
}

// filesOf says where the certificate of a listener comes from. Other files of the
// same kind can be loaded without a restart.
func filesOf(t *config.TLS) string {
	switch {
	case t == nil:
		return "no TLS"
	case t.Certificate == "":
		return "local authority"
	}
	return "files"
}

// ReloadOn reloads whenever a signal arrives and whenever one of the files changes, or
// the certificate or key of the configuration. load reads the configuration. It
// returns at once; reloading ends with the server.
func (s *Server) ReloadOn(signals <-chan os.Signal, load func() (*config.Config, error), files ...string) {
	if t := s.components.config.TLS; t != nil && t.Certificate != "" {
		files = append(slices.Clone(files), t.Certificate, t.Key)
	}
	// Taken here, since a file may change before the goroutine runs for the first time.
	seen := stampsOf(files)
	loaded := seen
	s.jobs.Go(func() {
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-s.jobsCtx.Done():
				return
			case <-signals:
				s.components.reloadKeyring(s.jobsCtx)
				s.reloadFrom(load)
				loaded = stampsOf(files)
			case <-tick.C:
				now := stampsOf(files)
				if now == seen && now != loaded {
					loaded = now
					s.reloadFrom(load)
				}
				seen = now
			}
		}
	})
}

// reloadKeyring loads the keyring if it was changed, without waiting for the next time
// that it is looked at.
func (p *components) reloadKeyring(ctx context.Context) {
	if err := p.follower.Refresh(ctx); err != nil {
		p.log.Error("the keyring was not loaded; nothing has changed", "error", err)
	}
}

func (s *Server) reloadFrom(load func() (*config.Config, error)) {
	err := s.supervision.reload(func() error {
		c, err := load()
		if err != nil {
			return err
		}
		return s.Reload(s.jobsCtx, c)
	})
	if err != nil {
		s.components.log.Error("the configuration was not reloaded; nothing has changed", "error", err)
	}
}

// stampsOf returns a text that differs if one of the files has changed. A file can be
// replaced by another of the same size within a second, and can be a symbolic link
// that leads elsewhere.
func stampsOf(files []string) string {
	var b strings.Builder
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", file, err)
			continue
		}
		target, _ := os.Readlink(file) // "" if it is not a link
		fmt.Fprintf(&b, "%s %d %d %s\n", file, info.Size(), info.ModTime().UnixNano(), target)
	}
	return b.String()
}
