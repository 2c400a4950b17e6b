package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// An operatorClient calls a running server for one of the commands for operators.
type operatorClient struct{ *operator.Client }

// operator returns the client of the server that the flags and the AWS configuration
// name.
func (f awsFlags) operator(ctx context.Context, now clock) (*operatorClient, error) {
	cfg, err := f.load(ctx)
	if err != nil {
		return nil, err
	}
	client, err := operator.New(cfg, now)
	if errors.Is(err, operator.ErrNoEndpoint) {
		return nil, usageError{err}
	}
	if err != nil {
		return nil, credential.Explain(err, credential.Request{Service: operatormodel.Service})
	}
	return &operatorClient{client}, nil
}

// explain puts what a person can do about an error of the server in front of it.
func (c *operatorClient) explain(err error) error {
	return credential.Explain(err, credential.Request{Service: operatormodel.Service, Endpoint: c.Endpoint()})
}

type serverCommand struct {
	Info serverInfoCommand `cmd:"" help:"Show the version, the database and the uptime of a running server."`
}

type serverInfoCommand struct {
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (serverInfoCommand) Help() string {
	return `The caller needs gatehouse:GetServerInfo in the account of the installation, which is
its first one. Behind a load balancer, each call may reach another server.

Examples:

  gatehouse server info
  gatehouse server info --profile ops --output json`
}

// Run prints the description of the server.
func (c *serverInfoCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	info, err := client.GetServerInfo(ctx, &operatormodel.GetServerInfoInput{})
	if err != nil {
		return client.explain(err)
	}
	if c.Output == outputJSON {
		return printJSON(stdout, info)
	}
	_, err = fmt.Fprintf(stdout, "version:  %s\nserver:   %s\nstarted:  %s (%ds ago)\nurl:      %s\naccount:  %s\nregions:  %s\ndatabase: %s, %d schema steps\n",
		info.Version, info.ServerID, info.StartedAt.Format("2006-01-02 15:04:05Z"), info.UptimeSeconds, info.URL, info.Account,
		strings.Join(info.Regions, ", "), info.Database, len(info.SchemaSteps))
	return err
}
