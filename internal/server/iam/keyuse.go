package iam

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A KeyUse is the last use of an access key, or of a role.
type KeyUse struct {
	At              time.Time
	Service, Region string
}

// useGranularity is how exactly last uses are kept (AWS's is 15 minutes).
const useGranularity = time.Minute

// keyUses keeps last uses in memory, and writes them now and then: a use is no
// change of IAM, and not worth a write on the way of a request.
type keyUses struct{ byKey sync.Map } // id of an access key or a role → *keyUse

type keyUse struct {
	last  atomic.Pointer[KeyUse]
	saved atomic.Pointer[KeyUse]
}

func (u *keyUses) note(id string, use KeyUse) {
	v, ok := u.byKey.Load(id)
	if !ok {
		v, _ = u.byKey.LoadOrStore(id, new(keyUse))
	}
	k := v.(*keyUse)
	if last := k.last.Load(); last != nil && last.Service == use.Service && last.Region == use.Region && use.At.Sub(last.At) < useGranularity {
		return
	}
	stored := use // the usual return before takes no memory
	k.last.Store(&stored)
}

// isUsed reports whether there is the access key or the role whose uses are kept.
func (s *Snapshot) isUsed(id string) bool {
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
				ON CONFLICT (id) DO UPDATE SET at = excluded.at, service = excluded.service, region = excluded.region`,
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
