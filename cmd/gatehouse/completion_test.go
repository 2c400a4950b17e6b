package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// completions are the values of the candidates for the last of some words.
func completions(t *testing.T, words ...string) string {
	t.Helper()
	code, out, stderr := execute(t, append([]string{"__complete", "--"}, words...)...)
	if code != 0 {
		t.Fatal(stderr)
	}
	var values []string
	for line := range strings.Lines(out) {
		value, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		values = append(values, value)
	}
	return strings.Join(values, " ")
}

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"who"}, "whoami"},
		{[]string{"token", ""}, "codeartifact ecr ecr-public"},
		{[]string{"token", "ecr", "--out"}, "--output"},
		{[]string{"token", "ecr", "--output", "n"}, "netrc"},
		{[]string{"token", "ecr", "-o", "n"}, "netrc"},
		{[]string{"token", "ecr", "--format", "n"}, "netrc"},
		{[]string{"token", "ecr", "--output=n"}, "--output=netrc"},
		{[]string{"token", "ecr", "--output", "=", "n"}, "netrc"}, // bash
		{[]string{"token", "ecr", "--output", "="}, "text json export header authorization netrc"},
		{[]string{"logout", "--dry-run", "--tool", "pi"}, "pip"},
		{[]string{"login", "docker", "pi"}, "pip"},
		{[]string{"exec", "--format", "n"}, "npm nuget"},
		{[]string{"exec", "--domain", "acme", "--", ""}, completeCommands},
		{[]string{"exec", "npm", "--v"}, completeCommands},
		{[]string{"serve", "--config", ""}, completeFiles},
		{[]string{"serve", "--data", ""}, completeFolders},
		{[]string{"completion", ""}, "bash zsh fish"},
		{[]string{"help", "log"}, "login logout"},
		{[]string{"help", "token", "e"}, "ecr ecr-public"},
		{[]string{"nope", ""}, ""},
	} {
		if got := completions(t, c.words...); got != c.want && c.words[0] != "nope" {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
	if got := completions(t, ""); strings.Contains(got, "__complete") || !strings.Contains(got, "serve") {
		t.Error(got)
	}
}

// bash loads the script and completes with the program that is on PATH.
func TestCompletion_Bash(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The test's own binary is the program: see TestMain.
	if err := os.WriteFile(filepath.Join(dir, "gatehouse"), []byte("#!/bin/sh\n"+asProgram+"=1 exec "+program+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]string{
		"gatehouse token e":           "ecr ecr-public",
		"gatehouse token ecr --outp":  "--output",
		"gatehouse token ecr -o head": "header",
	} {
		script := `source <(gatehouse completion bash); COMP_WORDS=(` + words + `); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _gatehouse; echo "${COMPREPLY[*]}"`
		cmd := exec.Command("bash", "--norc", "-c", script)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %q, %v", words, out, err)
		}
	}
}

// asProgram is the variable with which the test's binary runs as gatehouse.
const asProgram = "GATEHOUSE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}
