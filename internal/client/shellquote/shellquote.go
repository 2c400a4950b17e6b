// Package shellquote writes lines for shells: for scripts that evaluate them, and
// for people who paste them. [Quote] and [Line] are for POSIX shells (sh, bash,
// dash, zsh); a [Shell] sets and unsets variables in other shells as well.
package shellquote

import (
	"fmt"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// plain are the characters that no POSIX shell treats in a special way.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,"

// Quote returns the word as a POSIX shell reads it back, quoted only if it must
// be.
func Quote(word string) string {
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Line joins words, each quoted.
func Line(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}

// A Shell is a family of shells with one syntax.
type Shell string

// The families.
const (
	POSIX      Shell = "posix"
	Fish       Shell = "fish"
	PowerShell Shell = "powershell"
)

// variableName is what a POSIX shell and fish accept as the name of a variable.
var variableName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Set returns the line that exports a variable, with its line end. It is empty if
// the shell cannot name the variable: dash, for one, ends at such a line.
func (s Shell) Set(name, value string) string {
	switch {
	case s == PowerShell:
		return fmt.Sprintf("${env:%s} = %s\n", name, quotePowerShell(value))
	case !variableName.MatchString(name):
		return ""
	case s == Fish:
		return fmt.Sprintf("set -gx %s %s\n", name, quoteFish(value))
	}
	return fmt.Sprintf("export %s=%s\n", name, Quote(value))
}

// Unset returns the line that removes variables from the environment, with its
// line end. A variable that the shell cannot name is left out.
func (s Shell) Unset(names ...string) string {
	var words []string
	for _, name := range names {
		switch {
		case s == PowerShell:
			words = append(words, quotePowerShell("Env:"+name))
		case variableName.MatchString(name):
			words = append(words, name)
		}
	}
	if len(words) == 0 {
		return ""
	}
	switch s {
	case PowerShell:
		return "Remove-Item -ErrorAction SilentlyContinue -LiteralPath " + strings.Join(words, ", ") + "\n"
	case Fish:
		return "set -e " + strings.Join(words, " ") + "\n"
	}
	return "unset " + strings.Join(words, " ") + "\n"
}

// quoteFish quotes a word for fish, which has two escapes within single quotes.
func quoteFish(word string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(word) + "'"
}

// quotePowerShell quotes a word for PowerShell, which takes the typographic
// single quotes for plain ones.
func quotePowerShell(word string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range word {
		if strings.ContainsRune("'\u2018\u2019\u201a\u201b", r) {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}
