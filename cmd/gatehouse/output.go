package main

import (
	"encoding/json"
	"io"
)

// The forms in which commands print what they found out.
const (
	outputText = "text"
	outputJSON = "json"
)

// An outputFlag chooses between text for people and JSON for programs. --format is
// its older name.
type outputFlag struct {
	Output string `aliases:"format" short:"o" enum:"text,json" default:"text" placeholder:"FORM" help:"Form of the output: text or json."`
}

// printJSON writes an answer for programs.
func printJSON(w io.Writer, answer any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(answer)
}
