// Package toolenv makes the environment in which package clients and container
// clients find their repositories and tokens. `gatehouse exec` and `gatehouse proxy`
// start commands with it.
//
// A [Command] says which endpoints and which tools; [Command.Environment] returns an
// [Environment] of variables and files, which is applied and written before the
// command starts. Each file of the package is one tool, or several that read the
// same settings; [Tools] lists them. Three rules apply to all:
//
//   - If a tool can bind a password to an address, the password is bound: then a
//     configuration file of the project cannot have it sent elsewhere. Some tools
//     know only names (Poetry, Gradle, NuGet) or nothing at all (gem, twine). They
//     send the password where the project or the person says.
//   - Secrets are in variables and never in files. A tool that needs a file gets one
//     that refers to the variables or names the credential helper, in a private
//     folder that is removed at the end.
//   - Variables that were set before are replaced, together with all variables that
//     would be combined with them. Otherwise a mixture of both could send the token
//     to the other address.
//
// The names of variables have only letters, digits and underscores if the tool
// allows it. Some shells do not pass other names on, such as npm's
// npm_config_//host/:_authToken.
//
// The package runs nothing and asks no service: package project has found the
// addresses and tokens, and package subprocess runs the command.
package toolenv

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// An Environment is what a command gets in addition to its own environment.
type Environment struct {
	// Variables are set, in this order.
	Variables []Variable
	// Unset are the names of variables that would be combined with them.
	Unset []string
	// Files are written before the command starts, with mode 0600, and removed
	// after it. They hold no secret.
	Files []File
	// Links are made as Files are.
	Links []Link
}

// A Variable is set for the command.
type Variable struct {
	Name, Value string
	// Secret says that the value is a secret, or has one in it.
	Secret bool
}

// password matches an address with a password.
var password = lazyregexp.New(`://([^/@:]*):[^/@]*@`)

// Masked is the value with its secret part hidden.
func (v Variable) Masked() string {
	switch {
	case !v.Secret:
		return v.Value
	case password.MatchString(v.Value):
		return password.ReplaceAllString(v.Value, "://$1:****@")
	}
	return "****"
}

// A File has a path below the private folder.
type File struct {
	Path string
	Text []byte
}

// A Link is a symbolic link below the private folder.
type Link struct{ Path, To string }

// A Tool is a client whose environment this package knows.
type Tool struct {
	// Name is the name of the tool, or of a family of tools.
	Name string
	// Format is the format of the endpoints that it uses; "" for container clients.
	Format string
	set    func(*setter)
}

// Tools returns every tool, in the order in which their variables are set.
func Tools() []Tool {
	return []Tool{
		{"npm", "npm", npm},
		{"yarn", "npm", yarn},
		{"pip", "pypi", pip},
		{"uv", "pypi", uv},
		{"poetry", "pypi", poetry},
		{"pdm", "pypi", pdm},
		{"twine", "pypi", twine},
		{"cargo", "cargo", cargo},
		{"maven", "maven", maven},
		{"gradle", "maven", gradle},
		{"gem", "ruby", gem},
		{"bundler", "ruby", bundler},
		{"nuget", "nuget", nuget},
		{"docker", "", docker},
	}
}

// A Command says what an environment is made for.
type Command struct {
	// Endpoints are the repositories and registries; the first one of a format is the
	// default.
	Endpoints []project.Endpoint
	// Tools are the names of the tools to configure; none means all.
	Tools []string
	// Program is the program that is run, by its name or path; "" if that is not
	// known. Some settings are only for tools that it can be.
	Program string
	// Dir is the absolute path of the private folder for the files.
	Dir string
	// Places says where the person's own configuration is.
	Places login.Environment
	// ReadFile reads it.
	ReadFile login.ReadFile
}

// Environment makes the environment. The error names a file of the person that cannot
// be read, or an unknown tool.
func (c Command) Environment() (Environment, error) {
	var env Environment
	known := Tools()
	for _, name := range c.Tools {
		if !slices.ContainsFunc(known, func(t Tool) bool { return t.Name == name }) {
			return env, fmt.Errorf("the tool %q is not known: use one of %s", name, strings.Join(Names(), ", "))
		}
	}
	general(&setter{Command: c, env: &env, endpoints: c.Endpoints})
	for _, t := range known {
		s := &setter{Command: c, env: &env}
		for _, e := range c.Endpoints {
			if e.Format == t.Format {
				s.endpoints = append(s.endpoints, e)
			}
		}
		if len(s.endpoints) == 0 || len(c.Tools) > 0 && !slices.Contains(c.Tools, t.Name) {
			continue
		}
		if t.set(s); s.err != nil {
			return env, fmt.Errorf("%s: %w", t.Name, s.err)
		}
	}
	return env, nil
}

// Names returns the names of all tools.
func Names() []string {
	var names []string
	for _, t := range Tools() {
		names = append(names, t.Name)
	}
	return names
}

// A setter collects the settings of one tool.
type setter struct {
	Command
	env       *Environment
	endpoints []project.Endpoint // of the tool's format, at least one
	err       error
}

// hasTokens reports whether the command gets tokens, as it does not behind the
// proxy.
func (s *setter) hasTokens() bool {
	return slices.ContainsFunc(s.endpoints, func(e project.Endpoint) bool { return e.Token.Password != "" })
}

// first is the endpoint that the tool uses by default.
func (s *setter) first() project.Endpoint { return s.endpoints[0] }

func (s *setter) set(name, value string) {
	s.env.Variables = append(s.env.Variables, Variable{Name: name, Value: value})
}

// secret sets a variable that contains a secret. If no secret is needed, it only
// unsets the variable.
func (s *setter) secret(name, value string, e project.Endpoint) {
	if e.Token.Password == "" {
		s.unset(name)
		return
	}
	s.env.Variables = append(s.env.Variables, Variable{Name: name, Value: value, Secret: true})
}

// addressed sets a variable to an address that contains the user name and the
// password.
func (s *setter) addressed(name, value string, endpoints ...project.Endpoint) {
	secret := slices.ContainsFunc(endpoints, func(e project.Endpoint) bool { return e.Token.Password != "" })
	s.env.Variables = append(s.env.Variables, Variable{Name: name, Value: value, Secret: secret})
}

func (s *setter) unset(names ...string) { s.env.Unset = append(s.env.Unset, names...) }

// file adds a file and returns its path.
func (s *setter) file(path, text string) string {
	s.env.Files = append(s.env.Files, File{Path: path, Text: []byte(text)})
	return filepath.Join(s.Dir, path)
}

// withUser is an endpoint's address, or an address below it, with the user name and
// the password.
func withUser(e project.Endpoint, below string) string {
	u := e.Endpoint.JoinPath(below)
	if e.Token.Password != "" {
		u.User = userinfo(e)
	}
	return u.String()
}

// Apply adds the environment to another one, in the form of os.Environ. Names are
// compared without case, since several tools read them so.
func (e Environment) Apply(environ []string) []string {
	replaced := make(map[string]bool)
	for _, v := range e.Variables {
		replaced[strings.ToUpper(v.Name)] = true
	}
	for _, name := range e.Unset {
		replaced[strings.ToUpper(name)] = true
	}
	applied := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return replaced[strings.ToUpper(name)]
	})
	for _, v := range e.Variables {
		applied = append(applied, v.Name+"="+v.Value)
	}
	return applied
}

// Write writes the files and the links into the private folder, which must exist and
// be empty.
func (e Environment) Write(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range e.Files {
		if err := root.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
			return err
		}
		if err := root.WriteFile(f.Path, f.Text, 0o600); err != nil {
			return err
		}
	}
	for _, l := range e.Links {
		if err := root.MkdirAll(filepath.Dir(l.Path), 0o700); err != nil {
			return err
		}
		if err := root.Symlink(l.To, l.Path); err != nil {
			// On Windows not everybody may create one; for a file a hard link works too.
			if os.Link(l.To, filepath.Join(dir, l.Path)) != nil {
				return err
			}
		}
	}
	return nil
}
