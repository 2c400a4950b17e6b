package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/gatehouse-registry/gatehouse/internal/client/login/tools"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
	"github.com/gatehouse-registry/gatehouse/internal/client/toolenv"
)

// The scripts are small: each asks `gatehouse __complete -- WORDS…`, which prints
// one candidate a line, its description after a tab. A line that begins with a
// colon asks the shell for something that it knows better: see the directives.
var (
	//go:embed completion.bash
	bashCompletion string
	//go:embed completion.zsh
	zshCompletion string
	//go:embed completion.fish
	fishCompletion string
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is what --help shows below the flags.
func (completionCommand) Help() string {
	return `Examples:

  source <(gatehouse completion bash)                # in ~/.bashrc
  source <(gatehouse completion zsh)                 # in ~/.zshrc, after compinit
  gatehouse completion fish | source                 # in ~/.config/fish/config.fish`
}

// Run prints the script.
func (c *completionCommand) Run(stdout io.Writer) error {
	_, err := io.WriteString(stdout, map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell])
	return err
}

// The directives for shells.
const (
	completeFiles    = ":files"
	completeFolders  = ":folders"
	completeCommands = ":commands"
)

type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run prints what the last word can become. Without any word that is the first.
func (c *completeCommand) Run(stdout io.Writer, k *kong.Kong) error {
	words := withoutDashes(c.Words)
	current := ""
	if n := len(words); n > 0 {
		words, current = words[:n-1], words[n-1]
	}
	for _, candidate := range complete(k.Model, words, current) {
		if _, err := fmt.Fprintln(stdout, candidate); err != nil {
			return err
		}
	}
	return nil
}

// complete returns the candidates for a word that follows others.
func complete(app *kong.Application, words []string, current string) []string {
	if len(words) > 0 && words[0] == "help" { // help COMMAND is completed as COMMAND is
		node := app.Node
		for _, word := range words[1:] {
			if node = childOf(node, word); node == nil {
				return nil
			}
		}
		return childNames(node, current)
	}
	node, flag := app.Node, (*kong.Flag)(nil)
	positional := 0
	for _, word := range words {
		switch {
		case word == "=": // bash makes a word of its own of it
		case flag != nil:
			flag = nil
		case word == "--" || node.Passthrough:
			return []string{completeCommands}
		case strings.HasPrefix(word, "-"):
			flag = valueFlag(node, word)
		default:
			if child := childOf(node, word); child != nil {
				node, positional = child, 0
			} else if positional++; isPassthrough(node) {
				return []string{completeCommands}
			}
		}
	}
	switch {
	case flag != nil:
		return flagValues(node, flag, "", strings.TrimPrefix(current, "="))
	case strings.HasPrefix(current, "-"):
		if name, value, ok := strings.Cut(current, "="); ok {
			if flag := valueFlag(node, name); flag != nil {
				return flagValues(node, flag, name+"=", value)
			}
			return nil
		}
		return flagNames(node, current)
	}
	return append(childNames(node, current), positionalValues(node, positional, current)...)
}

// valueFlag is the flag of a name such as --tool or -o if the next word is its
// value.
func valueFlag(node *kong.Node, name string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) || slices.Contains(f.Aliases, strings.TrimPrefix(name, "--")) {
				if f.IsBool() {
					return nil
				}
				return f
			}
		}
	}
	return nil
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func isPassthrough(node *kong.Node) bool {
	return slices.ContainsFunc(node.Positional, func(p *kong.Positional) bool { return p.Passthrough })
}

func flagNames(node *kong.Node, prefix string) []string {
	var found []string
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			if name := "--" + f.Name; strings.HasPrefix(name, prefix) {
				found = append(found, candidate(name, f.Help))
			}
		}
	}
	return found
}

func childNames(node *kong.Node, prefix string) []string {
	var found []string
	for _, child := range node.Children {
		if !child.Hidden && strings.HasPrefix(child.Name, prefix) {
			found = append(found, candidate(child.Name, child.Help))
		}
	}
	return found
}

// known lists values that the command line's model does not have, by the path of
// the command and the name of the flag or the argument.
var known = map[string]func() []string{
	"login --tool":   tools.Names,
	"logout --tool":  tools.Names,
	"login tool":     tools.Names,
	"logout tool":    tools.Names,
	"exec --tool":    toolenv.Names,
	"proxy --tool":   toolenv.Names,
	"exec --format":  func() []string { return project.Formats },
	"proxy --format": func() []string { return project.Formats },
}

func flagValues(node *kong.Node, f *kong.Flag, before, prefix string) []string {
	if list := known[node.Path()+" --"+f.Name]; list != nil {
		return matching(list(), before, prefix)
	}
	if f.Enum != "" {
		return matching(f.EnumSlice(), before, prefix)
	}
	switch f.PlaceHolder {
	case "FILE":
		return []string{completeFiles}
	case "DIR":
		return []string{completeFolders}
	}
	return nil
}

func positionalValues(node *kong.Node, index int, prefix string) []string {
	if index >= len(node.Positional) {
		if len(node.Positional) == 0 || !node.Positional[len(node.Positional)-1].IsCumulative() {
			return nil
		}
		index = len(node.Positional) - 1
	}
	p := node.Positional[index]
	switch list := known[node.Path()+" "+p.Name]; {
	case list != nil:
		return matching(list(), "", prefix)
	case p.Passthrough:
		return []string{completeCommands}
	case p.Enum != "":
		return matching(p.EnumSlice(), "", prefix)
	}
	return nil
}

func matching(values []string, before, prefix string) []string {
	var found []string
	for _, v := range values {
		if strings.HasPrefix(v, prefix) {
			found = append(found, before+v)
		}
	}
	return found
}

// candidate is a line with a description, which is cut to its first sentence.
func candidate(value, help string) string {
	help, _, _ = strings.Cut(help, ". ")
	return value + "\t" + strings.TrimSuffix(help, ".")
}
