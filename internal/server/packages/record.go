package packages

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// A record is what one repository itself contains of a package. It is immutable and
// shared. row is empty if the repository does not have the package.
type record struct {
	row        string
	seq        int64
	origin     Origin
	remote     bool              // it is what an external registry has
	connection string            // of that registry
	tags       map[string]string // as they were set, also those of versions that are not visible
	versions   map[string]*Version
	view       *Package // for clients of a repository without upstreams
}

func (p *record) exists() bool { return p.row != "" }

func (p *record) size() int64 {
	if !p.exists() {
		return minEntry
	}
	return p.view.bytes
}

// revision changes with every change, and differs between packages.
func (p *record) revision() string { return p.row + "-" + strconv.FormatInt(p.seq, 36) }

// load returns what the repository itself contains of the package, from memory if it
// has not changed.
func (s *Service) load(ctx context.Context, r *repository, id PackageID) (*record, error) {
	k := r.cacheKey(id)
	have := s.records.Lookup(k)
	if have.State == lru.Fresh {
		return have.Value, nil
	}
	// Readers share one reading only if they have the same generation. So no reader
	// gets what was read before a commit that it must see.
	flight := fmt.Sprintf("%d %s %s %q %q", have.Generation, k.repository, k.format, k.namespace, k.name)
	v, err, _ := s.loading.Do(flight, func() (any, error) {
		p, err := readRecord(context.WithoutCancel(ctx), s.db, r, id, have.Value)
		if err == nil {
			s.records.Store(k, p, have)
		}
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", id, r.arn, err)
	}
	return v.(*record), nil
}

// A packageRow is a row of pkg_package.
type packageRow struct {
	id                string
	name              string
	origin            Origin
	tags              map[string]string
	attributes        []byte
	search            string
	created, modified time.Time
	seq, removed      int64
}

// readPackageRow returns nil if the repository does not have the package.
func readPackageRow(ctx context.Context, q db.Querier, repository string, id PackageID) (*packageRow, error) {
	rows, err := db.All(ctx, q, func(r db.Row) (p *packageRow, err error) {
		p = new(packageRow)
		var tags string
		var created, modified int64
		err = r.Scan(&p.id, &p.name, &p.origin.Publish, &p.origin.Upstream, &tags, &p.attributes, &p.search, &created, &modified, &p.seq, &p.removed)
		if err != nil {
			return nil, err
		}
		p.created, p.modified = db.Time(created), db.Time(modified)
		return p, json.Unmarshal([]byte(tags), &p.tags)
	}, `SELECT id, name, publish, upstream, tags, attributes, search, created, modified, seq, removed FROM pkg_package
		WHERE repository = $1 AND format = $2 AND namespace = $3 AND name_key = $4`,
		repository, string(id.Format), id.Namespace, id.key())
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// optimisticReads is how often a package is read without a transaction. After that it
// is read in one, which makes writers wait.
const optimisticReads = 3

// readRecord reads a package. If old is an earlier record of the same package, it
// reads only what changed since.
//
// The statements saw one state of the package if its seq is the same before and
// after them. Otherwise they run again.
func readRecord(ctx context.Context, d *db.DB, r *repository, id PackageID, old *record) (p *record, err error) {
	for range optimisticReads {
		if p, err = readRecordFrom(ctx, d, r, id, old); err != nil {
			return nil, err
		}
		after, err := readPackageRow(ctx, d, r.row, id)
		if err != nil {
			return nil, err
		}
		if after == nil && !p.exists() || after != nil && after.id == p.row && after.seq == p.seq {
			return p, nil
		}
	}
	err = d.Tx(ctx, func(tx *db.Tx) error {
		p, err = readRecordFrom(ctx, tx, r, id, old)
		return err
	})
	return p, err
}

func readRecordFrom(ctx context.Context, q db.Querier, r *repository, id PackageID, old *record) (*record, error) {
	row, err := readPackageRow(ctx, q, r.row, id)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return &record{}, nil
	}
	p := &record{row: row.id, seq: row.seq, origin: row.origin, tags: row.tags, versions: map[string]*Version{}}
	since := int64(0)
	if old != nil && old.row == row.id && row.removed <= old.seq {
		since, p.versions = old.seq, maps.Clone(old.versions)
	}
	if err := readVersions(ctx, q, r, row.id, since, p.versions); err != nil {
		return nil, err
	}
	id.Name = row.name
	p.view = &Package{
		ID: id, Revision: p.revision(), Tags: row.tags, Attributes: row.attributes,
		Created: row.created, Modified: row.modified, byKey: p.versions,
	}
	p.view.finish()
	return p, nil
}

// readVersions adds the versions that changed after seq since to into.
func readVersions(ctx context.Context, q db.Querier, r *repository, pkg string, since int64, into map[string]*Version) error {
	read := map[string]*Version{}
	_, err := db.All(ctx, q, func(row db.Row) (v *Version, err error) {
		v = &Version{Repository: r.id.Name, described: new(described)}
		var published, edited int64
		err = row.Scan(&v.key, &v.Version, &v.Revision, &v.Status, &published, &v.EntryPoint, (*[]byte)(&v.Metadata), &edited)
		v.Published, v.edited = db.Time(published), edited != 0
		read[v.key], into[v.key] = v, v
		return v, err
	}, `SELECT version_key, version, revision, status, published, entry_point, metadata, edited FROM pkg_version
		WHERE package = $1 AND changed > $2`, pkg, since)
	if err != nil || len(read) == 0 {
		return err
	}
	_, err = db.All(ctx, q, func(row db.Row) (a Asset, err error) {
		var key string
		if a, err = scanAsset(row, &key); err != nil {
			return a, err
		}
		if v := read[key]; v != nil {
			a.repository = r.id.Name
			v.add(a)
		}
		return a, nil
	}, `SELECT a.version_key, `+assetColumns+` FROM pkg_version v
		JOIN pkg_asset a ON a.package = v.package AND a.version_key = v.version_key
		JOIN pkg_content c ON c.domain = a.domain AND c.sha256 = a.sha256
		WHERE v.package = $1 AND v.changed > $2 ORDER BY a.version_key, a.name`, pkg, since)
	return err
}

const assetColumns = `a.name, a.beside, a.published, a.metadata, c.size, c.md5, c.sha1, c.sha256, c.sha512, c.object`

// scanAsset reads assetColumns, after other columns.
func scanAsset(r db.Row, before ...any) (a Asset, err error) {
	var published int64
	err = r.Scan(append(before, &a.Name, &a.beside, &published, (*[]byte)(&a.Metadata), &a.Size, &a.MD5, &a.SHA1, &a.SHA256, &a.SHA512, &a.object)...)
	a.Published = db.Time(published)
	return a, err
}

// finish computes the fields that follow from byKey and from the tags as they were
// set.
func (p *Package) finish() {
	p.bytes = minEntry + int64(len(p.Attributes))
	for _, v := range p.byKey {
		p.bytes += 512 + int64(len(v.Metadata))
		for _, a := range v.Assets {
			p.bytes += 512 + int64(len(a.Metadata))
		}
		p.bytes += 512 * int64(len(v.Sidecars))
	}
	p.Versions = p.ordered(func(v *Version) bool { return v.Status == Published })
	set := p.Tags
	p.Tags = make(map[string]string, len(set)+1)
	for tag, version := range set {
		if v := p.byKey[p.ID.Format.versionKey(version)]; v != nil && v.Status == Published {
			p.Tags[tag] = v.Version
		}
	}
	if tag := p.ID.Format.rules().defaultTag; tag != "" && p.Tags[tag] == "" && len(p.Versions) > 0 {
		p.Tags[tag] = p.Highest().Version
	}
}

// ordered returns the versions that want selects, in the order of publication.
// Versions of the same time are in the format's order.
func (p *Package) ordered(want func(*Version) bool) []*Version {
	out := make([]*Version, 0, len(p.byKey))
	for _, v := range p.byKey {
		if want(v) {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *Version) int {
		if c := a.since().Compare(b.since()); c != 0 {
			return c
		}
		return p.ID.Format.Compare(a.Version, b.Version)
	})
	return out
}

// highest returns the highest release in the format's order, or the highest
// prerelease if there is no release. It parses each version once.
func (p *Package) highest() *Version {
	var best ranked
	for _, v := range p.Versions {
		if next := p.ID.Format.rank(v); best.Version == nil || best.below(next) {
			best = next
		}
	}
	return best.Version
}
