package packages

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// A Domain describes a domain.
type Domain struct {
	ID DomainID
	// EncryptionKey is the key that the creator named, or the account's default key.
	// It is only reported: how bytes are stored does not depend on it.
	EncryptionKey string
	Created       time.Time
	// Repositories is the number of its repositories.
	Repositories int
	// AssetBytes is the size of all its assets in bytes; equal content counts once.
	// Listings leave it zero.
	AssetBytes int64
}

func (d *domain) describe() Domain {
	return Domain{ID: d.id, EncryptionKey: cmp.Or(d.key, arn.DefaultKMSKey("codeartifact", d.id.Region, d.id.Owner)), Created: d.created, Repositories: d.repositories.Len()}
}

// A NewDomain is the input of CreateDomain.
type NewDomain struct {
	ID            DomainID
	EncryptionKey string
	Tags          map[string]string
}

// CreateDomain creates a domain in the caller's account. Fault Conflict: it exists
// already. codeartifact:CreateDomain on the domain, and with tags
// codeartifact:TagResource too.
func (s *Service) CreateDomain(ctx context.Context, n NewDomain) (Domain, error) {
	for _, action := range createActions("codeartifact:CreateDomain", n.Tags) {
		if err := s.authz.Authorize(ctx, &authz.Request{Action: action, Resource: n.ID.ARN(), Account: n.ID.Owner, RequestTags: n.Tags}); err != nil {
			return Domain{}, err
		}
	}
	if err := validDomain(n.ID); err != nil {
		return Domain{}, err
	}
	tags, err := mergeTags(nil, n.Tags)
	if err != nil {
		return Domain{}, err
	}
	err = s.changeDomain(ctx, n.ID, delta{domain: true}, func(tx *db.Tx) error {
		changed, err := tx.Exec(ctx, `INSERT INTO pkg_domain (id, owner, region, name, encryption_key, created, tags, policy, policy_revision)
			VALUES ($1, $2, $3, $4, $5, $6, $7, '', '') ON CONFLICT (owner, region, name) DO NOTHING`,
			randid.Text(), n.ID.Owner, n.ID.Region, n.ID.Name, n.EncryptionKey, db.Micros(s.now()), asJSON(tags))
		if err == nil && changed == 0 {
			err = conflict(typeDomain, n.ID.Name, "The domain %s exists already.", n.ID.Name)
		}
		return err
	})
	if err != nil {
		return Domain{}, err
	}
	d := s.snapshot.Load().domain(n.ID)
	if d == nil { // deleted in the meantime
		return Domain{}, domainNotFound(n.ID)
	}
	return d.describe(), nil
}

// DescribeDomain returns a domain. codeartifact:DescribeDomain on the domain.
func (s *Service) DescribeDomain(ctx context.Context, id DomainID) (Domain, error) {
	d, err := s.authorizeDomain(ctx, "codeartifact:DescribeDomain", id, authz.Request{})
	if err != nil {
		return Domain{}, err
	}
	out := d.describe()
	out.AssetBytes, err = db.One(ctx, s.db, db.Scalar[int64], `SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM pkg_content WHERE domain = $1`, d.row)
	return out, err
}

// ListDomains returns at most limit of the domains that the account owns in the
// region, by name, and whether there are more. after is the last name of the
// previous page. codeartifact:ListDomains on *.
func (s *Service) ListDomains(ctx context.Context, account, region, after string, limit int) (page []Domain, more bool, err error) {
	if err := s.authorizeAccount(ctx, "codeartifact:ListDomains"); err != nil {
		return nil, false, err
	}
	s.snapshot.Load().all(func(d *domain) {
		if d.id.Owner == account && d.id.Region == region && d.id.Name > after {
			page = append(page, d.describe())
		}
	})
	slices.SortFunc(page, func(a, b Domain) int { return strings.Compare(a.ID.Name, b.ID.Name) })
	page, more = firstPage(page, limit)
	return page, more, nil
}

// DeleteDomain deletes a domain and returns its description. Fault Conflict: it still
// contains repositories. If the domain does not exist, the result is false and no
// error, as in the API's model.
// codeartifact:DeleteDomain on the domain.
func (s *Service) DeleteDomain(ctx context.Context, id DomainID) (Domain, bool, error) {
	d, err := s.authorizeDomain(ctx, "codeartifact:DeleteDomain", id, authz.Request{})
	if isNotFound(err) {
		return Domain{}, false, nil
	}
	if err != nil {
		return Domain{}, false, err
	}
	err = s.changeDomain(ctx, id, delta{domain: true}, func(tx *db.Tx) error {
		n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM pkg_repository WHERE domain = $1`, d.row)
		if err != nil {
			return err
		}
		if n > 0 {
			return conflict(typeDomain, id.Name, "The domain %s contains %d repositories. Delete them first.", id.Name, n)
		}
		// A domain without repositories has no content: content is deleted with its last asset.
		if err := deleteGroups(ctx, tx, d); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM pkg_domain WHERE id = $1`, d.row)
		return err
	})
	if err != nil {
		return Domain{}, false, err
	}
	return d.describe(), true, nil
}

// createActions returns the actions that creating a resource with the tags needs
// (User Guide, "Domain policies").
func createActions(action string, tags map[string]string) []string {
	if len(tags) == 0 {
		return []string{action}
	}
	return []string{action, tagResource}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // v is a map or a slice of strings
	}
	return string(b)
}

// mergeTags returns old with added put over it.
func mergeTags(old, added map[string]string) (map[string]string, error) {
	merged, err := resourcetags.Merge(old, added)
	if err == nil {
		return merged, nil
	}
	switch err.Reason {
	case resourcetags.TooMany:
		return nil, quotaExceeded("", "", "A resource has at most %d tags.", resourcetags.MaxTags)
	case resourcetags.ReservedKey:
		return nil, invalid("Tag keys that begin with aws: are reserved: %q.", err.Key)
	default:
		return nil, invalid("A tag has a key of %d to %d and a value of at most %d characters.", 1, resourcetags.MaxKeyLength, resourcetags.MaxValueLength)
	}
}
