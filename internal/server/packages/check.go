package packages

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// checkPage is the number of rows that [Check] reads at a time, and maxSameKind how
	// many findings of one broken foreign key it yields.
	checkPage   = 200
	maxSameKind = 1000
)

const restoreDatabase = "Restore the database from a backup."

// Check yields what does not fit together in the tables of this package. See package
// consistency. It does not look at the blob store: see [Objects].
func Check(ctx context.Context, q db.Querier) consistency.Findings {
	return consistency.Check("packages", func(r *consistency.Reporter) []func() error {
		c := &checker{Reporter: r, ctx: ctx, q: q}
		checks := []func() error{c.domains, c.foreignKeys, c.packages}
		for _, t := range versionTables {
			checks = append(checks, func() error { return c.versions(t) }, func() error { return c.assets(t) })
		}
		return checks
	})
}

type checker struct {
	*consistency.Reporter
	ctx context.Context
	q   db.Querier
}

// domains checks domains and repositories, which the server has in memory as well.
func (c *checker) domains() error {
	type row struct {
		id           DomainID
		row          string
		tags, policy string
	}
	all, err := db.All(c.ctx, c.q, func(r db.Row) (d row, err error) {
		err = r.Scan(&d.id.Owner, &d.id.Region, &d.id.Name, &d.row, &d.tags, &d.policy)
		return d, err
	}, `SELECT owner, region, name, id, tags, policy FROM pkg_domain ORDER BY owner, region, name`)
	if err != nil {
		return err
	}
	for _, d := range all {
		if err := c.resource(d.id.ARN(), d.tags, d.policy); err != nil {
			return err
		}
		if err := c.repositories(d.id, d.row); err != nil {
			return err
		}
		if err := c.groups(d.id, d.row); err != nil {
			return err
		}
	}
	return nil
}

// resource checks what domains and repositories have in common.
func (c *checker) resource(arn, tags, document string) error {
	if err := json.Unmarshal([]byte(tags), new(map[string]string)); err != nil {
		if err := c.Problem("bad-tags", arn, restoreDatabase, "The tags cannot be read: %v. The server does not start with them.", err); err != nil {
			return err
		}
	}
	if document == "" {
		return nil
	}
	if _, err := policy.Parse(document, policy.Resource); err != nil {
		return c.Problem("bad-policy", arn, restoreDatabase, "The permissions policy cannot be read: %v. The server does not start with it.", err)
	}
	return nil
}

func (c *checker) repositories(id DomainID, domainRow string) error {
	type row struct{ row, name, upstreams, tags, policy string }
	all, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.row, &v.name, &v.upstreams, &v.tags, &v.policy)
		return v, err
	}, `SELECT id, name, upstreams, tags, policy FROM pkg_repository WHERE domain = $1 ORDER BY name`, domainRow)
	if err != nil {
		return err
	}
	exists := map[string]bool{}
	for _, r := range all {
		exists[r.row] = true
	}
	for _, r := range all {
		arn := id.Repository(r.name).ARN()
		if err := c.resource(arn, r.tags, r.policy); err != nil {
			return err
		}
		var upstreams []string
		if err := json.Unmarshal([]byte(r.upstreams), &upstreams); err != nil {
			if err := c.Problem("bad-upstreams", arn, restoreDatabase, "The list of upstream repositories cannot be read: %v. The server does not start with it.", err); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(upstreams, func(row string) bool { return !exists[row] }) {
			if err := c.Problem("dangling-upstream", arn, "Set the upstreams again: aws codeartifact update-repository --upstreams.",
				"The repository has an upstream repository that does not exist. It is not searched."); err != nil {
				return err
			}
		}
	}
	return nil
}

// groups checks package groups, which the server has in memory too.
func (c *checker) groups(id DomainID, domainRow string) error {
	type row struct{ pattern, tags, restrictions string }
	all, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.pattern, &v.tags, &v.restrictions)
		return v, err
	}, `SELECT pattern, tags, restrictions FROM pkg_group WHERE domain = $1 ORDER BY pattern`, domainRow)
	if err != nil {
		return err
	}
	for _, g := range all {
		arn := GroupID{id, g.pattern}.ARN()
		if err := c.resource(arn, g.tags, ""); err != nil {
			return err
		}
		_, err := parsePattern(g.pattern)
		if err == nil {
			err = json.Unmarshal([]byte(g.restrictions), new(map[OriginType]restriction))
		}
		if err != nil {
			if err := c.Problem("bad-group", arn, restoreDatabase, "The package group cannot be read: %v. The server does not start with it.", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// A versionTable is a table of versions with the table of their assets.
type versionTable struct {
	version, asset string
	changed        string // the number of the version's last change, as SQL
	suffix         string // of the subject of a finding
	republish      string // the advice if the content of an asset is lost
}

var versionTables = []versionTable{
	{version: "pkg_version", asset: "pkg_asset", changed: "v.changed", republish: "Publish the version again."},
	{
		version: "pkg_aside", asset: "pkg_aside_asset", changed: "0", suffix: ", which a retention rule removed",
		republish: "If the version is still needed, publish it again when its undo window has passed.",
	},
}

// A brokenKey is a query for rows that refer to a row that does not exist. It selects
// two texts for the message.
type brokenKey struct{ kind, subject, query, message, advice string }

// The databases keep their foreign keys, so these find only what damage of a disk, or
// a change by hand, has left.
var brokenKeys = []brokenKey{
	{
		"lost-domain", "a domain that does not exist", `SELECT r.name, r.domain FROM pkg_repository r WHERE NOT EXISTS (SELECT 1 FROM pkg_domain d WHERE d.id = r.domain) ORDER BY r.id LIMIT $1`,
		"The repository %s is in the domain %s, which does not exist.", restoreDatabase,
	},
	{
		"lost-domain", "a domain that does not exist", `SELECT g.pattern, g.domain FROM pkg_group g WHERE NOT EXISTS (SELECT 1 FROM pkg_domain d WHERE d.id = g.domain) ORDER BY g.id LIMIT $1`,
		"The package group %s is in the domain %s, which does not exist.", restoreDatabase,
	},
	{
		"lost-repository", "a repository that does not exist", `SELECT p.name, p.repository FROM pkg_package p WHERE NOT EXISTS (SELECT 1 FROM pkg_repository r WHERE r.id = p.repository) ORDER BY p.id LIMIT $1`,
		"The package %s is in the repository %s, which does not exist.", restoreDatabase,
	},
	{
		"lost-package", "a package that does not exist", `SELECT v.version, v.package FROM pkg_version v WHERE NOT EXISTS (SELECT 1 FROM pkg_package p WHERE p.id = v.package) ORDER BY v.package, v.version_key LIMIT $1`,
		"The version %s is of the package %s, which does not exist.", restoreDatabase,
	},
	{
		"lost-version", "a version that does not exist", `SELECT a.name, a.version_key FROM pkg_asset a WHERE NOT EXISTS (SELECT 1 FROM pkg_version v WHERE v.package = a.package AND v.version_key = a.version_key) ORDER BY a.package, a.version_key, a.name LIMIT $1`,
		"The asset %s is of the version %s, which does not exist.", restoreDatabase,
	},
	{
		"lost-package", "a package that does not exist", `SELECT v.version, v.package FROM pkg_aside v WHERE NOT EXISTS (SELECT 1 FROM pkg_package p WHERE p.id = v.package) ORDER BY v.package, v.version_key LIMIT $1`,
		"The version %s, which a retention rule removed, is of the package %s, which does not exist.", restoreDatabase,
	},
	{
		"lost-version", "a version that does not exist", `SELECT a.name, a.version_key FROM pkg_aside_asset a WHERE NOT EXISTS (SELECT 1 FROM pkg_aside v WHERE v.package = a.package AND v.version_key = a.version_key) ORDER BY a.package, a.version_key, a.name LIMIT $1`,
		"The asset %s, which a retention rule removed, is of the version %s, which does not exist.", restoreDatabase,
	},
	{
		"lost-run", "a retention run that does not exist", `SELECT v.version, v.run FROM pkg_aside v WHERE NOT EXISTS (SELECT 1 FROM pkg_retention_run r WHERE r.id = v.run) ORDER BY v.package, v.version_key LIMIT $1`,
		"The version %s was removed by the retention run %s, which does not exist, so it cannot be restored.", restoreDatabase,
	},
}

// foreignKeys looks for rows that refer to rows that do not exist.
func (c *checker) foreignKeys() error {
	for _, k := range brokenKeys {
		found, err := db.All(c.ctx, c.q, func(r db.Row) (v [2]string, err error) {
			err = r.Scan(&v[0], &v[1])
			return v, err
		}, k.query, maxSameKind)
		if err != nil {
			return err
		}
		for _, v := range found {
			if err := c.Problem(k.kind, k.subject, k.advice, k.message, v[0], v[1]); err != nil {
				return err
			}
		}
	}
	return c.unusedContent()
}

// unusedContent looks for content that no asset has. Nothing deletes it.
func (c *checker) unusedContent() error {
	type row struct{ domain, sha, object string }
	found, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.domain, &v.sha, &v.object)
		return v, err
	}, `SELECT c.domain, c.sha256, c.object FROM pkg_content c
		WHERE NOT EXISTS (SELECT 1 FROM pkg_asset a WHERE a.domain = c.domain AND a.sha256 = c.sha256)
		AND NOT EXISTS (SELECT 1 FROM pkg_aside_asset a WHERE a.domain = c.domain AND a.sha256 = c.sha256) ORDER BY c.domain, c.sha256 LIMIT $1`, maxSameKind)
	if err != nil {
		return err
	}
	for _, v := range found {
		err := c.Report(consistency.Finding{
			Severity: consistency.Notice, Kind: "unused-content", Subject: "object " + v.object,
			Message: "The content with SHA-256 " + v.sha + " belongs to no asset. It uses room.",
			Advice:  "Run gatehouse verify --repair while the server is stopped.",
			Fix: &consistency.Fix{Name: "give the object to the sweep, which sets it aside", Run: func(ctx context.Context, d *db.DB) error {
				return d.Tx(ctx, func(tx *db.Tx) error { return discardUnused(ctx, tx, v.domain, v.sha) })
			}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// discardUnused is dropContent with a time at which the sweep takes it at once.
func discardUnused(ctx context.Context, tx *db.Tx, domain, sha string) error {
	objects, err := db.All(ctx, tx, db.Scalar[string], `DELETE FROM pkg_content WHERE domain = $1 AND sha256 = $2
		AND NOT EXISTS (SELECT 1 FROM pkg_asset WHERE domain = $1 AND sha256 = $2)
		AND NOT EXISTS (SELECT 1 FROM pkg_aside_asset WHERE domain = $1 AND sha256 = $2) RETURNING object`, domain, sha)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, err := tx.Exec(ctx, `INSERT INTO pkg_garbage (object, since) VALUES ($1, 0)`, o); err != nil {
			return err
		}
	}
	return nil
}

// packages checks the packages' own rows.
func (c *checker) packages() error {
	type row struct {
		row, key, publish, upstream, tags string
		attributes                        []byte
		repository                        RepositoryID
		id                                PackageID
	}
	for last := ""; ; {
		page, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
			d := &v.repository.Domain
			err = r.Scan(&v.row, &v.id.Format, &v.id.Namespace, &v.key, &v.id.Name, &v.publish, &v.upstream, &v.tags, &v.attributes, &d.Owner, &d.Region, &d.Name, &v.repository.Name)
			return v, err
		}, `SELECT p.id, p.format, p.namespace, p.name_key, p.name, p.publish, p.upstream, p.tags, p.attributes, d.owner, d.region, d.name, r.name
			FROM pkg_package p JOIN pkg_repository r ON r.id = p.repository JOIN pkg_domain d ON d.id = r.domain
			WHERE p.id > $1 ORDER BY p.id LIMIT $2`, last, checkPage)
		if err != nil {
			return err
		}
		for i := range page {
			v := &page[i]
			var wrong string
			switch {
			case !v.id.Format.Known():
				wrong = fmt.Sprintf("The format %q is unknown.", v.id.Format)
			case v.id.key() != v.key:
				wrong = fmt.Sprintf("Clients do not find it: its name is recorded under the key %q.", v.key)
			case !isOrigin(v.publish) || !isOrigin(v.upstream):
				wrong = fmt.Sprintf("Its origin controls are %q and %q.", v.publish, v.upstream)
			case json.Unmarshal([]byte(v.tags), new(map[string]string)) != nil:
				wrong = "Its tags cannot be read."
			case !validJSON(v.attributes):
				wrong = "Its attributes cannot be read."
			}
			if wrong == "" {
				continue
			}
			if err := c.Problem("bad-package", v.repository.PackageARN(v.id), restoreDatabase, "The row of the package is damaged. %s", wrong); err != nil {
				return err
			}
		}
		if len(page) < checkPage {
			return nil
		}
		last = page[len(page)-1].row
	}
}

func isOrigin(r string) bool { return r == string(Allow) || r == string(Block) }

func validJSON(text []byte) bool { return len(text) == 0 || json.Valid(text) }

// versions checks the versions' rows in a table.
func (c *checker) versions(t versionTable) error {
	type row struct {
		pkg, key     string
		name         versionName
		status       Status
		description  []byte
		metadata     []byte
		changed, seq int64
	}
	for last := (row{}); ; {
		page, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
			err = r.Scan(append(v.name.fields(), &v.pkg, &v.key, &v.status, &v.description, &v.metadata, &v.changed, &v.seq)...)
			return v, err
		}, `SELECT `+versionNameColumns+`, v.package, v.version_key, v.status, v.description, v.metadata, `+t.changed+`, p.seq
			FROM `+t.version+` v JOIN pkg_package p ON p.id = v.package JOIN pkg_repository r ON r.id = p.repository JOIN pkg_domain d ON d.id = r.domain
			WHERE (v.package, v.version_key) > ($1, $2) ORDER BY v.package, v.version_key LIMIT $3`, last.pkg, last.key, checkPage)
		if err != nil {
			return err
		}
		for i := range page {
			v := &page[i]
			var wrong string
			switch {
			case !slices.Contains([]Status{Published, Unfinished, Unlisted, Archived, Disposed}, v.status):
				wrong = fmt.Sprintf("The status %q is unknown.", v.status)
			case v.name.format.Known() && v.name.format.versionKey(v.name.version) != v.key:
				wrong = fmt.Sprintf("Clients do not find it: it is recorded under the key %q.", v.key)
			case !validJSON(v.description):
				wrong = "Its description cannot be read."
			case !validJSON(v.metadata):
				wrong = "Its metadata cannot be read."
			case v.changed > v.seq:
				wrong = "It is recorded to be newer than its package, so servers may not see its changes."
			}
			if wrong == "" {
				continue
			}
			if err := c.Problem("bad-version", v.name.subject()+t.suffix, restoreDatabase, "The row of the version is damaged. %s", wrong); err != nil {
				return err
			}
		}
		if len(page) < checkPage {
			return nil
		}
		last = page[len(page)-1]
	}
}

// assets checks the rows of the assets of the versions in a table.
func (c *checker) assets(t versionTable) error {
	type row struct {
		pkg, key, asset         string
		name                    versionName
		sha, domain, home       string
		beside                  string
		metadata                []byte
		hasContent, besideFound int64
	}
	for last := (row{}); ; {
		page, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
			err = r.Scan(append(v.name.fields(), &v.pkg, &v.key, &v.asset, &v.sha, &v.domain, &v.home, &v.beside, &v.metadata, &v.hasContent, &v.besideFound)...)
			return v, err
		}, `SELECT `+versionNameColumns+`, a.package, a.version_key, a.name, a.sha256, a.domain, d.id, a.beside, a.metadata,
				CASE WHEN EXISTS (SELECT 1 FROM pkg_content c WHERE c.domain = a.domain AND c.sha256 = a.sha256) THEN 1 ELSE 0 END,
				CASE WHEN EXISTS (SELECT 1 FROM `+t.asset+` b WHERE b.package = a.package AND b.version_key = a.version_key AND b.name = a.beside AND b.beside = '') THEN 1 ELSE 0 END
			FROM `+t.asset+` a JOIN `+t.version+` v ON v.package = a.package AND v.version_key = a.version_key
			JOIN pkg_package p ON p.id = v.package JOIN pkg_repository r ON r.id = p.repository JOIN pkg_domain d ON d.id = r.domain
			WHERE (a.package, a.version_key, a.name) > ($1, $2, $3) ORDER BY a.package, a.version_key, a.name LIMIT $4`, last.pkg, last.key, last.asset, checkPage)
		if err != nil {
			return err
		}
		for i := range page {
			v := &page[i]
			kind, advice, wrong := "bad-asset", restoreDatabase, ""
			switch {
			case v.hasContent == 0:
				kind, advice, wrong = "dangling-asset", t.republish, fmt.Sprintf("has the content with SHA-256 %s, which is not stored", v.sha)
			case v.domain != v.home:
				wrong = "has its content in another domain"
			case v.beside != "" && v.besideFound == 0:
				wrong = fmt.Sprintf("is about the asset %s, which the version does not have", v.beside)
			case !validJSON(v.metadata):
				wrong = "has metadata that cannot be read"
			default:
				continue
			}
			if err := c.Problem(kind, v.name.subject()+t.suffix, advice, "The asset %s %s.", v.asset, wrong); err != nil {
				return err
			}
		}
		if len(page) < checkPage {
			return nil
		}
		last = page[len(page)-1]
	}
}
