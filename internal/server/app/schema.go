package app

import (
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/secrets"
	"github.com/gatehouse-registry/gatehouse/internal/server/signing"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Schema returns the migrations that a server applies when it starts. The databases'
// own, "db/…", are not among them. Commands that work on a database without a server
// need them; a test compares them with what a server has applied.
func Schema() []db.Migration {
	return slices.Concat(changefeed.Migrations(), iam.Migrations(), images.Migrations(), packages.Migrations(), work.Migrations(), keys.Migrations(), events.Migrations(), source.Migrations(), advisories.Migrations(), secrets.Migrations(), signing.Migrations())
}

// laterSchema returns the migrations that a server applies when something is used for
// the first time.
func laterSchema() []db.Migration {
	return db.InstallationMigrations()
}

// tablesOfServers are the tables of what runs: they are not needed when no server runs, and
// their positions are of the one database.
var tablesOfServers = []string{"change_feed", "change_reader", "keyring_server", "source_lease"}

// tableOfUploads has uploads that are not finished. Their bytes are not among the blobs.
const tableOfUploads = "image_upload"
