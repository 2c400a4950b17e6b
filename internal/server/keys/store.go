package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A Store keeps the stored form of a keyring: a text of at most [token.MaxKeyFile]
// bytes. What it has confirmed survives a crash, and it has a whole text at any time.
type Store interface {
	// Load returns the text. The error is [fs.ErrNotExist] if there is none.
	Load(ctx context.Context) ([]byte, error)
	// Create stores the first text. The error is [fs.ErrExist] if there is one.
	Create(ctx context.Context, text []byte) error
	// Replace stores next in the place of former. The error is [ErrChanged] if
	// another text is stored.
	Replace(ctx context.Context, former, next []byte) error
	// Common reports whether the servers of a database have this store in common. A
	// file is each server's own.
	Common() bool
	// String says where the keyring is, for messages.
	String() string
}

// ErrChanged means that another program changed the keyring at the same time.
var ErrChanged = errors.New("the keyring was changed by another program at the same time: try again")

// A FileStore keeps a keyring in a file with mode 0600. One program at a time may
// replace it.
type FileStore struct {
	Path string
	// GroupReadable accepts a file that the group of its owner can read, as Kubernetes
	// mounts secrets for servers that do not run as root.
	GroupReadable bool
}

// Common is false.
func (*FileStore) Common() bool { return false }

func (s *FileStore) String() string { return s.Path }

// Load reads the file. It refuses one that others can read.
func (s *FileStore) Load(context.Context) ([]byte, error) {
	forbidden := fs.FileMode(0o077)
	if s.GroupReadable {
		forbidden = 0o037
	}
	return token.ReadPrivate(s.Path, forbidden)
}

// Create writes the file.
func (s *FileStore) Create(_ context.Context, text []byte) error {
	return atomicfile.Create(s.Path, text, 0o600)
}

// Replace replaces the file.
func (s *FileStore) Replace(ctx context.Context, former, next []byte) error {
	found, err := s.Load(ctx)
	if err != nil {
		return err
	}
	if !bytes.Equal(found, former) {
		return ErrChanged
	}
	return atomicfile.Replace(s.Path, next, 0o600)
}

// migrations are of the keyring in the database, and of the servers that use one.
var migrations = []db.Migration{{Name: "keyring/001", SQL: `
CREATE TABLE keyring (
	id      {int}   NOT NULL PRIMARY KEY, -- 1: there is one
	content {bytes} NOT NULL              -- wrapped
);
CREATE TABLE keyring_server (
	id       {text} NOT NULL PRIMARY KEY,
	host     {text} NOT NULL,
	revision {int}  NOT NULL, -- that it has loaded; 0 is none
	report   {int}  NOT NULL, -- the number of its last report
	seen     {int}  NOT NULL  -- when that was, by its own clock; for people
);
`}}

// Migrations are the schema of the package.
func Migrations() []db.Migration { return slices.Clone(migrations) }

// A DBStore keeps a keyring in the database, where it must be wrapped: whoever reads
// the database, or a backup of it, must not be able to act as anyone.
type DBStore struct{ DB *db.DB }

// NewDBStore returns the store in d after creating its table.
func NewDBStore(ctx context.Context, d *db.DB) (*DBStore, error) {
	return &DBStore{d}, d.Migrate(ctx, migrations...)
}

// Common is true.
func (*DBStore) Common() bool { return true }

func (*DBStore) String() string { return "the database" }

// Load reads the row.
func (s *DBStore) Load(ctx context.Context) ([]byte, error) { return loadRow(ctx, s.DB) }

func loadRow(ctx context.Context, q db.Querier) ([]byte, error) {
	text, err := db.One(ctx, q, db.Scalar[[]byte], `SELECT content FROM keyring WHERE id = 1`)
	if errors.Is(err, db.ErrNoRows) {
		return nil, fmt.Errorf("the keyring in the database: %w", fs.ErrNotExist)
	}
	return text, err
}

// Create inserts the row.
func (s *DBStore) Create(ctx context.Context, text []byte) error {
	if !Wrapped(text) {
		return errMustBeWrapped
	}
	return s.DB.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO keyring (id, content) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, text)
		if err == nil && n == 0 {
			err = fmt.Errorf("the keyring in the database: %w", fs.ErrExist)
		}
		return err
	})
}

// Replace updates the row.
func (s *DBStore) Replace(ctx context.Context, former, next []byte) error {
	if !Wrapped(next) {
		return errMustBeWrapped
	}
	return s.DB.Tx(ctx, func(tx *db.Tx) error {
		found, err := loadRow(ctx, tx)
		if err != nil {
			return err
		}
		if !bytes.Equal(found, former) {
			return ErrChanged
		}
		_, err = tx.Exec(ctx, `UPDATE keyring SET content = $1 WHERE id = 1`, next)
		return err
	})
}

var errMustBeWrapped = errors.New("a keyring in the database must be wrapped: set GATEHOUSE_KEYRING_KEY, keyring_wrapping.key_file, or keyring_wrapping.wrap and .unwrap")
