// Package project reads gatehouse.toml, the small file in which a project names
// the repositories and the registries that its builds use, and opens them: finds
// their addresses and the sources of their tokens.
//
//	[[repository]]
//	domain = "acme"                  # required
//	name = "lib"                     # required: the repository
//	domain_owner = "111122223333"    # the domain's account, if not the caller's own
//	formats = ["npm", "pypi"]        # which tools are pointed at it; all without it
//	scopes = ["@acme"]               # of npm, which come from it; all packages without it
//	alias = "acme"                   # what tools call it, instead of acme-lib
//	duration = "1h"                  # of a token: 15m to 12h
//	region = "eu-central-1"
//	profile = "work"                 # of the AWS configuration: see below
//	endpoint_url = "https://…"       # of the API: see below
//
//	[[registry]]
//	id = "111122223333"              # the registry's account, if not the caller's own
//	region = "eu-central-1"          # and profile, endpoint_url
//
// Of several repositories of one format the first is the one that tools use by
// default; the others are beside it, as the tool calls that. It names no secret.
//
// # What a file of somebody else's can do
//
// A project is cloned and built, and its gatehouse.toml with it. So the file is
// read as if an attacker had written it:
//
//   - A token goes to the address that its issuer names for the repository, and
//     to no other; the file cannot name an address of a repository. What an
//     endpoint of the attacker's own would issue and name is the attacker's own.
//   - What the file's endpoint would receive are signed requests. SigV4 signs the
//     host, the region, the service and the time, so that none of them can be used
//     anywhere else; no secret key can be had from them. They do say who the
//     caller is (access key id and session token), and they make this machine send
//     requests.
//   - A profile is a choice among the caller's permissions: an attacker would
//     choose the strongest, and let a build that was meant for a lesser one have
//     its token.
//
// The last two are why a file that names a profile or an endpoint is used only if
// the person has said that they trust the folder it is in ([Trust]), or has made
// the same choice without it. A domain, a repository, a region and an account are
// taken from any file: with them the caller's own permissions decide.
//
// For the same reason [Find] uses no file that another user of the machine has
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

// A Project is what a file, or the flags in its place, names.
type Project struct {
	// Path is the file's, with all links followed, and "" where flags name
	// everything.
	Path string `toml:"-"`
	// Repositories are CodeArtifact's.
	Repositories []Repository `toml:"repository"`
	// Registries are ECR's.
	Registries []Registry `toml:"registry"`

	lines lines
}

// A Repository is one of CodeArtifact, in some of its formats.
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

// A Registry is one of ECR.
type Registry struct {
	ID string `toml:"id"`
	Account
}

// An Account says with what part of the AWS configuration something is reached.
type Account struct {
	Profile     string `toml:"profile"`
	Region      string `toml:"region"`
	EndpointURL string `toml:"endpoint_url"`
}

// aws is the account as the person chose it, and otherwise as the file has it.
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

// Load reads a file. Its errors begin with the path and, where there is one, the
// line.
func Load(path string) (Project, error) {
	return load(path, func(string, fs.FileInfo) error { return nil })
}

// load reads a file if accept says so of the one that has been opened. Links are
// followed first: whoever can change one could have another file read than the
// one that is looked at.
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

// Parse reads a file's text. It accepts nothing that it does not know.
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

// explain says at which line an error is.
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
