package iam

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A KeyUse is the last use of an access key, of a role, or of a service by a user or a role.
type KeyUse struct {
	At              time.Time
	Service, Region string
}

// useGranularity is how exactly last uses are kept (AWS's is 15 minutes).
const useGranularity = time.Minute

// keyUses keeps last uses in memory, and writes them now and then: a use is no
// change of IAM, and not worth a write on the way of a request.
//
// The id of a use is the one of an access key or a role, or [serviceUse].
type keyUses struct{ byKey sync.Map } // id → *keyUse

// serviceUse is the id of the use of a service by a user or a role.
func serviceUse(uniqueID, service string) string { return uniqueID + "/" + service }

type keyUse struct {
	last  atomic.Pointer[KeyUse]
	saved atomic.Pointer[KeyUse]
}

// note keeps a use. It reports false if one of the same service was kept just before.
func (u *keyUses) note(id string, use KeyUse) bool {
	v, ok := u.byKey.Load(id)
	if !ok {
		v, _ = u.byKey.LoadOrStore(id, new(keyUse))
	}
	k := v.(*keyUse)
	if last := k.last.Load(); last != nil && last.Service == use.Service && last.Region == use.Region && use.At.Sub(last.At) < useGranularity {
		return false
	}
	stored := use // the usual return before takes no memory
	k.last.Store(&stored)
	return true
}

// isUsed reports whether there is the access key, the role or the user whose uses are kept.
func (s *Snapshot) isUsed(id string) bool {
	if uniqueID, _, ok := strings.Cut(id, "/"); ok {
		_, exists := s.byID.Get(uniqueID)
		return exists
	}
	if _, ok := s.keys.Get(id); ok {
		return true
	}
	_, ok := get[*Role](s, id)
	return ok
}

// last returns the last use, or nil.
func (u *keyUses) last(id string) *KeyUse {
	if v, ok := u.byKey.Load(id); ok {
		return v.(*keyUse).last.Load()
	}
	return nil
}

// services returns when a user or a role used each service last: what this server knows, and
// what others have written.
func (u *keyUses) services(ctx context.Context, d *db.DB, uniqueID string) (map[string]KeyUse, error) {
	latest := map[string]KeyUse{}
	_, err := db.All(ctx, d, func(r db.Row) (struct{}, error) {
		var at int64
		var use KeyUse
		err := r.Scan(&at, &use.Service, &use.Region)
		use.At = db.Time(at)
		latest[use.Service] = use
		return struct{}{}, err
	}, `SELECT at, service, region FROM iam_key_use WHERE id > $1 AND id < $2`, uniqueID+"/", uniqueID+"0") // "0" follows "/"
	if err != nil {
		return nil, fmt.Errorf("iam: read the uses of services: %w", err)
	}
	for _, service := range Services {
		if use := u.last(serviceUse(uniqueID, service.Namespace)); use != nil && use.At.After(latest[service.Namespace].At) {
			latest[service.Namespace] = *use
		}
	}
	return latest, nil
}

// A ServiceName is a service that the server has: its prefix in actions, and its name.
type ServiceName struct{ Namespace, Name string }

// Services are the services that the server has, in the order of their prefixes.
var Services = []ServiceName{
	{"codeartifact", "AWS CodeArtifact"},
	{"ecr", "Amazon Elastic Container Registry"},
	{"gatehouse", "Gatehouse"},
	{"iam", "AWS Identity and Access Management"},
	{"secretsmanager", "AWS Secrets Manager"},
	{"signer", "AWS Signer"},
	{"sts", "AWS Security Token Service"},
}

func (u *keyUses) load(ctx context.Context, d *db.DB) error {
	_, err := db.All(ctx, d, func(r db.Row) (struct{}, error) {
		var id string
		var at int64
		var use KeyUse
		err := r.Scan(&id, &at, &use.Service, &use.Region)
		use.At = db.Time(at)
		k := new(keyUse)
		k.last.Store(&use)
		k.saved.Store(&use)
		u.byKey.Store(id, k)
		return struct{}{}, err
	}, `SELECT id, at, service, region FROM iam_key_use`)
	return err
}

// save writes what is new, and forgets what does not exist.
func (u *keyUses) save(ctx context.Context, d *db.DB, exists func(id string) bool) error {
	dirty, gone := map[string]*keyUse{}, []string{}
	u.byKey.Range(func(id, v any) bool {
		k := v.(*keyUse)
		switch {
		case !exists(id.(string)):
			gone = append(gone, id.(string))
		case k.last.Load() != k.saved.Load():
			dirty[id.(string)] = k
		}
		return true
	})
	if len(dirty)+len(gone) == 0 {
		return nil
	}
	written := map[*keyUse]*KeyUse{}
	err := d.Tx(ctx, func(tx *db.Tx) error {
		for _, id := range gone {
			if _, err := tx.Exec(ctx, `DELETE FROM iam_key_use WHERE id = $1`, id); err != nil {
				return err
			}
		}
		for id, k := range dirty {
			use := k.last.Load()
			if use == nil {
				continue
			}
			if _, err := tx.Exec(ctx, `INSERT INTO iam_key_use (id, at, service, region) VALUES ($1, $2, $3, $4)
				ON CONFLICT (id) DO UPDATE SET at = excluded.at, service = excluded.service, region = excluded.region
				WHERE excluded.at >= iam_key_use.at`, // another server may have seen a later use
				id, db.Micros(use.At), use.Service, use.Region); err != nil {
				return err
			}
			written[k] = use
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("iam: save the uses of access keys: %w", err)
	}
	for k, use := range written {
		k.saved.Store(use)
	}
	for _, id := range gone {
		u.byKey.Delete(id)
	}
	return nil
}
