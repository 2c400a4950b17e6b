package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Migrations returns the schema of this package. What its tables hold can be lost: it is
// asked for again.
func Migrations() []db.Migration {
	return []db.Migration{{Name: "source/001-documents", SQL: documents}}
}

const documents = `
CREATE TABLE source_document (
	registry  {text} NOT NULL, -- the external connection
	package   {text} NOT NULL, -- FORMAT/NAMESPACE/NAME
	validator {text} NOT NULL, -- the codec's, for the next question
	revision  {text} NOT NULL, -- of the body; empty if the registry does not have the package
	checked   {int} NOT NULL,  -- when the registry confirmed it last
	size      {int} NOT NULL,  -- of the body
	body      {bytes},         -- a packages.RemotePackage: JSON, gzip
	PRIMARY KEY (registry, package)
);
CREATE INDEX source_document_checked ON source_document (checked);
CREATE TABLE source_lease (
	name   {text} NOT NULL PRIMARY KEY, -- what a server fetches
	holder {text} NOT NULL,
	until  {int} NOT NULL
);
`

// A key names a package of a registry, or, if file is set, a file of a version, or, if
// request has a kind, another document.
type key struct {
	registry      string
	id            packages.PackageID // with the spelling by which the registry is asked
	version, file string
	request       packages.DocumentRequest
}

func (k key) text() string {
	if d := k.request; d.Kind != "" {
		rest := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %#v", d.Version, d.Address, d.SHA256, d.Search)) // may be longer than a key of the table
		return fmt.Sprintf("document/%s/%s/%s/%s/%x", d.Kind, d.Package.Format, d.Package.Namespace, d.Package.Name, rest[:16])
	}
	text := string(k.id.Format) + "/" + k.id.Namespace + "/" + k.id.Name
	if k.file != "" {
		text += "/" + k.version + "/" + k.file
	}
	return text
}

// subject is for messages: what the registry is asked about.
func (k key) subject() string {
	switch d := k.request; {
	case d.Kind == "":
		return k.id.String()
	case d.Kind == packages.SearchResults:
		return "a search"
	case d.Package.Name == "":
		return "its " + string(d.Kind)
	default:
		return fmt.Sprintf("the %s of version %s of %s", d.Kind, d.Version, d.Package)
	}
}

// fleeting reports whether the document is kept in memory alone. Anyone who may read can ask
// for any number of searches; they must not push out of the table what outages need.
func (k key) fleeting() bool { return k.request.Kind == packages.SearchResults }

func (k key) String() string { return k.registry + "/" + k.text() }

// A document is what a registry said of a package. It is immutable and shared.
type document struct {
	// pkg is nil if the registry does not have the package.
	pkg       *packages.RemotePackage
	validator string
	checked   time.Time
	bytes     int64  // the size of pkg in memory, about
	body      []byte // compressed; only before it is stored
}

// newDocument makes a document of a codec's answer, and sets its revision.
func newDocument(p *packages.RemotePackage, validator string, checked time.Time) (*document, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // cargo's lines of an index stay as they are
	if err := encoder.Encode(p); err != nil {
		return nil, &BadAnswer{"it cannot be stored", err}
	}
	raw := text.Bytes()
	sum := sha256.Sum256(raw)
	p.Revision = hex.EncodeToString(sum[:16])
	var body bytes.Buffer
	z, err := gzip.NewWriterLevel(&body, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(raw); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return &document{pkg: p, validator: validator, checked: checked, bytes: int64(len(raw)), body: body.Bytes()}, nil
}

// confirmed returns the document as the registry confirmed it at a later time.
func (d *document) confirmed(at time.Time) *document {
	now := *d
	now.checked, now.body = at, nil
	return &now
}

// read returns the document of the table, or nil. If old, which may be nil, has the same
// revision, its content is used and not read.
func (c *Cache) read(ctx context.Context, k key, old *document) (*document, error) {
	if k.fleeting() {
		return nil, nil
	}
	if d := c.notStored(k); d != nil {
		return d, nil
	}
	type row struct {
		document
		revision string
	}
	rows, err := db.All(ctx, c.db, func(r db.Row) (v row, err error) {
		var checked int64
		err = r.Scan(&v.validator, &v.revision, &checked)
		v.checked = db.Time(checked)
		return v, err
	}, `SELECT validator, revision, checked FROM source_document WHERE registry = $1 AND package = $2`, k.registry, k.text())
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	v := rows[0]
	switch {
	case v.revision == "":
		return &v.document, nil
	case old != nil && old.pkg != nil && old.pkg.Revision == v.revision:
		v.pkg, v.bytes = old.pkg, old.bytes
		return &v.document, nil
	}
	return c.readBody(ctx, k)
}

// readBody returns the document of the table with its content, or nil. One that is damaged
// is like none: it is asked for again.
func (c *Cache) readBody(ctx context.Context, k key) (*document, error) {
	if k.fleeting() {
		return nil, nil
	}
	if d := c.notStored(k); d != nil {
		return d, nil
	}
	type row struct {
		document
		revision string
	}
	rows, err := db.All(ctx, c.db, func(r db.Row) (v row, err error) {
		var checked int64
		err = r.Scan(&v.validator, &v.revision, &checked, &v.body)
		v.checked = db.Time(checked)
		return v, err
	}, `SELECT validator, revision, checked, body FROM source_document WHERE registry = $1 AND package = $2`, k.registry, k.text())
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	v := rows[0]
	if v.revision == "" {
		return &v.document, nil
	}
	if err := v.decode(v.revision); err != nil {
		c.log.Error("a stored answer of a package registry is damaged; it is asked for again", "registry", k.registry, "package", k.text(), "error", err)
		return nil, nil
	}
	return &v.document, nil
}

// decode makes the package of the body.
func (d *document) decode(revision string) error {
	z, err := gzip.NewReader(bytes.NewReader(d.body))
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	d.pkg, d.bytes, d.body = &packages.RemotePackage{Revision: revision}, int64(len(raw)), nil
	return json.Unmarshal(raw, d.pkg)
}

// sweepBatch is the number of documents in one step of a sweep.
const sweepBatch = 500

// Sweep deletes documents that are too old to be used and, beyond the bounds of the
// settings, those that were confirmed the longest time ago. Names that registries do not
// have go first: anyone who may read can ask for any number of them. It should run every
// hour.
func (c *Cache) Sweep(ctx context.Context) error {
	c.storeNow(ctx)
	stale, untold := c.settings.MaxStale, c.settings.Missing
	for _, s := range c.own {
		stale, untold = max(stale, s.MaxStale), max(untold, s.Missing)
	}
	oldest, missing := db.Micros(c.now().Add(-stale)), db.Micros(c.now().Add(-untold))
	for {
		n, err := c.sweepMissing(ctx, missing)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	for {
		var deleted int64
		err := c.db.Tx(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `DELETE FROM source_lease WHERE until < $1`, db.Micros(c.now().Add(-time.Hour))); err != nil {
				return err
			}
			var count, size int64
			_, err := db.One(ctx, tx, func(r db.Row) (struct{}, error) { return struct{}{}, r.Scan(&count, &size) },
				`SELECT count(*), CAST(COALESCE(sum(size), 0) AS BIGINT) FROM source_document`)
			if err != nil {
				return err
			}
			before, most := oldest, int64(sweepBatch)
			if count > c.settings.MaxDocuments || size > c.settings.MaxBytes {
				before, most = db.Micros(c.now())+1, min(sweepBatch, max(count-c.settings.MaxDocuments, 1))
			}
			deleted, err = tx.Exec(ctx, `DELETE FROM source_document WHERE (registry, package) IN (
				SELECT registry, package FROM source_document WHERE checked < $1 ORDER BY checked LIMIT $2)`, before, most)
			return err
		})
		if err != nil || deleted == 0 {
			return err
		}
	}
}

// sweepMissing deletes answers that registries do not have a package, from before a time.
func (c *Cache) sweepMissing(ctx context.Context, before int64) (deleted int64, err error) {
	err = c.db.Tx(ctx, func(tx *db.Tx) error {
		deleted, err = tx.Exec(ctx, `DELETE FROM source_document WHERE (registry, package) IN (
			SELECT registry, package FROM source_document WHERE revision = '' AND checked < $1 LIMIT $2)`, before, sweepBatch)
		return err
	})
	return deleted, err
}
