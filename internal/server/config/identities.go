package config

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// IAM declares the identities of the first account and, by account id, of the
// others. The keys are names. See declare.Declaration for what the fields mean and which
// values they may have.
type IAM struct {
	Identities `yaml:",inline"`
	Accounts   map[string]Identities `yaml:"accounts"`
}

// Identities are the declared identities of one account.
type Identities struct {
	Users    map[string]User          `yaml:"users"`
	Groups   map[string]Group         `yaml:"groups"`
	Roles    map[string]Role          `yaml:"roles"`
	Policies map[string]ManagedPolicy `yaml:"policies"`
	// OIDCProviders has the URLs of issuers as its keys.
	OIDCProviders map[string]OIDCProvider `yaml:"oidc_providers"`
}

// Permissions are what users, groups and roles are given.
type Permissions struct {
	// Policies are managed policies: ARNs, or names of policies of the account or of
	// AWS.
	Policies []string `yaml:"policies"`
	// Inline are inline policies by name.
	Inline map[string]Document `yaml:"inline"`
}

// A User is a declared user.
type User struct {
	Path        string `yaml:"path"`
	Permissions `yaml:",inline"`
	// Boundary is a managed policy, as in Permissions.
	Boundary string            `yaml:"boundary"`
	Tags     map[string]string `yaml:"tags"`
	// Groups are names of groups.
	Groups []string `yaml:"groups"`
	// AccessKeys are names of keys: see declare.User.
	AccessKeys []string `yaml:"access_keys"`
	// Adopt takes over an existing user of the name.
	Adopt bool `yaml:"adopt"`
}

// A Group is a declared group. Users list their groups.
type Group struct {
	Path        string `yaml:"path"`
	Permissions `yaml:",inline"`
	Adopt       bool `yaml:"adopt"`
}

// A Role is a declared role.
type Role struct {
	Path        string `yaml:"path"`
	Description string `yaml:"description"`
	// Trust is the trust policy.
	Trust       Document `yaml:"trust"`
	Permissions `yaml:",inline"`
	Boundary    string            `yaml:"boundary"`
	Tags        map[string]string `yaml:"tags"`
	// MaxSession is how long a session can last; 0 is an hour.
	MaxSession Duration `yaml:"max_session"`
	Adopt      bool     `yaml:"adopt"`
}

// A ManagedPolicy is a declared managed policy.
type ManagedPolicy struct {
	Path        string            `yaml:"path"`
	Description string            `yaml:"description"`
	Document    Document          `yaml:"document"`
	Tags        map[string]string `yaml:"tags"`
	Adopt       bool              `yaml:"adopt"`
}

// An OIDCProvider is a declared OpenID Connect provider.
type OIDCProvider struct {
	ClientIDs   []string          `yaml:"client_ids"`
	Thumbprints []string          `yaml:"thumbprints"`
	Tags        map[string]string `yaml:"tags"`
	Adopt       bool              `yaml:"adopt"`
}

// A Guardrail limits a whole account, as a service control policy does. There is one
// document for all accounts, or one for each account that is named.
type Guardrail struct {
	Every     Document
	ByAccount map[string]Document
}

// UnmarshalYAML implements [github.com/goccy/go-yaml.NodeUnmarshaler]: a mapping
// whose keys are account ids holds documents, and anything else is one.
func (g *Guardrail) UnmarshalYAML(node ast.Node) error {
	*g = Guardrail{}
	m, ok := node.(ast.MapNode)
	if !ok {
		return g.Every.UnmarshalYAML(node)
	}
	for it := m.MapRange(); it.Next(); {
		account := it.Key().GetToken().Value
		if !arn.IsAccountID(account) {
			*g = Guardrail{}
			return g.Every.UnmarshalYAML(node)
		}
		var d Document
		if err := d.UnmarshalYAML(it.Value()); err != nil {
			return err
		}
		if g.ByAccount == nil {
			g.ByAccount = map[string]Document{}
		}
		g.ByAccount[account] = d
	}
	if g.ByAccount == nil { // {}
		return g.Every.UnmarshalYAML(node)
	}
	return nil
}

// A Duration is text such as 4h or 90m, in whole seconds.
type Duration time.Duration

// UnmarshalYAML implements [github.com/goccy/go-yaml.NodeUnmarshaler].
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	t := node.GetToken()
	v, err := time.ParseDuration(t.Value)
	if err != nil || v < 0 || v%time.Second != 0 {
		return fmt.Errorf("line %d: %q is not a duration in whole seconds, such as 4h or 90m", t.Position.Line, t.Value)
	}
	*d = Duration(v)
	return nil
}

// Of returns the guardrail of an account and its place in the file. Document.JSON is
// empty if there is none.
func (g *Guardrail) Of(account string) (d Document, where string) {
	if g == nil {
		return Document{}, ""
	}
	if d, ok := g.ByAccount[account]; ok {
		return d, "guardrail." + account
	}
	return g.Every, "guardrail"
}

// validateIdentities checks the names of accounts and the guardrail.
// declare.Declaration.Validate checks the declarations themselves.
func (c *Config) validateIdentities(bad func(setting, format string, args ...any)) {
	if c.IAM != nil {
		for _, account := range slices.Sorted(maps.Keys(c.IAM.Accounts)) {
			switch {
			case account == c.Account:
				bad("iam.accounts", "%s is the first account: declare its identities directly below iam", account)
			case !slices.Contains(c.Accounts, account):
				bad("iam.accounts", "%q is not one of the server's accounts; add it to accounts", account)
			}
		}
	}
	if c.Guardrail == nil {
		return
	}
	documents := map[string]Document{}
	for account, d := range c.Guardrail.ByAccount {
		if !slices.Contains(c.AllAccounts(), account) {
			bad("guardrail", "%q is not one of the server's accounts", account)
		}
		documents["guardrail."+account] = d
	}
	if c.Guardrail.ByAccount == nil {
		documents["guardrail"] = c.Guardrail.Every
	}
	for _, where := range slices.Sorted(maps.Keys(documents)) {
		d := documents[where]
		if _, err := policy.Parse(d.JSON, policy.Identity); err != nil {
			bad(fmt.Sprintf("%s (line %d)", where, d.Line), "%v", err)
		}
	}
}
