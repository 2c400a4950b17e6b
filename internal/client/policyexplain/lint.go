package policyexplain

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// MaxDocument is the length in bytes beyond which no document is read.
const MaxDocument = policy.MaxDocument

// A LintReport is what is wrong or doubtful about one document.
type LintReport struct {
	File string `json:"file"`
	// Error is AWS's sentence, empty for a document that AWS would take.
	Error string `json:"error,omitempty"`
	// Detail and Place say more about the error, if more is known.
	Detail   string   `json:"detail,omitempty"`
	Place    string   `json:"place,omitempty"`
	Warnings []string `json:"warnings"`
}

// Lint checks a document as AWS would when it is written. kind is identity,
// managed, trust, resource or session.
func Lint(file, document, kind string) LintReport {
	r := LintReport{File: file, Warnings: []string{}}
	kinds := map[string]policy.Kind{"trust": policy.Trust, "resource": policy.Resource, "session": policy.Session}
	k := kinds[kind] // identity is the zero value
	err := policy.Check(document, k)
	if err == nil && kind == "managed" {
		err = policy.CheckVersion(document)
	}
	var malformed *policy.MalformedError
	if errors.As(err, &malformed) {
		r.Error, r.Detail, r.Place = malformed.Message, malformed.Detail, malformed.Path
	}
	if p, err := policy.Parse(document, k); err == nil {
		r.Warnings = append(r.Warnings, p.Warnings()...)
	}
	return r
}

// WriteText writes the report for a person at a terminal.
func (r *LintReport) WriteText(w io.Writer) error {
	var b strings.Builder
	if r.Error == "" && len(r.Warnings) == 0 {
		fmt.Fprintf(&b, "%s: ok\n", r.File)
	}
	if r.Error != "" {
		fmt.Fprintf(&b, "%s: error: %s\n", r.File, r.Error)
		if r.Detail != "" {
			fmt.Fprintf(&b, "  %s\n", r.Detail)
		}
		if r.Place != "" {
			fmt.Fprintf(&b, "  at %s\n", r.Place)
		}
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "%s: warning: %s\n", r.File, warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
