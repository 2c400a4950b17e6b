package packages

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Maven's snapshots (CodeArtifact User Guide, "Use Maven snapshots"): each build is a
// version of its own, 1.1-20261129.234155-1, which is Unlisted, and the version
// 1.1-SNAPSHOT has the files of the newest build.

// IsMavenSnapshot reports whether a version stands for the newest of its builds.
func IsMavenSnapshot(version string) bool {
	return version == mavenSnapshot || strings.HasSuffix(version, "-"+mavenSnapshot)
}

const mavenSnapshot = "SNAPSHOT"

// A MavenBuild is the version of one build of a snapshot.
type MavenBuild struct {
	// Base is what precedes the time stamp: "1.1-".
	Base string
	// Timestamp is the time of the build, yyyyMMdd.HHmmss.
	Timestamp string
	Number    uint64
}

var mavenBuild = lazyregexp.New(`^(?:(.*)-)?([0-9]{8}\.[0-9]{6})-(0|[1-9][0-9]{0,17})$`)

// ParseMavenBuild reads the version of a build. ok is false for any other version.
func ParseMavenBuild(version string) (b MavenBuild, ok bool) {
	m := mavenBuild.FindStringSubmatch(version)
	if m == nil {
		return MavenBuild{}, false
	}
	b = MavenBuild{Timestamp: m[2]}
	if len(version) > len(m[2])+1+len(m[3]) {
		b.Base = m[1] + "-"
	}
	var err error
	b.Number, err = strconv.ParseUint(m[3], 10, 64)
	return b, err == nil
}

// Snapshot is the version of which b is a build: 1.1-SNAPSHOT.
func (b MavenBuild) Snapshot() string { return b.Base + mavenSnapshot }

// isMavenSnapshotOrBuild is for versions that are not taken from external registries, as in
// CodeArtifact: they have releases, and what a snapshot is changes.
func isMavenSnapshotOrBuild(version string) bool {
	_, isBuild := ParseMavenBuild(version)
	return isBuild || IsMavenSnapshot(version)
}

// mavenPOM is the name of the file that every version has.
func mavenPOM(id PackageID, version string) string { return id.Name + "-" + version + ".pom" }

// mavenArtifactAt returns the artifact that has the same address as a group.
func mavenArtifactAt(group string) (id PackageID, ok bool) {
	i := strings.LastIndexByte(group, '.')
	if i < 0 {
		return PackageID{}, false
	}
	return PackageID{Format: Maven, Namespace: group[:i], Name: group[i+1:]}, true
}

// Before reports whether another build of the same snapshot is newer.
func (b MavenBuild) Before(o MavenBuild) bool {
	if b.Timestamp != o.Timestamp {
		return b.Timestamp < o.Timestamp
	}
	return b.Number < o.Number
}

// buildOf returns the build that the version is, if the format has builds.
func (f Format) buildOf(version string) (MavenBuild, bool) {
	if f != Maven {
		return MavenBuild{}, false
	}
	return ParseMavenBuild(version)
}

// Finish ends the publication of versions whose files came one by one: those that are
// Unfinished become Published. The build of a snapshot becomes Unlisted, and the
// snapshot gets its files if no newer build is finished. Versions that the repository
// does not have, or that have another status, stay as they are.
// codeartifact:PutPackageMetadata on the package.
func (s *Service) Finish(ctx context.Context, repo RepositoryID, id PackageID, versions []string) error {
	r, err := s.authorizePackage(ctx, putPackageMetadata, repo, id)
	if err != nil {
		return err
	}
	p, err := s.load(ctx, r, id)
	if err != nil {
		return err
	}
	var unfinished []string
	for _, version := range versions {
		if v := p.versions[id.Format.versionKey(version)]; v != nil && v.Status == Unfinished {
			unfinished = append(unfinished, v.Version)
		}
	}
	if len(unfinished) == 0 {
		return nil
	}
	return s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		for _, version := range unfinished {
			if err := c.finish(ctx, tx, version); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *packageChange) finish(ctx context.Context, tx *db.Tx, version string) error {
	v, err := c.version(ctx, tx, version)
	if errors.Is(err, db.ErrNoRows) || err == nil && v.status != Unfinished {
		return nil // deleted or finished meanwhile
	}
	if err != nil {
		return err
	}
	build, ok := c.id.Format.buildOf(version)
	if !ok {
		_, err = c.setStatus(ctx, tx, v, Published, 0)
		return err
	}
	if _, err := c.setStatus(ctx, tx, v, Unlisted, 0); err != nil {
		return err
	}
	return c.updateSnapshot(ctx, tx, build, v.key)
}

// updateSnapshot gives the snapshot the files of a finished build, unless a newer one
// is finished. A snapshot that was archived or disposed of stays so.
func (c *packageChange) updateSnapshot(ctx context.Context, tx *db.Tx, build MavenBuild, buildKey string) error {
	newest, err := c.isNewest(ctx, tx, build)
	if err != nil || !newest {
		return err
	}
	key := c.id.Format.versionKey(build.Snapshot())
	former, err := c.version(ctx, tx, build.Snapshot())
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return err
	}
	n, err := tx.Exec(ctx, `INSERT INTO pkg_version (package, version_key, version, revision, status, published, entry_point, description, metadata, changed)
		SELECT package, $3, $4, $5, 'Published', $6, entry_point, description, metadata, $7 FROM pkg_version WHERE package = $1 AND version_key = $2
		ON CONFLICT (package, version_key) DO NOTHING`,
		c.row.id, buildKey, key, build.Snapshot(), newRevision(), db.Micros(c.at), c.row.seq)
	if err != nil {
		return err
	}
	if n == 0 {
		n, err = tx.Exec(ctx, `UPDATE pkg_version SET revision = $4, status = CASE WHEN status = 'Unfinished' THEN 'Published' ELSE status END,
				published = $5, changed = $6,
				description = (SELECT b.description FROM pkg_version b WHERE b.package = $1 AND b.version_key = $2),
				metadata = (SELECT b.metadata FROM pkg_version b WHERE b.package = $1 AND b.version_key = $2)
			WHERE package = $1 AND version_key = $3 AND status IN ('Published', 'Unlisted', 'Unfinished')`,
			c.row.id, buildKey, key, newRevision(), db.Micros(c.at), c.row.seq)
		if err != nil || n == 0 {
			return err
		}
	}
	removed, err := c.dropAssets(ctx, tx, key)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO pkg_asset (package, version_key, name, beside, domain, sha256, published, metadata)
		SELECT package, $3, name, beside, domain, sha256, published, metadata FROM pkg_asset WHERE package = $1 AND version_key = $2`,
		c.row.id, buildKey, key)
	if err != nil {
		return err
	}
	return c.announceReplaced(ctx, tx, key, former.status, removed)
}

// isNewest reports whether no finished build of the same snapshot is newer.
func (c *packageChange) isNewest(ctx context.Context, tx *db.Tx, build MavenBuild) (bool, error) {
	versions, err := db.All(ctx, tx, db.Scalar[string], `SELECT version FROM pkg_version WHERE package = $1 AND status IN ('Published', 'Unlisted')
		AND substr(version, 1, length($2)) = $2`, c.row.id, build.Base)
	if err != nil {
		return false, err
	}
	for _, version := range versions {
		if o, ok := ParseMavenBuild(version); ok && o.Base == build.Base && build.Before(o) {
			return false, nil
		}
	}
	return true, nil
}

// UploadedAsset returns an asset that the repository itself has, for a publisher, who may
// not be allowed to read. codeartifact:PublishPackageVersion on the package.
func (s *Service) UploadedAsset(ctx context.Context, repo RepositoryID, id PackageID, version, name string) (Asset, error) {
	_, v, err := s.ownVersion(ctx, publishPackageVersion, repo, id, version)
	if err != nil {
		return Asset{}, err
	}
	a := v.Asset(name)
	if a == nil {
		return Asset{}, assetNotFound(id, version, name)
	}
	return *a, nil
}
