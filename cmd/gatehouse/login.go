package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/credential"
	"github.com/gatehouse-registry/gatehouse/internal/login"
	"github.com/gatehouse-registry/gatehouse/internal/login/tools"
)

type loginCommand struct {
	Tool        []string `required:"" placeholder:"NAME" help:"Tool to log in; again for another (see below)."`
	Domain      string   `placeholder:"NAME" help:"CodeArtifact domain of the repository."`
	DomainOwner string   `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Repository  string   `placeholder:"NAME" help:"The repository."`
	RegistryID  string   `name:"registry-id" placeholder:"ID" help:"12-digit account of the container registry, if not the caller's own."`
	Scope       []string `placeholder:"@SCOPE" help:"Scope of npm or Swift that comes from the repository; again for another (all packages)."`
	Extra       bool     `help:"Keep the repository that the tool uses now, and add this one."`
	Name        string   `placeholder:"NAME" help:"What the tool's configuration calls the repository (DOMAIN-REPOSITORY)."`
	Duration    string   `placeholder:"TIME" help:"How long CodeArtifact's tokens live: 15m to 12h, or in seconds (12h)."`
	Variable    string   `placeholder:"NAME" help:"Environment variable that the tool's configuration refers to, instead of holding the token."`
	BinDir      string   `placeholder:"DIR" type:"path" help:"Folder on PATH for the link by which a tool finds its helper."`
	DryRun      bool     `help:"Show what would change, as a diff, and change nothing."`
	awsFlags
}

// Help is what --help shows below the flags.
func (loginCommand) Help() string {
	return `Tools: ` + strings.Join(toolNames(), ", ") + `.

A tool that can ask a helper is told to ask this program: no secret is written,
and nothing expires. The others hold the token; log in again to renew it, or see
gatehouse exec and gatehouse proxy. Logging in to a second repository keeps the
first. gatehouse logout undoes exactly what login did.

Examples:

  gatehouse login --tool docker
  gatehouse login --tool pip --tool uv --tool twine --domain acme --repository lib
  gatehouse login --tool npm --domain acme --repository lib --scope @acme --scope @team
  gatehouse login --tool pip --domain acme --repository lib --extra --dry-run
  gatehouse login --tool maven --domain acme --repository lib --variable CODEARTIFACT_AUTH_TOKEN
  gatehouse login --tool podman --profile work --region eu-central-1`
}

// Run logs every tool in. One that fails does not keep the others from it.
func (c *loginCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	chosen, err := c.chosen()
	if err != nil {
		return fmt.Errorf("%w%w", silent{errUsage}, err)
	}
	p, err := places()
	if err != nil {
		return err
	}
	w := worker{journal: login.NewJournal(login.StateDir(p), p, tools.All()), out: stdout, err: stderr, preview: c.DryRun}
	found := targets{command: c, options: []authtoken.Option{now.tokens()}, known: map[string]login.Target{}}
	var failed []error
	for _, tool := range chosen {
		t, err := found.of(ctx, tool)
		if err == nil {
			if !tool.Installed(p) {
				fmt.Fprintf(stderr, "%s: no %s is on PATH; it is configured all the same\n", tool.Name, strings.Join(tool.Programs, " or "))
			}
			err = w.do(ctx, tool.Name+": logged in to "+what(t), login.Login{Tool: tool, Target: t, BinDir: c.BinDir})
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", tool.Name, err))
		} else if !c.DryRun {
			after(stdout, tool, t)
		}
	}
	return errors.Join(failed...)
}

// after says what a person does next.
func after(stdout io.Writer, tool login.Tool, t login.Target) {
	if tool.Secret != login.Asked && t.Variable == "" {
		fmt.Fprintf(stdout, "The token expires at %s: log in again to renew it.\n", t.Token.Expires.Local().Format(time.DateTime))
	}
	if tool.Next != nil {
		if next := strings.TrimSpace(tool.Next(t)); next != "" {
			fmt.Fprintln(stdout, next)
		}
	}
}

// chosen are the tools that are named, if the flags make sense for them.
func (c *loginCommand) chosen() ([]login.Tool, error) {
	chosen, err := named(c.Tool)
	if err != nil {
		return nil, err
	}
	for _, tool := range chosen {
		if err := c.suits(tool); err != nil {
			return nil, err
		}
	}
	if len(c.Scope) > 0 && !slices.ContainsFunc(chosen, scoped) {
		return nil, errors.New("--scope is for npm and its kin, and for Swift")
	}
	if c.RegistryID != "" && !slices.ContainsFunc(chosen, registry) {
		return nil, errors.New("--registry-id is for container tools")
	}
	if flag := c.repositoryFlag(); flag != "" && !slices.ContainsFunc(chosen, func(t login.Tool) bool { return !registry(t) }) {
		return nil, fmt.Errorf("%s is for the tools of packages: a container registry has none", flag)
	}
	for _, scope := range c.Scope {
		if !scopeForm.MatchString(scope) {
			return nil, fmt.Errorf("--scope: %q is no scope, such as @acme", scope)
		}
	}
	if c.Name != "" && !nameForm.MatchString(c.Name) {
		return nil, fmt.Errorf("--name: %q is not letters, digits and dashes", c.Name)
	}
	if c.Variable != "" && !variableForm.MatchString(c.Variable) {
		return nil, fmt.Errorf("--variable: %q is no name of an environment variable", c.Variable)
	}
	_, err = c.duration()
	return chosen, err
}

// repositoryFlag is a given flag that says something about a repository.
func (c *loginCommand) repositoryFlag() string {
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--domain", c.Domain != ""},
		{"--domain-owner", c.DomainOwner != ""},
		{"--repository", c.Repository != ""},
		{"--extra", c.Extra},
		{"--name", c.Name != ""},
		{"--duration", c.Duration != ""},
	} {
		if f.given {
			return f.name
		}
	}
	return ""
}

var (
	scopeForm    = regexp.MustCompile(`^@[A-Za-z0-9~-][A-Za-z0-9._~-]*$`) // npm's names; Swift's are within them
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`)
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// suits says which flag a tool cannot have, or needs.
func (c *loginCommand) suits(tool login.Tool) error {
	switch {
	case !registry(tool) && (c.Domain == "" || c.Repository == ""):
		return fmt.Errorf("--tool %s needs --domain and --repository", tool.Name)
	case c.Variable != "" && tool.Secret == login.Asked:
		return fmt.Errorf("--variable: %s asks a helper and needs no token in its environment", tool.Name)
	case c.Variable != "" && tool.Secret == login.Held:
		return fmt.Errorf("--variable: the configuration of %s cannot refer to an environment variable: see gatehouse exec", tool.Name)
	}
	return nil
}

func (c *loginCommand) duration() (time.Duration, error) {
	if c.Duration == "" {
		return 0, nil
	}
	d, err := duration(c.Duration)
	if err == nil && d == 0 {
		err = errors.New("0 is not 15m to 12h")
	}
	if err != nil {
		return 0, fmt.Errorf("--duration: %w", err)
	}
	return d, nil
}

// scoped reports whether a tool's packages have scopes.
func scoped(t login.Tool) bool { return t.Format == "npm" || t.Format == "swift" }

// registry reports whether a tool reads container registries.
func registry(t login.Tool) bool { return t.Format == "" }

// named finds tools by their names.
func named(names []string) ([]login.Tool, error) {
	var found []login.Tool
	for _, name := range names {
		i := slices.IndexFunc(tools.All(), func(t login.Tool) bool { return t.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--tool: there is no tool %q: %s", name, strings.Join(toolNames(), ", "))
		}
		if tool := tools.All()[i]; !slices.ContainsFunc(found, func(t login.Tool) bool { return t.Name == tool.Name }) {
			found = append(found, tool)
		}
	}
	return found, nil
}

func toolNames() []string {
	var names []string
	for _, t := range tools.All() {
		names = append(names, t.Name)
	}
	return names
}

// targets finds what tools are logged in to, once for each format.
type targets struct {
	command *loginCommand
	options []authtoken.Option
	known   map[string]login.Target
}

// of is the target for a tool, with a token: also for a tool that asks for it
// later, so that what keeps it from its token is said now.
func (t *targets) of(ctx context.Context, tool login.Tool) (login.Target, error) {
	target, ok := t.known[tool.Format]
	if !ok {
		find := t.repository
		if registry(tool) {
			find = t.registry
		}
		var err error
		if target, err = find(ctx, tool.Format); err != nil {
			return login.Target{}, err
		}
		t.known[tool.Format] = target
	}
	if scoped(tool) {
		target.Scopes = t.command.Scope
	}
	return target, nil
}

func (t *targets) repository(ctx context.Context, format string) (login.Target, error) {
	c := t.command
	duration, err := c.duration()
	if err != nil {
		return login.Target{}, err
	}
	r := login.Repository{AWS: credential.AWS(c.awsFlags), Domain: c.Domain, Owner: c.DomainOwner, Name: c.Repository, Duration: duration, Options: t.options}
	target, err := r.Target(ctx, format)
	if err != nil {
		return login.Target{}, err
	}
	r.Owner = target.Owner // as the helper has it, so that it finds this token
	if target.Token, err = r.Token(ctx); err != nil {
		return login.Target{}, err
	}
	if c.Name != "" {
		target.Name = c.Name
	}
	if c.Extra {
		target.Placement = login.Beside
	}
	target.Variable = c.Variable
	return target, nil
}

func (t *targets) registry(ctx context.Context, _ string) (login.Target, error) {
	r := login.Registry{AWS: credential.AWS(t.command.awsFlags), ID: t.command.RegistryID, Options: t.options}
	return r.Target(ctx)
}

// what names a target for a person.
func what(t login.Target) string {
	if t.Repository == "" {
		return t.Endpoint.Host
	}
	return t.Domain + "/" + t.Repository + " (" + t.Endpoint.String() + ")"
}

type logoutCommand struct {
	Tool        []string `required:"" placeholder:"NAME" help:"Tool to log out; again for another."`
	Domain      string   `placeholder:"NAME" help:"Only what it is logged in to of this CodeArtifact domain."`
	DomainOwner string   `placeholder:"ID" help:"Only of this account's domain."`
	Repository  string   `placeholder:"NAME" help:"Only the repositories of this name."`
	Host        string   `placeholder:"HOST" help:"Only the registry or the repositories at this host."`
	DryRun      bool     `help:"Show what would change, as a diff, and change nothing."`
}

// Help is what --help shows below the flags.
func (logoutCommand) Help() string {
	return `It undoes exactly what gatehouse login did: a file is as it was before, with what
others have changed in it since. Without --domain, --repository or --host the
tool is logged out everywhere.

Examples:

  gatehouse logout --tool npm
  gatehouse logout --tool pip --domain acme --repository lib --dry-run`
}

// Run logs every tool out. One that is not logged in is no failure.
func (c *logoutCommand) Run(ctx context.Context, stdout io.Writer, stderr messages) error {
	chosen, err := named(c.Tool)
	if err != nil {
		return fmt.Errorf("%w%w", silent{errUsage}, err)
	}
	p, err := places()
	if err != nil {
		return err
	}
	w := worker{journal: login.NewJournal(login.StateDir(p), p, tools.All()), out: stdout, err: stderr, preview: c.DryRun}
	var failed []error
	for _, tool := range chosen {
		err := w.do(ctx, tool.Name+": logged out", login.Logout{Tool: tool.Name, Match: c.matches})
		switch {
		case errors.Is(err, login.ErrNotLoggedIn):
			fmt.Fprintf(stderr, "%s: not logged in\n", tool.Name)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", tool.Name, err))
		}
	}
	return errors.Join(failed...)
}

func (c *logoutCommand) matches(t login.Target) bool {
	for _, f := range [][2]string{{c.Domain, t.Domain}, {c.DomainOwner, t.Owner}, {c.Repository, t.Repository}, {strings.ToLower(c.Host), t.Endpoint.Host}} {
		if f[0] != "" && f[0] != f[1] {
			return false
		}
	}
	return true
}

// A worker does a piece of work, or shows what it would change.
type worker struct {
	journal *login.Journal
	out     io.Writer
	err     messages
	preview bool
}

func (w worker) do(ctx context.Context, done string, work login.Work) error {
	if w.preview {
		changes, err := w.journal.Preview(work)
		if err != nil {
			return err
		}
		diff := changes.Diff()
		if palette(w.out) != nil {
			diff = coloured(diff)
		}
		_, err = io.WriteString(w.out, diff)
		w.notes(changes)
		return err
	}
	changes, err := w.journal.Do(ctx, work)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out, done)
	for _, line := range changes.Lines() {
		fmt.Fprintln(w.out, "  "+line)
	}
	w.notes(changes)
	return nil
}

func (w worker) notes(c login.Changes) {
	for _, note := range c.Notes {
		fmt.Fprintln(w.err, "note: "+note)
	}
}

// coloured is a diff for a terminal.
func coloured(diff string) string {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		text := strings.TrimSuffix(line, "\n")
		code := ""
		switch {
		case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"):
			code = "1"
		case strings.HasPrefix(text, "+"):
			code = "32"
		case strings.HasPrefix(text, "-"):
			code = "31"
		case strings.HasPrefix(text, "@@"):
			code = "36"
		}
		if code != "" {
			text = "\x1b[" + code + "m" + text + "\x1b[0m"
		}
		b.WriteString(text + line[len(strings.TrimSuffix(line, "\n")):])
	}
	return b.String()
}

// program is the path by which configurations start this program: its name on
// PATH where that leads here, since the file behind it may be another one after
// an upgrade.
func program() (string, error) {
	file, err := os.Executable()
	if err != nil {
		return "", err
	}
	named, err := exec.LookPath(filepath.Base(file))
	if err != nil || !filepath.IsAbs(named) {
		return file, nil
	}
	a, errA := os.Stat(file)
	b, errB := os.Stat(named)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		return file, nil
	}
	return named, nil
}
