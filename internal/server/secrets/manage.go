package secrets

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// The recovery window in days: at least, at most, and if none is named.
const (
	minWindow, maxWindow, defaultWindow = 7, 30, 30
)

// Delete marks a secret for deletion in a number of days, 0 for the default, or deletes it at
// once with force. It returns the secret with the time of its deletion in Until. Action
// secretsmanager:DeleteSecret. Faults: AccessDenied, ResourceNotFound, InvalidParameter,
// InvalidRequest.
func (s *Service) Delete(ctx context.Context, p Place, id string, days int64, force bool) (*Secret, error) {
	req := authz.Request{Action: "secretsmanager:DeleteSecret", Keys: map[string][]string{
		"secretsmanager:ForceDeleteWithoutRecovery": {strconv.FormatBool(force)}, "secretsmanager:RecoveryWindowInDays": {strconv.FormatInt(cmp.Or(days, defaultWindow), 10)},
	}}
	now := s.now()
	return s.change(ctx, p, id, req, func(tx *db.Tx, x *Secret) error {
		switch {
		case force && days != 0:
			return invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		case force:
			x.Deleted, x.Until = now, now
			_, err := tx.Exec(ctx, `DELETE FROM secret WHERE id = $1`, x.row)
			return err
		case days != 0 && (days < minWindow || days > maxWindow):
			return invalidParameter("The RecoveryWindowInDays value must be between %d and %d days (inclusive).", minWindow, maxWindow)
		}
		if err := x.checkUsable(); err != nil {
			return err
		}
		x.Deleted, x.Until = now, now.AddDate(0, 0, int(cmp.Or(days, defaultWindow)))
		_, err := tx.Exec(ctx, `UPDATE secret SET deleted = $2, until = $3 WHERE id = $1`, x.row, db.Micros(x.Deleted), db.Micros(x.Until))
		return err
	})
}

// Restore takes the mark for deletion away. Action secretsmanager:RestoreSecret. Faults:
// AccessDenied, ResourceNotFound.
func (s *Service) Restore(ctx context.Context, p Place, id string) (*Secret, error) {
	return s.change(ctx, p, id, authz.Request{Action: "secretsmanager:RestoreSecret"}, func(tx *db.Tx, x *Secret) error {
		_, err := tx.Exec(ctx, `UPDATE secret SET deleted = 0, until = 0 WHERE id = $1`, x.row)
		return err
	})
}

// Describe returns a secret with its versions. Action secretsmanager:DescribeSecret. Faults:
// AccessDenied, ResourceNotFound.
func (s *Service) Describe(ctx context.Context, p Place, id string) (*Secret, error) {
	x, err := s.authorize(ctx, p, id, authz.Request{Action: "secretsmanager:DescribeSecret"})
	if err != nil {
		return nil, err
	}
	return x, s.addVersions(ctx, x)
}

// CheckPolicyReadable authorizes reading the resource policy of a secret; no secret has one.
// Action secretsmanager:GetResourcePolicy. Faults: AccessDenied, ResourceNotFound.
func (s *Service) CheckPolicyReadable(ctx context.Context, p Place, id string) (*Secret, error) {
	return s.authorize(ctx, p, id, authz.Request{Action: "secretsmanager:GetResourcePolicy"})
}

// addVersions adds the versions that have labels.
func (s *Service) addVersions(ctx context.Context, x *Secret) error {
	all, err := versions(ctx, s.c.DB, x)
	x.Versions = slices.DeleteFunc(all, func(v Version) bool { return len(v.Stages) == 0 })
	return err
}

// An Update changes a secret. What is nil stays.
type Update struct {
	Description, KMSKey *string
	Value               *Value
	Token               string // of the new version
}

// Update changes a secret. It returns the id of the new version, if there is one. Action
// secretsmanager:UpdateSecret. Faults: those of [Service.Put].
func (s *Service) Update(ctx context.Context, p Place, id string, u Update) (_ *Secret, version string, err error) {
	if u.Token == "" {
		u.Token = randid.UUID()
	}
	x, err := s.change(ctx, p, id, authz.Request{Action: "secretsmanager:UpdateSecret"}, func(tx *db.Tx, x *Secret) error {
		version = ""
		if err := x.checkUsable(); err != nil {
			return err
		}
		if u.Description != nil {
			x.Description = *u.Description
		}
		if u.KMSKey != nil {
			x.KMSKey = *u.KMSKey
		}
		_, err := tx.Exec(ctx, `UPDATE secret SET description = $2, kms_key = $3, changed = $4 WHERE id = $1`, x.row, x.Description, x.KMSKey, db.Micros(s.now()))
		if err != nil || u.Value == nil {
			return err
		}
		v, err := s.put(ctx, tx, x, Put{Value: *u.Value, Token: u.Token, Stages: []string{Current}})
		version = v.ID
		return err
	})
	return x, version, err
}

// Tag adds tags, or changes their values. Action secretsmanager:TagResource. Faults:
// AccessDenied, ResourceNotFound, InvalidParameter, LimitExceeded.
func (s *Service) Tag(ctx context.Context, p Place, id string, tags map[string]string) error {
	return s.changeTags(ctx, p, id, authz.Request{Action: "secretsmanager:TagResource", RequestTags: tags}, func(old map[string]string) (map[string]string, error) {
		return mergeTags(old, tags)
	})
}

// Untag removes tags. Action secretsmanager:UntagResource. Faults: AccessDenied,
// ResourceNotFound.
func (s *Service) Untag(ctx context.Context, p Place, id string, keys []string) error {
	req := authz.Request{Action: "secretsmanager:UntagResource", Keys: map[string][]string{"aws:TagKeys": keys}}
	return s.changeTags(ctx, p, id, req, func(old map[string]string) (map[string]string, error) {
		for _, key := range keys {
			delete(old, key)
		}
		return old, nil
	})
}

func (s *Service) changeTags(ctx context.Context, p Place, id string, req authz.Request, edit func(map[string]string) (map[string]string, error)) error {
	_, err := s.change(ctx, p, id, req, func(tx *db.Tx, x *Secret) error {
		if err := x.checkUsable(); err != nil {
			return err
		}
		tags, err := edit(x.Tags)
		if err != nil {
			return err
		}
		text, err := json.Marshal(tags)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE secret SET tags = $2, changed = $3 WHERE id = $1`, x.row, string(text), db.Micros(s.now()))
		return err
	})
	return err
}

func mergeTags(old, added map[string]string) (map[string]string, error) {
	merged, err := resourcetags.Merge(old, added)
	switch {
	case err == nil:
		return merged, nil
	case err.Reason == resourcetags.TooMany:
		return nil, fault.New(fault.Limit, "LimitExceeded", "A secret can have at most %d tags. With this change it would have %d.", resourcetags.MaxTags, err.Count)
	}
	return nil, invalidParameter("%v.", err)
}

// A Filter chooses secrets: those for which one of the values matches. A value that begins
// with ! excludes.
type Filter struct {
	Key    string // description, name, tag-key, tag-value or all; no secret has others
	Values []string
}

// A Query says which secrets [Service.List] returns.
type Query struct {
	Filters []Filter
	// Marked includes secrets that are marked for deletion.
	Marked bool
	// By is created, changed, accessed or name.
	By         string
	Descending bool
	After      string // the ARN that the page comes after; empty for the first
	Limit      int
}

// List lists secrets with their versions. more is true if there are further ones. Action
// secretsmanager:ListSecrets. Fault: AccessDenied.
func (s *Service) List(ctx context.Context, p Place, q Query) (list []*Secret, more bool, err error) {
	if err := s.c.Authz.Authorize(ctx, &authz.Request{Action: "secretsmanager:ListSecrets", Resource: "*", Account: p.Account}); err != nil {
		return nil, false, err
	}
	all, err := db.All(ctx, s.c.DB, scanSecret, `SELECT `+secretColumns+` FROM secret WHERE account = $1 AND region = $2`, p.Account, p.Region)
	if err != nil {
		return nil, false, err
	}
	now := s.c.Now()
	all = slices.DeleteFunc(all, func(x *Secret) bool {
		return x.gone(now) || !q.Marked && !x.Deleted.IsZero() || !q.matches(x)
	})
	slices.SortFunc(all, q.compare)
	if q.After != "" {
		at := slices.IndexFunc(all, func(x *Secret) bool { return x.ARN == q.After })
		all = all[at+1:]
	}
	if len(all) > q.Limit {
		all, more = all[:q.Limit], true
	}
	for _, x := range all {
		if err := s.addVersions(ctx, x); err != nil {
			return nil, false, err
		}
	}
	return all, more, nil
}

func (q Query) compare(a, b *Secret) int {
	var c int
	switch q.By {
	case "name":
		c = strings.Compare(a.Name, b.Name)
	case "changed":
		c = a.Changed.Compare(b.Changed)
	case "accessed":
		c = a.Accessed.Compare(b.Accessed)
	default:
		c = a.Created.Compare(b.Created)
	}
	if c = cmp.Or(c, strings.Compare(a.ARN, b.ARN)); q.Descending {
		return -c
	}
	return c
}

func (q Query) matches(x *Secret) bool {
	for _, f := range q.Filters {
		if !f.matches(x) {
			return false
		}
	}
	return true
}

func (f Filter) matches(x *Secret) bool {
	return slices.ContainsFunc(f.Values, func(value string) bool {
		want, excludes := strings.CutPrefix(value, "!")
		return f.has(x, want) != excludes
	})
}

// has reports whether a value matches (AWS Secrets Manager API Reference, Filter): the
// beginning of names, keys and values with regard to case, the words of descriptions without.
func (f Filter) has(x *Secret, value string) bool {
	words := func(text string) bool {
		return slices.ContainsFunc(strings.Fields(strings.ToLower(text)), func(word string) bool { return strings.HasPrefix(word, strings.ToLower(value)) })
	}
	switch f.Key {
	case "name":
		return strings.HasPrefix(x.Name, value)
	case "description":
		return words(x.Description) || strings.HasPrefix(strings.ToLower(x.Description), strings.ToLower(value))
	case "tag-key":
		for key := range x.Tags {
			if strings.HasPrefix(key, value) {
				return true
			}
		}
	case "tag-value":
		for _, v := range x.Tags {
			if strings.HasPrefix(v, value) {
				return true
			}
		}
	case "all":
		if words(x.Name) || words(x.Description) {
			return true
		}
		for key, v := range x.Tags {
			if words(key) || words(v) {
				return true
			}
		}
	}
	return false
}

// sweepBatch is the number of rows in one step of a sweep.
const sweepBatch = 100

// Sweep deletes secrets whose recovery window is over. It should run every hour.
func (s *Service) Sweep(ctx context.Context) error {
	for {
		var n int64
		err := s.c.DB.Tx(ctx, func(tx *db.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM secret WHERE id IN (SELECT id FROM secret WHERE deleted <> 0 AND until <= $1 LIMIT $2)`, db.Micros(s.now()), sweepBatch)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// A sealedRow is a value as it is stored.
type sealedRow struct {
	secret  int64
	arn, id string
	sealed  []byte
}

// Reseal encrypts the values anew that another key of the keyring than the active one
// encrypted. It should run every hour. A value that cannot be read does not keep it from the
// others.
func (s *Service) Reseal(ctx context.Context) error {
	var failed error
	last := sealedRow{secret: -1}
	for {
		rows, err := db.All(ctx, s.c.DB, func(r db.Row) (v sealedRow, err error) {
			return v, r.Scan(&v.secret, &v.arn, &v.id, &v.sealed)
		}, `SELECT v.secret, s.arn, v.id, v.sealed FROM secret_version v JOIN secret s ON s.id = v.secret
			WHERE v.sealed_by <> $1 AND (v.secret > $2 OR v.secret = $2 AND v.id > $3) ORDER BY v.secret, v.id LIMIT $4`,
			s.c.Sealer.ActiveKeyID(), last.secret, last.id, sweepBatch)
		if err != nil || len(rows) == 0 {
			return errors.Join(err, failed)
		}
		last = rows[len(rows)-1]
		for _, row := range rows {
			failed = errors.Join(failed, s.resealRow(ctx, row))
		}
	}
}

// resealRow encrypts a value anew. The value of a version never changes.
func (s *Service) resealRow(ctx context.Context, row sealedRow) error {
	value, err := s.c.Sealer.OpenSecret(sealPlace(row.arn, row.id), row.sealed)
	if err != nil {
		return fmt.Errorf("version %s of %s: %w", row.id, row.arn, err)
	}
	sealed, key, err := s.c.Sealer.SealSecret(sealPlace(row.arn, row.id), value)
	if err != nil {
		return err
	}
	return s.c.DB.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE secret_version SET sealed = $3, sealed_by = $4 WHERE secret = $1 AND id = $2`, row.secret, row.id, sealed, key)
		return err
	})
}
