package iam

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// account authorizes an action on the caller's account, and returns it.
func (s *Service) account(ctx context.Context, sn *Snapshot, action string) (*Account, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.authz.Authorize(ctx, &authz.Request{Action: action, Resource: "*"}); err != nil {
		return nil, err
	}
	a, ok := get[*Account](sn, c.Account)
	if !ok {
		return nil, NoSuchEntity(KindAccount, c.Account)
	}
	return a, nil
}

// CheckAccount reports whether the caller may do an action on the account. It is
// for the account's list of MFA devices, which is empty, what [Service.CheckUser]
// is for a user's.
func (s *Service) CheckAccount(ctx context.Context, action string) error {
	_, err := s.account(ctx, s.current.Load(), action)
	return err
}

// AccountAlias returns the alias of the caller's account, or "".
func (s *Service) AccountAlias(ctx context.Context) (string, error) {
	a, err := s.account(ctx, s.current.Load(), "iam:ListAccountAliases")
	if err != nil {
		return "", err
	}
	return a.Alias, nil
}

// CreateAccountAlias sets the alias of the caller's account, of which there is
// one at the most. Faults: ValidationError, EntityAlreadyExists.
func (s *Service) CreateAccountAlias(ctx context.Context, alias string) error {
	return s.change(ctx, func(d *Draft) error {
		old, err := s.account(ctx, d.Snapshot, "iam:CreateAccountAlias")
		if err != nil {
			return err
		}
		if len(alias) < 3 || len(alias) > 63 || !aliasPattern.MatchString(alias) {
			return invalid("The account alias %q is invalid: it has 3 to 63 lower case letters, digits and single dashes inside.", alias)
		}
		if d.uses(aliasOf(alias)) > 0 {
			return fault.New(fault.Conflict, "EntityAlreadyExists", "The account alias %s already exists.", alias)
		}
		a := *old
		a.Alias = alias
		d.set(&a)
		return nil
	})
}

// DeleteAccountAlias takes the alias of the caller's account away. Faults:
// NoSuchEntity.
func (s *Service) DeleteAccountAlias(ctx context.Context, alias string) error {
	return s.change(ctx, func(d *Draft) error {
		old, err := s.account(ctx, d.Snapshot, "iam:DeleteAccountAlias")
		if err != nil {
			return err
		}
		if old.Alias != alias {
			return fault.New(fault.NotFound, "NoSuchEntity", "The account alias with name %s cannot be found.", alias)
		}
		a := *old
		a.Alias = ""
		d.set(&a)
		return nil
	})
}
