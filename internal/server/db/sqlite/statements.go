package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// maxPrepared is the length in bytes of the longest query that is kept prepared.
// Longer ones contain lists of values, and clients choose how many.
const maxPrepared = 2 << 10

// rewrite turns $1 into ?1: SQLite takes $1 for a name, and binds names in the
// order in which they appear. It also turns LIMIT $1 into LIMIT ?1+0: SQLite
// plans a statement again at each run if a LIMIT is a bare parameter, and does
// not if it is a sum.
func rewrite(query string) string {
	return strings.ReplaceAll(limit.ReplaceAllString(query, "${0}+0"), "$", "?")
}

var limit = lazyregexp.New(`LIMIT \$[0-9]+`)

// Schema implements [db.Backend].
func (*backend) Schema(statements string) string {
	return strings.NewReplacer("{int}", "INTEGER", "{text}", "TEXT", "{bytes}", "BLOB").Replace(statements)
}

// pool is a *sql.DB with its prepared statements.
type pool struct {
	*sql.DB
	statements *sync.Map // query as written → *sql.Stmt
}

func newPool(d *sql.DB) pool { return pool{d, new(sync.Map)} }

// prepare returns the statement of query, prepared once for the pool.
func (p pool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.statements.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	// Not with the request's cancellation: the statement outlives the request.
	s, err := p.PrepareContext(context.WithoutCancel(ctx), rewrite(query))
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	if other, lost := p.statements.LoadOrStore(query, s); lost {
		s.Close()
		return other.(*sql.Stmt), nil
	}
	return s, nil
}

// close closes the statements first. SQLite keeps a connection open, and with it
// the write-ahead log, as long as one of its statements is.
func (p pool) close() error {
	var errs []error
	p.statements.Range(func(query, s any) bool {
		p.statements.Delete(query)
		errs = append(errs, s.(*sql.Stmt).Close())
		return true
	})
	return errors.Join(append(errs, p.DB.Close())...)
}
