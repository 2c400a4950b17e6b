// Package toolenv knows the environment that package clients and container
// clients read: which variables point each of them at a repository and let it in.
// `gatehouse exec` and `gatehouse proxy` start commands with it.
//
// Each file of the package is one tool, or several that read the same. Three
// rules hold for all of them:
//
//   - Where a tool binds a password to an address, it gets it so bound: then a
//     configuration file of the project cannot have it sent elsewhere. Some tools
//     know only names (Poetry, Gradle, NuGet) or nothing at all (gem, twine): those
//     send it where the project or the person tells them to.
//   - Secrets are in variables and never in a file. A tool that must have a file
//     gets one that refers to the variables or names our helper, in a private
//     folder that is removed at the end.
//   - What is set here replaces what was set before, together with every other
//     variable that would be mixed with it: half of the one and half of the other
//     would send this token to that address.
//
// Variables keep to names that a shell can have (letters, digits, underscores):
// some shells drop all others from what their children see, and with them npm's
// own npm_config_//host/:_authToken.
package toolenv

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

// An Environment is what a command gets besides its own.
type Environment struct {
	// Variables are set, in this order.
	Variables []Variable
	// Unset are the names of variables that would be mixed with them.
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

// password is that within an address.
var password = regexp.MustCompile(`://([^/@:]*):[^/@]*@`)

// Masked is the value with what is secret of it hidden.
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

// A Tool is a client whose environment is known here.
type Tool struct {
	// Name is the tool's, or the family's.
	Name string
	// Format is that of the endpoints it is for; "" for container clients.
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

// A Command says for what and where an environment is made.
type Command struct {
	// Endpoints are what the tools are pointed at; the first of a format is their
	// default.
	Endpoints []project.Endpoint
	// Tools are the names of those that are told; none stands for all.
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

// Environment makes the environment. The error names a file of the person's that
// cannot be read, or a tool that is not known.
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

// A setter collects what one tool is told.
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

// secret sets a variable with a secret in it; where there is no secret, because
// none is needed, it only clears the variable.
func (s *setter) secret(name, value string, e project.Endpoint) {
	if e.Token.Password == "" {
		s.unset(name)
		return
	}
	s.env.Variables = append(s.env.Variables, Variable{Name: name, Value: value, Secret: true})
}

// addressed sets a variable to an address that has the user and the password in
// it.
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

// withUser is an endpoint's address, or what is below it, with the user name and
// the password in it.
func withUser(e project.Endpoint, below string) string {
	u := e.Endpoint.JoinPath(below)
	if e.Token.Password != "" {
		u.User = userinfo(e)
	}
	return u.String()
}

// Apply adds the environment to that of this process, as in os.Environ. Names
// are compared without their case, since several tools read them so.
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

// Write writes the files and the links into the private folder, which is there
// and empty.
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
			// Windows lets not everybody make one; a second name will do for a file.
			if os.Link(l.To, filepath.Join(dir, l.Path)) != nil {
				return err
			}
		}
	}
	return nil
}
