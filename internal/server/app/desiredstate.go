package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/declare"
)

// ErrConfiguration means that the configuration does not fit the installation: its
// account, the wrapping of its keyring, or identities that cannot be applied. It must be
// corrected; nothing was changed.
var ErrConfiguration = errors.New("configuration")

// applyDeclaration creates, changes and deletes identities as the configuration
// declares them. If it has no iam at all, nothing is deleted: a start without the
// file must not delete every identity in it.
func (p *components) applyDeclaration(ctx context.Context, c *config.Config) error {
	if c.IAM == nil {
		if n := declare.Count(p.iam); n > 0 {
			p.log.Warn("the configuration declares no identities; declared identities of earlier starts are kept; to delete them, declare iam: {}", "declared", n)
		}
		return nil
	}
	changes, err := declare.Apply(ctx, p.iam, declaration(c))
	if err != nil {
		return configurationError(err)
	}
	for _, change := range changes {
		attributes := []any{"arn", change.ARN}
		if len(change.Fields) > 0 {
			attributes = append(attributes, "fields", strings.Join(change.Fields, ","))
		}
		p.log.Info("declared identity "+string(change.Kind), attributes...)
		params := map[string]any{"change": change.Kind, "fields": change.Fields}
		if err := p.audit.Write(audit.ServiceEvent("iam", "ApplyDeclaration", change.ARN, params, p.now())); err != nil {
			return err
		}
	}
	return nil
}

// checkDeclaration validates the form of the declared identities before anything
// is opened or created.
func checkDeclaration(c *config.Config) error {
	if c.IAM == nil {
		return nil
	}
	d := declaration(c)
	return configurationError(d.Validate())
}

// configurationError turns an error of the declaration into an ErrConfiguration.
func configurationError(err error) error {
	var wrong *declare.Error
	if errors.As(err, &wrong) {
		return fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	return err
}

// declaration translates the configuration for package iam.
func declaration(c *config.Config) declare.Declaration {
	var d declare.Declaration
	addIdentities(&d, c.Account, "iam", c.IAM.Identities)
	for account, identities := range sorted(c.IAM.Accounts) {
		addIdentities(&d, account, "iam.accounts."+account, identities)
	}
	return d
}

func addIdentities(d *declare.Declaration, account, in string, identities config.Identities) {
	entity := func(kind, name, path string, tags map[string]string, adopt bool) declare.Entity {
		return declare.Entity{Where: in + "." + kind + "." + name, Account: account, Path: path, Name: name, Tags: declare.SortedTags(tags), Adopt: adopt}
	}
	for name, p := range sorted(identities.Policies) {
		e := entity("policies", name, p.Path, p.Tags, p.Adopt)
		d.Policies = append(d.Policies, declare.Policy{Entity: e, Description: p.Description, Document: document(e.Where+".document", "", p.Document)})
	}
	for issuer, o := range sorted(identities.OIDCProviders) {
		e := entity("oidc_providers", issuer, "", o.Tags, o.Adopt)
		d.OIDCProviders = append(d.OIDCProviders, declare.OIDCProvider{Entity: e, Issuer: issuer, ClientIDs: o.ClientIDs, Thumbprints: o.Thumbprints})
	}
	for name, g := range sorted(identities.Groups) {
		e := entity("groups", name, g.Path, nil, g.Adopt)
		d.Groups = append(d.Groups, declare.Group{Entity: e, Permissions: permissions(e.Where, g.Permissions, "")})
	}
	for name, u := range sorted(identities.Users) {
		e := entity("users", name, u.Path, u.Tags, u.Adopt)
		d.Users = append(d.Users, declare.User{
			Entity: e, Permissions: permissions(e.Where, u.Permissions, u.Boundary),
			Groups: u.Groups, AccessKeys: u.AccessKeys,
		})
	}
	for name, r := range sorted(identities.Roles) {
		e := entity("roles", name, r.Path, r.Tags, r.Adopt)
		d.Roles = append(d.Roles, declare.Role{
			Entity: e, Permissions: permissions(e.Where, r.Permissions, r.Boundary),
			Description: r.Description, MaxSession: int(time.Duration(r.MaxSession) / time.Second),
			Trust: document(e.Where+".trust", "", r.Trust),
		})
	}
}

func permissions(where string, p config.Permissions, boundary string) declare.Permissions {
	out := declare.Permissions{Policies: p.Policies, Boundary: boundary}
	for name, doc := range sorted(p.Inline) {
		out.Inline = append(out.Inline, document(where+".inline."+name, name, doc))
	}
	return out
}

func document(where, name string, d config.Document) declare.Document {
	if d.Line > 0 {
		where += fmt.Sprintf(" (line %d)", d.Line)
	}
	return declare.Document{Where: where, Name: name, Text: d.JSON}
}

// sorted yields a map in the order of its keys.
func sorted[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// A guardrailFunc returns the policy that limits an account, or nil.
type guardrailFunc func(account string) *policy.Policy

// guardrail returns the policy that limits an account now, or nil.
func (p *components) guardrail(account string) *policy.Policy { return (*p.guardrails.Load())(account) }

// guardrails compiles the guardrails. The function that it returns finds the one of
// an account; it returns nil if there is none.
func guardrails(c *config.Config) (guardrailFunc, error) {
	compiled := map[string]*policy.Policy{}
	for _, account := range c.AllAccounts() {
		doc, where := c.Guardrail.Of(account)
		if doc.JSON == "" {
			continue
		}
		p, err := policy.Parse(doc.JSON, policy.Identity)
		if err != nil {
			return nil, fmt.Errorf("%w: %s (line %d): %w", ErrConfiguration, where, doc.Line, err)
		}
		compiled[account] = p.WithSource(policy.Source{Name: where})
	}
	return func(account string) *policy.Policy { return compiled[account] }, nil
}

// declaredProfiles are profiles for the declared access keys:
// gatehouse/USER/KEY, or gatehouse-ACCOUNT/USER/KEY.
func (p *components) declaredProfiles() ([]Profile, error) {
	keys, err := declare.Keys(p.iam, p.config.AllAccounts())
	if err != nil {
		return nil, err
	}
	var profiles []Profile
	for _, k := range keys {
		name := profileName(p.config.Account, k.Account) + "/" + k.User + "/" + k.Key
		profiles = append(profiles, Profile{name, k.AccessKeyID, k.Secret})
	}
	return profiles, nil
}
