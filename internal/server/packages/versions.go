package packages

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Selection names versions of a package for an operation that may succeed for some
// versions and fail for others.
type Selection struct {
	// Versions are at most 100.
	Versions []string
	// Revisions are the revisions that the caller expects, version → revision. A
	// version with another revision is not changed.
	Revisions map[string]string
	// Expected is the status that the caller expects; empty means any.
	Expected Status
}

// maxSelected is the maximum number of versions of one operation (CodeArtifact API
// Reference, PackageVersionList).
const maxSelected = 100

// An Outcome is the result of an operation for each version, as the caller wrote it.
type Outcome struct {
	Successful map[string]VersionState
	Failed     map[string]VersionError
}

// A VersionState is the state of a version after the operation.
type VersionState struct {
	Revision string
	Status   Status
}

// A VersionError says why a version was not changed. It is an error.
type VersionError struct {
	// Code is one of the API's PackageVersionErrorCode: NOT_FOUND,
	// MISMATCHED_REVISION, MISMATCHED_STATUS, NOT_ALLOWED, ALREADY_EXISTS, SKIPPED.
	Code    string
	Message string
}

// UpdateVersionsStatus sets the status of versions to Published, Unlisted or
// Archived. A disposed version cannot come back.
// codeartifact:UpdatePackageVersionsStatus on the package.
func (s *Service) UpdateVersionsStatus(ctx context.Context, repo RepositoryID, id PackageID, sel Selection, target Status) (Outcome, error) {
	if target != Published && target != Unlisted && target != Archived {
		return Outcome{}, invalid("A status can be set to Published, Unlisted or Archived, not to %q.", target)
	}
	change := versionsChange{action: "codeartifact:UpdatePackageVersionsStatus", allOrNone: true}
	change.do = func(tx *db.Tx, c *packageChange, v versionRow) (VersionState, error) {
		if v.status == Disposed {
			return VersionState{}, notAllowed("A Disposed version has no assets any more and can only be deleted.")
		}
		return c.setStatus(ctx, tx, v, target, 0)
	}
	return s.changeVersions(ctx, change, repo, id, sel)
}

// DisposeVersions removes the assets of versions for good and keeps the rest.
// codeartifact:DisposePackageVersions on the package.
func (s *Service) DisposeVersions(ctx context.Context, repo RepositoryID, id PackageID, sel Selection) (Outcome, error) {
	change := versionsChange{action: "codeartifact:DisposePackageVersions", allOrNone: true}
	change.do = func(tx *db.Tx, c *packageChange, v versionRow) (VersionState, error) {
		assets, err := c.dropAssets(ctx, tx, v.key)
		if err != nil {
			return VersionState{}, err
		}
		return c.setStatus(ctx, tx, v, Disposed, assets)
	}
	return s.changeVersions(ctx, change, repo, id, sel)
}

// DeleteSelectedVersions deletes versions with their assets and tags. They may be
// published again. The package stays, with its origin configuration, even if it has no
// versions left. codeartifact:DeletePackageVersions on the package.
func (s *Service) DeleteSelectedVersions(ctx context.Context, repo RepositoryID, id PackageID, sel Selection) (Outcome, error) {
	change := versionsChange{action: deletePackageVersions}
	change.do = func(tx *db.Tx, c *packageChange, v versionRow) (VersionState, error) {
		return VersionState{v.revision, Deleted}, c.dropVersion(ctx, tx, v.key)
	}
	return s.changeVersions(ctx, change, repo, id, sel)
}

// DeleteVersions is [Service.DeleteSelectedVersions] for a client that deletes all or
// none. It returns the error of the first version that cannot be deleted.
func (s *Service) DeleteVersions(ctx context.Context, repo RepositoryID, id PackageID, versions []string) error {
	r, err := s.authorizePackage(ctx, deletePackageVersions, repo, id)
	if err != nil {
		return err
	}
	if err := validVersions(versions); err != nil {
		return err
	}
	return s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		for _, version := range versions {
			v, err := c.version(ctx, tx, version)
			if err != nil {
				return orNotFound(err, versionNotFound(repo, id, version))
			}
			if err := c.dropVersion(ctx, tx, v.key); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *VersionError) Error() string { return e.Code + ": " + e.Message }

func mismatchedRevision(current, expected string) error {
	return &VersionError{"MISMATCHED_REVISION", "current revision: " + current + ", expected revision: " + expected}
}

func notAllowed(message string) error { return &VersionError{"NOT_ALLOWED", message} }

// A versionsChange is what an operation does with each version of a [Selection].
type versionsChange struct {
	action string
	do     func(*db.Tx, *packageChange, versionRow) (VersionState, error)
	// allOrNone means that no version is changed if one fails, as AWS documents for
	// the operations that set a status.
	allOrNone bool
}

// errSkipped rolls a change back of which no version may be made.
var errSkipped = errors.New("a version cannot be changed")

// changeVersions makes the change for each version that is as the caller expects.
func (s *Service) changeVersions(ctx context.Context, change versionsChange, repo RepositoryID, id PackageID, sel Selection) (Outcome, error) {
	r, err := s.authorizePackage(ctx, change.action, repo, id)
	if err != nil {
		return Outcome{}, err
	}
	if len(sel.Versions) == 0 || len(sel.Versions) > maxSelected {
		return Outcome{}, invalid("Name 1 to %d versions.", maxSelected)
	}
	if err := validVersions(sel.Versions); err != nil {
		return Outcome{}, err
	}
	var out Outcome
	err = s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		out = Outcome{map[string]VersionState{}, map[string]VersionError{}}
		for _, version := range sel.Versions {
			v, err := c.expected(ctx, tx, version, sel)
			var state VersionState
			if err == nil {
				state, err = change.do(tx, c, v)
			}
			var failed *VersionError
			switch {
			case errors.As(err, &failed):
				out.Failed[version] = *failed
			case err != nil:
				return err
			default:
				out.Successful[version] = state
			}
		}
		if change.allOrNone && len(out.Failed) > 0 {
			return errSkipped
		}
		return nil
	})
	if errors.Is(err, errSkipped) {
		for version := range out.Successful {
			out.Failed[version] = VersionError{"SKIPPED", "version " + version + " is skipped"}
		}
		return Outcome{map[string]VersionState{}, out.Failed}, nil
	}
	return out, err
}

// expected finds a version and checks that it is as the caller expects.
func (c *packageChange) expected(ctx context.Context, tx *db.Tx, version string, sel Selection) (versionRow, error) {
	v, err := c.version(ctx, tx, version)
	if errors.Is(err, db.ErrNoRows) {
		return v, &VersionError{"NOT_FOUND", "The repository has no version " + version + " of the package."}
	}
	if err != nil {
		return v, err
	}
	if want := sel.Revisions[version]; want != "" && want != v.revision {
		return v, mismatchedRevision(v.revision, want)
	}
	if sel.Expected != "" && sel.Expected != v.status {
		return v, &VersionError{"MISMATCHED_STATUS", fmt.Sprintf("current status: %s, expected status: %s", v.status, sel.Expected)}
	}
	return v, nil
}

// version returns db.ErrNoRows if the package does not have the version.
func (c *packageChange) version(ctx context.Context, tx *db.Tx, version string) (versionRow, error) {
	key := c.id.Format.versionKey(version)
	return db.One(ctx, tx, func(r db.Row) (v versionRow, err error) {
		v.key = key
		err = r.Scan(&v.version, &v.revision, &v.status, &v.entryPoint)
		return v, err
	}, `SELECT version, revision, status, entry_point FROM pkg_version WHERE package = $1 AND version_key = $2`, c.row.id, key)
}

// revisedNow is the time of a change of status or metadata, for the column revised: $6 is
// now, and $7 the latest time that an import accepts. It is after that of the last change,
// although the clock may have been set back: imports elsewhere take the change for an older
// one otherwise. A time that no import accepts is given up.
const revisedNow = `CASE WHEN revised >= $6 AND revised < $7 THEN revised + 1 ELSE $6 END`

// setStatus sets the status of a version, of which the change has removed assets.
func (c *packageChange) setStatus(ctx context.Context, tx *db.Tx, v versionRow, target Status, removed int) (VersionState, error) {
	state := VersionState{newRevision(), target}
	_, err := tx.Exec(ctx, `UPDATE pkg_version SET status = $3, revision = $4, changed = $5, edited = 1, revised = `+revisedNow+` WHERE package = $1 AND version_key = $2`,
		c.row.id, v.key, string(target), state.Revision, c.row.seq, db.Micros(c.at), db.Micros(c.at.Add(stagedFor)))
	if err != nil {
		return state, err
	}
	return state, c.announce(ctx, tx, versionUpdated, v.version, state, versionChanges{AssetsRemoved: removed, StatusChanged: v.status != target})
}
