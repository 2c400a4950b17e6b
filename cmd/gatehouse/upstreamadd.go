package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/yamledit"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

type upstreamAddCommand struct {
	Name string `arg:"" help:"The name of an external connection, such as public:npmjs, or a name of your own."`
	URL  string `arg:"" name:"url" help:"The address that a client of the format would be given."`

	Config       string `placeholder:"FILE" required:"" env:"GATEHOUSE_CONFIG" help:"The configuration file of the server."`
	Format       string `placeholder:"FORMAT" help:"npm, pypi, maven, nuget, ruby or cargo; for names of your own."`
	AllowPrivate bool   `help:"Its hosts may have private addresses, and speak http."`
	CA           string `name:"ca" placeholder:"FILE" help:"Authorities for its certificate, in PEM form."`
	Proxy        string `placeholder:"URL" help:"The proxy, or none."`
	Scheme       string `placeholder:"SCHEME" help:"How the credential is sent: basic, bearer, token or header."`
	User         string `placeholder:"NAME" help:"The user of a basic credential."`
	Header       string `placeholder:"NAME" help:"The header of the credential, if the scheme is header."`
	SecretFile   string `placeholder:"FILE" help:"The file that has the secret of the credential."`
	SecretEnv    string `placeholder:"VARIABLE" help:"The environment variable of the server that has the secret."`
}

// Help is what --help shows below the flags.
func (upstreamAddCommand) Help() string {
	return `It writes the settings into the configuration file and leaves the rest of the file as it is. Settings that the upstream has already are replaced. Nothing is written if the file would be wrong. The server reads the file when it starts.

Examples:

  gatehouse upstream add public:npmjs https://npm.registry.example/ --config /etc/gatehouse/gatehouse.yaml
  gatehouse upstream add corp https://maven.corp.example/m2/ --format maven --allow-private --scheme basic --user ci --secret-file /etc/gatehouse/corp.password`
}

// Run edits the configuration file.
func (c *upstreamAddCommand) Run(stdout io.Writer, now clock) error {
	path, err := filepath.EvalSymlinks(c.Config)
	if errors.Is(err, fs.ErrNotExist) {
		return usageError{fmt.Errorf("there is no configuration file %s: create it, empty if it needs nothing else, and start the server with --config %s", c.Config, c.Config)}
	}
	if err != nil {
		return usageError{err}
	}
	info, err := os.Stat(path)
	if err != nil {
		return usageError{err}
	}
	if !isOwnFile(info) {
		return usageError{fmt.Errorf("%s belongs to another user, and would belong to you: run the command as that user", path)}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text, err = c.edit(text); err != nil {
		return usageError{fmt.Errorf("%s cannot be edited: %w", path, err)}
	}
	if err := checkEdited(path, text, now()); err != nil {
		return usageError{err}
	}
	if err := atomicfile.Replace(path, text, info.Mode().Perm()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %s has the address %s\nTry it with `gatehouse upstream check %s --config %s`, and restart the server.\n", path, c.Name, c.URL, c.Name, c.Config)
	return err
}

// edit sets the settings that were given.
func (c *upstreamAddCommand) edit(text []byte) (_ []byte, err error) {
	settings := []struct{ path, value string }{
		{"format", c.Format},
		{"url", c.URL},
		{"ca", c.CA},
		{"proxy", c.Proxy},
		{"credential.scheme", c.Scheme},
		{"credential.user", c.User},
		{"credential.header", c.Header},
		{"credential.file", c.SecretFile},
		{"credential.env", c.SecretEnv},
	}
	for _, s := range settings {
		if s.value == "" {
			continue
		}
		if text, err = yamledit.Set(text, c.path(s.path), s.value); err != nil {
			return nil, err
		}
	}
	if c.AllowPrivate {
		return yamledit.SetBool(text, c.path("allow_private"), true)
	}
	return text, nil
}

func (c *upstreamAddCommand) path(setting string) []string {
	return append([]string{"upstreams", c.Name}, strings.Split(setting, ".")...)
}

// checkEdited reports what is wrong with the text of a configuration file: that it cannot
// be read, or its upstreams.
func checkEdited(path string, text []byte, now time.Time) (err error) {
	f, err := os.CreateTemp("", "gatehouse-*.yaml")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(text)
	if err := cmp.Or(err, f.Close()); err != nil {
		return err
	}
	cfg := config.Default()
	if err := cfg.Read(f.Name()); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), f.Name(), path))
	}
	var wrong []error
	for _, p := range config.Problems(app.CheckConfig(cfg, now)) {
		if strings.HasPrefix(p.Setting, "upstreams") {
			wrong = append(wrong, fmt.Errorf("%s: %s", p.Setting, p.Message))
		}
	}
	return errors.Join(wrong...)
}
