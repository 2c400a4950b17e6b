package iam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// The tables. IAM is always read whole, into the snapshot, and every rule is
// checked there; no query looks inside an entity. So an entity is one row with a
// JSON document. The unique names in the table are a second check of the same rule.
//
// iam_version makes the changes a sequence. A change is made on a snapshot and
// takes the number that follows the snapshot's. If another server took it first,
// this one catches up and decides anew. (iam_change had this task before the servers
// had a change feed.)
var migrations = []db.Migration{{
	Name: "iam/001-entities",
	SQL: `
CREATE TABLE iam_entity (
	id      {text} NOT NULL PRIMARY KEY,
	kind    {text} NOT NULL,
	account {text} NOT NULL,
	name    {text} NOT NULL, -- in lower case
	body    {text} NOT NULL,
	UNIQUE (kind, account, name)
);
CREATE TABLE iam_change (
	seq      {int}  NOT NULL PRIMARY KEY,
	entities {text} NOT NULL -- ids, separated by spaces
);
CREATE TABLE iam_key_use (
	id      {text} NOT NULL PRIMARY KEY,
	at      {int}  NOT NULL,
	service {text} NOT NULL,
	region  {text} NOT NULL
);
CREATE TABLE iam_session (
	id      {text} NOT NULL PRIMARY KEY,
	expires {int}  NOT NULL, -- when the last token that names it ends
	body    {text} NOT NULL
);
CREATE INDEX iam_session_expires ON iam_session (expires);
`,
}, {
	Name: "iam/002-credential-report", // package report has what is in it
	SQL: `
CREATE TABLE iam_credential_report (
	account   {text} NOT NULL PRIMARY KEY,
	generated {int}  NOT NULL,
	body      {text} NOT NULL
);
`,
}}

// changeIDMigration lets a server recognise its own change, if the answer to its
// commit was lost.
var changeIDMigration = db.Migration{
	Name: "iam/004-change-id",
	SQL:  `ALTER TABLE iam_change ADD COLUMN id {text} NOT NULL DEFAULT '';`,
}

// replicaMigration is from when IAM alone could have several servers.
var replicaMigration = db.Migration{
	Name: "iam/003-replicas",
	SQL: `
CREATE TABLE iam_replica (
	id      {text} NOT NULL PRIMARY KEY,
	report  {int}  NOT NULL, -- the number of its last report
	applied {int}  NOT NULL  -- the last change that it has
);
`,
}

// versionMigration leaves it to package changefeed to tell the servers of changes.
var versionMigration = db.Migration{
	Name: "iam/005-version",
	SQL: `
CREATE TABLE iam_version (
	one     {int} NOT NULL PRIMARY KEY, -- 1
	version {int} NOT NULL -- the number of the last change
);
INSERT INTO iam_version (one, version) SELECT 1, COALESCE(MAX(seq), 0) FROM iam_change;
DROP TABLE iam_change;
DROP TABLE iam_replica;
`,
}

// accessJobMigration has the reports that GenerateServiceLastAccessedDetails was asked for;
// package report has what is in it.
var accessJobMigration = db.Migration{
	Name: "iam/006-access-job",
	SQL: `
CREATE TABLE iam_access_job (
	id          {text} NOT NULL PRIMARY KEY,
	account     {text} NOT NULL,
	arn         {text} NOT NULL,
	granularity {text} NOT NULL,
	created     {int}  NOT NULL
);
CREATE INDEX iam_access_job_created ON iam_access_job (created);
`,
}

// Migrations returns the schema of this package.
func Migrations() []db.Migration {
	return append(slices.Clip(migrations), replicaMigration, changeIDMigration, versionMigration, accessJobMigration)
}

type entityRow struct{ id, kind, account, body string }

func scanEntity(r db.Row) (row entityRow, err error) {
	err = r.Scan(&row.id, &row.kind, &row.account, &row.body)
	return row, err
}

const entityColumns = `SELECT id, kind, account, body FROM iam_entity`

func (row entityRow) decode() (Entity, error) {
	var e Entity
	switch Kind(row.kind) {
	case KindAccount:
		e = new(Account)
	case KindUser:
		e = new(User)
	case KindGroup:
		e = new(Group)
	case KindRole:
		e = new(Role)
	case KindPolicy:
		e = new(Policy)
	case KindOIDCProvider:
		e = new(OIDCProvider)
	default:
		return nil, fmt.Errorf("iam: entity %s is of unknown kind %q: was it written by a newer version?", row.id, row.kind)
	}
	if err := json.Unmarshal([]byte(row.body), e); err != nil {
		return nil, fmt.Errorf("iam: entity %s: %w", row.id, err)
	}
	c := e.Base()
	c.ID, c.Account = row.id, row.account
	return e, nil
}

// load reads everything.
func (s *Service) load(ctx context.Context) (*Snapshot, error) {
	loaded, err := load(ctx, s.db, s.awsManaged)
	if err != nil {
		return nil, err
	}
	loaded.guardrails = s.guardrail
	return loaded, nil
}

// load reads everything. awsManaged are added to what the database has.
func load(ctx context.Context, d *db.DB, awsManaged []*Policy) (*Snapshot, error) {
	var rows []entityRow
	var seq int64
	err := d.Tx(ctx, func(tx *db.Tx) (err error) {
		if seq, err = db.One(ctx, tx, db.Scalar[int64], `SELECT version FROM iam_version`); err != nil {
			return err
		}
		rows, err = db.All(ctx, tx, scanEntity, entityColumns)
		return err
	})
	if err != nil {
		return nil, err
	}
	entities := make([]Entity, 0, len(rows)+len(awsManaged))
	for _, row := range rows {
		e, err := row.decode()
		if err != nil {
			return nil, err
		}
		entities = append(entities, e)
	}
	for _, p := range awsManaged {
		entities = append(entities, p)
	}
	compiler := newCompiler()
	for _, e := range entities {
		e.compile(compiler)
	}
	return newSnapshot(seq, slices.Values(entities)), nil
}

// A draft is a change in the making: the snapshot as it will be, and the ids of
// what differs.
type Draft struct {
	*Snapshot
	base    *Snapshot
	changed []string            // each once, in the order of the changes
	seen    map[string]struct{} // the same, to be found
}

// set puts e, which no snapshot holds yet, into the draft.
func (d *Draft) set(e Entity) {
	if old, ok := d.byID.Get(e.Base().ID); ok && storedAlike(old, e) {
		return // an edit that changes nothing writes nothing
	}
	e.compile(newCompiler())
	d.Snapshot = d.put(e)
	d.touch(e.Base().ID)
}

// storedAlike reports whether two versions of an entity are the same row.
func storedAlike(a, b Entity) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// remove takes e out of the draft.
func (d *Draft) remove(e Entity) {
	d.Snapshot = d.drop(e.Base().ID)
	d.touch(e.Base().ID)
}

func (d *Draft) touch(id string) {
	if _, ok := d.seen[id]; ok {
		return
	}
	if d.seen == nil {
		d.seen = map[string]struct{}{}
	}
	d.seen[id] = struct{}{}
	d.changed = append(d.changed, id)
}

// exemptsDeclared reports an UnmodifiableEntity if the draft changes or deletes
// what the configuration declares.
func (d *Draft) exemptsDeclared() error {
	for _, id := range d.changed {
		if e, ok := d.base.byID.Get(id); ok {
			if err := undeclared(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// undeclared reports an UnmodifiableEntity if the configuration declares e.
// [Service.change] asks for everything that a draft touches; an operation asks
// earlier if another answer would send its caller the wrong way.
func undeclared(e Entity) error {
	if !e.Base().Declared {
		return nil
	}
	noun, name := e.Kind().Noun(), e.Base().Name
	return fault.New(fault.Conflict, "UnmodifiableEntity",
		"The %s %s is declared in the server's configuration file and cannot be changed here. Change it under iam in the file, and start the server again.", noun, name).About(noun, name)
}

// next returns the draft's snapshot as the one that the change leads to.
func (d *Draft) next() *Snapshot { return d.withSeq(d.base.seq + 1) }

// errStale means that another server made a change after the snapshot of a draft.
var errStale = errors.New("iam: the snapshot is not the newest")

// save writes the draft as the change that follows the one it is based on, or
// returns errStale.
func (d *Draft) save(ctx context.Context, tx *db.Tx) error {
	n, err := tx.Exec(ctx, `UPDATE iam_version SET version = $2 WHERE version = $1`, d.base.seq, d.base.seq+1)
	if err != nil {
		return err
	}
	if n == 0 {
		return errStale
	}
	// Rows first that give up a name which another may take.
	for _, id := range d.changed {
		if _, ok := d.byID.Get(id); !ok {
			if _, err := tx.Exec(ctx, `DELETE FROM iam_entity WHERE id = $1`, id); err != nil {
				return err
			}
		}
	}
	for _, id := range d.changed {
		if e, ok := d.byID.Get(id); ok {
			if err := saveEntity(ctx, tx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func saveEntity(ctx context.Context, tx *db.Tx, e Entity) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	k := keyOf(e)
	_, err = tx.Exec(ctx, `INSERT INTO iam_entity (id, kind, account, name, body) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, body = excluded.body`, e.Base().ID, string(k.kind), k.account, k.name, string(body))
	return err
}

// withSeq returns the snapshot with the number of a change.
func (s *Snapshot) withSeq(seq int64) *Snapshot {
	next := new(*s)
	next.seq = seq
	return next
}
