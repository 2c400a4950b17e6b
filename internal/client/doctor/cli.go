package doctor

import (
	"context"
	"os/exec"
	"strconv"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// cliVersion matches how the AWS CLI prints its version.
var cliVersion = lazyregexp.New(`^aws-cli/(\d+)\.(\d+)\.`)

// endpointURL has, by major version, the first minor version of the AWS CLI that
// reads endpoint_url in profiles and AWS_ENDPOINT_URL (AWS SDKs and Tools Reference
// Guide, "Service-specific endpoints").
var endpointURL = map[int]int{1: 29, 2: 13}

// checkCLI checks whether the AWS CLI uses the same endpoint as this program.
func (m *Machine) checkCLI(ctx context.Context) []Finding {
	path, err := m.LookPath("aws")
	if err != nil {
		return []Finding{passed("not installed")}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	v := cliVersion.FindStringSubmatch(string(out))
	if err != nil || v == nil {
		return []Finding{warning(shellquote.Line(path, "--version"), "%s does not print its version", path)}
	}
	major, _ := strconv.Atoi(v[1])
	minor, _ := strconv.Atoi(v[2])
	cfg, err := m.loadConfig(ctx)
	if err != nil {
		return []Finding{passed("%s, version %d.%d", path, major, minor)}
	}
	endpoint := identity.Resolve(ctx, cfg).ECR
	if since, known := endpointURL[major]; known && minor < since && endpoint != "" && !authtoken.IsAWS(endpoint) {
		return []Finding{warning("alias aws="+shellquote.Quote(shellquote.Line("aws", "--endpoint-url", endpoint)),
			"%s is version %d.%d, which asks AWS and not %s: it ignores endpoint_url; version %d.%d and later read it", path, major, minor, endpoint, major, since)}
	}
	return []Finding{passed("%s, version %d.%d", path, major, minor)}
}
