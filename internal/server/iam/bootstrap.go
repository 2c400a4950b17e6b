package iam

import (
	"context"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// AdminUser is the user that every account begins with.
const AdminUser = "admin"

const administratorAccess = "arn:aws:iam::aws:policy/AdministratorAccess"

// Credentials are a long-term access key, for a profile file.
type Credentials struct{ Account, User, AccessKeyID, Secret string }

// Bootstrap creates the accounts that do not exist yet, each with a user admin
// who has AdministratorAccess and an access key, and returns their credentials. An
// account that exists is left as it is.
func (s *Service) Bootstrap(ctx context.Context, accounts []string) ([]Credentials, error) {
	for _, id := range accounts {
		if !arn.IsAccountID(id) {
			return nil, fault.New(fault.Invalid, "ValidationError", "The account %q is invalid: want twelve digits.", id)
		}
	}
	if err := s.change(ctx, func(d *Draft) error {
		for _, id := range accounts {
			if err := s.createAccount(d, id); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("iam: bootstrap: %w", err)
	}
	return s.AdminCredentials(accounts)
}

func (s *Service) createAccount(d *Draft, id string) error {
	if _, ok := get[*Account](d.Snapshot, id); ok {
		return nil
	}
	d.set(&Account{Common: Common{ID: id, Account: id, Name: id, Created: s.second()}})
	admin := &User{
		Common:      Common{ID: token.NewID(token.UserID), Account: id, Path: "/", Name: AdminUser, Created: s.second()},
		Permissions: Permissions{Attached: []string{administratorAccess}},
	}
	_, _, err := s.addKey(d, admin)
	return err
}

// Accounts returns the accounts that exist, in order.
func (s *Service) Accounts(ctx context.Context) ([]string, error) {
	return db.All(ctx, s.db, db.Scalar[string], `SELECT account FROM iam_entity WHERE kind = $1 ORDER BY account`, string(KindAccount))
}

// AdminCredentials returns the oldest active key of every account's admin. An
// account whose admin, or the admin's keys, were deleted has none in the answer.
func (s *Service) AdminCredentials(accounts []string) ([]Credentials, error) {
	sn := s.current.Load()
	var out []Credentials
	for _, id := range accounts {
		admin, ok := sn.named(id, KindUser, AdminUser)
		if !ok {
			continue
		}
		for _, k := range admin.AccessKeys() {
			if !k.Active {
				continue
			}
			secret, err := s.keyring.AccessKeySecret(k.KeyringID, k.ID)
			if err != nil {
				return nil, fmt.Errorf("iam: bootstrap: %w", err)
			}
			out = append(out, Credentials{id, AdminUser, k.ID, secret})
			break
		}
	}
	return out, nil
}
