package packages

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strconv"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// Each change of a version writes an event in its transaction (CodeArtifact User Guide,
// "CodeArtifact event format and example"). A change of tags is none, and neither is the
// deletion of a whole repository.

// The operations of an event.
const (
	versionCreated = "Created"
	versionUpdated = "Updated"
	versionDeleted = "Deleted"
)

// A versionEvent is what an event says about a version. Its members are those of AWS.
type versionEvent struct {
	DomainName              string         `json:"domainName"`
	DomainOwner             string         `json:"domainOwner"`
	RepositoryName          string         `json:"repositoryName"`
	RepositoryAdministrator string         `json:"repositoryAdministrator"`
	PackageFormat           Format         `json:"packageFormat"`
	PackageNamespace        *string        `json:"packageNamespace"`
	PackageName             string         `json:"packageName"`
	PackageVersion          string         `json:"packageVersion"`
	PackageVersionState     Status         `json:"packageVersionState"` // of a deleted version: its last one
	PackageVersionRevision  string         `json:"packageVersionRevision"`
	Changes                 versionChanges `json:"changes"`
	OperationType           string         `json:"operationType"`
	// SequenceNumber grows with each event about the package in the repository, with
	// gaps. It begins anew if the package was deleted.
	SequenceNumber       int64  `json:"sequenceNumber"`
	EventDeduplicationID string `json:"eventDeduplicationId"`
}

// versionChanges say what changed. Sidecars are not assets.
type versionChanges struct {
	AssetsAdded     int  `json:"assetsAdded"`
	AssetsRemoved   int  `json:"assetsRemoved"`
	AssetsUpdated   int  `json:"assetsUpdated"` // an asset never gets other bytes: always 0
	MetadataUpdated bool `json:"metadataUpdated"`
	StatusChanged   bool `json:"statusChanged"`
}

// announce writes the event of a change that was made to a version. operation is one of the
// constants; version is as it was published, and state is the state after the change.
func (c *packageChange) announce(ctx context.Context, tx *db.Tx, operation, version string, state VersionState, changes versionChanges) error {
	if c.service.events == nil {
		return nil
	}
	if c.announced { // a number for each event of the change
		c.row.seq++
	}
	c.announced = true
	r, id := c.repository, c.id
	id.Name = c.row.name
	detail := versionEvent{
		DomainName: r.id.Domain.Name, DomainOwner: r.id.Domain.Owner, RepositoryName: r.id.Name, RepositoryAdministrator: r.administrator,
		PackageFormat: id.Format, PackageName: id.Name, PackageVersion: version,
		PackageVersionState: state.Status, PackageVersionRevision: state.Revision,
		Changes: changes, OperationType: operation,
		SequenceNumber: c.row.seq, EventDeduplicationID: deduplicationID(c.row),
	}
	if id.Namespace != "" {
		detail.PackageNamespace = &id.Namespace
	}
	return c.service.events.Write(ctx, tx, events.Event{
		Source: "aws.codeartifact", DetailType: "CodeArtifact Package Version State Change",
		Account: r.administrator, Region: r.id.Domain.Region, Time: c.at,
		Resources: []string{r.id.PackageARN(id)}, Detail: detail,
		Domain: r.id.Domain.Name, Repository: r.id.Name,
	})
}

// announcePublished is announce for a publication that changed a version.
func (w *publishTx) announcePublished(ctx context.Context, tx *db.Tx, before versionRow, fresh []StagedAsset) error {
	changes := versionChanges{MetadataUpdated: before.isNew || w.Metadata != nil || w.Description != nil, StatusChanged: before.status != w.published.Status}
	for _, a := range fresh {
		if a.Beside == "" {
			changes.AssetsAdded++
		}
	}
	operation := versionUpdated
	if before.isNew {
		operation = versionCreated
	}
	return w.announce(ctx, tx, operation, w.published.Version, VersionState{w.published.Revision, w.published.Status}, changes)
}

// announceReplaced is announce for a version whose assets and metadata are those of another one now.
// former is its status before; empty if the version is new.
func (c *packageChange) announceReplaced(ctx context.Context, tx *db.Tx, key string, former Status, removed int) error {
	if c.service.events == nil {
		return nil
	}
	added, err := db.One(ctx, tx, db.Scalar[int], `SELECT count(*) FROM pkg_asset WHERE package = $1 AND version_key = $2 AND beside = ''`, c.row.id, key)
	if err != nil {
		return err
	}
	version, state, err := c.stored(ctx, tx, key)
	if err != nil {
		return err
	}
	operation := versionUpdated
	if former == "" {
		operation = versionCreated
	}
	return c.announce(ctx, tx, operation, version, state, versionChanges{
		AssetsAdded: added, AssetsRemoved: removed, MetadataUpdated: true, StatusChanged: state.Status != former,
	})
}

// announceRetained is announce for a version that was retained, or that assets joined.
func (c *packageChange) announceRetained(ctx context.Context, tx *db.Tx, key string, isNew bool, added int) error {
	operation := versionUpdated
	if isNew {
		operation = versionCreated
	}
	return c.announceStored(ctx, tx, operation, key, versionChanges{AssetsAdded: added, MetadataUpdated: isNew, StatusChanged: isNew})
}

// announceStored is announce for a version whose row has the state.
func (c *packageChange) announceStored(ctx context.Context, tx *db.Tx, operation, key string, changes versionChanges) error {
	if c.service.events == nil {
		return nil
	}
	version, state, err := c.stored(ctx, tx, key)
	if err != nil {
		return err
	}
	return c.announce(ctx, tx, operation, version, state, changes)
}

// stored returns the spelling and the state of a version.
func (c *packageChange) stored(ctx context.Context, tx *db.Tx, key string) (version string, s VersionState, err error) {
	s, err = db.One(ctx, tx, func(r db.Row) (s VersionState, err error) {
		err = r.Scan(&version, &s.Revision, &s.Status)
		return s, err
	}, `SELECT version, revision, status FROM pkg_version WHERE package = $1 AND version_key = $2`, c.row.id, key)
	return version, s, err
}

// deduplicationID is the same for the same event only.
func deduplicationID(row *packageRow) string {
	sum := sha256.Sum256([]byte(row.id + "/" + strconv.FormatInt(row.seq, 10)))
	return base64.StdEncoding.EncodeToString(sum[:])
}
