package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// checkPage is the number of rows that [Check] reads at a time.
const checkPage = 500

const restoreDatabase = "Restore the database from a backup."

// AccessKeySecrets derives the secrets of access keys, as a token.Keyring does.
type AccessKeySecrets interface {
	AccessKeySecret(keyringID, accessKeyID string) (string, error)
}

// Check yields what does not fit together in the tables of this package. See package
// consistency. keyring is that of the installation; if it is nil, it is not checked
// whether the access keys belong to it. Check needs memory for the names of all
// entities, as the server does.
func Check(ctx context.Context, q db.Querier, keyring AccessKeySecrets) consistency.Findings {
	return consistency.Check("IAM", func(r *consistency.Reporter) []func() error {
		c := &checker{Reporter: r, ctx: ctx, q: q, keyring: keyring, ids: map[string]Kind{}, policies: map[string]bool{}, keyOwners: map[string]string{}}
		return []func() error{c.collect, c.entities, c.sessions}
	})
}

type checker struct {
	*consistency.Reporter
	ctx       context.Context
	q         db.Querier
	keyring   AccessKeySecrets
	ids       map[string]Kind   // of every entity
	policies  map[string]bool   // ARNs of managed policies
	keyOwners map[string]string // access key → the id of the entity that has it
}

// rows calls fn with every row of the entities, in the order of the ids.
func (c *checker) rows(fn func(entityRow) error) error {
	for last := ""; ; {
		page, err := db.All(c.ctx, c.q, scanEntity, entityColumns+` WHERE id > $1 ORDER BY id LIMIT $2`, last, checkPage)
		if err != nil {
			return err
		}
		for _, row := range page {
			if err := fn(row); err != nil {
				return err
			}
		}
		if len(page) < checkPage {
			return nil
		}
		last = page[len(page)-1].id
	}
}

// collect notes what entities refer to.
func (c *checker) collect() error {
	aws, err := awsManagedPolicies()
	if err != nil {
		return err
	}
	for _, p := range aws {
		c.policies[p.ARN()] = true
	}
	return c.rows(func(row entityRow) error {
		c.ids[row.id] = Kind(row.kind)
		if Kind(row.kind) == KindPolicy {
			if e, err := row.decode(); err == nil {
				c.policies[ARNOf(e)] = true
			}
		}
		return nil
	})
}

// entities checks every entity.
func (c *checker) entities() error {
	return c.rows(func(row entityRow) error {
		e, err := row.decode()
		if err != nil {
			return c.Problem("bad-entity", fmt.Sprintf("%s %s of account %s", strings.ToLower(row.kind), row.id, row.account), restoreDatabase,
				"The %s cannot be read: %v. The server does not start with it.", strings.ToLower(row.kind), err)
		}
		return c.entity(e)
	})
}

func (c *checker) entity(e Entity) error {
	subject := ARNOf(e)
	if a, ok := e.(*Account); ok {
		subject = a.ARN()
	} else if c.ids[e.Base().Account] != KindAccount {
		if err := c.Problem("lost-account", subject, restoreDatabase, "The account %s does not exist.", e.Base().Account); err != nil {
			return err
		}
	}
	if err := c.documents(e, subject); err != nil {
		return err
	}
	if err := c.references(e, subject); err != nil {
		return err
	}
	return c.accessKeys(e, subject)
}

// documents checks that the policies parse. The server starts with one that does not,
// and then it denies everything.
func (c *checker) documents(e Entity, subject string) error {
	parses := func(what, document string, kind policy.Kind) error {
		_, err := policy.Parse(document, kind)
		if err == nil {
			return nil
		}
		return c.Problem("bad-policy", subject, "Write the policy again.", "The %s cannot be read: %v. It denies everything until it is replaced.", what, err)
	}
	var errs []error
	if p, ok := e.(interface{ permissions() *Permissions }); ok {
		for _, doc := range p.permissions().Inline {
			errs = append(errs, parses("inline policy "+doc.Name, doc.Document, policy.Identity))
		}
	}
	switch e := e.(type) {
	case *Role:
		errs = append(errs, parses("trust policy", e.Trust, policy.Trust))
	case *Policy:
		if _, ok := e.Version(e.Default); !ok {
			errs = append(errs, c.Problem("bad-policy", subject, restoreDatabase, "The default version v%d of the policy does not exist. It denies everything.", e.Default))
		}
		for _, v := range e.Versions {
			errs = append(errs, parses(fmt.Sprintf("version v%d", v.Number), v.Document, policy.Identity))
		}
	}
	return errors.Join(errs...)
}

// references checks that the policies and groups of an entity exist.
func (c *checker) references(e Entity, subject string) error {
	var errs []error
	if p, ok := e.(interface{ permissions() *Permissions }); ok {
		for _, a := range p.permissions().Attached {
			if !c.policies[a] {
				errs = append(errs, c.Problem("dangling-attachment", subject, "Detach the policy, or create it again.", "The attached policy %s does not exist.", a))
			}
		}
		if b := p.permissions().Boundary; b != "" && !c.policies[b] {
			errs = append(errs, c.Problem("dangling-boundary", subject, "Set another permissions boundary, or create the policy again.", "The permissions boundary %s does not exist, so nothing is allowed.", b))
		}
	}
	if u, ok := e.(*User); ok {
		for _, g := range u.Groups {
			if c.ids[g] != KindGroup {
				errs = append(errs, c.Problem("dangling-membership", subject, restoreDatabase, "The group %s, of which the user is a member, does not exist.", g))
			}
		}
	}
	return errors.Join(errs...)
}

// accessKeys checks that no key has two owners, and that the keyring has their secrets.
func (c *checker) accessKeys(e Entity, subject string) error {
	var errs []error
	for _, k := range e.AccessKeys() {
		if owner, ok := c.keyOwners[k.ID]; ok {
			errs = append(errs, c.Problem("duplicate-access-key", subject, restoreDatabase, "The access key %s also belongs to %s.", k.ID, owner))
		}
		c.keyOwners[k.ID] = e.Base().ID
		if c.keyring == nil {
			continue
		}
		if _, err := c.keyring.AccessKeySecret(k.KeyringID, k.ID); err != nil {
			errs = append(errs, c.Problem("foreign-keyring", subject, "Restore the keyring that belongs to this database.", "The access key %s cannot be used: %v.", k.ID, err))
		}
	}
	return errors.Join(errs...)
}

// sessions checks the records of sessions.
func (c *checker) sessions() error {
	type row struct{ id, body string }
	for last := ""; ; {
		page, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
			err = r.Scan(&v.id, &v.body)
			return v, err
		}, `SELECT id, body FROM iam_session WHERE id > $1 ORDER BY id LIMIT $2`, last, checkPage)
		if err != nil {
			return err
		}
		for _, v := range page {
			if err := c.session(v.id, v.body); err != nil {
				return err
			}
		}
		if len(page) < checkPage {
			return nil
		}
		last = page[len(page)-1].id
	}
}

func (c *checker) session(id, body string) error {
	const advice = "Let its user begin another session, with sts assume-role or by logging in again."
	var r SessionRecord
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		return c.Problem("bad-session", "session "+id, advice, "The record of the session cannot be read: %v. Its requests are refused.", err)
	}
	if r.Policy != "" {
		if _, err := policy.Parse(r.Policy, policy.Session); err != nil {
			return c.Problem("bad-session", "session "+id, advice, "The session policy cannot be read: %v. It denies everything.", err)
		}
	}
	for _, a := range r.PolicyARNs {
		if _, err := arn.Parse(a); err != nil {
			return c.Problem("bad-session", "session "+id, advice, "The session policy %q is not an ARN.", a)
		}
	}
	return nil
}
