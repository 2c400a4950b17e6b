// Package login configures package clients and container clients to use a
// repository or a registry, and undoes exactly that.
//
// Each tool has its own package below this one, which describes the tool as a
// [Tool]: a function from a [Target] to the [Edit]s of the files that the tool
// reads. This package has everything that tools have in common. A login goes
// through it like this:
//
//   - A [Choice] holds the flags of `gatehouse login`, and checks them.
//   - [Targets] resolves it, with [Repository] and [Registry], to a Target and a
//     token for each tool.
//   - A [Journal] takes the Target and the Tool as a [Login]. It plans the change
//     of every file, shows it ([Changes]) or carries it out, and records what a
//     [Logout] has to undo.
//
// A tool that can ask a helper is configured to ask this program, and no secret
// is written to its files. The others store the token itself or, if they can,
// refer to an environment variable that `gatehouse exec` sets.
//
// To add a tool, write a package that returns a Tool, and add it to package tools.
//
// The package imports nothing of the server, and no package of a tool.
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
	// Endpoint is the address of the repository in the tool's format, which
	// ends in "/", or the address of the registry, which has no path.
	Endpoint *url.URL
	// Name is what the tool's configuration calls the repository, if it has
	// names: letters, digits and dashes.
	Name string
	// Domain, Owner and Repository are CodeArtifact's names; empty for a
	// registry.
	Domain, Owner, Repository string
	// Region is the region of the repository or registry.
	Region string
	// AWS is what the person chose of the AWS configuration. A helper or
	// `gatehouse token` needs the same choice to get the same token again.
	AWS credential.AWS
	// Duration is how long tokens live; 0 means the service's default.
	Duration time.Duration
	// Token is the secret, for a tool that stores one; otherwise the zero
	// Token.
	Token authtoken.Token
	// Variable is the environment variable that the tool's configuration refers
	// to instead of storing the token; "" if it stores the token.
	Variable string
	// Scopes are the npm scopes whose packages come from the repository, each
	// with its @. None means every package.
	Scopes []string
	// Placement says what happens to the repository that the tool used before.
	Placement Placement
}

// A Placement says how a repository is combined with what a tool used before.
type Placement int

const (
	// Replace makes the repository the one that the tool uses.
	Replace Placement = iota
	// Add keeps the others and adds the repository to them.
	Add
)

// An Edit changes one file.
type Edit struct {
	// Path is absolute.
	Path string
	// Mode is the mode of a new file. An existing file keeps its own mode. If
	// Mode is 0600, the file holds a secret, and an existing file loses what
	// 0600 does not allow.
	Mode fs.FileMode
	// Apply returns the text with the change made; nil stands for a file that
	// does not exist. It changes no byte unnecessarily, and applied to its own
	// result it changes nothing. The error says what is wrong with the text, if
	// possible as "line 3: …".
	Apply func(text []byte) ([]byte, error)
	// Remove takes what Apply added out of a text that the tool or a person has
	// rewritten since, so that the change can no longer be reverted as it was
	// written. It returns a text that has nothing of it unchanged. It is called
	// long after Apply and knows the target but not the token: Target.Token has
	// another password then.
	Remove func(text []byte) ([]byte, error)
}

// A Tool is one client that can be logged in.
type Tool struct {
	// Name is the tool's own name, as in --tool.
	Name string
	// Format is the package format of the repositories that the tool reads, as
	// CodeArtifact names it; "" for a container client.
	Format string
	// Programs are commands. The tool is installed if one of them is on PATH.
	Programs []string
	// Helper is the name under which the tool looks on PATH for this program to
	// ask it for a token; "" if the tool starts it by its path or cannot ask.
	Helper string
	// Secret says where the tool has its password from.
	Secret Secret
	// Edits returns the changes that log the tool in. They depend on the
	// arguments alone, since Edits is called again to log the tool out. The
	// first file is the tool's own, by which a login is recognised later. The
	// error says why it cannot be done, and what to do instead.
	Edits func(Target, Environment) ([]Edit, error)
	// Addresses returns the registries and repositories that the tool's
	// configuration names now, whoever wrote them there. `gatehouse doctor`
	// uses it.
	Addresses func(Environment, ReadFile) ([]string, error)
	// Next returns what a person does to use the repository, as lines that can
	// be pasted; "" if there is nothing to say.
	Next func(Target) string
}

// Secret says where a tool has its password from.
type Secret int

const (
	// FromHelper: the tool asks a helper whenever it needs the password.
	FromHelper Secret = iota
	// Stored: the password is in the tool's configuration until it expires.
	Stored
	// StoredOrEnv is Stored, or read from the environment variable that the
	// configuration names.
	StoredOrEnv
)
