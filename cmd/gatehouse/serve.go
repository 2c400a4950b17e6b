package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/sdnotify"
)

type serveCommand struct {
	Config    string `placeholder:"FILE" env:"GATEHOUSE_CONFIG" help:"Read the configuration from a YAML file; flags win over it."`
	Data      string `placeholder:"DIR" env:"GATEHOUSE_DATA" help:"Folder for everything the server keeps (${default_data})."`
	Blobs     string `placeholder:"URL" env:"GATEHOUSE_BLOBS" help:"Bucket for the bytes of images and packages: s3://bucket/prefix?region=… (files in the data folder)."`
	Database  string `placeholder:"URL" env:"GATEHOUSE_DATABASE" help:"sqlite, or the postgres:// URL of a database that servers can share (sqlite). A URL with a password belongs in the environment or in the configuration file, not on the command line."`
	Listen    string `placeholder:"HOST:PORT" env:"GATEHOUSE_LISTEN" help:"Address to listen on (${default_listen}); port 0 takes a free one."`
	Account   string `placeholder:"ID" help:"12-digit id of the first account (${default_account})."`
	Region    string `placeholder:"REGION" help:"Region of the profiles that are written (${default_region})."`
	LogFormat string `placeholder:"FORMAT" help:"text or json (text)."`
	LogLevel  string `placeholder:"LEVEL" help:"debug, info, warn or error (info)."`
}

// Help is what --help shows below the flags.
func (serveCommand) Help() string {
	return `Examples:

  gatehouse serve
      on SQLite and local files in ./gatehouse-data, at http://127.0.0.1:4283

  gatehouse serve --data /var/lib/gatehouse --listen 0.0.0.0:4283 --config gatehouse.yaml
      with the settings that docs/operations.md describes

Then, in another terminal:

  eval "$(gatehouse env)"
  aws ecr get-login-password | docker login --username AWS --password-stdin 127.0.0.1:4283`
}

// Run serves until the context ends. SIGHUP and changed files reload what can change.
func (c *serveCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before anything else: it would end the process
	defer signal.Stop(hangups)
	cfg, err := c.config()
	if err != nil {
		return err
	}
	notifier, err := sdnotify.FromEnvironment()
	if err != nil {
		return usageError{err}
	}
	options := append(now.server(), app.WithVersion(readVersion().Version), app.WithNotifier(notifier))
	if program, err := os.Executable(); err == nil { // it scans images, in processes of their own
		options = append(options, app.WithScanWorker(program))
	} else { // such as in a root directory without /proc
		fmt.Fprintln(stderr, "Images are not scanned, since the path of this program is not known:", err)
	}
	go paceCollector(ctx)
	server, err := app.Start(ctx, cfg, options...)
	if errors.Is(err, app.ErrConfiguration) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	var files []string
	if c.Config != "" {
		files = append(files, c.Config)
	}
	server.ReloadOn(hangups, c.config, files...)
	if cfg.Audit == "-" {
		stdout = stderr // standard output is the audit log
	}
	fmt.Fprint(stdout, listening(server))
	if f, ok := stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(stdout, firstSteps(cfg, server))
	}
	return server.Wait()
}

func (c *serveCommand) config() (*config.Config, error) {
	cfg := config.Default()
	if c.Config != "" {
		if err := cfg.Read(c.Config); err != nil {
			return nil, usageError{err}
		}
	}
	for _, flag := range []struct {
		given string
		into  *string
	}{
		{c.Data, &cfg.Data},
		{c.Blobs, &cfg.Blobs},
		{c.Database, &cfg.Database},
		{c.Listen, &cfg.Listen},
		{c.Account, &cfg.Account},
		{c.Region, &cfg.Region},
		{c.LogFormat, &cfg.Log.Format},
		{c.LogLevel, &cfg.Log.Level},
	} {
		if flag.given != "" {
			*flag.into = flag.given
		}
	}
	cfg.WrappingKeys = wrappingKeys()
	if err := cfg.Validate(); err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

// wrappingKeys are the keys of the keyring in the environment. They are no flags: other
// users of a machine can see those.
func wrappingKeys() config.WrappingKeys {
	return config.WrappingKeys{Key: os.Getenv("GATEHOUSE_KEYRING_KEY"), Former: os.Getenv("GATEHOUSE_KEYRING_FORMER_KEY")}
}

// listening says where the server listens and, if that is another address, which
// address clients are told.
func listening(server *app.Server) string {
	text := "listening on " + server.Address() + "\n"
	if server.URL() != server.Address() {
		text += "clients are told " + server.URL() + "\n"
	}
	if a := server.DebugAddress(); a != "" {
		text += "profiles are on http://" + a + "/debug/pprof/\n"
	}
	return text
}

// firstSteps are the lines that a person pastes next.
func firstSteps(cfg *config.Config, server *app.Server) string {
	env := "gatehouse env"
	if cfg.Data != config.Default().Data {
		env += " --data " + cfg.Data
	}
	registry := server.RegistryHost()
	return strings.Join([]string{
		"", "In another terminal (gatehouse is this program; go run ./cmd/gatehouse works too):", "",
		`  eval "$(` + env + `)"`,
		"  aws ecr create-repository --repository-name hello",
		"  aws ecr get-login-password | docker login --username AWS --password-stdin " + registry,
		"  docker tag alpine " + registry + "/hello && docker push " + registry + "/hello",
		"  aws codeartifact create-domain --domain acme && aws codeartifact create-repository --domain acme --repository lib",
		"  aws codeartifact login --tool npm --domain acme --repository lib && npm publish", "", "",
	}, "\n")
}
