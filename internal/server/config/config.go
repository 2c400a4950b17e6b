// Package config is the server's configuration: one struct, its defaults, the
// strict reading of its YAML file and its validation. docs/operations.md shows
// every setting.
package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// Config is everything that a server can be told. Its zero value is not valid;
// begin with [Default].
type Config struct {
	// Data is the folder that holds everything the server keeps. It is created
	// with mode 0700 and used by one process at a time.
	Data string `yaml:"data"`
	// Listen is the TCP address of the one listener, HOST:PORT. Port 0 takes a
	// free one.
	Listen string `yaml:"listen"`
	// URL is the address that clients are told, where it is not the listener's
	// own: behind a proxy, or when listening on every interface.
	URL string `yaml:"url"`
	// DomainSuffix makes AWS-shaped hosts below it: see package endpoint.
	DomainSuffix string `yaml:"domain_suffix"`
	// TLS makes the listener speak TLS. Without it the listener speaks HTTP.
	TLS *TLS `yaml:"tls"`
	// Account is the 12-digit id of the first account, whose credentials the
	// profile "gatehouse" gets.
	Account string `yaml:"account"`
	// Accounts are further accounts, each with a profile "gatehouse-<id>".
	Accounts []string `yaml:"accounts"`
	// Region is the one that profiles are written for.
	Region string `yaml:"region"`
	// Regions are further regions that the server answers for.
	Regions []string `yaml:"regions"`
	// UnsignedTarget says when the header X-Amz-Target of a signed request need
	// not be part of the signature: "protected" (over TLS and from this machine),
	// "never" or "always". See [sigv4.Config].
	UnsignedTarget string `yaml:"unsigned_target"`
	// OIDC says which OpenID Connect issuers keys may be fetched from.
	OIDC OIDC `yaml:"oidc"`
	// Audit is the file that audit records are appended to, relative to Data;
	// "-" is standard output. Empty means audit.jsonl.
	Audit string `yaml:"audit"`
	// Log is how the server's own log on standard error looks.
	Log Log `yaml:"log"`
	// DrainTimeout bounds how long requests may go on after SIGTERM.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	// UploadExpiry is how long an unfinished upload is kept after its last byte.
	UploadExpiry time.Duration `yaml:"upload_expiry"`
	// IAM declares identities. nil means that the file declares none, and leaves
	// those of earlier starts alone; an empty one deletes them.
	IAM *IAM `yaml:"iam"`
	// Guardrail limits whole accounts. nil means no limit.
	Guardrail *Guardrail `yaml:"guardrail"`
}

// TLS says where the listener's certificate comes from.
type TLS struct {
	// Certificate and Key are PEM files. Without them the server makes an
	// authority of its own below Data/tls, and certificates for the hosts that
	// are asked for; clients trust Data/tls/ca.pem.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// Log is the form of the server's log.
type Log struct {
	// Format is "text" or "json".
	Format string `yaml:"format"`
	// Level is debug, info, warn or error. At info every request is one line.
	Level string `yaml:"level"`
}

// Default returns the configuration that needs no file.
func Default() *Config {
	return &Config{
		Data:           "./gatehouse-data",
		Listen:         "127.0.0.1:4283",
		Account:        "000000000001",
		Region:         "us-east-1",
		UnsignedTarget: "protected",
		Audit:          "audit.jsonl",
		Log:            Log{Format: "text", Level: "info"},
		DrainTimeout:   30 * time.Second,
		UploadExpiry:   24 * time.Hour,
	}
}

// Read lays a YAML file over c. An unknown setting, a wrong type, a scalar that
// YAML would change and anything after the document are errors that show the line.
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
		return fmt.Errorf("configuration %s: %s", path, yaml.FormatError(err, false, true))
	}
	if len(file.Docs) > 1 {
		return fmt.Errorf("configuration %s: more than one YAML document", path)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType || file.Docs[0].Body.Type() == ast.CommentType {
		return nil // an empty file would set everything to zero
	}
	var a ambiguity
	if ast.Walk(&a, file.Docs[0].Body); a.err != nil {
		return fmt.Errorf("configuration %s: %w", path, a.err)
	}
	if err := yaml.NodeToValue(file.Docs[0].Body, c, yaml.Strict()); err != nil {
		return fmt.Errorf("configuration %s: %s", path, yaml.FormatError(err, false, true))
	}
	return nil
}

var regionPattern = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)

// Validate reports everything that is wrong with c, one line for each.
func (c *Config) Validate() error {
	var errs []error
	bad := func(setting, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", setting, fmt.Sprintf(format, args...)))
	}
	if c.Data == "" {
		bad("data", "must name a folder")
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen", "%q is not HOST:PORT", c.Listen)
	}
	if c.URL != "" {
		if _, err := endpoint.New(c.URL, c.DomainSuffix); err != nil {
			bad("url", "%v", err)
		}
	}
	for i, account := range c.AllAccounts() {
		if !arn.IsAccountID(account) {
			bad("account", "%q is not an account id: want 12 digits", account)
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
	if _, err := c.OIDC.Networks(); err != nil {
		bad("oidc.allow_networks", "%v", err)
	}
	if t := c.TLS; t != nil && (t.Certificate == "") != (t.Key == "") {
		bad("tls", "certificate and key belong together: give both, or neither for a local authority")
	}
	if !slices.Contains([]string{"text", "json"}, c.Log.Format) {
		bad("log.format", "%q is neither text nor json", c.Log.Format)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad("log.level", "%q is none of debug, info, warn, error", c.Log.Level)
	}
	if c.DrainTimeout <= 0 {
		bad("drain_timeout", "must be more than zero")
	}
	if c.UploadExpiry < time.Hour {
		bad("upload_expiry", "must be an hour or more, so that no upload under way is swept")
	}
	c.validateIdentities(bad)
	return errors.Join(errs...)
}

// AllAccounts returns the accounts, the first one first.
func (c *Config) AllAccounts() []string { return append([]string{c.Account}, c.Accounts...) }

// AllRegions returns the regions, the first one first.
func (c *Config) AllRegions() []string { return append([]string{c.Region}, c.Regions...) }
