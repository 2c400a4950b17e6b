package login

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A Choice is what a person says about the tools that are logged in: the flags of
// `gatehouse login`, by which its errors name what is wrong.
type Choice struct {
	AWS credential.AWS
	// Domain, Owner and Repository name a repository, for the tools of packages;
	// Owner is the 12-digit account of the domain, if it is not the caller's own.
	Domain, Owner, Repository string
	// RegistryID is the 12-digit account of the registry, if it is not the
	// caller's own, for container tools.
	RegistryID string
	// Scopes, Name, Duration, Variable and Placement become the [Target]'s; an
	// empty Name is [NameOf] the repository.
	Scopes    []string
	Name      string
	Duration  time.Duration
	Variable  string
	Placement Placement
	// Options are given to the sources of tokens.
	Options []authtoken.Option
}

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check says what is wrong with a choice for tools, before anybody is asked: a
// flag that one of them needs or cannot have, or that is for none of them.
func (c Choice) Check(tools []Tool) error {
	for _, t := range tools {
		if err := c.checkTool(t); err != nil {
			return err
		}
	}
	if len(c.Scopes) > 0 && !slices.ContainsFunc(tools, Tool.hasScopes) {
		return errors.New("--scope is for npm and its kin, and for Swift")
	}
	if c.RegistryID != "" && !slices.ContainsFunc(tools, Tool.readsImages) {
		return errors.New("--registry-id is for container tools")
	}
	if flag := c.repositoryFlag(); flag != "" && !slices.ContainsFunc(tools, func(t Tool) bool { return !t.readsImages() }) {
		return fmt.Errorf("%s is for the tools of packages: a container registry has none", flag)
	}
	for _, scope := range c.Scopes {
		if !IsScope(scope) {
			return fmt.Errorf("--scope: %q is no scope, such as @acme", scope)
		}
	}
	if c.Name != "" && !IsName(c.Name) {
		return fmt.Errorf("--name: %q is not up to 63 letters, digits and dashes after a letter", c.Name)
	}
	if c.Variable != "" && !variableForm.MatchString(c.Variable) {
		return fmt.Errorf("--variable: %q is no name of an environment variable", c.Variable)
	}
	return nil
}

// checkTool says which flag a tool cannot have, or needs.
func (c Choice) checkTool(t Tool) error {
	switch {
	case !t.readsImages() && (c.Domain == "" || c.Repository == ""):
		return fmt.Errorf("--tool %s needs --domain and --repository", t.Name)
	case c.Variable != "" && t.Secret == FromHelper:
		return fmt.Errorf("--variable: %s asks a helper and needs no token in its environment", t.Name)
	case c.Variable != "" && t.Secret == Stored:
		return fmt.Errorf("--variable: the configuration of %s cannot refer to an environment variable: see gatehouse exec", t.Name)
	}
	return nil
}

// repositoryFlag is a given flag that says something about a repository.
func (c Choice) repositoryFlag() string {
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--domain", c.Domain != ""},
		{"--domain-owner", c.Owner != ""},
		{"--repository", c.Repository != ""},
		{"--extra", c.Placement == Add},
		{"--name", c.Name != ""},
		{"--duration", c.Duration != 0},
	} {
		if f.given {
			return f.name
		}
	}
	return ""
}

// hasScopes reports whether the tool's packages have scopes.
func (t Tool) hasScopes() bool { return t.Format == "npm" || t.Format == "swift" }

// readsImages reports whether the tool reads container registries.
func (t Tool) readsImages() bool { return t.Format == "" }

// Targets finds what tools are logged in to by one choice. It asks once for each
// format.
type Targets struct {
	choice Choice
	known  map[string]Target // by format
}

// Targets are those of the choice.
func (c Choice) Targets() *Targets { return &Targets{choice: c, known: map[string]Target{}} }

// Of returns the target for a tool, with a token: also for a tool that asks for
// it later, so that what keeps it from its token is said now. The errors are
// those of [credential.Explain].
func (t *Targets) Of(ctx context.Context, tool Tool) (Target, error) {
	target, ok := t.known[tool.Format]
	if !ok {
		find := t.choice.repository
		if tool.readsImages() {
			find = t.choice.registry
		}
		var err error
		if target, err = find(ctx, tool.Format); err != nil {
			return Target{}, err
		}
		t.known[tool.Format] = target
	}
	if tool.hasScopes() {
		target.Scopes = t.choice.Scopes
	}
	return target, nil
}

func (c Choice) repository(ctx context.Context, format string) (Target, error) {
	r := Repository{AWS: c.AWS, Domain: c.Domain, Owner: c.Owner, Name: c.Repository, Duration: c.Duration, Options: c.Options}
	target, err := r.Target(ctx, format)
	if err != nil {
		return Target{}, err
	}
	r.Owner = target.Owner // stateOf the helper has it, so that it finds this token
	if target.Token, err = r.Token(ctx); err != nil {
		return Target{}, err
	}
	if c.Name != "" {
		target.Name = c.Name
	}
	target.Placement, target.Variable = c.Placement, c.Variable
	return target, nil
}

func (c Choice) registry(ctx context.Context, _ string) (Target, error) {
	return Registry{AWS: c.AWS, ID: c.RegistryID, Options: c.Options}.Target(ctx)
}
