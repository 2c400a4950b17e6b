package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gatehouse-registry/gatehouse/internal/client/policyexplain"
)

// exitDenied is the exit code of an explanation of what is denied.
const exitDenied = 1

// errDenied is the answer that something is denied.
var errDenied = errors.New("denied")

type policyCommand struct {
	Lint    lintCommand    `cmd:"" help:"Check policy documents: what AWS would refuse, and what is legal and seldom meant."`
	Explain explainCommand `cmd:"" help:"Say whether somebody may do something, and which statement of which policy decides."`
}

type explainCommand struct {
	Principal      string   `placeholder:"ARN" help:"Who: a user, a group, a role, a session of a role (arn:aws:sts::…:assumed-role/…) or root. Without it: you."`
	Action         string   `required:"" placeholder:"SERVICE:OPERATION" help:"What: ecr:PutImage."`
	Resource       string   `default:"*" placeholder:"ARN" help:"On what; * without it."`
	Context        []string `sep:"none" placeholder:"KEY=VALUE" help:"A condition key of the request, such as aws:SourceIp=10.0.0.1; again for another, or for another value of the same."`
	ResourcePolicy string   `placeholder:"FILE" help:"Take the resource's policy, or the role's trust policy, from a file; without it, it is read from the server."`
	Profile        string   `placeholder:"NAME" help:"Profile of the AWS configuration; without it, the environment's."`
	Output         string   `short:"o" enum:"text,json" default:"text" placeholder:"FORM" help:"Form of the output: text or json."`
	JSON           bool     `hidden:"" help:"An older name of --output json."`
}

// Help is what --help shows below the flags.
func (explainCommand) Help() string {
	return `It asks the server's policy simulator, as any AWS client could. So it needs the permission iam:SimulatePrincipalPolicy, and the permissions to read policies if it is to show the statements. It does not know what depends on the moment of a request (aws:SourceIp, aws:CurrentTime, aws:SecureTransport and others): give these keys with --context.

Exit code: 0 allowed, 1 denied, 2 if there is no answer.

Examples:

  eval "$(gatehouse env)"

  gatehouse policy explain --action ecr:GetAuthorizationToken
      may I have a token for the registry?

  gatehouse policy explain --principal arn:aws:iam::000000000001:user/alice \
      --action ecr:PutImage --resource arn:aws:ecr:us-east-1:000000000001:repository/team/app

  gatehouse policy explain --principal arn:aws:sts::000000000001:assumed-role/ci/build \
      --action codeartifact:PublishPackageVersion \
      --resource arn:aws:codeartifact:us-east-1:000000000001:package/acme/lib/npm//left-pad \
      --context aws:SourceIp=10.1.2.3 --output json

  gatehouse policy explain --principal arn:aws:iam::000000000001:role/ci \
      --action ecr:BatchGetImage --resource arn:aws:ecr:us-east-1:000000000001:repository/prod/app \
      --context gatehouse:SignedBy=arn:aws:signer:us-east-1:000000000001:/signing-profiles/releases
      may CI pull an image that this profile has signed? Without the key, rules about images do not count`
}

// Run prints the answer.
func (c *explainCommand) Run(ctx context.Context, stdout io.Writer) error {
	question := policyexplain.Question{Principal: c.Principal, Action: c.Action, Resource: c.Resource, Context: map[string][]string{}}
	for _, pair := range c.Context {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || !strings.Contains(key, ":") {
			return usageError{fmt.Errorf("--context %s is not of the form aws:Key=value", pair)}
		}
		question.Context[key] = append(question.Context[key], value)
	}
	if c.ResourcePolicy != "" {
		document, err := os.ReadFile(c.ResourcePolicy)
		if err != nil {
			return usageError{err}
		}
		question.ResourcePolicy = string(document)
	}
	var options []func(*config.LoadOptions) error
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return usageError{err}
	}
	answer, err := policyexplain.Ask(ctx, settings, question)
	if err != nil {
		return usageError{err}
	}
	if err := c.write(stdout, answer); err != nil {
		return usageError{err}
	}
	if !answer.Allowed() {
		return errDenied
	}
	return nil
}

func (c *explainCommand) write(w io.Writer, a *policyexplain.Answer) error {
	if c.JSON || c.Output == outputJSON {
		return printJSON(w, a)
	}
	return a.WriteText(w)
}
