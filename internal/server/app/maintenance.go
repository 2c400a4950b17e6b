package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
	"github.com/gatehouse-registry/gatehouse/internal/server/migrate"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
	"github.com/gatehouse-registry/gatehouse/internal/server/verify"
)

// ErrUnfinished means that a data folder is being restored or migrated, and was not
// finished.
var ErrUnfinished = errors.New("the data folder is not complete")

// A DataFolder is the data folder of an installation, opened by a command beside or
// instead of a server.
type DataFolder struct {
	data *dataDir
	// Served is true if a server uses the folder. It may be read then, and must not
	// be changed. Otherwise no server starts on it until it is closed.
	Served bool
}

// OpenDataFolder opens a data folder that exists.
func OpenDataFolder(path string) (*DataFolder, error) {
	if _, err := os.Stat(filepath.Join(path, databaseFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s has no %s: name the data folder of the server with --data or its configuration file with --config", path, databaseFile)
		}
		return nil, err
	}
	return lockDataFolder(path)
}

// CreateDataFolder creates a data folder, or opens one, that no server uses.
func CreateDataFolder(path string) (*DataFolder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	f, err := lockDataFolder(path)
	if err == nil && f.Served {
		err = errors.Join(fmt.Errorf("%w: %s; stop that process first", ErrDataInUse, path), f.Close())
	}
	return f, err
}

func lockDataFolder(path string) (*DataFolder, error) {
	abs, err := absolute(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	d := &dataDir{
		path: abs, root: root,
		lock:   flock.New(filepath.Join(abs, lockFile), flock.SetPermissions(0o600)),
		folder: flock.New(abs, flock.SetFlag(os.O_RDONLY)),
	}
	err = d.takeLocks()
	if errors.Is(err, ErrDataInUse) {
		return &DataFolder{data: d, Served: true}, nil
	}
	if err != nil {
		return nil, errors.Join(err, d.lock.Close(), d.folder.Close(), root.Close())
	}
	return &DataFolder{data: d}, nil
}

// Close releases the folder.
func (f *DataFolder) Close() error {
	return errors.Join(f.data.folder.Close(), f.data.lock.Close(), f.data.root.Close())
}

// Path is the absolute path of the folder.
func (f *DataFolder) Path() string { return f.data.path }

// Database is the path of the SQLite file. Only SQLite must open it while the folder is
// served by this process.
func (f *DataFolder) Database() string { return f.data.file(databaseFile) }

// CheckLog returns an error if the write-ahead log beside the database is another one's.
func (f *DataFolder) CheckLog() error {
	if f.Served {
		return nil // the server has checked it
	}
	return explainForeignLog(f.data, sqlite.CheckLog(f.Database()))
}

// Blobs is the path of the blob store.
func (f *DataFolder) Blobs() string { return f.data.file(blobsDir) }

// KeyringFile is the path of the keyring that the setting keyring says, or "" if it is in
// the database.
func (f *DataFolder) KeyringFile(c *config.Config) string {
	if c.Keyring == config.InDatabase {
		return ""
	}
	return keyringFileStore(c, f.data).Path
}

// BackupFiles are further files that a backup has, by their names in it: the keys and
// certificates of the local authority, and the audit log if it is wanted.
func (f *DataFolder) BackupFiles(c *config.Config, withKeys, withAudit bool) (map[string]string, error) {
	files := map[string]string{}
	var patterns []string
	if withKeys {
		patterns = append(patterns, "tls/*.pem")
	}
	if withAudit && c.Audit != "-" {
		patterns = append(patterns, "audit*.jsonl")
	}
	for _, pattern := range patterns {
		found, err := fs.Glob(f.data.root.FS(), pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			files[name] = f.data.file(name)
		}
	}
	return files, nil
}

// Stores are the database and the blobs of an installation, opened by a command.
type Stores struct {
	folder    *DataFolder // nil if there is none
	db        *db.DB
	structure func(context.Context, db.Querier) ([]string, error) // nil on PostgreSQL
	blobs     verify.Objects
	store     blob.Store // nil if files are open for reading only
	keyring   *token.Keyring
	closers   []func() error
}

// ErrOldSchema means that the database is of an older version of the program.
var ErrOldSchema = errors.New("the database is of an older version of Gatehouse")

// OpenStores opens the stores of an installation for reading, which is possible while
// its server runs.
func OpenStores(ctx context.Context, c *config.Config) (*Stores, error) {
	return openStores(ctx, c, access{sqlite.OpenReadOnly, (*Stores).openView, func(context.Context, *Stores) error { return nil }})
}

// OpenStoresForRepair opens the stores of an installation whose server is stopped.
func OpenStoresForRepair(ctx context.Context, c *config.Config) (*Stores, error) {
	return openStores(ctx, c, access{sqlite.Open, (*Stores).openFiles, checkStopped})
}

// An access is how a command opens the stores.
type access struct {
	sqlite func(ctx context.Context, file string) (*db.DB, error)
	blobs  func(s *Stores, c *config.Config) error
	// check returns an error if a server runs and must not. It is called before and
	// after the database is opened.
	check func(ctx context.Context, s *Stores) error
}

func openStores(ctx context.Context, c *config.Config, a access) (s *Stores, err error) {
	s = new(Stores)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openFolder(c); err != nil {
		return s, err
	}
	if err := a.check(ctx, s); err != nil { // opening the file for changes disturbs a server
		return s, err
	}
	if c.Database == config.SQLite {
		s.db, err = a.sqlite(ctx, s.folder.Database())
		s.structure = sqlite.CheckStructure
	} else {
		s.db, err = openExistingPostgres(ctx, c.Database)
	}
	if err != nil {
		return s, s.explain(err)
	}
	s.closers = append(s.closers, s.db.Close)
	if err := errors.Join(migrate.CheckFinished(ctx, s.db), checkSchemaIsCurrent(ctx, s.db), a.check(ctx, s)); err != nil {
		return s, s.explain(err)
	}
	if c.Blobs != "" {
		err = s.openBucket(ctx, c)
	} else {
		err = a.blobs(s, c)
	}
	if err == nil && s.folder != nil {
		s.keyring, err = storedKeyring(ctx, c, s.folder.data, s.db)
	}
	return s, err
}

// openFolder opens the data folder. A server on PostgreSQL and S3 needs none for its
// stores.
func (s *Stores) openFolder(c *config.Config) (err error) {
	if c.Database == config.SQLite {
		s.folder, err = OpenDataFolder(c.Data)
	} else {
		if _, err := os.Stat(c.Data); errors.Is(err, fs.ErrNotExist) && c.Blobs != "" {
			return nil
		}
		s.folder, err = lockDataFolder(c.Data)
	}
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.folder.Close)
	if c.Database == config.SQLite {
		err = s.folder.CheckLog()
	}
	return errors.Join(s.folder.data.checkFinished(), err)
}

// openExistingPostgres opens a PostgreSQL database that has an installation.
func openExistingPostgres(ctx context.Context, url string) (*db.DB, error) {
	has, err := postgres.HasData(ctx, url)
	if err != nil {
		return nil, err
	}
	if !has {
		return nil, fmt.Errorf("%s has no table of Gatehouse: check the server, the database and the schema", postgres.Redact(url))
	}
	return postgres.Open(ctx, url)
}

func (s *Stores) explain(err error) error {
	if s.folder == nil {
		return err
	}
	return s.folder.data.explainDamage(err)
}

// checkStopped returns an error if a server runs.
func checkStopped(ctx context.Context, s *Stores) error {
	served := s.folder != nil && s.folder.Served
	if !served && s.db != nil && s.db.Shared() {
		var err error
		if served, err = changefeed.IsServed(ctx, s.db); err != nil {
			return err
		}
	}
	if served {
		return fmt.Errorf("%w: stop the server first, or all of them if there are several", ErrDataInUse)
	}
	return nil
}

// openFiles opens the store of files for changes.
func (s *Stores) openFiles(c *config.Config) error {
	store, err := local.Open(s.folder.Blobs(), blobOptions(c)...)
	if err != nil {
		return err
	}
	s.store, s.closers = store, append(s.closers, store.Close)
	return s.openView(c)
}

// openView opens the store of files for reading.
func (s *Stores) openView(*config.Config) error {
	if err := os.MkdirAll(s.folder.Blobs(), 0o700); err != nil { // a new installation has none
		return err
	}
	view, err := local.OpenView(s.folder.Blobs())
	if err != nil {
		return err
	}
	s.blobs, s.closers = view, append(s.closers, view.Close)
	return nil
}

func (s *Stores) openBucket(ctx context.Context, c *config.Config) error {
	bucket, err := s3.ParseURL(c.Blobs)
	if err != nil {
		return err
	}
	store, err := s3.Open(ctx, bucket)
	if err != nil {
		return err
	}
	s.store, s.blobs, s.closers = store, store, append(s.closers, store.Close)
	return nil
}

// Close closes the stores.
func (s *Stores) Close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// Verification returns what package verify needs to verify the stores.
func (s *Stores) Verification() verify.Config {
	c := verify.Config{DB: s.db, Blobs: s.blobs, Store: s.store, Structure: s.structure}
	if s.keyring != nil {
		c.Keyring = s.keyring
	}
	return c
}

// checkSchemaIsCurrent returns an error unless the database has exactly the schema of
// this program, since it is read without being migrated.
func checkSchemaIsCurrent(ctx context.Context, d *db.DB) error {
	has, err := d.SchemaSteps(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, m := range Schema() {
		if !slices.Contains(has, m.Name) {
			missing = append(missing, m.Name)
		}
	}
	for _, m := range slices.Concat(Schema(), laterSchema()) {
		has = slices.DeleteFunc(has, func(name string) bool { return name == m.Name || strings.HasPrefix(name, "db/") })
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("%w: it does not have the schema steps %s. Start the server of this version once, or use the version that the server has", ErrOldSchema, strings.Join(missing, ", "))
	case len(has) > 0:
		return fmt.Errorf("%w: it has the schema steps %s. Use the version that the server has", db.ErrNewerSchema, strings.Join(has, ", "))
	}
	return nil
}
