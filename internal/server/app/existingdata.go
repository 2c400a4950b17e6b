package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

const (
	databaseFile = "gatehouse.db"
	keyringFile  = "keyring.json"
	blobsDir     = "blobs"
)

// ErrLostDatabase means that the data folder has the rest of an installation but
// no database. A new database would be empty, and nothing would know what the
// blobs are any more.
var ErrLostDatabase = errors.New("the database is missing or empty")

// checkDatabase returns ErrLostDatabase if the folder has a keyring or blobs but
// no database. Call it before the database is opened, which creates one.
func (d *dataDir) checkDatabase() error {
	has, err := sqlite.HasData(d.file(databaseFile))
	if err != nil || has {
		return err
	}
	rest := d.restOfInstallation()
	if len(rest) == 0 {
		return nil
	}
	return fmt.Errorf(`%w: %s, but the folder has %s of an earlier installation. `+
		`To restore it, put %s of your latest backup there: docs/operations.md, "Lost database", says how. `+
		`If it has moved to PostgreSQL, set "database" to its URL. `+
		`To start with an empty installation on purpose, move %s out of the folder, or choose another folder with --data`,
		ErrLostDatabase, d.file(databaseFile), strings.Join(rest, " and "), databaseFile, strings.Join(rest, " and "))
}

// restOfInstallation names what an installation keeps in the folder beside a
// database.
func (d *dataDir) restOfInstallation() []string {
	var rest []string
	if _, err := d.root.Lstat(keyringFile); err == nil {
		rest = append(rest, keyringFile)
	}
	if has, err := local.HasObjects(d.file(blobsDir)); has || err != nil { // what cannot be read may be blobs
		rest = append(rest, blobsDir)
	}
	return rest
}

// openDatabase opens the configured database, or creates its content at the first
// start.
func (d *dataDir) openDatabase(ctx context.Context, database string) (*db.DB, error) {
	if database == config.SQLite {
		return d.openSQLite(ctx)
	}
	return d.openPostgres(ctx, database)
}

// openPostgres opens a PostgreSQL database. The error is ErrLostDatabase if the
// database is empty and the folder is not.
func (d *dataDir) openPostgres(ctx context.Context, url string) (*db.DB, error) {
	has, err := postgres.HasData(ctx, url)
	if err != nil {
		return nil, err
	}
	rest := d.restOfInstallation()
	if !has && len(rest) > 0 {
		return nil, fmt.Errorf(`%w: %s has no table of Gatehouse, but the folder %s has %s of an earlier installation. `+
			`Check that "database" names the right server, database and schema. `+
			`If it does, restore the database from a backup, or move the installation there with gatehouse migrate. `+
			`To start with an empty installation on purpose, move %s out of the folder, or choose another folder with --data`,
			ErrLostDatabase, postgres.Redact(url), d.path, strings.Join(rest, " and "), strings.Join(rest, " and "))
	}
	return postgres.Open(ctx, url)
}

// openSQLite opens the database file of the folder, or creates it.
func (d *dataDir) openSQLite(ctx context.Context) (*db.DB, error) {
	if err := d.checkDatabase(); err != nil {
		return nil, err
	}
	opened, err := sqlite.Open(ctx, d.file(databaseFile))
	return opened, explainForeignLog(d, err)
}

// explainForeignLog adds the way out to an ErrForeignLog.
func explainForeignLog(d *dataDir, err error) error {
	if !errors.Is(err, sqlite.ErrForeignLog) {
		return err
	}
	return fmt.Errorf(`%w. This happens if a backup is copied over %s while %s-wal or %s-journal of a process that did not stop cleanly is still there. `+
		`If you restored a backup, remove %s-wal, %s-shm and %s-journal and start again: what they hold does not fit the backup. `+
		`If you did not, put back the %s that was there before`,
		err, d.file(databaseFile), databaseFile, databaseFile, databaseFile, databaseFile, databaseFile, databaseFile)
}

// explainDamage adds the way out to an error that says that the database is damaged.
func (d *dataDir) explainDamage(err error) error {
	if !sqlite.IsDamaged(err) {
		return err
	}
	return fmt.Errorf(`%w. %s is damaged: restore it from a backup as docs/operations.md, "Damaged database", says, and keep the damaged file and its -wal aside until you have what you need`, err, d.file(databaseFile))
}

// checkAccount refuses to serve an existing folder for an account that it does not
// have: with a wrong or forgotten --account everything would look gone, and a
// second installation would begin in the same folder.
func (p *components) checkAccount(ctx context.Context) error {
	existing, err := p.iam.Accounts(ctx)
	if err != nil || len(existing) == 0 || slices.Contains(existing, p.config.Account) {
		return err
	}
	return fmt.Errorf(`%w: %s belongs to the account %s, not to %s. Start with --account %s (or "account" in the configuration file). `+
		`To add %s to it, name it under "accounts" in the configuration file. For a separate installation choose another folder with --data`,
		ErrConfiguration, p.data.path, strings.Join(existing, ", "), p.config.Account, existing[0], p.config.Account)
}

// databaseEngine is the name of the configured engine.
func databaseEngine(c *config.Config) string {
	if c.Database == config.SQLite {
		return "sqlite"
	}
	return "postgresql"
}
