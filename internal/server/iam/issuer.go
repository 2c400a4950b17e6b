package iam

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// issuerPath is where the accounts are issuers, below the server's own address.
const issuerPath = "/oidc/"

// issuer is the URL of an account as an OpenID Connect issuer.
func (s *Service) issuer(account string) string {
	if s.url == "" {
		return ""
	}
	return s.url + issuerPath + account
}

// EnableIssuer makes the caller's account an OpenID Connect issuer, and returns the URL of
// the issuer. Fault: FeatureEnabled.
func (s *Service) EnableIssuer(ctx context.Context) (issuer string, err error) {
	err = s.change(ctx, func(d *Draft) error {
		old, err := s.account(ctx, d.Snapshot, "iam:EnableOutboundWebIdentityFederation")
		if err != nil {
			return err
		}
		if issuer = s.issuer(old.ID); issuer == "" {
			return fault.New(fault.Unimplemented, "NotImplemented", "The server has no address at which others could verify tokens.")
		}
		if old.Issues {
			return fault.New(fault.Conflict, "FeatureEnabled", "Outbound web identity federation is already enabled for the account.")
		}
		a := *old
		a.Issues = true
		d.set(&a)
		return nil
	})
	return issuer, err
}

// DisableIssuer ends what [Service.EnableIssuer] began. Tokens that were issued cannot be
// verified any more, once those who trust the issuer ask for its keys again. Fault:
// FeatureDisabled.
func (s *Service) DisableIssuer(ctx context.Context) error {
	return s.change(ctx, func(d *Draft) error {
		old, err := s.account(ctx, d.Snapshot, "iam:DisableOutboundWebIdentityFederation")
		if err != nil {
			return err
		}
		if !old.Issues {
			return issuerDisabled()
		}
		a := *old
		a.Issues = false
		d.set(&a)
		return nil
	})
}

// IssuerOfAccount returns the URL of the caller's account as an issuer. Fault:
// FeatureDisabled.
func (s *Service) IssuerOfAccount(ctx context.Context) (string, error) {
	a, err := s.account(ctx, s.current.Load(), "iam:GetOutboundWebIdentityFederationInfo")
	if err != nil {
		return "", err
	}
	if !a.Issues {
		return "", issuerDisabled()
	}
	return s.issuer(a.ID), nil
}

func issuerDisabled() error {
	return fault.New(fault.NotFound, "FeatureDisabled", "Outbound web identity federation is not enabled for the account.")
}
