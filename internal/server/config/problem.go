package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
)

// A Problem is one thing that is wrong in a configuration. [Config.Read] and
// [Config.Validate] return all of them, joined: see [Problems].
type Problem struct {
	// Line is the line of the file, or 0 if the setting is not in a file.
	Line int
	// Setting is the path of the setting, such as log.level. It is empty if the file
	// is not valid YAML of this form.
	Setting string
	Message string

	excerpt string // the message with the lines of the file around it
}

func (p *Problem) Error() string {
	switch {
	case p.excerpt != "":
		return p.excerpt
	case p.Setting == "":
		return fmt.Sprintf("line %d: %s", p.Line, p.Message)
	case p.Line == 0:
		return p.Setting + ": " + p.Message
	}
	return fmt.Sprintf("%s (line %d): %s", p.Setting, p.Line, p.Message)
}

// Problems returns the problems in an error, in the order of their lines. It returns
// nil if there are none, for example because the file cannot be opened.
func Problems(err error) []*Problem {
	var all []*Problem
	var find func(error)
	find = func(err error) {
		if p, ok := err.(*Problem); ok {
			all = append(all, p)
			return
		}
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				find(inner)
			}
		case interface{ Unwrap() error }:
			find(e.Unwrap())
		}
	}
	find(err)
	slices.SortStableFunc(all, func(a, b *Problem) int { return a.Line - b.Line })
	return all
}

// ProblemAt returns a problem of a setting with its line. A line at the end of the
// setting, as in "guardrail (line 3)", is used.
func (c *Config) ProblemAt(setting, message string) *Problem {
	p := &Problem{Setting: setting, Message: message}
	if m := lineSuffix.FindStringSubmatch(setting); m != nil {
		p.Setting = strings.TrimSuffix(setting, m[0])
		p.Line, _ = strconv.Atoi(m[1])
		return p
	}
	// A setting that is missing has the line of the section that it is missing in.
	for path := setting; ; {
		if line, ok := c.lines[path]; ok {
			p.Line = line
			return p
		}
		dot := strings.LastIndexByte(path, '.')
		if dot < 0 {
			return p
		}
		path = path[:dot]
	}
}

var (
	lineSuffix = lazyregexp.New(` \(line (\d+)\)$`)
	linePrefix = lazyregexp.New(`^line (\d+): `)
)

// addLines records the line of each setting in a mapping.
func addLines(lines map[string]int, in string, node ast.Node) {
	for _, value := range valuesOf(node) {
		token := value.Key.GetToken()
		path := in + token.Value
		lines[path] = token.Position.Line
		addLines(lines, path+".", value.Value)
	}
}

// valuesOf returns the pairs of a mapping, and nothing for another node.
func valuesOf(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode: // a mapping of one
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// A SettingsError joins the problems of a file with wrong settings. [Config.Read] has set
// the others, so that [Config.Validate] can say what else is wrong.
type SettingsError struct{ problems error }

func (e *SettingsError) Error() string { return e.problems.Error() }

// Unwrap returns the joined problems.
func (e *SettingsError) Unwrap() error { return e.problems }

// decode sets the settings of a document in c. The error is a *SettingsError.
func (c *Config) decode(document ast.Node) error {
	before := *c
	err := yaml.NodeToValue(document, c, yaml.Strict())
	if err == nil {
		return nil
	}
	// The library stops at the first error. To find all of them, each setting is
	// decoded on its own. An alias cannot be: its anchor may be elsewhere.
	var errs []error
	right := filter(document, 4, func(setting ast.Node) bool {
		err := yaml.NodeToValue(setting, new(Config), yaml.Strict())
		if err == nil {
			return true
		}
		p := explain(err)
		if strings.Contains(p.Message, "could not find alias") {
			return true
		}
		if !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == p.Error() }) {
			errs = append(errs, p)
		}
		return false
	})
	*c = before
	if right != nil {
		if yaml.NodeToValue(right, c, yaml.Strict()) != nil {
			*c = before
		}
	}
	if len(errs) == 0 {
		errs = append(errs, explain(err))
	}
	return &SettingsError{errors.Join(errs...)}
}

// filter returns a document with the settings that pass, or nil if none does. Each is
// asked about in a document of its own: of {a: {b: 1, c: 2}} these are {a: {b: 1}} and
// {a: {c: 2}}. Mappings that are deeper than depth stay whole.
func filter(node ast.Node, depth int, passes func(ast.Node) bool) ast.Node {
	values := valuesOf(node)
	if len(values) == 0 || depth == 0 {
		if passes(node) {
			return node
		}
		return nil
	}
	var kept []*ast.MappingValueNode
	for _, value := range values {
		within := func(inner ast.Node) ast.Node {
			return ast.Mapping(value.Start, false, ast.MappingValue(value.Start, value.Key, inner))
		}
		if inner := filter(value.Value, depth-1, func(n ast.Node) bool { return passes(within(n)) }); inner != nil {
			kept = append(kept, ast.MappingValue(value.Start, value.Key, inner))
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return ast.Mapping(values[0].Start, false, kept...)
}

// explain is the YAML library's message with the place in the file. The library names
// Go's types to someone who wrote a duration without a unit.
func explain(err error) *Problem {
	p := place(err)
	p.Message, p.excerpt = postgres.Redact(p.Message), postgres.Redact(p.excerpt)
	return p
}

// place finds the line of an error.
func place(err error) *Problem {
	var mismatch *yaml.TypeError
	if errors.As(err, &mismatch) && mismatch.DstType == reflect.TypeFor[time.Duration]() {
		return &Problem{Line: mismatch.Token.Position.Line, Message: fmt.Sprintf("%q is not a duration, such as 30s, 5m or 24h", mismatch.Token.Value)}
	}
	var placed yaml.Error
	if errors.As(err, &placed) && placed.GetToken() != nil {
		return &Problem{Line: placed.GetToken().Position.Line, Message: placed.GetMessage(), excerpt: yaml.FormatError(err, false, true)}
	}
	p := &Problem{Message: err.Error(), excerpt: err.Error()}
	if m := linePrefix.FindStringSubmatch(p.Message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message, p.excerpt = strings.TrimPrefix(p.Message, m[0]), ""
	}
	return p
}
