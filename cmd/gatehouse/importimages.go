package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	containerauth "github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/imagecopy"
	"github.com/gatehouse-registry/gatehouse/internal/client/registryimport"
)

type importImagesCommand struct {
	From             string `arg:"" optional:"" placeholder:"SOURCE" help:"A registry as docker://HOST or docker://HOST/PREFIX. Without it, the source is ECR, or the registry of another Gatehouse, with the --from flags."`
	Names            string `type:"existingfile" placeholder:"FILE" help:"File with the names of the repositories, one a line, for a registry without a catalog."`
	Insecure         bool   `help:"The registry has no TLS."`
	FromRegistryID   string `name:"from-registry-id" placeholder:"ID" help:"12-digit account of the source registry, if not the caller's own."`
	RegistryID       string `name:"registry-id" placeholder:"ID" help:"12-digit account of the destination registry, if not the caller's own."`
	RepositoryPrefix string `placeholder:"NAME" help:"Only repositories whose names begin with this."`
	Tag              string `placeholder:"PATTERN" help:"Only tags that match, such as v1.*; images without a tag are left out then."`
	ImagePrefix      string `placeholder:"PATH" help:"What stands in front of the names of the copies, such as mirror/."`
	overwriteFlag
	importFlags
}

// Help is what --help shows below the flags.
func (importImagesCommand) Help() string {
	return `Manifests are copied byte for byte, so digests stay: all platforms of an image, and the
signatures, attestations and SBOMs that refer to it. From ECR, images without a tag come as
well. Repositories are created. What the destination has already is not sent, so start the
command again to go on after an interruption. A tag that is on another image at the
destination stays, and is reported, unless --overwrite-tags is given. The exit code is 1 if
anything failed or is different.

From ECR, the caller needs ecr:DescribeRepositories, ListImages, GetAuthorizationToken and
what a pull needs; for docker://, ~/.docker/config.json has the login. At the destination:
ecr:CreateRepository and what a push needs.

Examples:

  gatehouse import images --from-profile aws --repository-prefix team/ --dry-run
  gatehouse import images docker://registry.example/team --tag 'v1.*' --image-prefix mirror/`
}

// Run imports the images.
func (c *importImagesCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := validPattern("--tag", c.Tag); err != nil {
		return err
	}
	if c.From == "" && (c.Names != "" || c.Insecure) || c.From != "" && (c.FromProfile+c.FromRegion+c.FromEndpoint+c.FromRegistryID) != "" {
		return usageError{errors.New("--names and --insecure are for docker://, and the --from flags for ECR")}
	}
	cfg, err := c.load(ctx)
	if err != nil {
		return err
	}
	cfg, transport := patient(cfg)
	to, err := openRegistry(ctx, cfg, registryChoice{id: c.RegistryID, prefix: c.ImagePrefix}, now)
	if err != nil {
		return err
	}
	client, err := imagecopy.NewClient(remote.WithAuth(to.Auth), remote.WithTransport(transport))
	if err != nil {
		return err
	}
	run := &registryimport.Images{
		To: client, Registry: to.Registry, Prefix: to.Prefix, Create: to.Create, RepositoryPrefix: c.RepositoryPrefix, Tag: c.Tag,
		Overwrite: c.OverwriteTags, Parallel: c.Parallel, DryRun: c.DryRun,
	}
	if c.From == "" {
		run.From, err = c.ecrSource(ctx, now)
	} else {
		run.From, err = c.dockerSource()
	}
	if err != nil {
		return err
	}
	if run.From.Registry.Name() == to.Registry.Name() && to.Prefix == "" {
		return usageError{errors.New("the source and the destination are the same registry; --from-profile or --from-endpoint names another one")}
	}
	report, end := c.report(stderr, "images")
	run.Report = report
	err = run.Run(ctx)
	end()
	return c.finish(stdout, report, err)
}

// ecrSource is the registry of ECR, or of another Gatehouse.
func (c *importImagesCommand) ecrSource(ctx context.Context, now clock) (registryimport.ImageSource, error) {
	var none registryimport.ImageSource
	cfg, err := c.source().load(ctx)
	if err != nil {
		return none, err
	}
	cfg, transport := patient(cfg)
	opened, err := openRegistry(ctx, cfg, registryChoice{id: c.FromRegistryID}, now)
	if err != nil {
		return none, err
	}
	client, err := imagecopy.NewClient(remote.WithAuth(opened.Auth), remote.WithTransport(transport))
	api := ecr.NewFromConfig(cfg)
	explain := func(err error) error {
		return credential.Explain(err, credential.Request{Service: "ecr", Region: cfg.Region, Endpoint: aws.ToString(cfg.BaseEndpoint)})
	}
	return registryimport.ImageSource{
		Client: client, Registry: opened.Registry,
		Repositories: func(ctx context.Context, visit func(string) error) error {
			pages := ecr.NewDescribeRepositoriesPaginator(api, &ecr.DescribeRepositoriesInput{RegistryId: optional(c.FromRegistryID)})
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				if err != nil {
					return explain(err)
				}
				for i := range page.Repositories {
					if err := visit(aws.ToString(page.Repositories[i].RepositoryName)); err != nil {
						return err
					}
				}
			}
			return nil
		},
		Untagged: func(ctx context.Context, repository string) (digests []string, err error) {
			pages := ecr.NewListImagesPaginator(api, &ecr.ListImagesInput{
				RegistryId: optional(c.FromRegistryID), RepositoryName: &repository, Filter: &ecrtypes.ListImagesFilter{TagStatus: ecrtypes.TagStatusUntagged},
			})
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				if err != nil {
					return nil, explain(err)
				}
				for _, id := range page.ImageIds {
					digests = append(digests, aws.ToString(id.ImageDigest))
				}
			}
			return digests, nil
		},
	}, err
}

// dockerSource is the registry of a docker:// address.
func (c *importImagesCommand) dockerSource() (registryimport.ImageSource, error) {
	var none registryimport.ImageSource
	u, err := url.Parse(c.From)
	if err != nil || u.Scheme != "docker" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return none, usageError{fmt.Errorf("%q is not a source such as docker://registry.example/team", c.From)}
	}
	var options []name.Option
	if c.Insecure {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(u.Host, options...)
	if err != nil {
		return none, usageError{err}
	}
	_, transport := patient(aws.Config{})
	client, err := imagecopy.NewClient(remote.WithAuthFromKeychain(containerauth.DefaultKeychain), remote.WithTransport(transport))
	if err != nil {
		return none, err
	}
	prefix := strings.Trim(u.Path, "/")
	below := func(visit func(string) error) func(string) error {
		return func(repository string) error {
			if prefix != "" && repository != prefix && !strings.HasPrefix(repository, prefix+"/") {
				return nil
			}
			return visit(repository)
		}
	}
	source := registryimport.ImageSource{Client: client, Registry: registry, Repositories: func(ctx context.Context, visit func(string) error) error {
		if err := client.Repositories(ctx, registry, below(visit)); err != nil {
			return catalogError(registry.Name(), err)
		}
		return nil
	}}
	if c.Names != "" {
		source.Repositories = func(_ context.Context, visit func(string) error) error { return eachLine(c.Names, below(visit)) }
	}
	return source, nil
}

// catalogError says what to do if the repositories of a registry cannot be listed.
func catalogError(host string, err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("%s answered %d for its catalog: log in with docker login %s, or name the repositories with --names (%s)",
			host, answer.StatusCode, host, strings.TrimSpace(err.Error()))
	}
	return fmt.Errorf("the catalog of %s: %w; --names names the repositories of a registry without one", host, err)
}

// eachLine calls visit for the lines of a file that are not empty and no comments.
func eachLine(file string, visit func(string) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); text != "" && text[0] != '#' {
			if err := visit(text); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
