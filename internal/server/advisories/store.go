package advisories

import (
	"context"
	"maps"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// scope is this package's in the change feed. A key is the id of a document.
const scope = "advisories"

// Migrations returns the schema of this package.
func Migrations() []db.Migration {
	return []db.Migration{{Name: "advisories/001-advisories", SQL: `
CREATE TABLE advisory (
	id       {text} NOT NULL PRIMARY KEY, -- of the document
	modified {int} NOT NULL,              -- as the document says; 0 if it does not
	imported {int} NOT NULL,
	body     {bytes} NOT NULL             -- JSON of Parsed
);
`}, {Name: "advisories/002-sources", SQL: `
ALTER TABLE advisory ADD COLUMN parser {int} NOT NULL DEFAULT 0; -- parserRevision of the release that read the document
CREATE TABLE advisory_source (
	name          {text} NOT NULL PRIMARY KEY, -- in the configuration
	url           {text} NOT NULL,             -- that the validators are of
	parser        {int} NOT NULL,              -- parserRevision of the release that read it
	etag          {text} NOT NULL,
	last_modified {text} NOT NULL,
	runs          {int} NOT NULL,              -- how often it was asked
	checked       {int} NOT NULL,              -- when it answered last; 0 if it never did
	changed       {int} NOT NULL,              -- when its answer differed last from the one before
	failed        {int} NOT NULL,              -- when it failed last, if it did since it answered; else 0
	failure       {text} NOT NULL,             -- why
	result        {text} NOT NULL              -- JSON of ImportResult, without the refused documents
);
`}}
}

// change runs a transaction that returns the ids of what it changed, and puts that into
// the index of every server.
func (s *Service) change(ctx context.Context, run func(*db.Tx) ([]string, error)) error {
	var ids []string
	var documents map[string]*Parsed
	return s.feed.Make(ctx, changefeed.Change{
		Scope: scope, Turn: &s.changing,
		Run: func(tx *db.Tx) (_ []string, err error) {
			if ids, err = run(tx); err != nil {
				return nil, err
			}
			if len(ids) > 0 && s.onChange != nil {
				if err := s.onChange(ctx, tx); err != nil {
					return nil, err
				}
			}
			documents, err = readDocuments(ctx, tx, ids)
			return ids, err
		},
		Publish: func() {
			if len(ids) > 0 {
				s.index.Store(s.index.Load().with(ids, documents).at(s.now()))
			}
		},
	})
}

// readDocuments reads the documents with the ids. Those that do not exist are left out.
func readDocuments(ctx context.Context, q db.Querier, ids []string) (map[string]*Parsed, error) {
	out := map[string]*Parsed{}
	for _, id := range ids {
		found, err := db.All(ctx, q, scanDocument, `SELECT body FROM advisory WHERE id = $1`, id)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			out[p.ID] = p
		}
	}
	return out, nil
}

func scanDocument(r db.Row) (*Parsed, error) {
	var body []byte
	if err := r.Scan(&body); err != nil {
		return nil, err
	}
	return decode(body)
}

// A follower takes over what other servers have imported.
type follower struct{ s *Service }

// Apply reads documents again.
func (f follower) Apply(ctx context.Context, keys []string) error {
	if err := f.s.changing.Lock(ctx); err != nil {
		return err
	}
	defer f.s.changing.Unlock()
	documents, err := readDocuments(ctx, f.s.db, keys)
	if err != nil {
		return err
	}
	f.s.index.Store(f.s.index.Load().with(keys, documents).at(f.s.now()))
	return nil
}

// Reload reads all documents.
func (f follower) Reload(ctx context.Context) error {
	if err := f.s.changing.Lock(ctx); err != nil {
		return err
	}
	defer f.s.changing.Unlock()
	all := map[string]*Parsed{}
	_, err := db.All(ctx, f.s.db, func(r db.Row) (struct{}, error) {
		p, err := scanDocument(r)
		if err == nil {
			all[p.ID] = p
		}
		return struct{}{}, err
	}, `SELECT body FROM advisory`)
	if err != nil {
		return err
	}
	now := f.s.index.Load()
	ids := slices.Collect(maps.Keys(all))
	for it := now.byID.Iterator(); !it.Done(); { // what is not there any more
		if id, _, _ := it.Next(); all[id] == nil {
			ids = append(ids, id)
		}
	}
	last, err := db.One(ctx, f.s.db, db.Scalar[int64], `SELECT coalesce(max(imported), 0) FROM advisory`)
	if err != nil {
		return err
	}
	if last > 0 {
		now = now.at(db.Time(last))
	}
	f.s.index.Store(now.with(ids, all))
	return nil
}
