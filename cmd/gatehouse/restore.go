package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/backup"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

type restoreCommand struct {
	Dir        string `arg:"" help:"The backup folder."`
	To         string `placeholder:"DIR" help:"The data folder to restore to (${default_data}). It must not exist, or be empty."`
	Generation string `placeholder:"NAME" help:"The backup to restore, as --list shows it (the newest)."`
	List       bool   `help:"List the backups of the folder and restore none."`
	outputFlag `embed:""`
}

// Help is what --help shows below the flags.
func (restoreCommand) Help() string {
	return `Everything is verified by its digest. An interrupted restore is continued by the same command; until it is complete, a server refuses the data folder.

Exit code: 0 done, 1 failed, or blobs are damaged in the backup and were not restored; 2 the command was typed wrongly.

Examples:

  gatehouse restore --list /mnt/backup/gatehouse
  gatehouse restore /mnt/backup/gatehouse --to /var/lib/gatehouse
  gatehouse restore /mnt/backup/gatehouse --generation 20261130T021500Z --to /var/lib/gatehouse`
}

// Run restores a backup.
func (c *restoreCommand) Run(ctx context.Context, stdout io.Writer, stderr messages) error {
	if c.List {
		return c.list(stdout)
	}
	if c.To == "" {
		c.To = config.Default().Data
	}
	if _, err := backup.List(c.Dir); err != nil { // before anything is created
		return usageError{err}
	}
	folder, err := app.CreateDataFolder(c.To)
	if err != nil {
		return err
	}
	defer folder.Close()
	bars, end := newProgress(stderr)
	r, err := backup.Restore(ctx, c.Dir, c.Generation, folder.Path(), bars)
	end()
	if errors.Is(err, backup.ErrNoBackup) || errors.Is(err, backup.ErrNotEmpty) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if c.Output == outputJSON {
		err = printJSON(stdout, struct {
			Generation   string                 `json:"generation"`
			Data         string                 `json:"data"`
			Objects      int64                  `json:"objects"`
			DamagedCount int64                  `json:"damagedCount"`
			Damaged      []backup.DamagedObject `json:"damaged,omitempty"`
		}{r.Generation.Name, folder.Path(), r.Generation.Objects.Count, r.DamagedCount, r.Damaged})
	} else {
		_, err = io.WriteString(stdout, restored(r, folder))
	}
	if err == nil && r.DamagedCount > 0 {
		return errDenied
	}
	return err
}

// restored says what was restored and what to do next.
func restored(r *backup.Restored, folder *app.DataFolder) string {
	g := r.Generation
	text := fmt.Sprintf("restored the backup %s, made at %s by version %s: %s\n", g.Name, g.Created.Format("2006-01-02 15:04:05 MST"), g.Version, count(g.Objects.Count-r.DamagedCount, "blob"))
	if r.DamagedCount > 0 {
		text += fmt.Sprintf("%s missing or damaged in the backup. gatehouse verify names what is affected; push or publish it again.\n", are(r.DamagedCount, "blob"))
	}
	if !g.HasKeyring() {
		text += fmt.Sprintf("The backup does not have the keyring. Copy the keyring.json that belongs to it to %s, with mode 0600, before you start the server.\n", folder.KeyringFile(config.Default()))
	}
	text += fmt.Sprintf("Next: gatehouse serve --data %s", folder.Path())
	if g.Account != "" && g.Account != config.Default().Account {
		text += " --account " + g.Account
	}
	return text + ", with the configuration that the server had.\nWhat was pushed, and which tokens and sessions were revoked, after the backup was made is not known to it.\n"
}

func (c *restoreCommand) list(stdout io.Writer) error {
	list, err := backup.List(c.Dir)
	if errors.Is(err, backup.ErrNoBackup) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if c.Output == outputJSON {
		reports := []backupReport{}
		for _, g := range list {
			reports = append(reports, backupReport{g.Name, g.Manifest})
		}
		return printJSON(stdout, reports)
	}
	var errs []error
	for _, g := range list {
		keys := "with the keyring"
		if !g.HasKeyring() {
			keys = "without the keyring"
		}
		_, err := fmt.Fprintf(stdout, "%s  %s, %s, %s, version %s\n", g.Name, count(g.Objects.Count, "blob"), size(g.Objects.Bytes), keys, g.Version)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
