// Package gradle logs in Gradle, from 4.4 on, by an init script in the person's
// Gradle home (Gradle User Manual, "Initialization Scripts").
//
// The script asks our program for a token at each build, so that there is none to
// expire, and none in a file. There is one script for all logins, with a line for
// each: what they do to the repositories of a build has to be decided together.
package gradle

import (
	"cmp"
	_ "embed"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/script"
)

// Tool is Gradle.
func Tool() login.Tool {
	return login.Tool{
		Name: "gradle", Format: "maven", Programs: []string{"gradle", "gradlew"}, Secret: login.FromHelper,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

//go:embed init.gradle
var template string

// file is the init script, in which a login is a line as [line] writes it.
func file() script.File {
	return script.File{Template: template, Login: regexp.MustCompile(`^    \[name: '([^']*)', url: '([^']*)', .*\],\n$`)}
}

// path is that of the init script in the Gradle home.
func path(p login.Environment) string {
	home := p.Absolute(cmp.Or(p.Getenv("GRADLE_USER_HOME"), filepath.Join(p.Home, ".gradle")))
	return filepath.Join(home, "init.d", "gatehouse.gradle")
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	return []login.Edit{file().Edit(path(p), name(t), line(t, p.Program))}, nil
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	return file().Addresses(path(p), read)
}

// line is a login as the script has it: a map of Groovy, on one line.
func line(t login.Target, program string) string {
	command := []string{quote(program)}
	for _, argument := range t.TokenArguments() {
		command = append(command, quote(argument))
	}
	return fmt.Sprintf("    [name: %s, url: %s, instead: %s, command: [%s]],\n",
		quote(name(t)), quote(t.Endpoint.String()), strconv.FormatBool(t.Placement == login.Replace), strings.Join(command, ", "))
}

// quote writes a string of Groovy.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(s) + "'"
}

// name is the repository's, as the names of tasks have it: acmeLib for acme-lib.
func name(t login.Target) string {
	words := strings.FieldsFunc(t.Name, func(r rune) bool { return r == '-' })
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

func next(login.Target) string { return "gradle build\ngradle publish" }
