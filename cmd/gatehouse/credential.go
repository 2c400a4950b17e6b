package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/bazel"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/docker"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/get"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/keyring"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/kubelet"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/nuget"
)

// helpers are the names by which clients start the program, and the command that
// each stands for.
var helpers = map[string]string{
	"docker-credential-gatehouse":  "docker",
	"cargo-credential-gatehouse":   "cargo",
	"keyring":                      "keyring",
	"bazel-credential-gatehouse":   "bazel",
	"kubelet-credential-gatehouse": "kubelet",
	"git-credential-gatehouse":     "get",
	"nuget-plugin-gatehouse":       "nuget",
}

// arguments are the arguments of the command line, after the command that the
// program's name stands for. Cargo starts a provider with the single argument
// --cargo-plugin, by any path. NuGet's single argument has one dash.
func arguments(argv []string) []string {
	name := strings.TrimSuffix(filepath.Base(argv[0]), ".exe")
	if helper, ok := helpers[name]; ok {
		if helper == "nuget" && slices.Equal(argv[1:], []string{"-Plugin"}) {
			return []string{"credential", "nuget", "--plugin"}
		}
		return append([]string{"credential", helper}, argv[1:]...)
	}
	if len(argv) == 2 && argv[1] == "--cargo-plugin" {
		return []string{"credential", "cargo", "--cargo-plugin"}
	}
	return argv[1:]
}

// errReported marks an error that was reported already: to a client in its
// protocol, or by a report on standard output.
var errReported = errors.New("reported")

func reported(err error) error { return fmt.Errorf("%w: %w", errReported, err) }

type credentialCommand struct {
	awsFlags
	Hosts []string `placeholder:"HOST" env:"GATEHOUSE_HOSTS" help:"Hosts that get tokens in addition to those that the endpoint names."`

	Docker  dockerCommand  `cmd:"" help:"Answer docker, podman, skopeo, crane, helm (as docker-credential-gatehouse)."`
	Cargo   cargoCommand   `cmd:"" help:"Answer cargo (as cargo-credential-gatehouse)."`
	Keyring keyringCommand `cmd:"" help:"Answer pip and uv (as keyring)."`
	Bazel   bazelCommand   `cmd:"" help:"Answer Bazel (as bazel-credential-gatehouse)."`
	Kubelet kubeletCommand `cmd:"" help:"Answer the kubelet (as kubelet-credential-gatehouse)."`
	NuGet   nuGetCommand   `cmd:"" name:"nuget" help:"Answer dotnet, nuget and msbuild (as nuget-plugin-gatehouse)."`
	Get     getCommand     `cmd:"" help:"Answer git and scripts, in lines of key=value (as git-credential-gatehouse)."`
}

// Help is what --help shows below the flags.
func (credentialCommand) Help() string {
	return `Tools start these commands by the names in parentheses. gatehouse login makes the
links that it needs; for other tools make them somewhere on PATH. docs/clients.md
shows the configuration of each tool.

Example:

  ln -s "$(command -v gatehouse)" ~/.local/bin/bazel-credential-gatehouse`
}

func (c *credentialCommand) lookup(now clock) *credential.Lookup {
	return &credential.Lookup{
		Config: credential.AWS(c.awsFlags).LoadRemembered, Addresses: addressBook,
		Hosts: c.Hosts, Options: []authtoken.Option{now.tokens()},
	}
}

// addressBook reads what login recorded about addresses. Without a home folder it
// is empty.
func addressBook() (credential.Addresses, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, nil
	}
	return credential.ReadAddresses(credential.AddressFile(home, runtime.GOOS, os.Getenv))
}

type dockerCommand struct {
	Operation string `arg:"" help:"get, store, erase or list."`
}

// Help is what --help shows below the flags.
func (dockerCommand) Help() string {
	return `Example:

  echo 127.0.0.1:4283 | gatehouse credential docker get`
}

// Run answers one request.
func (c *dockerCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, all *commands, now clock) error {
	if err := docker.Run(ctx, c.Operation, stdin, stdout, all.Credential.lookup(now)); err != nil {
		return reported(err)
	}
	return nil
}

type cargoCommand struct {
	Plugin bool `name:"cargo-plugin" hidden:""` // how cargo starts every provider
}

// Help is what --help shows below the flags.
func (cargoCommand) Help() string {
	return `Example, in $CARGO_HOME/config.toml:

  [registries.lib]
  index = "sparse+https://…/cargo/lib/"
  credential-provider = ["cargo-credential-gatehouse"]`
}

// Run answers requests until cargo has no more.
func (c *cargoCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, all *commands, now clock) error {
	return cargo.Run(ctx, stdin, stdout, all.Credential.lookup(now))
}

type keyringCommand struct{ keyring.Request }

// Help is what --help shows below the flags.
func (keyringCommand) Help() string {
	return `Examples:

  gatehouse credential keyring get https://…/pypi/lib/simple/ aws
  gatehouse credential keyring --mode creds --output json get https://…/pypi/lib/simple/`
}

// Run answers one request.
func (c *keyringCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, all *commands, now clock) error {
	err := keyring.Run(ctx, c.Request, stdin, stdout, all.Credential.lookup(now))
	if errors.Is(err, credential.ErrNotOurs) { // the exit code says it
		return reported(err)
	}
	return err
}

type bazelCommand struct {
	Operation string `arg:"" optional:"" default:"get" help:"get."`
}

// Help is what --help shows below the flags.
func (bazelCommand) Help() string {
	return `Example:

  echo '{"uri": "https://…/maven/lib/"}' | gatehouse credential bazel get`
}

// Run answers one request.
func (c *bazelCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, all *commands, now clock) error {
	return bazel.Run(ctx, c.Operation, stdin, stdout, all.Credential.lookup(now))
}

type kubeletCommand struct{}

// Help is what --help shows below the flags.
func (kubeletCommand) Help() string {
	return `Example:

  echo '{"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderRequest", "image": "127.0.0.1:4283/app"}' |
    gatehouse credential kubelet`
}

// Run answers one request.
func (*kubeletCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, all *commands, now clock) error {
	return kubelet.Run(ctx, stdin, stdout, all.Credential.lookup(now), now)
}

type getCommand struct {
	Operation string `arg:"" optional:"" default:"get" help:"get, store or erase."`
}

// Help is what --help shows below the flags.
func (getCommand) Help() string {
	return `Example:

  echo url=https://…/maven/lib/ | gatehouse credential get`
}

// Run answers one request.
func (c *getCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, all *commands, now clock) error {
	return get.Run(ctx, c.Operation, stdin, stdout, all.Credential.lookup(now))
}

type nuGetCommand struct {
	Plugin bool `hidden:""` // how NuGet starts every plug-in: -Plugin
}

// Help is what --help shows below the flags.
func (nuGetCommand) Help() string {
	return `Example: dotnet finds the plug-in on PATH by its name.

  ln -s "$(command -v gatehouse)" ~/.local/bin/nuget-plugin-gatehouse`
}

// Run answers requests until NuGet has no more.
func (c *nuGetCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, all *commands, now clock) error {
	if !c.Plugin {
		return usageError{errors.New("this is a plug-in for NuGet: dotnet finds it on PATH as nuget-plugin-gatehouse, and starts it with -Plugin")}
	}
	return nuget.Run(ctx, stdin, stdout, all.Credential.lookup(now))
}
