package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A release is one version of a client that people still run.
type release struct {
	client, version string
	// program is the command that the client's script calls.
	program string
	// command starts it: a path below .tools, after a program of that folder that
	// interprets it, if there is one.
	command []string
	// logins are the ways to log it in: "ours" is gatehouse login; "aws" is aws
	// codeartifact login, in the newest AWS CLI 1, or the CLI's own.
	logins []string
}

// releases lists the version matrix. docs/clients.md shows it, with the clients
// that the other stories run in the machine's version.
func releases() []release {
	var all []release
	add := func(client, program string, logins []string, command func(version string) []string, versions ...string) {
		for _, v := range versions {
			all = append(all, release{client: client, version: v, program: program, command: command(v), logins: logins})
		}
	}
	at := func(format string, before ...string) func(string) []string {
		return func(version string) []string {
			return append(slices.Clone(before), strings.ReplaceAll(format, "VERSION", version))
		}
	}
	ours, both := []string{"ours"}, []string{"ours", "aws"}
	const node24 = "matrix/node-24/node_modules/node-linux-ARCH/bin/node"

	// 23.0.1 is Debian 12's and came with Python 3.8 to 3.10; 22.3, 23.2.1 and 24.3.1
	// came with releases of Python 3.11 to 3.13.
	add("pip", "pip", both, at("matrix/pip-VERSION/bin/pip"), "22.3", "23.0.1", "23.1.2", "23.2.1", "24.0", "24.3.1", "25.3")
	add("pip", "pip", both, at("python/bin/pip"), "26.3")
	add("twine", "twine", both, at("matrix/twine-VERSION/bin/twine"), "4.0.2", "5.1.1", "6.2.0")
	add("twine", "twine", both, at("python/bin/twine"), "7.0.0")
	add("uv", "uv", ours, at("matrix/uv-VERSION/bin/uv"), "0.5.31", "0.9.30")
	add("uv", "uv", ours, at("python/bin/uv"), "0.13.9")
	add("poetry", "poetry", ours, at("matrix/poetry-VERSION/bin/poetry"), "1.8.5", "2.0.1")
	add("poetry", "poetry", ours, at("poetry/bin/poetry"), "2.5.1")

	// 9.2.0 is Debian 12's; 8, 10 and 11 came with Node 16 and 18, 20 and 22, and 24.
	add("npm", "npm", both, at("matrix/npm-VERSION/node_modules/npm/bin/npm-cli.js", "node"), "8.19.4", "9.2.0", "11.21.2")
	add("npm", "npm", both, at("npm/npm/node_modules/npm/bin/npm-cli.js", "node"), "10.9.9")
	add("npm", "npm", both, at("matrix/npm-VERSION/node_modules/npm/bin/npm-cli.js", node24), "12.2.2")
	add("pnpm", "pnpm", both, at("matrix/pnpm-VERSION/node_modules/pnpm/bin/pnpm.cjs", "node"), "8.15.9", "9.15.9")
	add("pnpm", "pnpm", both, at("npm/pnpm/node_modules/pnpm/bin/pnpm.cjs", "node"), "10.34.8")
	add("pnpm", "pnpm", both, at("matrix/pnpm-VERSION/node_modules/pnpm/bin/pnpm.mjs", node24), "11.28.10", "12.21.0")
	add("yarn1", "yarn", ours, at("npm/yarn1/node_modules/yarn/bin/yarn.js", "node"), "1.22.22")
	add("yarn", "yarn", ours, at("matrix/yarn-VERSION/node_modules/@yarnpkg/cli-dist/bin/yarn.js", "node"), "3.8.7", "4.0.2")
	add("yarn", "yarn", ours, at("npm/yarn4/node_modules/@yarnpkg/cli-dist/bin/yarn.js", "node"), "4.18.1")
	add("bun", "bun", both, at("matrix/bun-VERSION/node_modules/@oven/bun-linux-BUNARCH/bin/bun"), "1.1.45")
	add("bun", "bun", both, at("npm/bun/node_modules/.bin/bun"), "1.4.5")

	// 2.9.19 is Debian 12's.
	aws := []string{"aws"}
	add("awscli", "aws", aws, at("matrix/awscli-VERSION/bin/aws"), "1.29.40")
	add("awscli", "aws", aws, at("python/bin/aws"), "1.45.11")
	add("awscli", "aws", aws, at("/usr/bin/aws"), "2.9.19")
	add("boto3", "python", aws, at("matrix/boto3-VERSION/bin/python"), "1.26.27")
	add("boto3", "python", aws, at("python/bin/python"), "1.43.11")
	return all
}

// TestMatrix logs every release in, in each way, and then publishes and installs
// with it. The scripts are in testdata/matrix, one for each client.
func TestMatrix(t *testing.T) {
	t.Parallel()
	m := newMatrix(t)
	t.Run("releases", func(t *testing.T) { // returns when all of them have ended
		for _, r := range releases() {
			for _, how := range r.logins {
				t.Run(r.client+"-"+r.version+"/"+how, func(t *testing.T) {
					t.Parallel()
					m.run(t, r, how)
				})
			}
		}
	})
}

// A matrix is the server that all releases share. Each publishes a package of its
// own name.
type matrix struct {
	process *process
	data    string
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{data: filepath.Join(t.TempDir(), "data")}
	m.process = startProcess(t, m.data)
	g := &fixture{t: t, url: m.process.url, data: m.data}
	g.repositories(account, domain)
	return m
}

// run runs the client's script for one release in a home of its own.
func (m *matrix) run(t *testing.T, r release, how string) {
	work := t.TempDir()
	home, bin := filepath.Join(work, "home"), filepath.Join(work, "bin")
	for _, dir := range []string{filepath.Join(home, ".local", "bin"), bin} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, r.program), []byte(r.wrapper()), 0o755); err != nil {
		t.Fatal(err)
	}
	name := strings.NewReplacer(".", "-", "/", "-").Replace("m-" + r.client + "-" + r.version + "-" + how)
	wheel := filepath.Join(work, strings.ReplaceAll(name, "-", "_")+"-1.0.0-py3-none-any.whl")
	if err := writeWheel(wheel, name, "1.0.0"); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(module, "e2e", "testdata", "matrix", r.client+".sh")
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", script)
	cmd.Dir = work
	cmd.Env = append(ownEnvironment(),
		"HOME="+home, "PATH="+strings.Join([]string{filepath.Join(home, ".local", "bin"), bin, binary, os.Getenv("PATH")}, ":"),
		"LOGIN="+how, "PKG="+name, "MODULE="+strings.ReplaceAll(name, "-", "_"), "WHEEL="+wheel, "PY="+filepath.Join(module, ".tools/python/bin/python"),
		"URL="+m.process.url, "HOST="+strings.TrimPrefix(m.process.url, "http://"),
		"AWS_CONFIG_FILE="+filepath.Join(m.data, "aws/config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(m.data, "aws/credentials"), "AWS_PROFILE=gatehouse",
		"AWS_REGION="+region, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
		"DOCKER_CONFIG="+filepath.Join(home, ".docker"),
		"npm_config_cache="+filepath.Join(work, "npm-cache"), "npm_config_update_notifier=false", "npm_config_audit=false", "npm_config_fund=false", "NO_COLOR=1",
		"PIP_CONFIG_FILE="+filepath.Join(home, "pip.conf"), "PIP_NO_CACHE_DIR=1", "PIP_DISABLE_PIP_VERSION_CHECK=1",
		"UV_CACHE_DIR="+filepath.Join(work, "uv-cache"), "POETRY_CACHE_DIR="+filepath.Join(work, "poetry-cache"), "POETRY_VIRTUALENVS_IN_PROJECT=true",
		"YARN_ENABLE_TELEMETRY=0", "YARN_CACHE_FOLDER="+filepath.Join(work, "yarn-cache"), "YARN_GLOBAL_FOLDER="+filepath.Join(work, "yarn"), "BUN_INSTALL_CACHE_DIR="+filepath.Join(work, "bun-cache"),
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// ownEnvironment is the environment without the settings of the clients, which the
// test's machine may have. A variable that is set and empty is not the same: bun
// looks for its files in an empty XDG_CONFIG_HOME.
func ownEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		for _, prefix := range []string{"AWS_", "BUN_", "CI=", "DOCKER_", "NPM_", "NODE_", "PIP_", "PNPM_", "POETRY_", "PYTHON", "TWINE_", "UV_", "XDG_", "YARN_", "npm_"} {
			if strings.HasPrefix(entry, prefix) {
				return true
			}
		}
		return false
	})
}

// wrapper is a shell script that starts the release under its usual name.
func (r release) wrapper() string {
	arch := map[string][2]string{"amd64": {"x64", "x64"}, "arm64": {"arm64", "aarch64"}}[runtime.GOARCH]
	var words []string
	for _, word := range r.command {
		word = strings.NewReplacer("BUNARCH", arch[1], "ARCH", arch[0]).Replace(word)
		if strings.Contains(word, "/") && !filepath.IsAbs(word) {
			word = filepath.Join(module, ".tools", word)
		}
		words = append(words, "'"+word+"'")
	}
	return fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", strings.Join(words, " "))
}
