package doctor

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// checkCredentials says where the credentials come from and when they expire.
func (m *Machine) checkCredentials(ctx context.Context) []Finding {
	c, err := m.findCredentials(ctx)
	if err != nil {
		return []Finding{m.unlessRemembered(ctx, m.explain(err, credential.Request{Profile: m.AWS.Profile}))}
	}
	text := c.Kind + ", " + c.AccessKeyID + ", of profile " + identity.Profile(m.AWS)
	if c.Kind == "environment" {
		text = "from AWS_ACCESS_KEY_ID, " + c.AccessKeyID
		if hasCredentials(m.profile(ctx)) {
			text += "; it overrides the profile " + identity.Profile(m.AWS)
		}
	}
	if c.Expires != nil { // when the SDK gets new ones
		text += ", until " + identity.Until(*c.Expires, m.Now())
	}
	return []Finding{passed("%s", text)}
}

// unlessRemembered makes an error a warning if the tools get their tokens in spite
// of it, by what the address book says.
func (m *Machine) unlessRemembered(ctx context.Context, f Finding) Finding {
	for _, g := range m.findGrants(ctx) {
		if g.known && g.err == nil {
			f.State, f.Message = Warning, f.Message+"; the tools that are logged in have their own credentials"
			break
		}
	}
	return f
}

// defaultRegion is suggested to people without a region. All services are in it.
const defaultRegion = "us-east-1"

// checkRegion looks for a region. A helper takes the region of the address.
func (m *Machine) checkRegion(ctx context.Context) []Finding {
	cfg, err := m.loadConfig(ctx)
	if err != nil {
		return []Finding{skipped("there is no configuration")}
	}
	own := m.profile(ctx).Region
	switch {
	case cfg.Region == "":
		return []Finding{m.unlessRemembered(ctx, failed("export AWS_REGION="+cmp.Or(m.namedRegion(), defaultRegion), "no region: set --region, AWS_REGION, or region in the profile"))}
	case own != "" && own != cfg.Region:
		from := ""
		if names := m.set(regionVariables); m.AWS.Region == "" && len(names) > 0 {
			from = ", from " + names[0]
		}
		return []Finding{passed("%s%s; the profile's own is %s", cfg.Region, from, own)}
	}
	return []Finding{passed("%s", cfg.Region)}
}

// sharedFiles names the files of the AWS configuration as the environment does.
func sharedFiles(o *config.LoadSharedConfigOptions) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return
	}
	if env.SharedConfigFile != "" {
		o.ConfigFiles = []string{env.SharedConfigFile}
	}
	if env.SharedCredentialsFile != "" {
		o.CredentialsFiles = []string{env.SharedCredentialsFile}
	}
}

// namedRegion is the region of a repository or registry that a tool is configured
// for; "" if none is.
func (m *Machine) namedRegion() string {
	for _, c := range m.configured() {
		for _, address := range c.addresses {
			if r, ok := authtoken.ParseRepositoryURL(address); ok {
				return r.Region
			}
			if r, ok := authtoken.ParseRegistryHost(address); ok {
				return r.Region
			}
		}
	}
	return ""
}

// checkCaller asks STS who the caller is, which is the first signed request.
func (m *Machine) checkCaller(ctx context.Context) []Finding {
	if _, err := m.findCredentials(ctx); err != nil {
		return []Finding{skipped("there are no credentials")}
	}
	cfg, _ := m.loadConfig(ctx)
	if cfg.Region == "" {
		return []Finding{skipped("there is no region")}
	}
	if p, err := m.probe(ctx); err != nil || p[0].err != nil {
		return []Finding{skipped("the endpoint cannot be reached")}
	}
	caller, err := m.askCaller(ctx)
	if err != nil {
		return []Finding{m.explain(err, credential.Request{Service: "sts", Region: cfg.Region})}
	}
	return []Finding{passed("%s", caller.ARN)}
}

// explain turns an error into a finding, with the best fix for this machine. It
// names the environment variable that is the cause, if one is.
func (m *Machine) explain(err error, req credential.Request) Finding {
	t, known := credential.Diagnose(err, req)
	if !known {
		return failed("", "%v", err)
	}
	what := t.String()
	if t.Advice == "" {
		what = t.Summary
	}
	fix := m.fix(t, req)
	if o, ok := m.overrideOf(context.Background(), t.Kind, req); ok {
		what += "; " + o.text
		fix = cmp.Or(o.fix, fix)
	}
	return failed(fix, "%s", what)
}

// fix returns the lines that fix a problem.
func (m *Machine) fix(t credential.Problem, req credential.Request) string {
	switch t.Kind {
	case credential.NoCredentials, credential.NoProfile, credential.UnknownKey:
		if line := m.gatehouseEnv(); line != "" {
			return line
		}
	case credential.WrongClock:
		return m.setClockCommand()
	case credential.Unreachable:
		if onLoopback(req.Endpoint) {
			return "gatehouse serve"
		}
	}
	return t.Fix
}

// gatehouseEnv is the line that points the AWS tools at the Gatehouse whose data is
// in the working folder; "" if there is none.
func (m *Machine) gatehouseEnv() string {
	if _, err := m.Stat(filepath.Join(m.Places.Dir, "gatehouse-data", "aws", "config")); err != nil {
		return ""
	}
	program := "gatehouse"
	if _, err := m.LookPath(program); err != nil {
		program = shellquote.Quote(m.Places.Program)
	}
	return `eval "$(` + program + ` env)"`
}
