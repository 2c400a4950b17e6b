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

// checkCredentials finds the caller's, and says when they end.
func (m *Machine) checkCredentials(ctx context.Context) []Finding {
	c, err := m.findCredentials(ctx)
	if err != nil {
		return []Finding{m.unlessRemembered(ctx, m.explain(err, credential.Request{Profile: m.AWS.Profile}))}
	}
	what := c.Kind + ", " + c.AccessKeyID + ", of profile " + identity.Profile(m.AWS)
	if c.Expires != nil { // when the SDK gets others
		what += ", until " + identity.Until(*c.Expires, m.Now())
	}
	return []Finding{passed("%s", what)}
}

// unlessRemembered makes a trouble of this shell a warning where the tools get
// their tokens all the same, by what the address book remembers.
func (m *Machine) unlessRemembered(ctx context.Context, f Finding) Finding {
	for _, g := range m.findGrants(ctx) {
		if g.known && g.err == nil {
			f.State, f.Message = Warning, f.Message+"; the tools that are logged in have their own"
			break
		}
	}
	return f
}

// defaultRegion is what a person is shown who has none: the one that has
// everything.
const defaultRegion = "us-east-1"

// checkRegion looks whether there is one. A helper takes that of the address.
func (m *Machine) checkRegion(ctx context.Context) []Finding {
	cfg, err := m.loadConfig(ctx)
	if err != nil {
		return []Finding{skipped("there is no configuration")}
	}
	own := m.profileRegion(ctx)
	switch {
	case cfg.Region == "":
		return []Finding{m.unlessRemembered(ctx, failed("export AWS_REGION="+cmp.Or(m.namedRegion(), defaultRegion), "none: set --region, AWS_REGION, or region in the profile"))}
	case own != "" && own != cfg.Region:
		return []Finding{passed("%s; the profile's own is %s", cfg.Region, own)}
	}
	return []Finding{passed("%s", cfg.Region)}
}

// profileRegion is the region that the profile has; "" if it has none.
func (m *Machine) profileRegion(ctx context.Context) string {
	c, err := config.LoadSharedConfigProfile(ctx, identity.Profile(m.AWS), sharedFiles)
	if err != nil {
		return ""
	}
	return c.Region
}

// sharedFiles names the files of the AWS configuration, as the environment has it.
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
// for; "" if there is none.
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

// checkCaller asks STS who it is: the first request that is signed.
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

// explain makes a finding of an error, with the best line to mend it that this
// machine offers.
func (m *Machine) explain(err error, req credential.Request) Finding {
	t, known := credential.Diagnose(err, req)
	if !known {
		return failed("", "%v", err)
	}
	what := t.String()
	if t.Advice == "" {
		what = t.Summary
	}
	return failed(m.fix(t, req), "%s", what)
}

// mend is the line for a trouble.
func (m *Machine) fix(t credential.Problem, req credential.Request) string {
	switch t.Kind {
	case credential.NoCredentials, credential.NoProfile, credential.UnknownKey:
		if line := m.gatehouseEnv(); line != "" {
			return line
		}
	case credential.BadSignature:
		if own := m.profileRegion(context.Background()); own != "" && own != req.Region {
			return "export AWS_REGION=" + shellquote.Quote(own)
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

// gatehouseEnv points the AWS tools at the Gatehouse whose data is in the working
// folder; "" if there is none.
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
