package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// A Choice is what a person chose for a login: the flags of `gatehouse login`.
// Its errors name the flag that is wrong.
type Choice struct {
	AWS credential.AWS
	// Domain, Owner and Repository name a repository, for package clients.
	// Owner is the domain's 12-digit account, if it is not the caller's own.
	Domain, Owner, Repository string
	// EndpointType is "dualstack" for the address that IPv6 reaches too, "ipv4" or
	// "" for the other one.
	EndpointType types.EndpointType
	// RegistryID is the registry's 12-digit account, if it is not the caller's
	// own, for container clients.
	RegistryID string
	// Scopes, Name, Duration, Variable and Placement are copied to the
	// [Target]. If Name is empty, [NameOf] gives one.
	Scopes    []string
	Name      string
	Duration  time.Duration
	Variable  string
	Placement Placement
	// Options are given to the token sources.
	Options []authtoken.Option
}

var variableForm = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check validates a choice for some tools before anything is requested. It
// returns an error if a tool needs a flag that is missing, cannot have one that
// is given, or if no tool has a use for a flag.
func (c Choice) Check(tools []Tool) error {
	for _, t := range tools {
		if err := c.checkTool(t); err != nil {
			return err
		}
	}
	if len(c.Scopes) > 0 && !slices.ContainsFunc(tools, Tool.hasScopes) {
		return errors.New("--scope is only for npm, pnpm, Yarn, bun and Swift")
	}
	if c.RegistryID != "" && !slices.ContainsFunc(tools, Tool.readsImages) {
		return errors.New("--registry-id is only for container clients")
	}
	if flag := c.repositoryFlag(); flag != "" && !slices.ContainsFunc(tools, func(t Tool) bool { return !t.readsImages() }) {
		return fmt.Errorf("%s is only for package clients: a container registry has none", flag)
	}
	for _, scope := range c.Scopes {
		if !IsScope(scope) {
			return fmt.Errorf("--scope: %q is not a scope such as @acme", scope)
		}
	}
	if c.Name != "" && !IsName(c.Name) {
		return fmt.Errorf("--name: %q is not a letter followed by at most 62 letters, digits and dashes", c.Name)
	}
	if c.Variable != "" && !variableForm.MatchString(c.Variable) {
		return fmt.Errorf("--variable: %q is not a name for an environment variable", c.Variable)
	}
	return nil
}

// checkTool checks the flags that depend on one tool.
func (c Choice) checkTool(t Tool) error {
	switch {
	case !t.readsImages() && (c.Domain == "" || c.Repository == ""):
		return fmt.Errorf("%s needs --domain and --repository", t.Name)
	case c.Variable != "" && t.Secret == FromHelper:
		return fmt.Errorf("--variable: %s asks a helper and needs no token in its environment", t.Name)
	case c.Variable != "" && t.Secret == Stored:
		return fmt.Errorf("--variable: the configuration of %s cannot refer to an environment variable: see gatehouse exec", t.Name)
	}
	return nil
}

// repositoryFlag returns a given flag that only package clients have; "" if
// there is none.
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

// Targets resolves a Choice to a [Target] for each tool. It sends one request
// for each package format.
type Targets struct {
	choice Choice
	known  map[string]Target // by format
}

// Targets returns the targets of the choice.
func (c Choice) Targets() *Targets { return &Targets{choice: c, known: map[string]Target{}} }

// Of returns the target for a tool, with a token. A tool that asks a helper
// gets one too, so that missing permissions are reported at login and not
// later. The errors come from [credential.Explain].
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
	r := Repository{AWS: c.AWS, Domain: c.Domain, Owner: c.Owner, Name: c.Repository, Duration: c.Duration, EndpointType: c.EndpointType, Options: c.Options}
	target, err := r.Target(ctx, format)
	if err != nil {
		return Target{}, err
	}
	r.Owner = target.Owner // as the helper looks it up
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
	return Registry{AWS: c.AWS, ID: c.RegistryID, EndpointType: c.EndpointType, Options: c.Options}.Target(ctx)
}
