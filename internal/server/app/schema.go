package app

import (
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Schema returns the migrations of all domains, which a server applies when it starts.
// The databases' own, "db/…", are not among them. Commands that work on a database
// without a server need them; a test compares them with what a server has applied.
func Schema() []db.Migration {
	return slices.Concat(changefeed.Migrations(), iam.Migrations(), images.Migrations(), packages.Migrations(), work.Migrations(), keys.Migrations())
}
