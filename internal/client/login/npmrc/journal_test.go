package npmrc_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/bun"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npm"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/pnpm"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/yarn"
)

// The npm clients share files. Logins in any order, to repositories of any
// scopes, followed by logouts in any order, leave every file as it was.
func TestJournal_NpmClients(t *testing.T) {
	root := t.TempDir()
	var homes atomic.Int64
	tools := []login.Tool{npm.Tool(), pnpm.Tool(), yarn.Tool(), yarn.Classic(), bun.Tool()}
	rapid.Check(t, func(rt *rapid.T) {
		home := filepath.Join(root, fmt.Sprint(homes.Add(1)))
		before := map[string][]byte{}
		// In a fixed order, so that rapid can repeat and shorten a failure.
		for _, file := range []struct {
			name   string
			pieces []string
		}{
			{".npmrc", []string{
				"; mine", "", "registry=https://registry.example/", "@acme:registry = https://registry.example/acme/ ; theirs",
				"//registry.example/:_authToken=${TOKEN}", "fund = false", "//registry.example:80/npm/lib/:_authToken=stale",
			}},
			{".yarnrc.yml", []string{
				"# mine", "", "npmRegistryServer: \"https://registry.example\"", "plugins:\n  - path: mine.cjs\n    spec: mine",
				"npmScopes:\n  acme:\n    npmAuthToken: theirs # note\n  other:\n    npmRegistryServer: https://registry.example/other", "unsafeHttpWhitelist: [registry.example]",
			}},
			{".bunfig.toml", []string{
				"# mine", "", "telemetry = false", "[install]\nregistry = \"https://registry.example/\" # note\nexact = true",
				"[install.scopes]\nacme = { url = \"https://registry.example/acme/\", token = \"theirs\" }\n\"@other\" = \"https://registry.example/\"",
			}},
		} {
			name, pieces := file.name, file.pieces
			if rapid.IntRange(0, 4).Draw(rt, "none") == 0 {
				continue
			}
			end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "end")
			lines := rapid.Permutation(pieces).Draw(rt, name)
			if strings.HasSuffix(name, ".toml") { // keys above tables
				lines = pieces
			}
			lines = lines[:rapid.IntRange(0, len(lines)).Draw(rt, "lines")]
			text := strings.ReplaceAll(strings.Join(lines, "\n"), "\n", end)
			if rapid.Bool().Draw(rt, "closed") {
				text += end
			}
			before[name] = []byte(text)
		}
		if err := os.MkdirAll(home, 0o700); err != nil {
			rt.Fatal(err)
		}
		for name, text := range before {
			if err := os.WriteFile(filepath.Join(home, name), text, 0o644); err != nil {
				rt.Fatal(err)
			}
		}
		p := places(nil)
		p.Home = home
		j := login.NewJournal(filepath.Join(home, "state"), p, tools)
		in := map[string]login.Target{}
		for i := range rapid.IntRange(1, 6).Draw(rt, "steps") {
			tool := rapid.SampledFrom(tools).Draw(rt, fmt.Sprint("tool ", i))
			address := "http://registry.example:80/npm/" + rapid.SampledFrom([]string{"lib/", "team/"}).Draw(rt, "repository")
			scopes := rapid.SampledFrom([][]string{nil, {"@acme"}, {"@other", "@new"}}).Draw(rt, "scopes")
			to := target(rt, address, scopes...)
			to.Token.Password += rapid.SampledFrom([]string{"_first", "_second"}).Draw(rt, "token")
			if _, err := j.Do(t.Context(), login.Login{Tool: tool, Target: to}); err != nil {
				rt.Fatal(err)
			}
			in[tool.Name] = to
		}
		// Somebody else changes the file in between.
		rc := filepath.Join(home, ".npmrc")
		if text, err := os.ReadFile(rc); err == nil && bytes.HasSuffix(text, []byte("\n")) && rapid.Bool().Draw(rt, "changed") {
			if err := os.WriteFile(rc, append(text, "audit=false\n"...), 0o600); err != nil {
				rt.Fatal(err)
			}
			before[".npmrc"] = append(before[".npmrc"], "audit=false\n"...)
		}
		for _, name := range rapid.Permutation([]string{"npm", "pnpm", "yarn", "yarn1", "bun"}).Draw(rt, "out") {
			if _, ok := in[name]; ok {
				if _, err := j.Do(t.Context(), login.Logout{Tool: name}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for _, name := range []string{".npmrc", ".yarnrc.yml", ".bunfig.toml"} {
			after, err := os.ReadFile(filepath.Join(home, name))
			want, was := before[name]
			if errors.Is(err, fs.ErrNotExist) && !was {
				continue
			}
			if err != nil || !was || !bytes.Equal(after, want) {
				rt.Fatalf("%s was %q and is %q, %v", name, want, after, err)
			}
		}
		if left, err := os.ReadDir(filepath.Join(home, ".local", "share", "gatehouse")); err == nil {
			rt.Fatalf("%v are left", left)
		}
	})
}

// Two tools have one address, and the second login replaced the token of the
// first. So nothing of the first login is left when the second one is undone: the
// file is empty then, and was removed once, with the person's own line in it.
func TestJournal_TokenReplacedByOtherTool(t *testing.T) {
	p := places(nil)
	p.Home = t.TempDir()
	rc := filepath.Join(p.Home, ".npmrc")
	const mine = "@acme:registry = https://registry.example/acme/ ; mine"
	if err := os.WriteFile(rc, []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	tools := []login.Tool{npm.Tool(), yarn.Classic(), bun.Tool()}
	j := login.NewJournal(filepath.Join(p.Home, "state"), p, tools)
	for _, l := range []struct {
		tool       login.Tool
		repository string
		token      string
		scopes     []string
	}{
		{bun.Tool(), "lib/", "_first", []string{"@other"}},
		{npm.Tool(), "team/", "_first", []string{"@other"}},
		{yarn.Classic(), "lib/", "_second", []string{"@acme"}},
	} {
		to := target(t, "http://registry.example:80/npm/"+l.repository, l.scopes...)
		to.Token.Password += l.token
		if _, err := j.Do(t.Context(), login.Login{Tool: l.tool, Target: to}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range []string{"npm", "yarn1", "bun"} {
		if _, err := j.Do(t.Context(), login.Logout{Tool: tool}); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := os.ReadFile(rc); err != nil || string(after) != mine {
		t.Fatalf(".npmrc is %q, %v; want %q", after, err, mine)
	}
}
