package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

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
	Data   string `placeholder:"DIR" env:"GATEHOUSE_DATA" help:"The server's data folder (${default_data})."`
	Keys   bool   `help:"Print the keys of the admin themselves, for a server whose folder is elsewhere, such as in a container."`
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
  eval "$(docker exec gatehouse /gatehouse env --keys)"
  gatehouse env --shell fish | source
  gatehouse env --shell powershell | Out-String | Invoke-Expression`
}

// Run prints what the shell evaluates.
func (c *envCommand) Run(ctx context.Context, stdout io.Writer) error {
	data := c.Data
	if data == "" {
		data = config.Default().Data
	}
	env, err := app.Environment(data)
	unset := overriding
	if c.Keys && err == nil {
		env, err = keysOf(ctx, env)
		unset = slices.Concat(overriding, []string{"AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"})
	}
	if err != nil {
		return err
	}
	set := map[string]string{}
	var text strings.Builder
	text.WriteString(c.Shell.Unset(unset...))
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		set[name] = value
		text.WriteString(c.Shell.Set(name, value))
	}
	if c.Output == outputJSON {
		return printJSON(stdout, map[string]any{"set": set, "unset": unset})
	}
	_, err = fmt.Fprint(stdout, text.String())
	return err
}

// keysOf replaces the names of files in an environment by what the profile in them says.
func keysOf(ctx context.Context, env []string) ([]string, error) {
	files := map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		files[name] = value
	}
	profile, err := awsconfig.LoadSharedConfigProfile(ctx, files["AWS_PROFILE"], func(o *awsconfig.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles = []string{files["AWS_CONFIG_FILE"]}, []string{files["AWS_SHARED_CREDENTIALS_FILE"]}
	})
	if err != nil {
		return nil, err
	}
	return []string{
		"AWS_ACCESS_KEY_ID=" + profile.Credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + profile.Credentials.SecretAccessKey,
		"AWS_REGION=" + profile.Region, "AWS_DEFAULT_REGION=" + profile.Region, "AWS_ENDPOINT_URL=" + profile.BaseEndpoint,
	}, nil
}
