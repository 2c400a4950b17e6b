package doctor

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// Variables of the environment that override the profile, by what they set. Of
// several the first that is set counts (AWS SDKs and Tools Reference Guide).
var (
	keyVariables    = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
	regionVariables = []string{"GATEHOUSE_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"}
)

// endpointVariables are the ones that can set the endpoint of one of the services
// that are asked.
var endpointVariables = []string{"GATEHOUSE_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_CODEARTIFACT", "AWS_ENDPOINT_URL"}

// set returns the names of the variables that are set.
func (m *Machine) set(names []string) []string {
	var found []string
	for _, name := range names {
		if m.Places.Getenv(name) != "" {
			found = append(found, name)
		}
	}
	return found
}

// profile reads the profile without the environment; the zero value if there is
// none.
func (m *Machine) profile(ctx context.Context) config.SharedConfig {
	p, err := config.LoadSharedConfigProfile(ctx, identity.Profile(m.AWS), sharedFiles)
	if err != nil {
		return config.SharedConfig{}
	}
	return p
}

// hasCredentials reports whether the profile says how to get credentials.
func hasCredentials(p config.SharedConfig) bool {
	return p.Credentials.HasKeys() || p.RoleARN != "" || p.SSOAccountID != "" || p.CredentialProcess != "" || p.WebIdentityTokenFile != ""
}

// An override is a variable that has a part in what is wrong.
type override struct {
	// text names the variable, for the end of a message.
	text string
	// fix removes it; "" if the profile has nothing in its place.
	fix string
}

// overrideOf finds the variable to name in a message about a problem.
func (m *Machine) overrideOf(ctx context.Context, kind credential.Kind, req credential.Request) (override, bool) {
	switch kind {
	case credential.UnknownKey, credential.BadSignature, credential.SessionExpired, credential.NotPermitted:
		return m.keyOverride(ctx, kind, req)
	case credential.Unreachable:
		return m.endpointOverride(ctx, req.Endpoint)
	case credential.Untrusted:
		if file := m.Places.Getenv("AWS_CA_BUNDLE"); file != "" {
			o := override{text: "AWS_CA_BUNDLE is " + file}
			if m.profile(ctx).CustomCABundle != "" {
				o.fix = "unset AWS_CA_BUNDLE"
			}
			return o, true
		}
	}
	return override{}, false
}

func (m *Machine) keyOverride(ctx context.Context, kind credential.Kind, req credential.Request) (override, bool) {
	p := m.profile(ctx)
	if names := m.set(regionVariables); kind == credential.BadSignature && len(names) > 0 && p.Region != "" && p.Region != req.Region && m.Places.Getenv(names[0]) == req.Region {
		return override{text: "the region is from " + names[0], fix: "export " + names[0] + "=" + shellquote.Quote(p.Region)}, true
	}
	c, err := m.findCredentials(ctx)
	names := m.set(keyVariables)
	if err != nil || c.Kind != "environment" || len(names) == 0 {
		return override{}, false
	}
	o := override{text: "the key is from " + names[0]}
	if hasCredentials(p) {
		o.text += ", which overrides the profile " + identity.Profile(m.AWS)
		if kind != credential.NotPermitted { // whose fix grants the permission
			o.fix = shellquote.Line(append([]string{"unset"}, names...)...)
		}
	}
	return o, true
}

func (m *Machine) endpointOverride(ctx context.Context, endpoint string) (override, bool) {
	for _, name := range m.set(endpointVariables) {
		if strings.TrimSuffix(m.Places.Getenv(name), "/") != strings.TrimSuffix(endpoint, "/") || endpoint == "" {
			continue
		}
		o := override{text: "the address is from " + name}
		if own := m.profile(ctx).BaseEndpoint; own != "" && own != endpoint {
			o.fix = "unset " + name
		}
		return o, true
	}
	return override{}, false
}
