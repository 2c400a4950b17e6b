// Package login points package clients and container clients at a repository or
// a registry, so that they are let in, and undoes exactly that.
//
// What one tool's configuration looks like is the business of the tool's own
// package below this one, as a [Tool]: a function from a [Target] to the [Edit]s
// nearest the files that the tool reads. Everything that tools have in common is
// here: resolving what a person named ([Repository], [Registry]), and the
// [Journal], which writes the files, remembers what was changed, shows it and
// undoes it.
//
// A tool that can ask a helper is configured to ask ours and finds no secret in
// its files. The others hold the token itself, or where they can, a reference to
// an environment variable, which `gatehouse exec` sets.
package login

import (
	"io/fs"
	"net/url"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A Target is what a tool is logged in to, and how.
type Target struct {
	// Endpoint is the address of the repository in the tool's format, which ends
	// in "/", or that of the registry, which has no path.
	Endpoint *url.URL
	// Name is what the tool's configuration calls the repository, where it gives
	// names: letters, digits and dashes.
	Name string
	// Domain, Owner and Repository are CodeArtifact's names; empty for a registry.
	Domain, Owner, Repository string
	// Region is that of the repository or the registry.
	Region string
	// AWS is what the person chose about the AWS configuration: what a helper or
	// `gatehouse token` has to be told to get the same token again.
	AWS credential.AWS
	// Duration is how long tokens live; 0 is the service's default.
	Duration time.Duration
	// Token is the secret, for a tool that holds one; the zero Token otherwise.
	Token authtoken.Token
	// Variable is the environment variable that the tool's configuration refers to
	// instead of holding the token; "" where it holds it.
	Variable string
	// Scopes are those of npm whose packages come from the repository, each with
	// its @. None stands for every package.
	Scopes []string
	// Placement says what becomes of the repository that the tool used before.
	Placement Placement
}

// A Placement says how a repository stands to the one that a tool used before.
type Placement int

const (
	// Replace makes it the one that the tool uses.
	Replace Placement = iota
	// Add keeps the others, and adds it to them.
	Add
)

// An Edit changes one file.
type Edit struct {
	// Path is absolute.
	Path string
	// Mode is that of a new file. A file that is there keeps its own, less what
	// this one does not allow if it is 0600: then the file holds a secret.
	Mode fs.FileMode
	// Apply returns the text with the change made. nil stands for a file that is
	// not there. It changes no byte that it need not, and applied to its own
	// result it changes nothing. The error says what is wrong with the text, as
	// "line 3: …" where there is a line.
	Apply func(text []byte) ([]byte, error)
	// Remove takes what Apply added out of a text that the tool or a person has
	// rewritten since, so that the change is not found as it was written. A text
	// that has nothing of it comes back as it is. It is called long after Apply,
	// and knows the target, but no token: Target.Token has another password then.
	Remove func(text []byte) ([]byte, error)
}

// A Tool is one client that can be logged in.
type Tool struct {
	// Name is the tool's own, as in --tool.
	Name string
	// Format is the package format of the repositories that it reads, as
	// CodeArtifact names it; "" for a container client.
	Format string
	// Programs are commands of which one is on PATH where the tool is installed.
	Programs []string
	// Helper is the name under which the tool starts our program to ask for a
	// token, and which must be on PATH for it: "" where it starts it by its path or
	// cannot ask.
	Helper string
	// Secret says whether the tool's configuration holds the token.
	Secret Secret
	// Edits are the changes that log the tool in: a function of its arguments and
	// nearest nothing else, since it is called again to log the tool out. The first
	// file is the tool's own, by which a login is known again. The error says why
	// it cannot be done, and what to do instead.
	Edits func(Target, Environment) ([]Edit, error)
	// Addresses are those of the registries and repositories that the tool's
	// configuration names now, whoever wrote it there: for `gatehouse doctor`.
	Addresses func(Environment, ReadFile) ([]string, error)
	// Next is what a person does to use the repository, in lines that can be
	// pasted; "" where there is nothing to say.
	Next func(Target) string
}

// Secret says where a tool has its password from.
type Secret int

const (
	// FromHelper of a helper whenever it is needed.
	FromHelper Secret = iota
	// Stored in the tool's configuration, until it expires.
	Stored
	// StoredOrEnv is Held, or read from the environment variable that the
	// configuration names.
	StoredOrEnv
)
