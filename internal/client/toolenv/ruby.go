package toolenv

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	rubybundler "github.com/gatehouse-registry/gatehouse/internal/client/login/bundler"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

// gemSources is the variable that gemPlugin reads.
const gemSources = "GATEHOUSE_GEM_SOURCES"

// gemPlugin is loaded only by gem, which looks for files of this name in Ruby's
// library path (Gem.load_env_plugins).
//
//go:embed rubygems_plugin.rb
var gemPlugin string

// gem sends GEM_HOST_API_KEY to the host that it pushes to: the one in the gem's
// metadata (allowed_push_host), and otherwise RUBYGEMS_HOST, which is set here. For
// the sources that it installs from it has no variable, so a plug-in sets them.
func gem(s *setter) {
	s.set("RUBYGEMS_HOST", strings.TrimSuffix(s.first().Endpoint.String(), "/"))
	if s.first().Token.Password == "" {
		s.set("GEM_HOST_API_KEY", "none") // it requires one
	} else {
		s.secret("GEM_HOST_API_KEY", "Bearer "+s.first().Token.Password, s.first())
	}
	var sources []string
	for _, e := range s.endpoints {
		if e.Token.Password == "" {
			sources = append(sources, e.Endpoint.String())
		} else {
			sources = append(sources, rubybundler.Address(e.Endpoint, e.Token))
		}
	}
	s.addressed(gemSources, strings.Join(sources, " "), s.endpoints...)
	path := filepath.Dir(s.file("ruby/rubygems_plugin.rb", gemPlugin))
	if before := s.Places.Getenv("RUBYLIB"); before != "" {
		path += string(filepath.ListSeparator) + before
	}
	s.set("RUBYLIB", path)
}

// bundler has passwords by host, so of several domains on one host only the first
// one's password is set. A Gemfile names the source. Passwords for the same addresses
// in the person's configuration would come first, so they are replaced by variables
// of the same name, even if not every shell passes such names on.
func bundler(s *setter) {
	seen := make(map[string]bool)
	set := func(name, value string, e project.Endpoint) {
		if !seen[name] {
			s.secret(name, value, e)
		}
		seen[name] = true
	}
	text, err := s.ReadFile(rubybundler.File(s.Places))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.err = err
		return
	}
	for _, e := range s.endpoints {
		set(rubybundler.HostKey(e.Endpoint), e.Token.Username+":"+e.Token.Password, e)
		held, err := rubybundler.Renew(text, e.Endpoint, e.Token)
		if err != nil {
			s.err = fmt.Errorf("%s: %w", rubybundler.File(s.Places), err)
			return
		}
		for _, setting := range held {
			set(setting.Name, setting.Value, e)
		}
	}
}
