package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// overriding are the variables that AWS's SDKs and tools prefer to what the profile
// says (AWS SDKs and Tools Reference Guide, "Settings reference"). If one of them
// stays in a shell, the tools there call another endpoint, or sign with other keys.
// AWS_DEFAULT_PROFILE is botocore's, which reads it before AWS_PROFILE.
var overriding = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
	"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE",
	"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_ECR_PUBLIC", "AWS_ENDPOINT_URL_CODEARTIFACT",
	"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	"AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
	"GATEHOUSE_PROFILE", "GATEHOUSE_REGION", "GATEHOUSE_ENDPOINT_URL",
}

// A shellFlag chooses the shell that is to evaluate what a command prints.
type shellFlag struct {
	Shell shellquote.Shell `enum:"posix,fish,powershell" default:"posix" placeholder:"SHELL" help:"Shell that evaluates the output: posix (sh, bash, zsh), fish or powershell (${default})."`
}

type envCommand struct {
	Data   string `placeholder:"DIR" help:"The server's data folder (${default_data})."`
	Output string `short:"o" enum:"text,json" default:"text" placeholder:"FORM" help:"Form of the output: text, for the shell, or json."`
	shellFlag
}

// Help is what --help shows below the flags.
func (envCommand) Help() string {
	return `The lines set AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE, and
remove the variables that would override the profile: keys, region, endpoints.

Examples:

  eval "$(gatehouse env)"
  eval "$(gatehouse env --data /var/lib/gatehouse)"
  gatehouse env --shell fish | source
  gatehouse env --shell powershell | Out-String | Invoke-Expression`
}

// Run prints what the shell evaluates.
func (c *envCommand) Run(stdout io.Writer) error {
	data := c.Data
	if data == "" {
		data = config.Default().Data
	}
	env, err := app.Environment(data)
	if err != nil {
		return err
	}
	set := map[string]string{}
	var text strings.Builder
	text.WriteString(c.Shell.Unset(overriding...))
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		set[name] = value
		text.WriteString(c.Shell.Set(name, value))
	}
	if c.Output == outputJSON {
		return printJSON(stdout, map[string]any{"set": set, "unset": overriding})
	}
	_, err = fmt.Fprint(stdout, text.String())
	return err
}
