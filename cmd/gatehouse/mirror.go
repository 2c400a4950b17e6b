package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	containerauth "github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/mirror"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

type mirrorCommand struct {
	Plan   mirrorPlanCommand   `cmd:"" help:"Show what lock files and lists need, and what of it a repository holds."`
	Sync   mirrorSyncCommand   `cmd:"" help:"Make a repository take from its upstreams what lock files need, and copy the images of lists."`
	Verify mirrorVerifyCommand `cmd:"" help:"Check that a repository holds what lock files need, with the right hashes."`
}

// mirrorFlags are what the three commands have.
type mirrorFlags struct {
	Files       []string `arg:"" name:"file" help:"Lock files, lists of FORMAT/NAME@VERSION (*.txt) and lists of images (images*.txt)."`
	Domain      string   `placeholder:"NAME" help:"The domain of the repository."`
	DomainOwner string   `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Repository  string   `placeholder:"NAME" help:"The repository."`
	RegistryID  string   `name:"registry-id" placeholder:"ID" help:"12-digit account of the container registry, if not the caller's own."`
	ImagePrefix string   `placeholder:"PATH" help:"What stands in front of the names of the images' repositories, such as mirror/."`
	Parallel    int      `default:"8" placeholder:"N" help:"How many packages are worked on at a time (8)."`
	JSON        bool     `name:"json" help:"Print JSON."`
	awsFlags
}

func (f *mirrorFlags) plan() (*mirror.Plan, error) {
	if (f.Domain == "") != (f.Repository == "") {
		return nil, usageError{errors.New("--domain and --repository go together")}
	}
	if f.Parallel < 1 || f.Parallel > 64 {
		return nil, usageError{errors.New("--parallel is 1 to 64")}
	}
	p := new(mirror.Plan)
	for _, file := range f.Files {
		if err := p.Add(file); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (f *mirrorFlags) needRepository(p *mirror.Plan) error {
	if len(p.Items) > 0 && f.Repository == "" {
		return usageError{errors.New("the files name packages: give --domain and --repository")}
	}
	return nil
}

// A mirrorRun is what a run of one of the commands works with.
type mirrorRun struct {
	plan     *mirror.Plan
	packages *mirror.Mirror // nil without a repository
	images   *mirror.Images // nil without images
	explain  func(error) error
}

func (f *mirrorFlags) open(ctx context.Context, p *mirror.Plan, now clock) (*mirrorRun, error) {
	cfg, err := f.load(ctx)
	if err != nil {
		return nil, err
	}
	r := &mirrorRun{plan: p}
	api := codeartifact.NewFromConfig(cfg)
	request := credential.Request{Service: "codeartifact", Domain: f.Domain, Owner: f.DomainOwner, Region: cfg.Region, Endpoint: aws.ToString(api.Options().BaseEndpoint)}
	r.explain = func(err error) error { return credential.Explain(err, request) }
	if f.Repository != "" && len(p.Items) > 0 {
		r.packages = &mirror.Mirror{API: api, Domain: f.Domain, Owner: f.DomainOwner, Repository: f.Repository, Parallel: f.Parallel}
	}
	if len(p.Images) > 0 {
		r.images, err = f.openImages(ctx, cfg, now)
	}
	return r, err
}

// endpoints finds the package endpoints of the formats of the plan.
func (f *mirrorFlags) endpoints(ctx context.Context, p *mirror.Plan, now clock) (map[string]*mirror.Endpoint, error) {
	named := project.Project{Repositories: []project.Repository{{Domain: f.Domain, DomainOwner: f.DomainOwner, Name: f.Repository, Formats: p.Formats()}}}
	if err := named.Validate(); err != nil {
		return nil, usageError{err}
	}
	opened, err := named.Open(ctx, credential.AWS(f.awsFlags), now.tokens())
	if err != nil {
		return nil, err
	}
	all := map[string]*mirror.Endpoint{}
	for _, e := range opened {
		transport := e.Transport()
		transport.MaxIdleConnsPerHost = f.Parallel
		all[e.Format] = &mirror.Endpoint{URL: e.Target.Endpoint, Token: e.Authorize, Forget: e.Forget, Client: &http.Client{Transport: transport}}
	}
	return all, nil
}

func (f *mirrorFlags) openImages(ctx context.Context, cfg aws.Config, now clock) (*mirror.Images, error) {
	return openRegistry(ctx, cfg, registryChoice{id: f.RegistryID, prefix: f.ImagePrefix, parallel: f.Parallel}, now)
}

// A registryChoice names a container registry as the flags of a command do.
type registryChoice struct {
	id, prefix string
	parallel   int
}

func openRegistry(ctx context.Context, cfg aws.Config, choice registryChoice, now clock) (*mirror.Images, error) {
	options := []authtoken.Option{now.tokens()}
	if choice.id != "" {
		options = append(options, authtoken.RegistryID(choice.id))
	}
	api := ecr.NewFromConfig(cfg)
	request := credential.Request{Service: "ecr", Region: cfg.Region, Endpoint: aws.ToString(api.Options().BaseEndpoint)}
	token, err := authtoken.ECR(cfg, options...).Token(ctx)
	if err != nil {
		return nil, credential.Explain(err, request)
	}
	address, err := url.Parse(token.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("the address of the registry cannot be read: %w", err)
	}
	var insecure []name.Option
	if address.Scheme == "http" {
		insecure = append(insecure, name.Insecure)
	}
	registry, err := name.NewRegistry(address.Host, insecure...)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = c.GetTransport()
	}
	prefix := strings.Trim(choice.prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &mirror.Images{
		Registry: registry, Auth: &containerauth.Basic{Username: token.Username, Password: token.Password}, Sources: containerauth.DefaultKeychain,
		Transport: transport, Prefix: prefix, Parallel: max(choice.parallel/2, 1), Progress: func() {},
		Create: func(ctx context.Context, repository string) error {
			_, err := api.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &repository, RegistryId: optional(choice.id)})
			if exists := (*ecrtypes.RepositoryAlreadyExistsException)(nil); errors.As(err, &exists) {
				return nil
			}
			return credential.Explain(err, request)
		},
	}, nil
}

// show draws the progress of work on the packages and the images.
func (r *mirrorRun) show(stderr messages) (end func()) {
	reporter, stop := newProgress(stderr)
	phase := reporter.Begin("versions and images", int64(len(r.plan.Items)+len(r.plan.Images)), progress.Items)
	step := func() { phase.Add(1) }
	if r.packages != nil {
		r.packages.Progress = step
	}
	if r.images != nil {
		r.images.Progress = step
	}
	return func() { phase.End(); stop() }
}

func (r *mirrorRun) check(ctx context.Context) error {
	if r.packages != nil {
		if err := r.packages.Check(ctx, r.plan); err != nil {
			return r.explain(err)
		}
	}
	if r.images != nil {
		return r.images.Check(ctx, r.plan)
	}
	return nil
}

type mirrorPlanCommand struct{ mirrorFlags }

const mirrorFilesHelp = `Lock files: package-lock.json, npm-shrinkwrap.json, uv.lock, pylock.toml, poetry.lock,
requirements*.txt with versions pinned by ==, Cargo.lock, packages.lock.json, Gemfile.lock,
pom.xml (direct dependencies only). A list (*.txt, *.list) has a line FORMAT/NAME@VERSION or
FORMAT/NAMESPACE/NAME@VERSION for each version. A list of images (images*.txt, *.images) has
a line for each: the image, and after a space where its copy goes, REPOSITORY or
REPOSITORY:TAG.`

// Help is what --help shows below the flags.
func (mirrorPlanCommand) Help() string {
	return mirrorFilesHelp + `

Without --domain and --repository, it only reads the files. With them, the caller needs
codeartifact:ListPackageVersionAssets on the packages. Nothing is fetched.

Examples:

  gatehouse mirror plan package-lock.json uv.lock
  gatehouse mirror plan --domain acme --repository lib --json package-lock.json images.txt`
}

// Run prints the plan.
func (c *mirrorPlanCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	p, err := c.plan()
	if err != nil {
		return err
	}
	if c.Repository != "" {
		r, err := c.open(ctx, p, now)
		if err != nil {
			return err
		}
		end := r.show(stderr)
		err = r.check(ctx)
		end()
		if err != nil {
			return err
		}
	}
	return c.print(stdout, stderr, p, true)
}

type mirrorSyncCommand struct {
	overwriteFlag
	mirrorFlags
}

// overwriteFlag lets images replace others.
type overwriteFlag struct {
	OverwriteTags bool `help:"Move tags of the registry that are on another image. Without it, such a tag stays and is reported."`
}

// Help is what --help shows below the flags.
func (mirrorSyncCommand) Help() string {
	return `The repository takes what it does not hold through its upstreams and external connections,
as it does for a package client. Each file must have the hash of the lock file. Start the
command again to go on after an interruption. Images are copied from the registries that
the lists name, for all platforms and with signatures and attestations; ~/.docker/config.json
has the logins, and repositories are created. A tag of the registry that is on another image
stays, and is reported as different, unless --overwrite-tags is given. Progress is shown on a terminal.

` + mirrorFilesHelp + `

The caller needs what a package client needs, codeartifact:ListPackageVersionAssets, and for
images ecr:CreateRepository and what a push needs. The exit code is 1 if anything is missing
or different.

Examples:

  gatehouse mirror sync --domain acme --repository lib package-lock.json uv.lock
  gatehouse mirror sync --image-prefix mirror/ images.txt`
}

// Run fetches what is not held.
func (c *mirrorSyncCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	p, err := c.plan()
	if err == nil {
		err = c.needRepository(p)
	}
	if err != nil {
		return err
	}
	r, err := c.open(ctx, p, now)
	if err != nil {
		return err
	}
	if r.packages != nil {
		if r.packages.Endpoints, err = c.endpoints(ctx, p, now); err != nil {
			return err
		}
	}
	end := r.show(stderr)
	if r.packages != nil {
		err = r.explain(r.packages.Sync(ctx, p))
	}
	if err == nil && r.images != nil {
		r.images.Overwrite = c.OverwriteTags
		err = r.images.Sync(ctx, p)
	}
	end()
	if err != nil {
		return err
	}
	return c.finish(stdout, stderr, p)
}

type mirrorVerifyCommand struct {
	Bytes bool `help:"Read every file, instead of comparing the hashes that the repository has of it."`
	mirrorFlags
}

// Help is what --help shows below the flags.
func (mirrorVerifyCommand) Help() string {
	return `No upstream is asked. The exit code is 1 if anything is missing or different.

` + mirrorFilesHelp + `

The caller needs codeartifact:ListPackageVersionAssets on the packages, and
codeartifact:GetPackageVersionAsset for --bytes.

Example:

  gatehouse mirror verify --domain acme --repository lib package-lock.json uv.lock`
}

// Run checks what is held.
func (c *mirrorVerifyCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	p, err := c.plan()
	if err == nil {
		err = c.needRepository(p)
	}
	if err != nil {
		return err
	}
	r, err := c.open(ctx, p, now)
	if err != nil {
		return err
	}
	if r.packages != nil {
		r.packages.ReadBytes = c.Bytes
	}
	end := r.show(stderr)
	err = r.check(ctx)
	end()
	if err != nil {
		return err
	}
	return c.finish(stdout, stderr, p)
}

// finish prints the result, and fails if something is not held.
func (f *mirrorFlags) finish(stdout io.Writer, stderr messages, p *mirror.Plan) error {
	if err := f.print(stdout, stderr, p, false); err != nil {
		return err
	}
	if !p.Complete() {
		return errReported
	}
	return nil
}

// mirrorEntry is a version or an image for programs.
type mirrorEntry struct {
	Format     string       `json:"format"` // oci for an image
	Namespace  string       `json:"namespace,omitempty"`
	Name       string       `json:"name"`
	Version    string       `json:"version,omitempty"`
	Files      []mirrorFile `json:"files,omitempty"`
	Repository string       `json:"repository,omitempty"` // of the copy of an image
	Digest     string       `json:"digest,omitempty"`
	Source     string       `json:"source"`
	State      mirror.State `json:"state,omitempty"`
	Message    string       `json:"message,omitempty"`
}

type mirrorFile struct {
	Name   string   `json:"name,omitempty"`
	Hashes []string `json:"hashes,omitempty"` // one of them
}

func mirrorEntries(p *mirror.Plan) []mirrorEntry {
	entries := make([]mirrorEntry, 0, len(p.Items)+len(p.Images))
	for i := range p.Items {
		item := &p.Items[i]
		e := mirrorEntry{Format: item.Format, Namespace: item.Namespace, Name: item.Name, Version: item.Version.Version, Source: item.Source, State: item.State, Message: item.Message}
		for _, f := range item.Files {
			file := mirrorFile{Name: f.Name}
			for _, h := range f.Hashes {
				file.Hashes = append(file.Hashes, h.String())
			}
			e.Files = append(e.Files, file)
		}
		entries = append(entries, e)
	}
	for i := range p.Images {
		item := &p.Images[i]
		entries = append(entries, mirrorEntry{Format: "oci", Name: item.Reference, Repository: item.Repository, Digest: item.Digest, Source: item.Source, State: item.State, Message: item.Message})
	}
	return entries
}

// print writes the plan, or only what is not held unless all is true, and the numbers.
func (f *mirrorFlags) print(stdout io.Writer, stderr messages, p *mirror.Plan, all bool) error {
	for _, note := range p.Notes {
		fmt.Fprintln(stderr, note)
	}
	entries := mirrorEntries(p)
	counts := p.Count()
	if f.JSON {
		return printJSON(stdout, map[string]any{"entries": entries, "counts": counts, "notes": append([]string{}, p.Notes...)})
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for i := range entries {
		e := &entries[i]
		if !all && (e.State == mirror.Held || e.State == mirror.Fetched) {
			continue
		}
		named := packagePath(e.Format, e.Namespace, e.Name)
		if e.Version != "" {
			named += "@" + e.Version
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", cmp.Or(string(e.State), "-"), named, e.Source, cmp.Or(e.Message, mirrorHashes(e)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var words []string
	for _, state := range []mirror.State{mirror.Held, mirror.Fetched, mirror.Missing, mirror.Different, mirror.Failed} {
		if counts[state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[state], state))
		}
	}
	text := fmt.Sprintf("%s, %s", count(int64(len(p.Items)), "version"), count(int64(len(p.Images)), "image"))
	if len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	_, err := fmt.Fprintln(stdout, text)
	return err
}

func mirrorHashes(e *mirrorEntry) string {
	var words []string
	for _, f := range e.Files {
		if f.Name != "" {
			words = append(words, f.Name)
		}
		words = append(words, f.Hashes...)
	}
	if len(words) > 4 {
		words = append(words[:4], fmt.Sprintf("and %d more", len(words)-4))
	}
	return strings.Join(words, " ")
}
