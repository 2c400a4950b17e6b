// Package spdx reads what the metadata of packages say about licences. [Alternatives] is
// its one function: it takes the texts of a version and returns the licences among which
// its user may choose, in the form of SPDX license expressions (SPDX 2.3, annex D).
//
// Many packages name a licence in words ("Apache License, Version 2.0"). The most frequent
// words are known, and the capitals of the most frequent ids. Other ids are kept as they
// are written: they are not compared with SPDX's list, which grows with every release.
//
// The package is storage: it knows no packages and no policies.
package spdx

import (
	"errors"
	"slices"
	"strings"
)

// Unknown is the alternative of a version that names no licence which can be read.
const Unknown = "unknown"

// The bounds of a text. Real expressions have a few ids.
const (
	maxText         = 1000 // bytes
	maxDepth        = 20   // of parentheses
	maxAlternatives = 50
)

// Alternatives returns the licences among which the user of a version may choose, sorted.
// Each is an id such as MIT, an id WITH an exception, or several of those joined with AND,
// in their order of bytes: all of them hold then. Several texts are alternatives, too. It is
// Unknown alone if there is no text, and Unknown in place of each text that cannot be read.
func Alternatives(texts ...string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, alternativesOf(text)...)
	}
	if len(all) == 0 {
		return []string{Unknown}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func alternativesOf(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	if len(text) > maxText {
		return []string{Unknown}
	}
	if id, ok := names[nameKey(text)]; ok && strings.Count(text, "(") == strings.Count(text, ")") {
		return []string{id}
	}
	p := parser{tokens: tokenize(text)}
	found, err := p.or(0)
	if err != nil || len(p.tokens) > 0 {
		return []string{Unknown}
	}
	out := make([]string, len(found))
	for i, all := range found {
		out[i] = strings.Join(all, " AND ")
	}
	return out
}

// tokenize splits an expression into ids, operators and parentheses. A slash between two
// ids is an OR: so did cargo before it took expressions.
func tokenize(text string) []string {
	text = strings.NewReplacer("(", " ( ", ")", " ) ", "/", " OR ").Replace(text)
	return strings.Fields(text)
}

var errExpression = errors.New("it is not an expression of SPDX")

// A parser reads an expression. Its methods return alternatives, each a sorted list of ids
// that hold together.
type parser struct{ tokens []string }

// take removes the next token if it is the operator.
func (p *parser) take(operator string) bool {
	if len(p.tokens) == 0 || !strings.EqualFold(p.tokens[0], operator) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *parser) or(depth int) ([][]string, error) {
	all, err := p.and(depth)
	for err == nil && p.take("OR") {
		var more [][]string
		more, err = p.and(depth)
		all = append(all, more...)
	}
	if len(all) > maxAlternatives {
		return nil, errExpression
	}
	return all, err
}

func (p *parser) and(depth int) ([][]string, error) {
	all, err := p.simple(depth)
	for err == nil && p.take("AND") {
		var more [][]string
		if more, err = p.simple(depth); err != nil {
			return nil, err
		}
		if len(all)*len(more) > maxAlternatives {
			return nil, errExpression
		}
		var both [][]string
		for _, a := range all {
			for _, b := range more {
				joined := append(slices.Clone(a), b...)
				slices.Sort(joined)
				both = append(both, slices.Compact(joined))
			}
		}
		all = both
	}
	return all, err
}

func (p *parser) simple(depth int) ([][]string, error) {
	if p.take("(") {
		if depth == maxDepth {
			return nil, errExpression
		}
		inner, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = errExpression
		}
		return inner, err
	}
	id, err := p.id()
	if err != nil {
		return nil, err
	}
	if p.take("WITH") {
		exception, err := p.id()
		if err != nil {
			return nil, err
		}
		id += " WITH " + exception
	}
	return [][]string{{id}}, nil
}

// id reads an id of a licence or an exception.
func (p *parser) id() (string, error) {
	if len(p.tokens) == 0 {
		return "", errExpression
	}
	id := p.tokens[0]
	if !validID(id) || slices.Contains([]string{"OR", "AND", "WITH"}, strings.ToUpper(id)) {
		return "", errExpression
	}
	p.tokens = p.tokens[1:]
	if known, ok := names[nameKey(id)]; ok {
		return known, nil
	}
	if before, ok := strings.CutSuffix(id, "+"); ok {
		if known, ok := names[nameKey(before)]; ok {
			return known + "+", nil
		}
	}
	return withCapitals(id), nil
}

// withCapitals writes the names that rules look for in capitals, also in ids that are not
// known: authors write gpl-1.0, too. Ids of authors' own licences stay as they are.
func withCapitals(id string) string {
	if strings.Contains(id, "Ref-") {
		return id
	}
	for _, family := range []string{"AGPL", "LGPL", "GPL", "SSPL"} {
		for i := range len(id) - len(family) + 1 {
			if strings.EqualFold(id[i:i+len(family)], family) {
				id = id[:i] + family + id[i+len(family):]
			}
		}
	}
	return id
}

// validID reports whether a token can be an id: idstring of the grammar, with the "+" of
// later versions and the colon of DocumentRef. "none" and the like name no licence.
func validID(s string) bool {
	if slices.Contains([]string{"unknown", "none", "noassertion", "other", "custom"}, strings.ToLower(s)) {
		return false
	}
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("-.+:", rune(c))) {
			return false
		}
	}
	return s != ""
}
