package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

// projectFlags name repositories and registries, or the file that does.
type projectFlags struct {
	Project     string              `placeholder:"FILE" xor:"what" help:"The gatehouse.toml to use, instead of the nearest one from the working folder upwards."`
	Domain      string              `placeholder:"NAME" xor:"what" help:"The domain of --repository, instead of a gatehouse.toml."`
	DomainOwner string              `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Repository  string              `placeholder:"NAME" help:"The repository."`
	Format      []string            `placeholder:"FORMAT" help:"Formats of the repository to configure tools for: npm, pypi, maven, nuget, cargo, ruby, swift (all)."`
	Scope       []string            `placeholder:"@SCOPE" help:"Scopes of npm that come from the repository (all packages)."`
	Name        string              `placeholder:"NAME" help:"Name of the repository in tools' configurations (DOMAIN-REPOSITORY)."`
	Duration    credential.Lifetime `placeholder:"TIME" help:"How long tokens live: 15m to 12h, or in seconds (12h)."`
	Registry    bool                `help:"The container registry of the caller's account, or of --registry-id."`
	RegistryID  string              `name:"registry-id" placeholder:"ID" help:"12-digit account of the container registry, if not the caller's own."`
	Trust       []string            `placeholder:"DIR" env:"GATEHOUSE_TRUST" help:"Folders whose gatehouse.toml may choose a profile and an endpoint."`
	awsFlags
}

// open finds the addresses and the tokens of what the flags or the file name.
func (f *projectFlags) open(ctx context.Context, now clock) ([]project.Endpoint, error) {
	p, err := f.project()
	if err != nil {
		return nil, err
	}
	chosen := credential.AWS(f.awsFlags)
	trust := project.Trust{Folders: f.Trust, Chosen: chosen, Getenv: os.Getenv}
	if err := trust.Check(p); err != nil {
		return nil, usageError{err}
	}
	return p.Open(ctx, chosen, now.tokens())
}

func (f *projectFlags) project() (project.Project, error) {
	var (
		p   project.Project
		err error
	)
	if f.Domain != "" || f.Registry || f.RegistryID != "" {
		p, err = f.named()
	} else {
		p, err = f.file()
	}
	if err != nil {
		return p, usageError{err}
	}
	return p, nil
}

// named is the project that the flags describe.
func (f *projectFlags) named() (project.Project, error) {
	var p project.Project
	if f.Domain != "" {
		if f.Repository == "" {
			return p, errors.New("--domain goes with --repository")
		}
		r := project.Repository{
			Domain: f.Domain, DomainOwner: f.DomainOwner, Name: f.Repository,
			Formats: f.Format, Scopes: f.Scope, Alias: f.Name, Duration: f.Duration,
		}
		p.Repositories = []project.Repository{r}
	} else if f.Repository != "" {
		return p, errors.New("--repository goes with --domain")
	}
	if f.Registry || f.RegistryID != "" {
		p.Registries = []project.Registry{{ID: f.RegistryID}}
	}
	return p, p.Validate()
}

// file is the project that the file describes.
func (f *projectFlags) file() (project.Project, error) {
	if f.Project != "" {
		return project.Load(f.Project)
	}
	home, _ := os.UserHomeDir() // without one, no folder is the home folder
	dir, err := os.Getwd()
	if err != nil {
		return project.Project{}, err
	}
	p, err := project.Find(dir, home)
	if errors.Is(err, project.ErrNone) {
		return p, fmt.Errorf("%w: write one, or give --domain and --repository, or --registry", err)
	}
	return p, err
}
