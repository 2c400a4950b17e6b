package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A candidate is one way for a container client to get a token.
type candidate interface {
	Name() string
	// Forget empties its cache and does its one-time set-up.
	Forget() error
	// Prepare does what a person must do before each pull, if anything.
	Prepare(ctx context.Context, first bool) error
	// Token gets a token as the client would.
	Token(ctx context.Context) error
	// Home is its home directory, which has its configuration.
	Home() string
	// LongBuild runs a build that pulls every 5 minutes, once for each way to use
	// the candidate.
	LongBuild(ctx context.Context, pulls int) ([]session, error)
}

// A session is the result of a long build.
type session struct {
	way            string // "" if there is only one way
	calls, refused int
	note           string // what was simulated rather than measured
}

const interval = 5 * time.Minute

// A helper is a credential helper, which the client calls in docker's protocol.
type helper struct {
	*setup
	name, suffix string
	program      string
	cache        string // its cache folder, relative to its home
	home         string
}

// Name implements candidate.
func (h *helper) Name() string { return h.name }

// Home implements candidate.
func (h *helper) Home() string {
	if h.home == "" {
		h.home = filepath.Join(h.dir, "home-"+h.suffix)
	}
	return h.home
}

// Forget implements candidate.
func (h *helper) Forget() error {
	return errors.Join(os.RemoveAll(filepath.Join(h.Home(), h.cache)), h.configure())
}

// configure tells the client to call the helper, and puts the helper on the PATH.
func (h *helper) configure() error {
	config := fmt.Sprintf(`{"credHelpers":{%q:%q}}`, registry, h.suffix)
	link := filepath.Join(h.Home(), "bin", "docker-credential-"+h.suffix)
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(link); err != nil {
		if err := os.Symlink(h.program, link); err != nil {
			return err
		}
	}
	return writeDockerConfig(h.Home(), config)
}

func writeDockerConfig(home, text string) error {
	dir := filepath.Join(home, ".docker")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600)
}

// Prepare implements candidate.
func (*helper) Prepare(context.Context, bool) error { return nil }

// Token implements candidate.
func (h *helper) Token(ctx context.Context) error {
	_, err := h.get(ctx, h.server, nil)
	return err
}

// get calls the helper in the environment of a client of the server.
func (h *helper) get(ctx context.Context, s *server, env []string) (password string, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(h.Home(), "bin", "docker-credential-"+h.suffix), "get")
	cmd.Env, cmd.Stdin = append(s.environment(h.Home(), h.proxyURL), env...), strings.NewReader(registry)
	out, err := output(cmd)
	if err != nil {
		return "", err
	}
	var answer struct{ Secret string }
	err = json.Unmarshal(out, &answer)
	return answer.Secret, err
}

// LongBuild implements candidate.
func (h *helper) LongBuild(ctx context.Context, pulls int) ([]session, error) {
	if h.suffix == "gatehouse" {
		return h.movedClock(ctx, pulls)
	}
	return h.movedCache(ctx, pulls)
}

// movedClock gives the server and the helper one clock and moves it.
func (h *helper) movedClock(ctx context.Context, pulls int) ([]session, error) {
	later := &helper{setup: h.setup, suffix: h.suffix, program: h.clocked, home: filepath.Join(h.dir, "home-later")}
	if err := later.configure(); err != nil {
		return nil, err
	}
	return h.long(ctx, h.later, pulls, func(i int) (string, error) {
		if err := h.advance(time.Duration(i) * interval); err != nil {
			return "", err
		}
		return later.get(ctx, h.later, []string{"GATEHOUSE_CLOCK=" + h.clock})
	}, "")
}

// movedCache moves the times in the helper's cache file back instead of moving a
// clock forward.
func (h *helper) movedCache(ctx context.Context, pulls int) ([]session, error) {
	if err := h.Forget(); err != nil {
		return nil, err
	}
	return h.long(ctx, h.server, pulls, func(i int) (string, error) {
		if i > 0 {
			if err := ageCache(filepath.Join(h.Home(), h.cache, "cache.json"), interval); err != nil {
				return "", err
			}
		}
		return h.get(ctx, h.server, nil)
	}, "the times in its cache were moved, not the clock")
}

// long pulls again and again. get advances the time and gets a password.
func (h *helper) long(ctx context.Context, s *server, pulls int, get func(int) (string, error), note string) ([]session, error) {
	before, err := s.calls()
	if err != nil {
		return nil, err
	}
	d := session{note: note}
	for i := range pulls {
		password, err := get(i)
		if err != nil {
			return nil, err
		}
		admitted, err := s.admits(ctx, "AWS", password)
		if err != nil {
			return nil, err
		}
		if !admitted {
			d.refused++
		}
	}
	after, err := s.calls()
	d.calls = after - before
	return []session{d}, err
}

// ageCache makes every entry of amazon-ecr-credential-helper's cache older.
func ageCache(path string, by time.Duration) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var file struct {
		Registries map[string]map[string]any
		Version    string
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	for _, entry := range file.Registries {
		for _, name := range []string{"RequestedAt", "ExpiresAt"} {
			at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(entry[name]))
			if err != nil {
				return err
			}
			entry[name] = at.Add(-by)
		}
	}
	if text, err = json.Marshal(file); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// A cli is the AWS CLI. A person pipes its password into the client's login.
type cli struct {
	*setup
	name string
	argv []string
}

// Name implements candidate.
func (c *cli) Name() string { return c.name }

// Home implements candidate.
func (c *cli) Home() string {
	return filepath.Join(c.dir, "home-"+strings.ReplaceAll(c.name, " ", "-"))
}

// Forget implements candidate.
func (c *cli) Forget() error { return writeDockerConfig(c.Home(), "{}") }

// Prepare implements candidate.
func (c *cli) Prepare(ctx context.Context, first bool) error {
	if !first {
		return nil
	}
	password, err := c.password(ctx, c.server, c.argv)
	if err != nil {
		return err
	}
	_, err = c.command(ctx, c.Home(), password, c.crane(), "auth", "login", "--username", "AWS", "--password-stdin", registry)
	return err
}

// Token implements candidate.
func (c *cli) Token(ctx context.Context) error {
	_, err := c.password(ctx, c.server, c.argv)
	return err
}

func (c *cli) password(ctx context.Context, s *server, argv []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], "ecr", "get-login-password")...)
	cmd.Env = s.environment(c.Home(), c.proxyURL)
	return output(cmd)
}

// LongBuild implements candidate. It logs in once and checks at each pull whether
// the password is still valid. It also logs in before a few pulls, to count the
// calls.
func (c *cli) LongBuild(ctx context.Context, pulls int) ([]session, error) {
	if err := c.advance(0); err != nil {
		return nil, err
	}
	once, err := c.loginOnce(ctx, pulls)
	if err != nil {
		return nil, err
	}
	const samples = 3
	before, err := c.server.calls()
	if err != nil {
		return nil, err
	}
	for range samples {
		if err := c.Token(ctx); err != nil {
			return nil, err
		}
	}
	after, err := c.server.calls()
	always := session{way: "a login before every pull", calls: (after - before) * pulls / samples, note: fmt.Sprintf("%d logins were made; the total is extrapolated", samples)}
	return []session{once, always}, err
}

func (c *cli) loginOnce(ctx context.Context, pulls int) (session, error) {
	argv := append([]string{}, c.argv...)
	for i, word := range argv {
		argv[i] = strings.ReplaceAll(word, c.server.url, c.later.url)
	}
	before, err := c.later.calls()
	if err != nil {
		return session{}, err
	}
	password, err := c.password(ctx, c.later, argv)
	if err != nil {
		return session{}, err
	}
	d := session{way: "one login"}
	for i := range pulls {
		if err := c.advance(time.Duration(i) * interval); err != nil {
			return d, err
		}
		admitted, err := c.later.admits(ctx, "AWS", strings.TrimSpace(string(password)))
		if err != nil {
			return d, err
		}
		if !admitted {
			d.refused++
		}
	}
	after, err := c.later.calls()
	d.calls = after - before
	return d, err
}

// trusting returns a client that trusts the certificate authority of a file.
func trusting(authority string) (*http.Client, error) {
	text, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: time.Minute}, nil
}
