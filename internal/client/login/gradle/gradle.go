// Package gradle logs in Gradle 4.4 or newer, by an init script in the person's
// Gradle home (Gradle User Manual, "Initialization Scripts").
//
// The script asks this program for a token at each build, so no token expires
// and none is in a file. There is one script for all logins, with a line for
// each, because what they do to the repositories of a build has to be decided
// together.
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

// file is the init script. A login is a line in it, written by [line].
func file() script.File {
	return script.File{Template: template, Login: regexp.MustCompile(`^    \[name: '([^']*)', url: '([^']*)', .*\],\n$`)}
}

// path is the path of the init script in the Gradle home.
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

// line writes a login as the script has it: a Groovy map, on one line.
func line(t login.Target, program string) string {
	command := []string{quote(program)}
	for _, argument := range t.TokenArguments() {
		command = append(command, quote(argument))
	}
	return fmt.Sprintf("    [name: %s, url: %s, instead: %s, command: [%s]],\n",
		quote(name(t)), quote(t.Endpoint.String()), strconv.FormatBool(t.Placement == login.Replace), strings.Join(command, ", "))
}

// quote writes a Groovy string.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(s) + "'"
}

// name is the repository's name in the names of Gradle's tasks: acmeLib for
// acme-lib.
func name(t login.Target) string {
	words := strings.FieldsFunc(t.Name, func(r rune) bool { return r == '-' })
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

func next(login.Target) string { return "gradle build\ngradle publish" }
