// Package config is the server's configuration: the struct [Config], its defaults
// ([Default]), a strict YAML reader ([Config.Read]) and [Config.Validate]. To add a
// setting, add a documented field, its default, its validation, its lines in
// example.yaml and a row of the table in docs/operations.md.
//
// The package knows what the settings look like, not what is done with them: it
// imports no service.
package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// Config has all settings of a server. Its zero value is not valid; start with
// [Default].
type Config struct {
	// Data is the folder that holds everything the server keeps. It is created
	// with mode 0700 and used by one process at a time.
	Data string `yaml:"data"`
	// Blobs is where the bytes of images and packages are: the address of an S3 bucket,
	// as [s3.ParseURL] reads it. Empty means files below Data.
	Blobs string `yaml:"blobs"`
	// Downloads says how clients get bytes that are in a bucket: "redirect" sends them
	// to it, "stream" passes the bytes through this server. Empty is redirect, unless
	// clients would send their credentials along.
	Downloads string `yaml:"downloads"`
	// Database is "sqlite", a file in Data, or the URL of a PostgreSQL database, which
	// several servers can share: see package postgres. The URL may hold a password, so
	// it must not be shown.
	Database string `yaml:"database"`
	// Listen is the TCP address of the one listener, HOST:PORT. Port 0 takes a
	// free one.
	Listen string `yaml:"listen"`
	// URL is the address that clients are told, if it is not the listener's own:
	// behind a proxy, or when listening on all interfaces.
	URL string `yaml:"url"`
	// DomainSuffix enables AWS-shaped hosts below it: see package endpoint.
	DomainSuffix string `yaml:"domain_suffix"`
	// TLS makes the listener speak TLS. Without it the listener speaks HTTP.
	TLS *TLS `yaml:"tls"`
	// Account is the 12-digit id of the first account. Its credentials are in the
	// profile "gatehouse".
	Account string `yaml:"account"`
	// Accounts are further accounts, each with a profile "gatehouse-<id>".
	Accounts []string `yaml:"accounts"`
	// Region is the region of the profiles.
	Region string `yaml:"region"`
	// Regions are further regions that the server answers for.
	Regions []string `yaml:"regions"`
	// TrustedProxies are networks in CIDR form whose reverse proxies and load balancers
	// say who the client is: see package trustedproxy.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// ProxyProtocol means that trusted proxies begin each connection with a header of
	// the PROXY protocol.
	ProxyProtocol bool `yaml:"proxy_protocol"`
	// Limits protect the server from its clients.
	Limits Limits `yaml:"limits"`
	// Quotas limit what container registries hold.
	Quotas Quotas `yaml:"quotas"`
	// UnsignedTarget says when the header X-Amz-Target of a signed request need
	// not be part of the signature: "protected" (over TLS and from this machine),
	// "never" or "always". See [sigv4.Config].
	UnsignedTarget string `yaml:"unsigned_target"`
	// OIDC says from which OpenID Connect issuers keys may be fetched.
	OIDC OIDC `yaml:"oidc"`
	// TrustedPublishing says for which domains CI jobs get tokens at the server's own
	// address.
	TrustedPublishing TrustedPublishing `yaml:"trusted_publishing"`
	// Upstreams are other registries by the name of an external connection, such as
	// public:npmjs, or by a name of the operator's own.
	Upstreams map[string]Upstream `yaml:"upstreams"`
	// DiscoverUpstreams takes the addresses of external connections that Upstreams does
	// not have from the settings of the package clients on this machine.
	DiscoverUpstreams bool `yaml:"discover_upstreams"`
	// Replication has registries of other installations that images are replicated to.
	Replication Replication `yaml:"replication"`
	// UpstreamCache says how long what upstreams say of packages is used, and how much of
	// it is kept.
	UpstreamCache UpstreamCache `yaml:"upstream_cache"`
	// Advisories says from which addresses advisories about packages come.
	Advisories Advisories `yaml:"advisories"`
	// Audit is the file that audit records are appended to, relative to Data;
	// "-" is standard output. Empty means audit.jsonl.
	Audit string `yaml:"audit"`
	// AuditRotation limits the files of the audit log.
	AuditRotation AuditRotation `yaml:"audit_rotation"`
	// Log is the form of the server's log on standard error.
	Log Log `yaml:"log"`
	// DebugListen is an address for operators, HOST:PORT, with profiles of the running
	// process. Empty means none. It has no authentication and must not be public.
	DebugListen string `yaml:"debug_listen"`
	// DrainTimeout is how long requests may go on after SIGTERM.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	// DrainDelay is how long new requests are still served after SIGTERM, while /readyz
	// says that the server is shutting down: the time that a load balancer needs to
	// notice.
	DrainDelay time.Duration `yaml:"drain_delay"`
	// UploadExpiry is how long an unfinished upload is kept after its last byte.
	UploadExpiry time.Duration `yaml:"upload_expiry"`
	// DiskReserve is how much of the disk uploads leave free for the database and
	// the audit log. nil means a twentieth of the disk, at most 1 GiB.
	DiskReserve *Size `yaml:"disk_reserve"`
	// Keyring says where the keys are: "" is keyring.json in Data, file:///PATH is
	// another file, and "database" is the database, in which they must be wrapped.
	Keyring string `yaml:"keyring"`
	// KeyringWrapping says how the keyring is encrypted where it is stored.
	KeyringWrapping KeyringWrapping `yaml:"keyring_wrapping"`
	// WrappingKeys are not settings of the file: they come from the environment.
	WrappingKeys WrappingKeys `yaml:"-"`
	// Sweep limits what the background work removes.
	Sweep Sweep `yaml:"sweep"`
	// Events says how long events are kept, and which webhooks get them.
	Events Events `yaml:"events"`
	// IAM declares identities. nil means that the file declares none: declared
	// identities of earlier starts are kept. An empty one deletes them.
	IAM *IAM `yaml:"iam"`
	// Guardrail limits whole accounts. nil means no limit.
	Guardrail *Guardrail `yaml:"guardrail"`

	lines map[string]int // of the settings in the file
}

// Limits are bounds for what clients can take of the server.
type Limits struct {
	// Idle is how long a client may send nothing of a body, and take nothing of an
	// answer.
	Idle time.Duration `yaml:"idle"`
	// MinRate is how many bytes a second a client must send or take on average. 0
	// means that any progress is enough.
	MinRate int64 `yaml:"min_rate"`
	// Connections is how many connections are open at a time. 0 derives it from the
	// file descriptors that the process may have.
	Connections int `yaml:"connections"`
	// BodyMemory bounds the memory that bodies of requests take altogether.
	BodyMemory Size `yaml:"body_memory"`
	// AddressRate is how many requests a second one address may make. 0 means no limit.
	// Addresses of this machine have none.
	AddressRate int `yaml:"address_rate"`
	// AnonymousRate is how many requests without a token one address may make to the
	// container registry in a second, if the registry allows anonymous pulls. 0 means no
	// limit.
	AnonymousRate int `yaml:"anonymous_rate"`
	// PrincipalRate is how many actions a second one principal may perform. 0 is no
	// limit.
	PrincipalRate int `yaml:"principal_rate"`
	// AWSQuotas also applies the quotas that AWS documents for one account and action.
	AWSQuotas bool `yaml:"aws_quotas"`
}

// Quotas limit what container registries hold. 0 means no limit.
type Quotas struct {
	// Repositories are those of a registry: an account in a region.
	Repositories int `yaml:"repositories"`
	// Images are those of a repository.
	Images int `yaml:"images"`
	// RepositoryBytes and RegistryBytes are the sizes of all layers.
	RepositoryBytes Size `yaml:"repository_bytes"`
	RegistryBytes   Size `yaml:"registry_bytes"`
}

// TLS says where the certificate of the listener comes from.
type TLS struct {
	// Certificate and Key are PEM files. Without them the server creates a local
	// authority below Data/tls and issues certificates for the hosts that clients
	// ask for. Clients must trust Data/tls/ca.pem.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// AuditRotation limits the files of the audit log. 0 means no limit.
type AuditRotation struct {
	// MaxSize and MaxAge say when a file ends and a new one begins.
	MaxSize Size          `yaml:"max_size"`
	MaxAge  time.Duration `yaml:"max_age"`
	// MaxTotal is the size of all files. The oldest ones are deleted.
	MaxTotal Size `yaml:"max_total"`
}

// Sweep limits what the background work removes from the blob store.
type Sweep struct {
	// Keep is how long an object that was removed is kept below Data/blobs/aside.
	Keep time.Duration `yaml:"keep"`
	// MaxShare is the largest share of all objects, 0 to 1, that one run may remove
	// because the database does not name them.
	MaxShare float64 `yaml:"max_share"`
}

// Log is the form of the server's log.
type Log struct {
	// Format is "text" or "json".
	Format string `yaml:"format"`
	// Level is debug, info, warn or error. At info each request is one line.
	Level string `yaml:"level"`
}

// SQLite is the value of [Config.Database] for a file in the data folder.
const SQLite = "sqlite"

// Default returns the configuration of a server without a file.
func Default() *Config {
	return &Config{
		Data:           "./gatehouse-data",
		Database:       SQLite,
		Listen:         "127.0.0.1:4283",
		Account:        "000000000001",
		Region:         "us-east-1",
		UnsignedTarget: "protected",
		Audit:          "audit.jsonl",
		Log:            Log{Format: "text", Level: "info"},
		DrainTimeout:   30 * time.Second,
		Limits: Limits{
			Idle: time.Minute, MinRate: 1 << 10, BodyMemory: 512 << 20, AddressRate: 2000, AnonymousRate: 50, PrincipalRate: 5000,
		},
		Quotas:            Quotas{Repositories: 100_000, Images: 100_000}, // AWS's
		DiscoverUpstreams: true,
		UpstreamCache:     defaultUpstreamCache(),
		Advisories:        Advisories{Every: time.Hour},
		UploadExpiry:      24 * time.Hour,
		Sweep:             Sweep{Keep: 72 * time.Hour, MaxShare: 0.25},
		Events:            Events{Keep: events.DefaultKeep, Max: events.DefaultMax},

		KeyringWrapping: KeyringWrapping{Timeout: 10 * time.Second},
		AuditRotation:   AuditRotation{MaxSize: 256 << 20, MaxAge: 7 * 24 * time.Hour, MaxTotal: 4 << 30},
	}
}

// Read sets the settings of a YAML file in c; others keep their values. An unknown
// setting, a wrong type, a scalar that YAML would change, and anything after the
// document are errors. All of them are returned, with their lines: see [Problems] and
// [SettingsError].
func (c *Config) Read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	if len(raw) > maxFile {
		return fmt.Errorf("configuration %s: larger than %d bytes", path, maxFile)
	}
	file, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, explain(err))
	}
	if len(file.Docs) > 1 {
		return fmt.Errorf("configuration %s: more than one YAML document", path)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType || file.Docs[0].Body.Type() == ast.CommentType {
		return nil // decoding an empty file would set everything to zero
	}
	document := file.Docs[0].Body
	var ambiguous ambiguityFinder
	if ast.Walk(&ambiguous, document); ambiguous.errs != nil {
		return fmt.Errorf("configuration %s: %w", path, errors.Join(ambiguous.errs...))
	}
	err = c.decode(document)
	c.lines = map[string]int{}
	addLines(c.lines, "", document)
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	return nil
}

var regionPattern = lazyregexp.New(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)

// Validate reports everything that is wrong with c, one error per line: see [Problems].
func (c *Config) Validate() error {
	var errs []error
	bad := func(setting, format string, args ...any) {
		errs = append(errs, c.ProblemAt(setting, fmt.Sprintf(format, args...)))
	}
	if c.Data == "" {
		bad("data", "is missing: name a folder")
	}
	if c.Blobs != "" {
		if _, err := s3.ParseURL(c.Blobs); err != nil {
			bad("blobs", "%v", err)
		}
	}
	if !slices.Contains([]string{"", "redirect", "stream"}, c.Downloads) {
		bad("downloads", "%q is not redirect or stream", c.Downloads)
	}
	if !isHostPort(c.Listen) {
		bad("listen", "%q is not HOST:PORT", c.Listen)
	}
	if c.Database != SQLite {
		if err := postgres.CheckURL(c.Database); err != nil {
			bad("database", "%v", err)
		}
	}
	if c.URL != "" {
		if _, err := endpoint.New(c.URL, c.DomainSuffix); err != nil {
			bad("url", "%v", err)
		}
	}
	for i, account := range c.AllAccounts() {
		if !arn.IsAccountID(account) {
			bad("account", "%q is not an account id, which has 12 digits", account)
		}
		if slices.Index(c.AllAccounts(), account) != i {
			bad("accounts", "%s is named twice", account)
		}
	}
	for _, region := range c.AllRegions() {
		if !regionPattern.MatchString(region) {
			bad("region", "%q does not look like a region, such as us-east-1", region)
		}
	}
	if _, err := sigv4.ParseUnsignedTarget(c.UnsignedTarget); err != nil {
		bad("unsigned_target", "%v", err)
	}
	if _, err := c.ProxyNetworks(); err != nil {
		bad("trusted_proxies", "%v", err)
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		bad("proxy_protocol", "needs trusted_proxies: only trusted proxies may send its header")
	}
	c.Limits.validate(bad)
	c.Quotas.validate(bad)
	if c.DebugListen != "" && !isHostPort(c.DebugListen) {
		bad("debug_listen", "%q is not HOST:PORT", c.DebugListen)
	}
	if _, err := c.OIDC.Networks(); err != nil {
		bad("oidc.allow_networks", "%v", err)
	}
	if _, err := c.TrustedPublishing.Parse(); err != nil {
		bad("trusted_publishing.domains", "%v", err)
	}
	if t := c.TLS; t != nil && (t.Certificate == "") != (t.Key == "") {
		bad("tls", "certificate and key belong together: set both, or neither for a local authority")
	}
	if !slices.Contains([]string{"text", "json"}, c.Log.Format) {
		bad("log.format", "%q is not text or json", c.Log.Format)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad("log.level", "%q is not debug, info, warn or error", c.Log.Level)
	}
	if c.DrainTimeout <= 0 {
		bad("drain_timeout", "must be more than zero")
	}
	if c.DrainDelay < 0 {
		bad("drain_delay", "must not be less than zero")
	}
	if c.UploadExpiry < time.Hour {
		bad("upload_expiry", "must be an hour or more, because uploads in progress must not be removed")
	}
	if c.AuditRotation.MaxAge < 0 {
		bad("audit_rotation.max_age", "must not be negative")
	}
	if r := c.AuditRotation; r.MaxTotal > 0 && r.MaxTotal < 2*r.MaxSize {
		bad("audit_rotation.max_total", "must be at least twice max_size, so that an ended file is kept")
	}
	if c.Sweep.Keep < 0 {
		bad("sweep.keep", "must not be negative")
	}
	if c.Sweep.MaxShare <= 0 || c.Sweep.MaxShare > 1 {
		bad("sweep.max_share", "%v is not a share: want more than 0 and at most 1, such as 0.25", c.Sweep.MaxShare)
	}
	c.UpstreamCache.validate(bad)
	c.validateUpstreams(bad)
	c.validateReplication(bad)
	c.Advisories.validate(bad)
	c.Events.validate(bad)
	c.validateKeyring(bad)
	c.validateIdentities(bad)
	return errors.Join(errs...)
}

// isHostPort reports whether an address has the form HOST:PORT, with a port that
// exists. The host is not looked up.
func isHostPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	return err == nil
}

// AllAccounts returns the accounts, the first one first.
func (c *Config) AllAccounts() []string { return append([]string{c.Account}, c.Accounts...) }

// AllRegions returns the regions, the first one first.
func (c *Config) AllRegions() []string { return append([]string{c.Region}, c.Regions...) }
