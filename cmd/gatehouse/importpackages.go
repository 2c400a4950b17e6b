package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/mirror"
	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
	"github.com/gatehouse-registry/gatehouse/internal/client/registryimport"
	"github.com/gatehouse-registry/gatehouse/internal/client/retryafter"
)

type importPackagesCommand struct {
	FromDomain      string   `required:"" placeholder:"NAME" help:"The domain of the source."`
	FromDomainOwner string   `placeholder:"ID" help:"12-digit account that owns the domain of the source, if not the caller's own."`
	FromRepository  string   `required:"" placeholder:"NAME" help:"The repository of the source."`
	PublicAPI       bool     `name:"public-api" help:"Read a Gatehouse as CodeArtifact is read. The caller needs no gatehouse:ExportPackageVersion then."`
	Domain          string   `required:"" placeholder:"NAME" help:"The domain of the destination."`
	DomainOwner     string   `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Repository      string   `required:"" placeholder:"NAME" help:"The repository of the destination."`
	Format          []string `enum:"npm,pypi,maven,nuget,generic,ruby,swift,cargo" placeholder:"FORMAT" help:"Only packages of this format; again for another."`
	Namespace       string   `placeholder:"NAME" help:"Only packages of this namespace: an npm scope without @, or a Maven group."`
	Package         string   `placeholder:"PATTERN" help:"Only packages whose names match, such as acme-*."`
	importFlags
}

// Help is what --help shows below the flags.
func (importPackagesCommand) Help() string {
	return `Versions keep their files, time of publication, status, origin and tags. What the destination
has already is not sent, so start the command again to go on after an interruption. What it
has with other bytes stays, and is reported. The exit code is 1 if anything failed or is
different. On a terminal, progress is shown; elsewhere, a line for each version.

A profile for each side is the simplest: AWS's has no endpoint_url, and Gatehouse's has one.
From CodeArtifact, the caller needs codeartifact:ListPackages, ListPackageVersions,
ListPackageVersionAssets, DescribePackageVersion, GetPackageVersionAsset, GetRepositoryEndpoint,
GetAuthorizationToken and ReadFromRepository; from another Gatehouse, the first three and
gatehouse:ExportPackageVersion. At the destination: gatehouse:ImportPackageVersion and the
first three, and for a source that does not export, the right to create, fill, export from
and delete the domain gatehouse-import-*, in which versions are checked and described.

Examples:

  gatehouse import packages --from-profile aws --from-domain acme --from-repository lib --domain acme --repository lib --dry-run
  gatehouse import packages --from-profile aws --from-domain acme --from-repository lib --domain acme --repository lib --format npm --format maven`
}

// Run imports the packages.
func (c *importPackagesCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := validPattern("--package", c.Package); err != nil {
		return err
	}
	run, err := c.open(ctx, now)
	if err != nil {
		return err
	}
	report, end := c.report(stderr, "versions")
	run.Report = report
	err = c.run(ctx, run)
	end()
	if err != nil {
		err = credential.Explain(err, credential.Request{Service: "codeartifact", Domain: c.Domain})
	}
	return c.finish(stdout, report, err)
}

func (c *importPackagesCommand) open(ctx context.Context, now clock) (*registryimport.Packages, error) {
	cfg, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	if aws.ToString(cfg.BaseEndpoint) == "" {
		return nil, usageError{operator.ErrNoEndpoint}
	}
	to, err := openPackages(cfg, now, c.Domain, c.DomainOwner, c.Repository)
	if err != nil {
		return nil, err
	}
	fromCfg, err := c.source().load(ctx)
	if err != nil {
		return nil, err
	}
	if *to.endpoint == aws.ToString(fromCfg.BaseEndpoint) && c.FromDomain == c.Domain && c.FromDomainOwner == c.DomainOwner && c.FromRepository == c.Repository {
		return nil, usageError{errors.New("the source and the destination are the same repository; --from-profile or --from-endpoint names another server")}
	}
	from, err := openPackages(fromCfg, now, c.FromDomain, c.FromDomainOwner, c.FromRepository)
	if err != nil {
		return nil, err
	}
	p := &registryimport.Packages{
		From: from.Repository, To: to.Repository, Parallel: c.Parallel, DryRun: c.DryRun, Folder: temporary(),
		Filter: registryimport.Filter{Formats: c.Format, Namespace: strings.TrimPrefix(c.Namespace, "@"), Package: c.Package},
	}
	if c.PublicAPI || from.Operator == nil {
		p.Foreign = &registryimport.Foreign{Endpoints: packageEndpoints(c.source(), from.Repository, now)}
	}
	return p, nil
}

// run imports, with a staging domain if the source does not export.
func (c *importPackagesCommand) run(ctx context.Context, p *registryimport.Packages) error {
	if p.Foreign == nil || c.DryRun {
		return p.Run(ctx)
	}
	staging, remove, err := createStaging(ctx, p.To)
	if err != nil {
		return err
	}
	defer remove()
	p.Foreign.Staging = staging
	p.Foreign.StagingEndpoints = packageEndpoints(c.awsFlags, staging, newClock())
	return p.Run(ctx)
}

// openedPackages is a repository with the endpoint of its API, which is empty for AWS's own.
type openedPackages struct {
	*packagerepo.Repository
	endpoint *string
}

func openPackages(cfg aws.Config, now clock, domain, owner, name string) (openedPackages, error) {
	cfg, _ = patient(cfg)
	endpoint := aws.ToString(cfg.BaseEndpoint)
	r := &packagerepo.Repository{API: codeartifact.NewFromConfig(cfg), Domain: domain, Owner: owner, Name: name}
	if endpoint == "" || strings.Contains(endpoint, ".amazonaws.com") { // AWS does not export
		return openedPackages{r, &endpoint}, nil
	}
	var err error
	r.Operator, err = operator.New(cfg, now)
	return openedPackages{r, &endpoint}, err
}

// packageEndpoints finds the package endpoints of a repository when they are needed.
func packageEndpoints(flags awsFlags, r *packagerepo.Repository, now clock) func(context.Context, string) (*mirror.Endpoint, error) {
	var mu sync.Mutex
	found := map[string]*mirror.Endpoint{}
	return func(ctx context.Context, format string) (*mirror.Endpoint, error) {
		mu.Lock()
		defer mu.Unlock()
		if e := found[format]; e != nil {
			return e, nil
		}
		named := project.Project{Repositories: []project.Repository{{Domain: r.Domain, DomainOwner: r.Owner, Name: r.Name, Formats: []string{format}}}}
		opened, err := named.Open(ctx, credential.AWS(flags), now.tokens())
		if err != nil {
			return nil, err
		}
		e := opened[0]
		client := &http.Client{Transport: &retryafter.Transport{Base: e.Transport()}}
		found[format] = &mirror.Endpoint{URL: e.Target.Endpoint, Token: e.Authorize, Forget: e.Forget, Client: client}
		return found[format], nil
	}
}

// stagingTimeout bounds how long removing the staging domain may take.
const stagingTimeout = time.Minute

// createStaging creates a domain with an empty repository, and returns what removes both.
func createStaging(ctx context.Context, to *packagerepo.Repository) (*packagerepo.Repository, func(), error) {
	suffix := make([]byte, 6)
	_, _ = rand.Read(suffix) // it never fails
	staging := *to
	staging.Domain, staging.Owner, staging.Name = "gatehouse-import-"+hex.EncodeToString(suffix), "", "staging"
	if _, err := to.API.CreateDomain(ctx, &codeartifact.CreateDomainInput{Domain: &staging.Domain}); err != nil {
		return nil, nil, fmt.Errorf("the staging domain cannot be created: %w", err)
	}
	remove := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stagingTimeout)
		defer cancel()
		_, _ = to.API.DeleteRepository(ctx, &codeartifact.DeleteRepositoryInput{Domain: &staging.Domain, Repository: &staging.Name})
		_, _ = to.API.DeleteDomain(ctx, &codeartifact.DeleteDomainInput{Domain: &staging.Domain})
	}
	if _, err := to.API.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: &staging.Domain, Repository: &staging.Name}); err != nil {
		remove()
		return nil, nil, fmt.Errorf("the staging repository cannot be created: %w", err)
	}
	return &staging, remove, nil
}
