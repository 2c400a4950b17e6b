package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/backup"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

type backupCommand struct {
	Dir         string `arg:"" help:"The backup folder. It is created if it does not exist."`
	dataFlags   `embed:""`
	Keep        int  `placeholder:"N" help:"Delete all but the newest N backups of the folder."`
	WithoutKeys bool `help:"Leave out keyring.json and the keys of tls/. Keep them elsewhere: without the keyring, every access key and token is lost."`
	Audit       bool `help:"Include the audit logs."`
	Copies      bool `help:"Copy blobs even if the backup folder is on the same file system, where they are linked otherwise."`
	outputFlag  `embed:""`
}

// Help is what --help shows below the flags.
func (backupCommand) Help() string {
	return `It is for installations on SQLite and local files, running or stopped. Each run makes a complete backup; blobs that the folder has already are not copied again. An interrupted run is continued by the next. Whoever can read the keyring in the backup can act as anyone, so protect the folder.

PostgreSQL and S3 are backed up by their own tools: docs/operations.md, "Backup of PostgreSQL and S3".

Exit code: 0 done, 1 failed, or blobs were damaged and are not in the backup; 2 the command was typed wrongly.

Examples:

  gatehouse backup --data /var/lib/gatehouse --keep 14 /mnt/backup/gatehouse
  gatehouse backup --config /etc/gatehouse/gatehouse.yaml --without-keys /mnt/backup/gatehouse`
}

// A backupReport is the answer for programs.
type backupReport struct {
	Generation string `json:"generation"`
	backup.Manifest
}

// Run makes a backup.
func (c *backupCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	if c.Keep < 0 {
		return usageError{fmt.Errorf("--keep %d: keep at least one", c.Keep)}
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	if cfg.Database != config.SQLite { // also if the folder has the file from before a migration
		return usageError{errors.New("the database is on PostgreSQL, which gatehouse backup does not cover; docs/operations.md, \"Backup of PostgreSQL and S3\", has the recipe")}
	}
	if cfg.Blobs != "" {
		return usageError{fmt.Errorf("the blobs are in %s, which gatehouse backup does not cover; docs/operations.md, \"Backup of PostgreSQL and S3\", has the recipe", cfg.Blobs)}
	}
	folder, err := app.OpenDataFolder(cfg.Data)
	if err != nil {
		return usageError{err}
	}
	if err := folder.CheckLog(); err != nil {
		folder.Close()
		return err
	}
	// A server may start meanwhile.
	if err := folder.Close(); err != nil {
		return err
	}
	source := backup.Source{Database: folder.Database(), Blobs: folder.Blobs(), Account: cfg.Account}
	if source.Files, err = folder.BackupFiles(cfg, !c.WithoutKeys, c.Audit); err != nil {
		return err
	}
	if c.Config != "" {
		source.Files["config/"+filepath.Base(c.Config)] = c.Config
	}
	if !c.WithoutKeys {
		source.Keyring = folder.KeyringFile(cfg)
	}
	bars, end := newProgress(stderr)
	g, err := backup.Create(ctx, source, c.Dir, backup.Options{Version: readVersion().Version, Now: now, Keep: c.Keep, Copies: c.Copies, Progress: bars})
	end()
	if err != nil {
		return err
	}
	if c.Output == outputJSON {
		err = printJSON(stdout, backupReport{g.Name, g.Manifest})
	} else {
		err = c.print(stdout, g)
	}
	if err == nil && g.Objects.Damaged > 0 {
		return errDenied
	}
	return err
}

func (c *backupCommand) print(w io.Writer, g *backup.Generation) error {
	o := g.Objects
	text := fmt.Sprintf("backup %s is complete: %s of %s, of which %s of %s are new\n", g.Name, count(o.Count, "blob"), size(o.Bytes), count(o.Added, "blob"), size(o.AddedBytes))
	if o.Linked > 0 {
		text += "The new blobs share their blocks with the data folder, since both are on one file system: copy the backup folder to another disk or machine as well.\n"
	}
	if g.HasKeyring() {
		text += "It has the keyring. Unless that is wrapped, whoever can read it can act as anyone.\n"
	} else {
		text += "It does not have the keyring. Without keyring.json every access key and token is lost, so keep a copy elsewhere.\n"
	}
	if o.Damaged > 0 {
		text += fmt.Sprintf("%s missing or damaged in the installation, and not in the backup. Run gatehouse verify, which names what is affected.\n", are(o.Damaged, "blob"))
	}
	_, err := io.WriteString(w, text)
	return err
}

// are is a number with its noun and verb.
func are(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return count(n, noun) + " are"
}
