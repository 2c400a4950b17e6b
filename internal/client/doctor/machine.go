package doctor

import (
	"context"
	"io/fs"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// A Machine is what the checks look at. Its fields must be set before the first
// check, and not changed afterwards.
type Machine struct {
	// Places says where the person's files are.
	Places login.Environment
	// AWS is what was chosen on the command line.
	AWS credential.AWS
	// Lookup finds tokens as the helpers do.
	Lookup *credential.Lookup
	// Tools are the tools to check.
	Tools []login.Tool
	// ReadFile and Stat look at files; LookPath finds programs.
	ReadFile login.ReadFile
	Stat     func(path string) (fs.FileInfo, error)
	LookPath func(name string) (string, error)
	// Now is the clock of this machine.
	Now func() time.Time
	// Logins lists the logins that were not undone.
	Logins func() ([]login.Recorded, error)

	config      memo[aws.Config]
	credentials memo[identity.Credentials]
	caller      memo[identity.Caller]
	probes      memo[[]probe]
	tools       memo[[]configured]
	grants      memo[map[grantKey]grant]
	logins      memo[[]login.Recorded]
}

// Checks are all checks, in the order in which one problem causes the next.
func (m *Machine) Checks() []Check {
	return []Check{
		{"credentials", m.checkCredentials},
		{"region", m.checkRegion},
		{"endpoint", m.checkEndpoints},
		{"clock", m.checkClock},
		{"proxy", m.checkProxy},
		{"caller", m.checkCaller},
		{"token", m.checkTokens},
		{"tool", m.checkTools},
		{"helper", m.checkHelpers},
		{"trust", m.checkTrust},
		{"login", m.checkLogins},
		{"files", m.checkFiles},
		{"cache", m.checkCache},
		{"addresses", m.checkAddresses},
		{"aws cli", m.checkCLI},
	}
}

// A memo is a value that is computed once, by the first check that needs it.
type memo[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (s *memo[T]) get(find func() (T, error)) (T, error) {
	s.once.Do(func() { s.value, s.err = find() })
	return s.value, s.err
}

// attempts is how often a request is sent at most. The SDK needs the second one if
// the clocks differ. More would only delay the report.
const attempts = 2

// loadConfig reads the AWS configuration.
func (m *Machine) loadConfig(ctx context.Context) (aws.Config, error) {
	return m.config.get(func() (aws.Config, error) {
		cfg, err := m.AWS.Load(ctx, "")
		cfg.RetryMaxAttempts = attempts
		return cfg, err
	})
}

// httpClient is the HTTP client of the SDK, with the certificate authorities and
// the limits of the configuration. It does not follow redirects of a GET.
func httpClient(cfg aws.Config) aws.HTTPClient { return sts.NewFromConfig(cfg).Options().HTTPClient }

func (m *Machine) findCredentials(ctx context.Context) (identity.Credentials, error) {
	return m.credentials.get(func() (identity.Credentials, error) {
		cfg, err := m.loadConfig(ctx)
		if err != nil {
			return identity.Credentials{}, err
		}
		return identity.Find(ctx, cfg)
	})
}

func (m *Machine) askCaller(ctx context.Context) (identity.Caller, error) {
	return m.caller.get(func() (identity.Caller, error) {
		cfg, err := m.loadConfig(ctx)
		if err != nil {
			return identity.Caller{}, err
		}
		return identity.Ask(ctx, cfg)
	})
}

// prober asks for tokens on behalf of the caller.
func (m *Machine) prober(ctx context.Context) (identity.Prober, error) {
	cfg, err := m.loadConfig(ctx)
	if err != nil {
		return identity.Prober{}, err
	}
	caller, err := m.askCaller(ctx)
	return identity.Prober{Config: cfg, Caller: caller, Options: m.Lookup.Options}, err
}

// lookup finds tokens as the helpers do, but stores none.
func (m *Machine) lookup() *credential.Lookup {
	l := *m.Lookup
	l.Options = append(append([]authtoken.Option{}, l.Options...), authtoken.InMemory())
	load := l.Config
	l.Config = func(ctx context.Context, region string, remembered credential.AWS) (aws.Config, error) {
		cfg, err := load(ctx, region, remembered)
		cfg.RetryMaxAttempts = attempts
		return cfg, err
	}
	return &l
}
