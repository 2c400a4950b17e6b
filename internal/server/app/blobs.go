package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

// A blobStore is the store of the configuration.
type blobStore interface {
	blob.Store
	Metrics() []prometheus.Collector
	Close() error
}

// ErrLostBlobs means that the database names blobs and the store has none, as if a
// file system is not mounted or another bucket is configured. Everything would seem to
// be missing, and what clients push again would go to the wrong place.
var ErrLostBlobs = errors.New("the blobs are missing")

// openBlobs opens the store of the configuration. It is called before the database is
// opened, which may create one.
func (p *components) openBlobs(ctx context.Context) (err error) {
	if p.config.Blobs == "" {
		p.blobs, err = local.Open(p.data.file(blobsDir), blobOptions(p.config)...)
		return err
	}
	c, err := s3.ParseURL(p.config.Blobs)
	if err != nil {
		return err
	}
	c.Redirect = p.redirectsDownloads(c)
	store, err := s3.Open(ctx, c)
	if err == nil {
		err = store.Check(ctx)
	}
	if err == nil {
		err = p.checkOwner(ctx, store)
	}
	p.blobs = store
	return err
}

// blobOptions are the settings of the store of files.
func blobOptions(c *config.Config) []local.Option {
	if c.DiskReserve == nil {
		return nil
	}
	return []local.Option{local.WithReserve(int64(*c.DiskReserve))}
}

// redirectsDownloads reports whether clients are sent to the bucket. HTTP clients drop
// their credentials when they are redirected to another host. But Go's client, which is
// in docker and podman, keeps them if that host is below the first one or differs only
// in its port, and S3 refuses a request that has them beside the signed address.
func (p *components) redirectsDownloads(c s3.Config) bool {
	if p.config.Downloads == "stream" {
		return false
	}
	base, err := url.Parse(p.addresses.URL())
	keeps := err == nil && isHostWithin(c.DownloadHost(), base.Hostname())
	if keeps && p.config.Downloads == "redirect" {
		p.log.Warn("clients may send their credentials to the object store, which refuses them; give it a host that is not below this server's, or set downloads: stream",
			"store", c.DownloadHost(), "server", base.Hostname())
		return true
	}
	return !keeps
}

// isHostWithin reports whether a host is another one or below it.
func isHostWithin(host, other string) bool {
	host, other = strings.ToLower(host), strings.ToLower(other)
	return host != "" && other != "" && (host == other || strings.HasSuffix(host, "."+other))
}

// checkOwner returns ErrLostDatabase if the bucket is in use and this server has no
// database file at all: it would create an empty one. A new server on PostgreSQL has
// none; claimBucket compares its database with the bucket.
func (p *components) checkOwner(ctx context.Context, store *s3.Store) error {
	if p.config.Database != config.SQLite {
		return nil
	}
	owner, owned, err := store.Installation(ctx)
	if err != nil || !owned {
		return err
	}
	has, err := sqlite.HasData(p.data.file(databaseFile))
	if err != nil || has {
		return err
	}
	return fmt.Errorf(`%w: %s does not exist, but the bucket %s belongs to the installation %s. `+
		`To restore it, put %s and %s of your latest backup there: docs/operations.md, "Lost database", says how. `+
		`To start an empty installation on purpose, choose another prefix in the bucket`,
		ErrLostDatabase, p.data.file(databaseFile), store, owner.ID, databaseFile, keyringFile)
}

// checkBlobs makes sure that the store belongs to the database.
func (p *components) checkBlobs(ctx context.Context) error {
	named, err := p.namesBlobs(ctx)
	if err != nil {
		return err
	}
	if store, ok := p.blobs.(*s3.Store); ok {
		return p.claimBucket(ctx, store, named)
	}
	// The first write to a store creates its folders, so a database that names objects
	// has had some.
	exists, err := local.Exists(p.data.file(blobsDir))
	if err != nil || exists || !named {
		return err
	}
	return fmt.Errorf(`%w: the database names blobs, but %s has none of their folders. `+
		`Check whether a file system is not mounted, or whether the setting blobs is missing, or restore the folder from a backup. `+
		`If the blobs are lost, create the folder %s and start again; docs/operations.md, "Lost blobs", says more`,
		ErrLostBlobs, p.data.file(blobsDir), p.data.file(blobsDir+"/aside"))
}

// namesBlobs reports whether the database names any object of the store.
func (p *components) namesBlobs(ctx context.Context) (bool, error) {
	for _, holds := range []func(context.Context) (bool, error){p.images.HoldsObjects, p.packages.HoldsObjects} {
		if has, err := holds(ctx); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// claimBucket makes the bucket the database's own, unless it is another one's or has
// lost what the database names.
func (p *components) claimBucket(ctx context.Context, store *s3.Store, named bool) error {
	id, err := p.db.Installation(ctx)
	if err != nil {
		return err
	}
	owner, owned, err := store.Installation(ctx)
	if err != nil {
		return err
	}
	switch {
	case owned && owner.ID != id:
		return fmt.Errorf(`%w: %s belongs to the installation %s, and the database to %s. `+
			`If the database is new, it should not be: restore the one of %s. If the database is the right one, correct the setting blobs`,
			s3.ErrOwned, store, owner.ID, id, owner.ID)
	case owned:
		return nil
	case named:
		return fmt.Errorf(`%w: the database names blobs, and %s has never been its bucket, since it has no installation.json. Correct the setting blobs, or copy the blobs there. `+
			`If it is the right bucket and the blobs are lost, write {"id":%q,"format":1} to installation.json there and start again; docs/operations.md, "Lost blobs", says more`,
			ErrLostBlobs, store, id)
	}
	empty, err := store.IsEmpty(ctx)
	if err != nil {
		return err
	}
	if !empty {
		return fmt.Errorf("%w: %s has blobs that the database does not know, and no installation.json. Choose another prefix, or restore the database that belongs to them", ErrLostDatabase, store)
	}
	return store.Claim(ctx, id)
}
