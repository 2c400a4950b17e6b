package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
)

// stores are the PostgreSQL server and the bucket of a run with -postgres and -s3.
// Each Gatehouse and the baseline have a schema and a prefix of their own.
type stores struct {
	postgres, s3 string
	names        map[string]string // data folder → schema and prefix

	// database and blobs are the baseline's.
	database *db.DB
	blobs    *s3.Store
}

// openStores returns nil if the options name none.
func openStores(ctx context.Context, o *options) (*stores, error) {
	if o.postgres == "" {
		return nil, nil
	}
	s := &stores{postgres: o.postgres, s3: o.s3, names: map[string]string{}}
	flags, err := s.flags(ctx, "baseline")
	if err != nil {
		return nil, err
	}
	if s.database, err = postgres.Open(ctx, flags[1]); err != nil {
		return s, err
	}
	if err := s.database.Migrate(ctx, db.Migration{Name: "bench/001-stored", SQL: `CREATE TABLE stored (name {text} NOT NULL PRIMARY KEY)`}); err != nil {
		return s, err
	}
	c, err := s3.ParseURL(flags[3])
	if err != nil {
		return s, err
	}
	c.Redirect = true
	s.blobs, err = s3.Open(ctx, c)
	return s, err
}

// close drops the schemas. What is in the bucket stays.
func (s *stores) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	if s.blobs != nil {
		errs = append(errs, s.blobs.Close())
	}
	if s.database != nil {
		errs = append(errs, s.database.Close())
	}
	for _, name := range s.names {
		errs = append(errs, s.administer(context.Background(), `DROP SCHEMA `+name+` CASCADE`))
	}
	return errors.Join(errs...)
}

// flags returns those with which a server uses the stores, always the same ones for the
// same data folder.
func (s *stores) flags(ctx context.Context, data string) ([]string, error) {
	if s == nil {
		return nil, nil
	}
	name, ok := s.names[data]
	if !ok {
		name = "bench_" + strings.ToLower(rand.Text())
		if err := s.administer(ctx, `CREATE SCHEMA `+name); err != nil {
			return nil, err
		}
		s.names[data] = name
	}
	database, err := url.Parse(s.postgres)
	if err != nil {
		return nil, errors.New("-postgres is not a URL")
	}
	query := database.Query()
	query.Set("search_path", name)
	database.RawQuery = query.Encode()
	bucket, err := url.Parse(s.s3)
	if err != nil {
		return nil, errors.New("-s3 is not a URL")
	}
	return []string{"--database", database.String(), "--blobs", bucket.JoinPath(name).String()}, nil
}

func (s *stores) administer(ctx context.Context, statement string) error {
	c, err := pgx.Connect(ctx, s.postgres)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, `SET client_min_messages = error`)
	if err == nil {
		_, err = c.Exec(ctx, statement)
	}
	return err
}

// analyze does what autovacuum does after a while.
func (s *stores) analyze(ctx context.Context) error {
	if s == nil {
		return nil
	}
	return s.administer(ctx, `VACUUM ANALYZE`)
}

// size returns how many bytes the tables of a server take, with their indexes.
func (s *stores) size(ctx context.Context, data string) (size int64, err error) {
	c, err := pgx.Connect(ctx, s.postgres)
	if err != nil {
		return 0, err
	}
	defer c.Close(ctx)
	err = c.QueryRow(ctx, `SELECT COALESCE(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'`, s.names[data]).Scan(&size)
	return size, err
}

// store is the least that a registry on these stores must do: objects, as many at a
// time as a client pushes, and then a commit.
func (s *stores) store(ctx context.Context, contents ...[]byte) error {
	g, storing := errgroup.WithContext(ctx)
	g.SetLimit(uploads)
	for _, c := range contents {
		g.Go(func() error {
			_, err := s.put(storing, c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return s.database.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO stored (name) VALUES ($1)`, rand.Text())
		return err
	})
}

// put stores an object and returns its name.
func (s *stores) put(ctx context.Context, content []byte) (string, error) {
	name := strings.ToLower(rand.Text())
	w, err := s.blobs.Create(ctx, name)
	if err != nil {
		return "", err
	}
	defer w.Abort()
	if _, err := io.Copy(w, bytes.NewReader(content)); err != nil {
		return "", err
	}
	return name, w.Commit(ctx)
}

// presigned returns the address of an object with the content.
func (s *stores) presigned(ctx context.Context, content []byte) (*url.URL, error) {
	name, err := s.put(ctx, content)
	if err != nil {
		return nil, err
	}
	o, err := s.blobs.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	p, ok := o.(blob.Presigner)
	if !ok {
		return nil, fmt.Errorf("the store does not presign")
	}
	address, err := p.Presign(ctx, time.Hour)
	if err != nil {
		return nil, err
	}
	return url.Parse(address)
}
