package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/gatehouse-registry/gatehouse/internal/client/bundle"
	"github.com/gatehouse-registry/gatehouse/internal/client/mirror"
	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

type bundleCommand struct {
	Export bundleExportCommand `cmd:"" help:"Write versions and images of a server into one signed file."`
	Import bundleImportCommand `cmd:"" help:"Bring the versions and images of a bundle to a server."`
	Verify bundleVerifyCommand `cmd:"" help:"Check the signature and every digest of a bundle."`
}

// bundleServerFlags name what is exported or imported.
type bundleServerFlags struct {
	Domain      string `placeholder:"NAME" help:"The domain of the repository."`
	DomainOwner string `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Repository  string `placeholder:"NAME" help:"The repository."`
	RegistryID  string `name:"registry-id" placeholder:"ID" help:"12-digit account of the container registry, if not the caller's own."`
	awsFlags
}

// repository returns the repository that the flags name, or nil.
func (f *bundleServerFlags) repository(ctx context.Context, now clock) (*packagerepo.Repository, *operatorClient, error) {
	if (f.Domain == "") != (f.Repository == "") {
		return nil, nil, usageError{errors.New("--domain and --repository go together")}
	}
	client, err := f.operator(ctx, now)
	if err != nil || f.Domain == "" {
		return nil, client, err
	}
	cfg, err := f.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &packagerepo.Repository{
		API: codeartifact.NewFromConfig(cfg), Operator: client.Client, Domain: f.Domain, Owner: f.DomainOwner, Name: f.Repository,
	}, client, nil
}

func (f *bundleServerFlags) images(ctx context.Context, now clock) (*bundle.Images, error) {
	cfg, err := f.load(ctx)
	if err != nil {
		return nil, err
	}
	r, err := openRegistry(ctx, cfg, registryChoice{id: f.RegistryID}, now)
	if err != nil {
		return nil, err
	}
	return &bundle.Images{Registry: r.Registry, Auth: r.Auth, Transport: r.Transport, Create: r.Create}, nil
}

type bundleExportCommand struct {
	File   string   `arg:"" help:"The bundle to write."`
	Locks  []string `arg:"" optional:"" name:"lock" help:"Lock files and lists, as gatehouse mirror takes them: only what they name is exported."`
	Key    string   `required:"" placeholder:"FILE" help:"Private key that signs the bundle: OpenSSH's, or PEM."`
	Since  string   `placeholder:"BUNDLE" help:"Leave out what this earlier bundle has, and those that it builds on."`
	Image  []string `placeholder:"REPOSITORY:TAG" help:"An image of the registry to export; again for another."`
	Prefix string   `name:"image-prefix" placeholder:"PATH" help:"What gatehouse mirror sync put in front of the repositories of the images in lists."`
	bundleServerFlags
}

// Help is what --help shows below the flags.
func (bundleExportCommand) Help() string {
	return `Without lock files, all versions that the repository itself has are exported. The caller
needs gatehouse:ExportPackageVersion on the packages, codeartifact:ListPackages and
ListPackageVersions if there are no lock files, and for images what a pull needs.

ssh-keygen -t ed25519 -f bundle-key makes a key. The other side needs bundle-key.pub.

Examples:

  gatehouse bundle export site.tar --key bundle-key --domain acme --repository lib
  gatehouse bundle export site.tar package-lock.json images.txt --key bundle-key --domain acme --repository lib
  gatehouse bundle export second.tar --since site.tar --key bundle-key --domain acme --repository lib`
}

// Run writes the bundle.
func (c *bundleExportCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, stderr messages, now clock) error {
	p := new(mirror.Plan)
	for _, file := range c.Locks {
		if err := p.Add(file); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(c.Key)
	if err != nil {
		return err
	}
	e := bundle.Export{Since: c.Since, Now: now}
	if e.Key, err = bundle.ParsePrivateKey(text, func() ([]byte, error) { return readPassphrase(stdin, stderr, c.Key) }); err != nil {
		return fmt.Errorf("%s: %w", c.Key, err)
	}
	var client *operatorClient
	if e.Repository, client, err = c.repository(ctx, now); err != nil {
		return err
	}
	references := imageReferences(p, c.Prefix, c.Image)
	switch {
	case e.Repository == nil && (len(p.Items) > 0 || len(references) == 0):
		return usageError{errors.New("give --domain and --repository, or only images")}
	case len(c.Locks) > 0 && len(p.Items) == 0:
		e.Repository = nil // the lists name images only
	}
	if len(c.Locks) > 0 {
		for i := range p.Items {
			e.Versions = append(e.Versions, p.Items[i].Version)
		}
	}
	if len(references) > 0 {
		if e.Images, err = c.images(ctx, now); err != nil {
			return err
		}
		e.Images.References = references
	}
	reporter, end := newProgress(stderr)
	phase := reporter.Begin("bundle", 0, progress.Bytes)
	e.Moved = phase.Add
	s, err := e.Write(ctx, c.File)
	phase.End()
	end()
	if err != nil {
		return client.explain(err)
	}
	for _, version := range s.Skipped {
		fmt.Fprintf(stderr, "%s was left out: it is not finished, or has lost its files\n", version)
	}
	_, err = fmt.Fprintf(stdout, "%s: %s, %s, %s in %s", c.File, count(int64(s.Versions), "version"), count(int64(s.Images), "image"), size(s.Bytes), count(int64(s.Blobs), "file"))
	if err == nil && s.LeftOut > 0 {
		_, err = fmt.Fprintf(stdout, "; %d left out, which %s or one before it has", s.LeftOut, c.Since)
	}
	fmt.Fprintln(stdout)
	return err
}

// imageReferences are the images of lists as they are in the registry, and those of flags.
func imageReferences(p *mirror.Plan, prefix string, flags []string) []string {
	var all []string
	for i := range p.Images {
		if reference, err := mirror.CopyOf(&p.Images[i].Image, prefix); err == nil {
			all = append(all, reference)
		}
	}
	return append(all, flags...)
}

// readPassphrase asks for the passphrase of a key on the terminal.
func readPassphrase(stdin io.Reader, stderr messages, file string) ([]byte, error) {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, errors.New("the key has a passphrase, and there is no terminal to ask for it: use a key without one, or run the command on a terminal")
	}
	fmt.Fprintf(stderr, "Passphrase of %s: ", file)
	defer fmt.Fprintln(stderr)
	return term.ReadPassword(int(f.Fd()))
}

// trustedFlag names the keys whose signatures are accepted.
type trustedFlag struct {
	TrustedKey string `required:"" placeholder:"FILE" help:"Public keys whose signature is accepted, one a line, as in id_ed25519.pub."`
}

func (f trustedFlag) open(path string, stderr messages) (*bundle.Bundle, error) {
	text, err := os.ReadFile(f.TrustedKey)
	if err != nil {
		return nil, err
	}
	keys, err := bundle.ParsePublicKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.TrustedKey, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	reporter, end := newProgress(stderr)
	phase := reporter.Begin("verify", info.Size(), progress.Bytes)
	defer end()
	defer phase.End()
	return bundle.Open(path, keys, phase.Add)
}

type bundleVerifyCommand struct {
	File string `arg:"" help:"The bundle."`
	trustedFlag
}

// Help is what --help shows below the flags.
func (bundleVerifyCommand) Help() string {
	return `No server is asked.

Example:

  gatehouse bundle verify site.tar --trusted-key bundle-key.pub`
}

// Run verifies the bundle.
func (c *bundleVerifyCommand) Run(stdout io.Writer, stderr messages) error {
	b, err := c.open(c.File, stderr)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.WriteString(stdout, describeBundle(b))
	return err
}

func describeBundle(b *bundle.Bundle) string {
	h := &b.Header
	text := fmt.Sprintf("%s, %s, made %s", count(int64(h.Versions), "version"), count(int64(h.Images), "image"), h.Created.Format("2006-01-02 15:04:05Z"))
	if h.Source != "" {
		text += " from " + h.Source
	}
	text += ", signed by " + ssh.FingerprintSHA256(b.SignedBy) + "\n"
	if h.Since != "" {
		text += "needs the bundle whose SHA256SUMS has the SHA-256 " + h.Since + "\n"
	}
	return text
}

type bundleImportCommand struct {
	File string `arg:"" help:"The bundle."`
	trustedFlag
	overwriteFlag
	bundleServerFlags
}

// Help is what --help shows below the flags.
func (bundleImportCommand) Help() string {
	return `The signature and every digest are verified before anything is sent. Versions keep their
times, status, tags and origin; package groups and origin configurations of the repository
decide whether they may come in. Images keep the names that they have in the bundle; a tag
that is on another image stays, and is refused, unless --overwrite-tags is given. Start
the command again to go on after an interruption: what is there is not sent again. The exit
code is 1 if anything is refused.

The caller needs gatehouse:ImportPackageVersion and codeartifact:ListPackageVersionAssets on
the packages, and for images ecr:CreateRepository and what a push needs.

Example:

  gatehouse bundle import site.tar --trusted-key bundle-key.pub --domain acme --repository lib`
}

// Run imports the bundle.
func (c *bundleImportCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	b, err := c.open(c.File, stderr)
	if err != nil {
		return err
	}
	defer b.Close()
	if _, err := io.WriteString(stdout, describeBundle(b)); err != nil {
		return err
	}
	repository, client, err := c.repository(ctx, now)
	if err != nil {
		return err
	}
	if repository == nil && b.Header.Versions > 0 {
		return usageError{errors.New("the bundle has package versions: give --domain and --repository")}
	}
	report, err := c.run(ctx, b, repository, stderr, now)
	if err != nil {
		return client.explain(err)
	}
	for _, failure := range report.Failed {
		fmt.Fprintln(stderr, strings.TrimSpace(failure))
	}
	if _, err := fmt.Fprintf(stdout, "%d imported, %d there already, %d refused\n", report.Imported, report.Held, len(report.Failed)); err != nil {
		return err
	}
	if len(report.Failed) > 0 {
		return errReported
	}
	return nil
}

func (c *bundleImportCommand) run(ctx context.Context, b *bundle.Bundle, repository *packagerepo.Repository, stderr messages, now clock) (*bundle.Report, error) {
	reporter, end := newProgress(stderr)
	phase := reporter.Begin("import", int64(b.Header.Versions+b.Header.Images), progress.Items)
	defer end()
	defer phase.End()
	step := func() { phase.Add(1) }
	report := new(bundle.Report)
	if repository != nil {
		if err := b.Import(ctx, repository, report, step); err != nil {
			return nil, err
		}
	}
	if b.Header.Images == 0 {
		return report, nil
	}
	images, err := c.images(ctx, now)
	if err != nil {
		return nil, err
	}
	images.Overwrite = c.OverwriteTags
	return report, b.ImportImages(ctx, images, report, step)
}
