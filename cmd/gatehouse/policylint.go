package main

import (
	"fmt"
	"io"
	"os"

	"github.com/gatehouse-registry/gatehouse/internal/client/policyexplain"
)

type lintCommand struct {
	Files  []string `arg:"" name:"file" help:"Policy documents; - is the standard input."`
	Type   string   `enum:"identity,managed,trust,resource,session" default:"identity" placeholder:"TYPE" help:"What the documents are: identity (inline), managed, trust, resource or session policies."`
	Strict bool     `help:"Fail for warnings too."`
	Output string   `short:"o" enum:"text,json" default:"text" placeholder:"FORM" help:"Form of the output: text or json."`
}

// Help is what --help shows below the flags.
func (lintCommand) Help() string {
	return `It needs no server. An error has AWS's own sentence and then the details and the place, which the API of AWS leaves out.

Exit code: 0 no error, 1 an error (with --strict, also a warning), 2 a file cannot be read.

Examples:

  gatehouse policy lint push.json
  gatehouse policy lint --type trust --strict trust.json
  aws ecr get-repository-policy --repository-name app --query policyText --output text | gatehouse policy lint --type resource -`
}

// Run prints what it finds in each file.
func (c *lintCommand) Run(stdin io.Reader, stdout io.Writer) error {
	var reports []policyexplain.LintReport
	for _, name := range c.Files {
		text, err := readDocument(name, stdin)
		if err != nil {
			return usageError{err}
		}
		reports = append(reports, policyexplain.Lint(name, text, c.Type))
	}
	if c.Output == outputJSON {
		if err := printJSON(stdout, reports); err != nil {
			return usageError{err}
		}
	} else {
		for i := range reports {
			if err := reports[i].WriteText(stdout); err != nil {
				return usageError{err}
			}
		}
	}
	for i := range reports {
		if reports[i].Error != "" || c.Strict && len(reports[i].Warnings) > 0 {
			return errDenied // an answer like explain's, and not a failure
		}
	}
	return nil
}

func readDocument(name string, stdin io.Reader) (string, error) {
	if name == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, policyexplain.MaxDocument+1))
		return string(text), err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, policyexplain.MaxDocument+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return string(text), nil
}
