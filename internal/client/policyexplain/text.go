package policyexplain

import (
	"fmt"
	"io"
	"strings"
)

// sentences describe the missing types of policies.
var sentences = map[string]string{
	"IAM Policy":                  "an identity-based policy: no policy of the principal or of its groups allows it",
	"Resource Policy":             "a resource-based policy: the resource's policy does not allow the principal",
	"Role Trust Policy":           "the role trust policy: the role does not trust the principal",
	"Permissions Boundary Policy": "the permissions boundary: it limits the principal to what it allows",
	"Service Control Policy":      "the guardrail of the account: it limits everybody to what it allows",
}

// verdicts describe the decisions.
var verdicts = map[string]string{
	"allowed":      "allowed",
	"implicitDeny": "denied: no statement denies it, but a policy that is needed does not allow it",
	"explicitDeny": "denied: a statement denies it, whatever else allows it",
}

// WriteText writes the answer for a person at a terminal.
func (a *Answer) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n  principal  %s\n  action     %s\n  resource   %s\n", verdicts[a.Decision], a.Principal, a.Action, a.Resource)
	if len(a.Missing) > 0 {
		b.WriteString("\nmissing\n")
		for _, name := range a.Missing {
			sentence, ok := sentences[name]
			if !ok {
				sentence = name
			}
			fmt.Fprintf(&b, "  %s\n", sentence)
		}
	}
	if len(a.Statements) > 0 {
		heading := "decided by"
		if a.Decision == "implicitDeny" {
			heading = "allowed by, which is not enough"
		}
		fmt.Fprintf(&b, "\n%s\n", heading)
	}
	for i := range a.Statements {
		a.Statements[i].write(&b)
	}
	if a.Decision == "allowed" && len(a.Statements) == 0 {
		b.WriteString("\nThe principal is the root of the account, which needs no policy.\n")
	}
	if len(a.MissingContext) > 0 {
		fmt.Fprintf(&b, "\npolicies use these condition keys, whose values are not known: set them with --context KEY=VALUE\n  %s\n", strings.Join(a.MissingContext, "\n  "))
	}
	for _, note := range a.Notes {
		fmt.Fprintf(&b, "\nnote: %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Statement) write(b *strings.Builder) {
	fmt.Fprintf(b, "  %s", map[string]string{
		"user": "inline policy of the user", "group": "inline policy of a group", "role": "inline policy of the role",
		"aws-managed": "AWS managed policy", "user-managed": "managed policy", "resource": "policy of the resource", "none": "policy of the server's configuration",
	}[s.Type])
	switch {
	case s.Type != "resource":
		fmt.Fprintf(b, " %s", s.Policy)
	case s.Policy == registryPolicy:
		b.WriteString("'s registry")
	case s.Policy == domainPolicy:
		b.WriteString("'s domain")
	}
	if s.Index >= 0 {
		fmt.Fprintf(b, ", statement %d", s.Index)
	}
	if s.Sid != "" {
		fmt.Fprintf(b, " (Sid %q)", s.Sid)
	}
	if s.Line > 0 {
		fmt.Fprintf(b, ", line %d", s.Line)
	}
	b.WriteString("\n")
	for line := range strings.Lines(s.Text) {
		fmt.Fprintf(b, "    %s\n", strings.TrimRight(line, "\r\n"))
	}
}
