package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
)

// The quotas of OIDC providers (IAM User Guide, "IAM and AWS STS quotas"; IAM API
// Reference, CreateOpenIDConnectProvider).
const (
	maxProviders   = 100
	maxClientIDs   = 100
	maxThumbprints = 5
)

// OIDCProviderID begins the ids of providers in the database. AWS has none, and no
// client ever sees these: a provider that is deleted and created again is the same
// issuer, and roles go on trusting it.
const OIDCProviderID token.IDPrefix = "OIDC"

// An OIDCProvider is an OpenID Connect issuer that the account trusts to say who
// someone is. What they may then do is for the trust policies of roles to say.
//
// Its Name is the issuer's URL without the scheme, and its path "/".
type OIDCProvider struct {
	Common
	// Issuer is the URL, exactly as the tokens have it in iss.
	Issuer string `json:"issuer"`
	// ClientIDs are the audiences that its tokens may be for.
	ClientIDs []string `json:"client_ids,omitempty"`
	// Thumbprints are kept for the clients that manage them. They decide nothing:
	// an issuer's certificate must be signed by an authority that the server
	// trusts, as AWS has it for most issuers.
	Thumbprints []string `json:"thumbprints,omitempty"`
}

func (*OIDCProvider) Kind() Kind              { return KindOIDCProvider }
func (*OIDCProvider) references() []string    { return nil }
func (*OIDCProvider) AccessKeys() []AccessKey { return nil }
func (*OIDCProvider) compile(*compiler)       {}

// ARN returns the provider's.
func (p *OIDCProvider) ARN() string { return ARNOf(p) }

// A WebIdentityVerifier proves the tokens of OIDC issuers. *webidentity.Verifier
// is the one of the server.
type WebIdentityVerifier interface {
	CheckIssuer(issuer string) error
	Verify(ctx context.Context, token string, find func(issuer string) (webidentity.Provider, bool)) (*webidentity.Identity, error)
}

// A NewOIDCProvider is what a provider begins with.
type NewOIDCProvider struct {
	// Issuer is a URL; see [webidentity.Verifier.CheckIssuer].
	Issuer                 string
	ClientIDs, Thumbprints []string
	Tags                   []Tag
}

// CreateOIDCProvider makes the caller's account trust an issuer. Nothing is
// fetched from it before it is needed. Faults: InvalidInput, ValidationError,
// EntityAlreadyExists, LimitExceeded.
func (s *Service) CreateOIDCProvider(ctx context.Context, n NewOIDCProvider) (p *OIDCProvider, err error) {
	if err := s.webIDs.CheckIssuer(n.Issuer); err != nil {
		return nil, err
	}
	clientIDs, err := CheckClientIDs(n.ClientIDs)
	if err != nil {
		return nil, err
	}
	thumbprints, err := CheckThumbprints(n.Thumbprints)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, func(d *Draft) error {
		common, err := s.admit(ctx, d.Snapshot, KindOIDCProvider, OIDCProviderID, NewEntity{Path: "/", Name: webidentity.Name(n.Issuer), Tags: n.Tags})
		if fault.Is(err, "EntityAlreadyExists") {
			return fault.New(fault.Conflict, "EntityAlreadyExists", "Provider with url %s already exists.", n.Issuer)
		}
		if err != nil {
			return err
		}
		p = &OIDCProvider{Common: common, Issuer: n.Issuer, ClientIDs: clientIDs, Thumbprints: thumbprints}
		d.set(p)
		return d.checkProviders(common.Account)
	})
	return p, err
}

// checkProviders checks the number of providers.
func (s *Snapshot) checkProviders(account string) error {
	count := 0
	for range list[*OIDCProvider](s, account, KindOIDCProvider, "") {
		count++
	}
	if count > maxProviders {
		return limit("Cannot exceed quota for OpenIdConnectProvidersPerAccount: %d", maxProviders)
	}
	return nil
}

// CheckClientIDs returns the client ids, each once.
func CheckClientIDs(ids []string) ([]string, error) {
	var out []string
	for _, id := range ids {
		if id == "" || len(id) > 255 {
			return nil, invalid("The client ID %q is invalid: it has 1 to 255 characters.", id)
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	if len(out) > maxClientIDs {
		return nil, limit("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
	}
	return out, nil
}

// CheckThumbprints returns the thumbprints, in the order in which they were given.
func CheckThumbprints(prints []string) ([]string, error) {
	if len(prints) > maxThumbprints {
		return nil, fault.New(fault.Invalid, "InvalidInput", "Thumbprint list must contain fewer than %d entries.", maxThumbprints+1)
	}
	for _, p := range prints {
		if len(p) != 40 || strings.Trim(strings.ToLower(p), "0123456789abcdef") != "" {
			return nil, fault.New(fault.Invalid, "InvalidInput", "The thumbprint %q is invalid: it has 40 hexadecimal digits.", p)
		}
	}
	return slices.Clone(prints), nil
}

// provider authorizes an action on a provider and returns it. Faults:
// InvalidInput, NoSuchEntity.
func (s *Service) provider(ctx context.Context, sn *Snapshot, providerARN string, req authz.Request) (*OIDCProvider, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	account, name, ok := cutProviderARN(providerARN)
	if !ok {
		return nil, fault.New(fault.Invalid, "InvalidInput", "Invalid ARN: %s is not one of an OpenID Connect provider.", providerARN)
	}
	var p *OIDCProvider
	if account == c.Account {
		p = sn.providerNamed(account, name)
	}
	req.Resource = providerARN
	if p != nil {
		req.ResourceTags = resourcetags.Map(p.Tags)
	}
	if err := s.authz.Authorize(ctx, &req); err != nil {
		return nil, err
	}
	if p == nil {
		return nil, fault.New(fault.NotFound, "NoSuchEntity", "OpenIDConnect Provider not found for arn %s", providerARN).About("oidc-provider", providerARN)
	}
	return p, nil
}

// cutProviderARN takes account and name out of arn:aws:iam::ACCOUNT:oidc-provider/NAME.
func cutProviderARN(text string) (account, name string, ok bool) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "iam" || a.Partition != arn.Partition {
		return "", "", false
	}
	name, ok = strings.CutPrefix(a.Resource, KindOIDCProvider.Noun()+"/")
	return a.AccountID, name, ok && name != ""
}

// providerNamed returns a provider by its issuer's URL without the scheme, or nil.
func (s *Snapshot) providerNamed(account, name string) *OIDCProvider {
	e, ok := s.named(account, KindOIDCProvider, name)
	if !ok {
		return nil
	}
	return e.(*OIDCProvider)
}

// OIDCProvider returns a provider of the caller's account. Faults: InvalidInput,
// NoSuchEntity.
func (s *Service) OIDCProvider(ctx context.Context, providerARN string) (*OIDCProvider, error) {
	return s.provider(ctx, s.current.Load(), providerARN, authz.Request{Action: "iam:GetOpenIDConnectProvider"})
}

// OIDCProviderTags returns the tags of a provider. Faults: InvalidInput,
// NoSuchEntity.
func (s *Service) OIDCProviderTags(ctx context.Context, providerARN string) ([]Tag, error) {
	p, err := s.provider(ctx, s.current.Load(), providerARN, authz.Request{Action: "iam:ListOpenIDConnectProviderTags"})
	if err != nil {
		return nil, err
	}
	return p.Tags, nil
}

// OIDCProviders returns the providers of the caller's account, in the order of
// their names. There are never many.
func (s *Service) OIDCProviders(ctx context.Context) ([]*OIDCProvider, error) {
	c, err := s.authorizeList(ctx, "iam:ListOpenIDConnectProviders", KindOIDCProvider, "/*")
	if err != nil {
		return nil, err
	}
	return slices.Collect(list[*OIDCProvider](s.current.Load(), c.Account, KindOIDCProvider, "")), nil
}

// DeleteOIDCProvider ends the trust in an issuer. Sessions that its tokens have
// begun go on. If there is no such provider, that is not an error. Faults:
// InvalidInput.
func (s *Service) DeleteOIDCProvider(ctx context.Context, providerARN string) error {
	return s.change(ctx, func(d *Draft) error {
		p, err := s.provider(ctx, d.Snapshot, providerARN, authz.Request{Action: "iam:DeleteOpenIDConnectProvider"})
		if fault.Is(err, "NoSuchEntity") {
			return nil
		}
		if err != nil {
			return err
		}
		d.remove(p)
		return nil
	})
}

func (s *Service) editProvider(ctx context.Context, providerARN string, req authz.Request, fn func(*OIDCProvider) error) error {
	return s.change(ctx, func(d *Draft) error {
		old, err := s.provider(ctx, d.Snapshot, providerARN, req)
		if err != nil {
			return err
		}
		p := *old
		if err := fn(&p); err != nil {
			return err
		}
		d.set(&p)
		return nil
	})
}

// AddClientID lets a provider's tokens be for one more client. One that it has is
// no error. Faults: InvalidInput, ValidationError, NoSuchEntity, LimitExceeded.
func (s *Service) AddClientID(ctx context.Context, providerARN, clientID string) error {
	req := authz.Request{Action: "iam:AddClientIDToOpenIDConnectProvider"}
	return s.editProvider(ctx, providerARN, req, func(p *OIDCProvider) (err error) {
		p.ClientIDs, err = CheckClientIDs(append(slices.Clone(p.ClientIDs), clientID))
		return err
	})
}

// RemoveClientID is the inverse of [Service.AddClientID]. One that the provider
// does not have is not an error. Faults: InvalidInput, NoSuchEntity.
func (s *Service) RemoveClientID(ctx context.Context, providerARN, clientID string) error {
	req := authz.Request{Action: "iam:RemoveClientIDFromOpenIDConnectProvider"}
	return s.editProvider(ctx, providerARN, req, func(p *OIDCProvider) error {
		p.ClientIDs = slices.DeleteFunc(slices.Clone(p.ClientIDs), func(id string) bool { return id == clientID })
		return nil
	})
}

// SetThumbprints replaces a provider's thumbprints. Faults: InvalidInput,
// NoSuchEntity.
func (s *Service) SetThumbprints(ctx context.Context, providerARN string, thumbprints []string) error {
	req := authz.Request{Action: "iam:UpdateOpenIDConnectProviderThumbprint"}
	return s.editProvider(ctx, providerARN, req, func(p *OIDCProvider) (err error) {
		p.Thumbprints, err = CheckThumbprints(thumbprints)
		return err
	})
}

// TagOIDCProvider adds tags to a provider. Faults: InvalidInput, NoSuchEntity,
// ValidationError, LimitExceeded.
func (s *Service) TagOIDCProvider(ctx context.Context, providerARN string, tags []Tag) error {
	req := authz.Request{Action: "iam:TagOpenIDConnectProvider", RequestTags: resourcetags.Map(tags)}
	return s.editProvider(ctx, providerARN, req, func(p *OIDCProvider) (err error) {
		p.Tags, err = MergeTags(p.Tags, tags)
		return err
	})
}

// UntagOIDCProvider takes tags from a provider. Faults: InvalidInput, NoSuchEntity.
func (s *Service) UntagOIDCProvider(ctx context.Context, providerARN string, keys []string) error {
	req := authz.Request{Action: "iam:UntagOpenIDConnectProvider", Keys: map[string][]string{"aws:TagKeys": keys}}
	return s.editProvider(ctx, providerARN, req, func(p *OIDCProvider) error {
		p.Tags = resourcetags.Without(p.Tags, keys)
		return nil
	})
}
