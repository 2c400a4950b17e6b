// Package pnpm logs in pnpm. .npmrc names a helper, which pnpm starts at each
// run, and contains no secret (pnpm's documentation, "tokenHelper").
//
// The helper must be an absolute path without arguments, and pnpm only accepts
// it from the person's own .npmrc. So login writes a small script for each
// repository, which starts this program. To publish, pnpm passes the token to
// npm in its environment.
//
// npm, Yarn 1 and bun read the same .npmrc and do not know helpers. If they are
// used as well, they are logged in separately. If both a helper and a token are
// there, pnpm asks the helper.
//
// A reference to an environment variable would be worse than a token: if the
// variable is not set, pnpm ignores the whole .npmrc and installs from the
// public registry.
package pnpm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npmrc"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// Tool is pnpm.
func Tool() login.Tool {
	return login.Tool{
		Name: "pnpm", Format: "npm", Programs: []string{"pnpm"}, Secret: login.FromHelper,
		Edits: edits, Addresses: npmrc.Addresses,
		Next: next,
	}
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	path, err := npmrc.Path(p)
	if err != nil {
		return nil, err
	}
	helper := scriptPath(t, p)
	if at := strings.IndexFunc(helper, special(p.GOOS)); at >= 0 {
		return nil, fmt.Errorf("pnpm starts its helper through a shell, in which %q in the path %s has a special meaning: set XDG_DATA_HOME to a folder without such characters", helper[at:at+1], helper)
	}
	text, err := script(t, p)
	if err != nil {
		return nil, err
	}
	edit, err := npmrc.Edit(path, 0o644, t, npmrc.Setting{Name: "tokenHelper", Value: helper})
	if err != nil {
		return nil, err
	}
	// The helper is written first: pnpm fails if the file does not exist.
	return []login.Edit{{
		Path: helper, Mode: 0o700,
		Apply:  func([]byte) ([]byte, error) { return text, nil },
		Remove: func([]byte) ([]byte, error) { return nil, nil },
	}, edit}, nil
}

// next warns of what pnpm leaves to npm, which knows no helpers.
func next(t login.Target) string {
	return npmrc.Next(t, "pnpm add PACKAGE") +
		"\n# pnpm 10 and older run npm for view, dist-tag, deprecate, unpublish, owner, search and whoami: log in npm as well for these," +
		" or run them with gatehouse exec."
}

// scriptPath is the path of a repository's helper. Its name contains a hash,
// since repositories in two regions or at two endpoints can have the same name.
func scriptPath(t login.Target, p login.Environment) string {
	sum := sha256.Sum256([]byte(t.Endpoint.String()))
	name := t.Name + "-" + hex.EncodeToString(sum[:4])
	if p.GOOS == "windows" {
		name += ".cmd"
	}
	return filepath.Join(p.DataFolder("pnpm"), name)
}

// special returns a function that reports whether a character has a special
// meaning in a path, for the operating system's shell or for the parser of
// .npmrc.
func special(goos string) func(rune) bool {
	plain := "/._-+@%:,~"
	if goos == "windows" {
		plain = `\/._-+@:~`
	}
	return func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r > 0x7f
		return !letter && !strings.ContainsRune(plain, r)
	}
}

// script starts this program so that it prints the value of the header
// Authorization, which pnpm expects from a helper.
func script(t login.Target, p login.Environment) ([]byte, error) {
	words := slices.Concat([]string{p.Program}, t.TokenArguments(), []string{"--format", "authorization"})
	if p.GOOS == "windows" {
		return command(words)
	}
	return []byte("#!/bin/sh\n# Made by gatehouse login, for pnpm to ask.\nexec " + shellquote.Line(words...) + "\n"), nil
}

// command is the script for Windows' cmd.
func command(words []string) ([]byte, error) {
	for i, w := range words {
		if strings.ContainsAny(w, "\"\r\n") {
			return nil, fmt.Errorf("%q cannot be passed to a program by a cmd script", w)
		}
		words[i] = `"` + strings.ReplaceAll(w, "%", "%%") + `"`
	}
	return []byte("@rem Made by gatehouse login, for pnpm to ask.\r\n@" + strings.Join(words, " ") + "\r\n"), nil
}
