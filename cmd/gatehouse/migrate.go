package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/migrate"
)

type migrateCommand struct {
	From        string `required:"" placeholder:"PATH" help:"The configuration file of the server as it is now, or its data folder if it has SQLite and local files."`
	To          string `required:"" placeholder:"PATH" help:"The configuration file with which the server is to go on, or a new data folder for SQLite and local files."`
	SkipDamaged bool   `help:"Leave out blobs that are missing or damaged, instead of failing at the end."`
	outputFlag  `embed:""`
}

// Help is what --help shows below the flags.
func (migrateCommand) Help() string {
	return `It copies the database and the blobs to where the other configuration says, in any direction between SQLite and PostgreSQL and between local files and S3. What is the same in both is left alone. All servers must be stopped. The source is not changed: keep it until the new installation has proven itself.

Rows and blobs are compared with the source by digest. If it is interrupted, run the same command again, which goes on where it was. Until it has finished, a server refuses the target.

Exit code: 0 done, 1 failed, 2 the command was typed wrongly.

Examples:

  cp gatehouse.yaml new.yaml      and set in new.yaml:  database: postgres://…
                                                        blobs: s3://bucket/prefix?region=…
  gatehouse config check new.yaml
  gatehouse migrate --from gatehouse.yaml --to new.yaml
  gatehouse serve --config new.yaml

  gatehouse migrate --from new.yaml --to /var/lib/gatehouse-local`
}

// Run migrates an installation.
func (c *migrateCommand) Run(ctx context.Context, stdout io.Writer, stderr messages) error {
	from, err := installationAt(c.From)
	if err != nil {
		return usageError{fmt.Errorf("--from: %w", err)}
	}
	to, err := installationAt(c.To)
	if err != nil {
		return usageError{fmt.Errorf("--to: %w", err)}
	}
	bars, end := newProgress(stderr)
	o := app.MigrateOptions{Progress: bars}
	if c.SkipDamaged {
		o.Damaged = migrate.LeaveOut
	}
	r, err := app.Migrate(ctx, from, to, o)
	end()
	if errors.Is(err, app.ErrSameStores) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if c.Output == outputJSON {
		return printJSON(stdout, r)
	}
	_, err = io.WriteString(stdout, migrated(r, c.To, to))
	return err
}

// installationAt reads a configuration file, or takes a folder for the data folder of a
// default configuration.
func installationAt(path string) (*config.Config, error) {
	cfg := config.Default()
	if info, err := os.Stat(path); err != nil && !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") || err == nil && info.IsDir() {
		cfg.Data = path
		return cfg, nil
	}
	return cfg, cfg.Read(path)
}

// migrated says what was done and what comes next.
func migrated(r *migrate.Result, path string, to *config.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "migrated %s in %s and %s of %s; both sides are the same\n", count(r.Rows, "row"), count(r.Tables, "table"), count(r.Objects, "blob"), size(r.Bytes))
	for _, d := range r.Damaged {
		fmt.Fprintf(&b, "left out: %s\n", d)
	}
	serve := "gatehouse serve --config " + path
	if to.Data == path {
		serve = "gatehouse serve --data " + path
	}
	fmt.Fprintf(&b, "Next: %s\n", serve)
	if to.Database != config.SQLite {
		fmt.Fprintf(&b, "Every server of the installation needs the same keyring: it is in %s/keyring.json unless you keep it elsewhere.\n", to.Data)
	}
	b.WriteString("Do not start a server on the old database any more: it would give out what the new one does not know. Keep its files until you are sure.\n")
	return b.String()
}
