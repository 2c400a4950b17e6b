// Package project reads gatehouse.toml, in which a project names the repositories and
// registries of its builds, and opens them: it finds their addresses and tokens.
//
// [Find] or [Load] returns a [Project], [Trust.Check] decides whether it may be used,
// and [Project.Open] returns an [Endpoint] for each repository and format and for
// each registry. The file:
//
//	[[repository]]
//	domain = "acme"                  # required
//	name = "lib"                     # required: the repository
//	domain_owner = "111122223333"    # the domain's account, if not the caller's own
//	formats = ["npm", "pypi"]        # which tools are configured for it; default: all
//	scopes = ["@acme"]               # npm scopes that come from it; default: all packages
//	alias = "acme"                   # its name in tools' configurations, instead of acme-lib
//	duration = "1h"                  # of a token: 15m to 12h
//	region = "eu-central-1"
//	profile = "work"                 # of the AWS configuration: see below
//	endpoint_url = "https://…"       # of the API: see below
//
//	[[registry]]
//	id = "111122223333"              # the registry's account, if not the caller's own
//	region = "eu-central-1"          # and profile, endpoint_url
//
// If several repositories have the same format, the first one is the default for
// tools, and the others are additional ones. The file contains no secret.
//
// # What somebody else's file can do
//
// Projects are cloned and built together with their gatehouse.toml. So the file is
// read as if an attacker had written it:
//
//   - A token is sent only to the address that its issuer names for the repository.
//     The file cannot name the address of a repository. An attacker's endpoint would
//     only issue tokens for, and name, the attacker's repositories.
//   - The file's endpoint would receive signed requests. SigV4 signs the host, the
//     region, the service and the time, so a request cannot be used anywhere else,
//     and the secret key cannot be derived from it. But the requests say who the
//     caller is (access key id and session token), and the attacker chooses where
//     this machine sends them.
//   - A profile chooses among the caller's permissions. An attacker would choose the
//     strongest one for a build that was meant to have a weaker one.
//
// Because of the last two, a file with a profile or an endpoint is used only if the
// person trusts its folder ([Trust]) or has made the same choice without it. Domains,
// repositories, regions and accounts are taken from any file: for them the caller's
// own permissions decide.
//
// For the same reason [Find] does not use a file that another user of the machine has
// put into a folder above.
package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// Name is what the file is called.
const Name = "gatehouse.toml"

// maxSize bounds the file, in bytes.
const maxSize = 1 << 20

// A Project is what a file, or flags in its place, describes.
type Project struct {
	// Path is the path of the file, with all links resolved; "" for a project from
	// flags.
	Path string `toml:"-"`
	// Repositories are CodeArtifact's.
	Repositories []Repository `toml:"repository"`
	// Registries are ECR's.
	Registries []Registry `toml:"registry"`

	lines lines
}

// A Repository is a CodeArtifact repository in some of its formats.
type Repository struct {
	Domain      string              `toml:"domain"`
	DomainOwner string              `toml:"domain_owner"`
	Name        string              `toml:"name"`
	Formats     []string            `toml:"formats"`
	Scopes      []string            `toml:"scopes"`
	Alias       string              `toml:"alias"`
	Duration    credential.Lifetime `toml:"duration"`
	Account
}

// A Registry is an ECR registry.
type Registry struct {
	ID string `toml:"id"`
	Account
}

// An Account says which part of the AWS configuration is used.
type Account struct {
	Profile     string `toml:"profile"`
	Region      string `toml:"region"`
	EndpointURL string `toml:"endpoint_url"`
}

// aws is the person's choice, and for everything else the file's.
func (a Account) aws(chosen credential.AWS) credential.AWS {
	if chosen.Profile == "" {
		chosen.Profile = a.Profile
	}
	if chosen.Region == "" {
		chosen.Region = a.Region
	}
	if chosen.EndpointURL == "" {
		chosen.EndpointURL = a.EndpointURL
	}
	return chosen
}

// Load reads a file. Its errors begin with the path and, if there is one, the line.
func Load(path string) (Project, error) {
	return load(path, func(string, fs.FileInfo) error { return nil })
}

// load reads a file if accept agrees to the opened file. Links are resolved first:
// otherwise somebody could change a link between the check and the reading.
func load(path string, accept func(string, fs.FileInfo) error) (Project, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Project{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return Project{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Project{}, err
	}
	if !info.Mode().IsRegular() {
		return Project{}, fmt.Errorf("%s is not a file", path)
	}
	if err := accept(path, info); err != nil {
		return Project{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return Project{}, err
	}
	if len(text) > maxSize {
		return Project{}, fmt.Errorf("%s is larger than 1 MiB", path)
	}
	if path, err = filepath.Abs(path); err != nil {
		return Project{}, err
	}
	p, err := Parse(text)
	p.Path = path
	if err != nil {
		return Project{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Parse reads a file's text. Unknown settings are errors.
func Parse(text []byte) (Project, error) {
	var p Project
	decoder := toml.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return Project{}, withLine(err)
	}
	p.lines = parseLines(text)
	return p, p.Validate()
}

// withLine puts the line of an error in front of it.
func withLine(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		line, _ := unknown.Errors[0].Position()
		return fmt.Errorf("line %d: there is no setting %q", line, dotted(unknown.Errors[0].Key()))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		return fmt.Errorf("line %d: %w", line, err)
	}
	return err
}
