// Package pnpm logs pnpm in: .npmrc names a helper, which pnpm starts whenever it
// runs, and holds no secret (pnpm's documentation, "tokenHelper").
//
// The helper must be an absolute path without arguments, and pnpm takes it from
// the person's own .npmrc alone. So login makes a small script for each
// repository, which starts this program. To publish, pnpm hands the token to npm
// in its environment.
//
// The same .npmrc is npm's, Yarn 1's and bun's, which know nothing of helpers:
// those that are used as well are logged in beside it. Where both a helper and a
// token are named, pnpm asks the helper.
//
// A reference to an environment variable would be worse than a token: where that
// is not set, pnpm ignores the whole .npmrc, and has its packages from the public
// registry.
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
		Next: func(t login.Target) string { return npmrc.Next(t, "pnpm add PACKAGE") },
	}
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	path, err := npmrc.Path(p)
	if err != nil {
		return nil, err
	}
	helper := scriptPath(t, p)
	if at := strings.IndexFunc(helper, special(p.GOOS)); at >= 0 {
		return nil, fmt.Errorf("pnpm starts its helper by way of a shell, for which %q in the path %s means something else: set XDG_DATA_HOME to a folder without such characters", helper[at:at+1], helper)
	}
	text, err := script(t, p)
	if err != nil {
		return nil, err
	}
	edit, err := npmrc.Edit(path, 0o644, t, npmrc.Setting{Name: "tokenHelper", Value: helper})
	if err != nil {
		return nil, err
	}
	// The helper comes first: pnpm fails for one that is not there.
	return []login.Edit{{
		Path: helper, Mode: 0o700,
		Apply:  func([]byte) ([]byte, error) { return text, nil },
		Remove: func([]byte) ([]byte, error) { return nil, nil },
	}, edit}, nil
}

// scriptPath is that of the helper of one repository: two may have the same name
// in two regions, or at two endpoints.
func scriptPath(t login.Target, p login.Environment) string {
	sum := sha256.Sum256([]byte(t.Endpoint.String()))
	name := t.Name + "-" + hex.EncodeToString(sum[:4])
	if p.GOOS == "windows" {
		name += ".cmd"
	}
	return filepath.Join(p.DataFolder("pnpm"), name)
}

// special reports for a character whether the shell of an operating system, or
// the reader of .npmrc, makes anything else of it than a part of a path.
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
// Authorization, which is what pnpm takes from a helper.
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
			return nil, fmt.Errorf("%q cannot be handed to a program by a script of cmd", w)
		}
		words[i] = `"` + strings.ReplaceAll(w, "%", "%%") + `"`
	}
	return []byte("@rem Made by gatehouse login, for pnpm to ask.\r\n@" + strings.Join(words, " ") + "\r\n"), nil
}
