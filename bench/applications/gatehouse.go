package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

// A gatehouse is a running server with a repository app, which has the repository store as
// its upstream, which has the external connection.
type gatehouse struct {
	cmd     *exec.Cmd
	program string
	data    string
}

func (b *bench) startGatehouse(ctx context.Context, dir string) (*gatehouse, error) {
	config := filepath.Join(dir, "gatehouse.yaml")
	settings := fmt.Sprintf("upstreams:\n  %q: {url: %q, allow_private: true, file_hosts: [%q]}\n",
		b.connection, b.upstream, strings.TrimPrefix(b.standIn.files.server.URL, "http://"))
	if b.debug != "" {
		settings += fmt.Sprintf("debug_listen: %q\n", b.debug)
	}
	if err := writeFile(config, []byte(settings)); err != nil {
		return nil, err
	}
	g := &gatehouse{program: b.program, data: filepath.Join(dir, "data")}
	g.cmd = exec.Command(g.program, "serve", "--data", g.data, "--config", config, "--listen", "127.0.0.1:0", "--log-level", "error")
	g.cmd.Stderr = os.Stderr
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	started := false
	lines := bufio.NewScanner(out)
	for !started && lines.Scan() {
		started = strings.HasPrefix(lines.Text(), "listening on ")
	}
	if !started {
		return nil, errors.Join(errors.New("the server did not start"), g.stop())
	}
	go func() {
		for lines.Scan() { // so that the server never waits for its reader
		}
	}()
	if err := g.createRepositories(ctx, b.connection); err != nil {
		return nil, errors.Join(err, g.stop())
	}
	return g, nil
}

func (g *gatehouse) stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return g.cmd.Wait()
}

func (g *gatehouse) createRepositories(ctx context.Context, connection string) error {
	c, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithSharedConfigFiles([]string{filepath.Join(g.data, "aws/config")}),
		awsconfig.WithSharedCredentialsFiles([]string{filepath.Join(g.data, "aws/credentials")}),
		awsconfig.WithSharedConfigProfile("gatehouse"))
	if err != nil {
		return err
	}
	api, domain, store := codeartifact.NewFromConfig(c), aws.String("acme"), aws.String("store")
	if _, err := api.CreateDomain(ctx, &codeartifact.CreateDomainInput{Domain: domain}); err != nil {
		return err
	}
	if _, err := api.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: domain, Repository: store}); err != nil {
		return err
	}
	if _, err := api.AssociateExternalConnection(ctx, &codeartifact.AssociateExternalConnectionInput{Domain: domain, Repository: store, ExternalConnection: &connection}); err != nil {
		return err
	}
	_, err = api.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{
		Domain: domain, Repository: aws.String("app"), Upstreams: []types.UpstreamRepository{{RepositoryName: store}},
	})
	return err
}

// login logs a client in as a person does.
func (g *gatehouse) login(ctx context.Context, c *client, tool string) error {
	c.env = append(c.env, "AWS_CONFIG_FILE="+filepath.Join(g.data, "aws/config"),
		"AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(g.data, "aws/credentials"), "AWS_PROFILE=gatehouse")
	return c.run(ctx, c.home, g.program, "login", "--tool", tool, "--domain", "acme", "--repository", "app")
}
