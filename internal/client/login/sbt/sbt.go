// Package sbt logs in sbt 1, by a file of global settings (sbt Reference
// Manual, "Global Settings").
//
// The file's credentials are a task, which sbt evaluates whenever it resolves
// or publishes: then it asks this program for a token. There is one file for
// all logins, with a line for each.
//
// Global settings apply to the projects that are built. The meta-build, with
// sbt's own plug-ins, has other settings (~/.sbt/1.0/plugins), which login does
// not change.
package sbt

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/script"
)

// Tool is sbt.
func Tool() login.Tool {
	return login.Tool{
		Name: "sbt", Format: "maven", Programs: []string{"sbt", "sbtx", "sbtn"}, Secret: login.FromHelper,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

//go:embed gatehouse.sbt
var template string

// file is the settings file. A login is a line in it, written by [line].
func file() script.File {
	return script.File{Template: template, Login: regexp.MustCompile(`^  \("([^"]*)", "[^"]*", "([^"]*)", .*\),\n$`)}
}

func path(p login.Environment) string { return filepath.Join(p.Home, ".sbt", "1.0", "gatehouse.sbt") }

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	return []login.Edit{file().Edit(path(p), t.Name, line(t, p.Program))}, nil
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	return file().Addresses(path(p), read)
}

// line writes a login as the file has it: a Scala tuple, on one line.
//
// The realm is the one in CodeArtifact's challenge. sbt does not send
// credentials for another realm of the same host.
func line(t login.Target, program string) string {
	address := quote(t.Endpoint.String())
	resolver := quote(t.Name) + " at " + address
	if t.Endpoint.Scheme == "http" {
		resolver = "(" + resolver + ").withAllowInsecureProtocol(true)"
	}
	command := []string{quote(program)}
	for _, argument := range t.TokenArguments() {
		command = append(command, quote(argument))
	}
	return fmt.Sprintf("  (%s, %s, %s, %s, %s, Seq(%s)),\n", quote(t.Name), quote(t.Domain+"/"+t.Repository), address, resolver,
		strconv.FormatBool(t.Placement == login.Replace), strings.Join(command, ", "))
}

// quote writes a Scala string.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s) + `"`
}

func next(login.Target) string { return "sbt update\nsbt publish" }
