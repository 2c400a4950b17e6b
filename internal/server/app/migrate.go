package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
	"github.com/gatehouse-registry/gatehouse/internal/server/migrate"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// ErrSameStores means that both sides of a migration are the same.
var ErrSameStores = errors.New("the source and the target have the same database and the same blobs")

// MigrateOptions are how an installation is migrated.
type MigrateOptions struct {
	Damaged  migrate.DamagedBlobs
	Progress progress.Reporter
}

// Migrate moves an installation from the stores of one configuration to those of
// another. Its servers are stopped. See package migrate.
func Migrate(ctx context.Context, from, to *config.Config, o MigrateOptions) (result *migrate.Result, err error) {
	source, err := openStores(ctx, from, access{sqlite.Open, (*Stores).openView, checkStopped})
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	m := &migrationTarget{config: to, from: from, source: source}
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.open(ctx); err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	skipped := tablesOfServers
	if m.Blobs != nil { // otherwise uploads go on where they are
		skipped = append(slices.Clone(skipped), tableOfUploads)
	}
	plan, err := m.plan(ctx, skipped)
	if err != nil {
		return nil, err
	}
	return migrate.Run(ctx, migrate.Config{
		Plan: plan, From: migrate.Source{DB: source.db, Blobs: source.blobs}, To: m.Target,
		Damaged: o.Damaged, Progress: o.Progress,
	})
}

// planDir has the database by which a migration is planned. It is in the target's
// folder, so that a run removes what a killed one has left.
const planDir = "migrate-plan"

func (m *migrationTarget) plan(ctx context.Context, skipped []string) (plan *migrate.Plan, err error) {
	schema, err := m.source.schema(ctx)
	if err != nil {
		return nil, err
	}
	dir := m.path(planDir)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	scratch, err := sqlite.OpenScratch(ctx, filepath.Join(dir, "plan.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	return migrate.NewPlan(ctx, scratch, schema, skipped)
}

// schema returns the schema that the database has.
func (s *Stores) schema(ctx context.Context) ([]db.Migration, error) {
	if _, err := s.db.Installation(ctx); err != nil { // its migration is one of the later ones
		return nil, err
	}
	has, err := s.db.SchemaSteps(ctx)
	schema := Schema()
	for _, m := range laterSchema() {
		if slices.Contains(has, m.Name) {
			schema = append(schema, m)
		}
	}
	return schema, err
}

// A migrationTarget is where an installation moves.
type migrationTarget struct {
	migrate.Target
	config, from *config.Config
	source       *Stores
	folder       *DataFolder // nil if it is the source's
	bucket       *s3.Store   // nil for files
	closers      []func() error
}

func (m *migrationTarget) open(ctx context.Context) error {
	sameFolder, err := m.isSourceFolder()
	if err != nil {
		return err
	}
	sameDatabase := m.config.Database == m.from.Database && (sameFolder || m.config.Database != config.SQLite)
	sameBlobs := m.config.Blobs == m.from.Blobs && (sameFolder || m.config.Blobs != "")
	if sameDatabase && sameBlobs {
		return ErrSameStores
	}
	if !sameFolder {
		if m.folder, err = CreateDataFolder(m.config.Data); err != nil {
			return err
		}
		m.closers = append(m.closers, m.folder.Close)
	}
	m.Prepare = m.prepare
	if !sameDatabase {
		if err := m.openDatabase(ctx); err != nil {
			return err
		}
	}
	if !sameBlobs {
		return m.openBlobs(ctx)
	}
	return nil
}

func (m *migrationTarget) close() error {
	var errs []error
	for _, c := range slices.Backward(m.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// isSourceFolder reports whether both sides have the same data folder.
func (m *migrationTarget) isSourceFolder() (bool, error) {
	if m.source.folder == nil {
		return false, nil
	}
	source, err := os.Stat(m.source.folder.Path())
	if err != nil {
		return false, err
	}
	target, err := os.Stat(m.config.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(source, target), err
}

// path is the path of a file in the target's data folder.
func (m *migrationTarget) path(name string) string {
	if m.folder != nil {
		return m.folder.data.file(name)
	}
	return m.source.folder.data.file(name)
}

func (m *migrationTarget) openDatabase(ctx context.Context) (err error) {
	if m.config.Database == config.SQLite {
		m.DB, err = sqlite.Open(ctx, m.path(databaseFile))
	} else {
		m.DB, err = postgres.Open(ctx, m.config.Database)
	}
	if err == nil {
		m.closers = append(m.closers, m.DB.Close)
	}
	return err
}

func (m *migrationTarget) openBlobs(ctx context.Context) error {
	if m.config.Blobs == "" {
		store, err := local.Open(m.path(blobsDir), blobOptions(m.config)...)
		if err != nil {
			return err
		}
		m.Blobs, m.closers = store, append(m.closers, store.Close)
		return nil
	}
	bucket, err := s3.ParseURL(m.config.Blobs)
	if err != nil {
		return err
	}
	if m.bucket, err = s3.Open(ctx, bucket); err != nil {
		return err
	}
	m.Blobs, m.closers = m.bucket, append(m.closers, m.bucket.Close)
	if err := m.bucket.Check(ctx); err != nil {
		return err
	}
	owner, owned, err := m.bucket.Installation(ctx)
	if err != nil || !owned {
		return err
	}
	id, err := m.source.db.Installation(ctx)
	if err == nil && owner.ID != id {
		err = fmt.Errorf("%w: %s belongs to the installation %s. Choose another prefix", s3.ErrOwned, m.bucket, owner.ID)
	}
	return err
}

// prepare does what else the servers of the target need: the bucket becomes the
// installation's own, and the target's data folder gets the keyring.
func (m *migrationTarget) prepare(ctx context.Context) error {
	if m.bucket != nil {
		id, err := m.source.db.Installation(ctx)
		if err != nil {
			return err
		}
		if err := m.bucket.Claim(ctx, id); err != nil {
			return err
		}
	}
	if m.folder == nil || m.source.folder == nil || m.config.KeyringFile() != "" { // a mounted file is not written
		return nil
	}
	return m.copyKeyring()
}

// copyKeyring copies the source's keyring into the target's data folder. If the target
// has it in the database, the first start moves it there.
func (m *migrationTarget) copyKeyring() error {
	from, to := m.source.folder.KeyringFile(m.from), m.folder.data.file(keyringFile)
	if from == "" { // it is among the rows
		return nil
	}
	text, err := token.ReadPrivate(from, 0o037)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err = atomicfile.Create(to, text, 0o600); !errors.Is(err, fs.ErrExist) {
		return err
	}
	found, err := token.ReadPrivate(to, 0o077)
	if err == nil && !bytes.Equal(found, text) {
		err = fmt.Errorf("%w: %s has another keyring. Move it away", migrate.ErrNotEmpty, m.folder.Path())
	}
	return err
}
