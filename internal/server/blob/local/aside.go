package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

const (
	// asideDir holds a folder for each day, named by dayForm, with the objects
	// that were set aside on it.
	asideDir = "aside"
	dayForm  = time.DateOnly
)

// SetAside implements [blob.Store] by a rename. Like a removal it is not synced.
func (s *Store) SetAside(ctx context.Context, name string, now time.Time) error {
	if !blob.ValidName(name) {
		return fmt.Errorf("%w: %q", blob.ErrInvalidName, name)
	}
	day := path.Join(asideDir, now.UTC().Format(dayForm))
	err := s.root.Rename(s.shard(name).path(name), path.Join(day, name))
	if errors.Is(err, fs.ErrNotExist) { // usually the folder of the day
		if err := s.root.MkdirAll(day, 0o700); err != nil {
			return fmt.Errorf("set blob aside: %w", fullDisk(err))
		}
		err = s.root.Rename(s.shard(name).path(name), path.Join(day, name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return s.Delete(ctx, name) // there is no committed object
	}
	if err != nil {
		return fmt.Errorf("set blob aside: %w", fullDisk(err))
	}
	s.metrics.setAside.Inc()
	return nil
}

// restore puts an object that was set aside back into its shard, and reports
// whether it did.
func (s *Store) restore(name string) bool {
	days, err := s.asideDays()
	if err != nil || len(days) == 0 {
		return false
	}
	if err := s.prepare(name); err != nil {
		return false
	}
	for _, day := range slices.Backward(days) {
		if s.root.Rename(path.Join(asideDir, day, name), s.shard(name).path(name)) == nil {
			s.metrics.restored.Inc()
			return true
		}
	}
	return false
}

// asideDays returns the names of the folders of days, in order.
func (s *Store) asideDays() ([]string, error) {
	dir, err := s.root.Open(asideDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, err := time.Parse(dayForm, name)
		return err != nil // not of this package
	})
	slices.Sort(names)
	return names, nil
}

// Purge implements [blob.Store]. It deletes whole days.
func (s *Store) Purge(ctx context.Context, before time.Time) (n int, err error) {
	days, err := s.asideDays()
	if err != nil {
		return 0, fmt.Errorf("purge blobs: %w", err)
	}
	for _, day := range days {
		if began, _ := time.Parse(dayForm, day); began.AddDate(0, 0, 1).After(before) {
			break // objects of this day may have been set aside after before
		}
		deleted, err := s.purgeDay(ctx, path.Join(asideDir, day))
		n += deleted
		if err != nil {
			return n, fmt.Errorf("purge blobs: %w", err)
		}
	}
	return n, nil
}

func (s *Store) purgeDay(ctx context.Context, day string) (n int, err error) {
	for {
		dir, err := s.root.Open(day)
		if err != nil {
			return n, err
		}
		names, err := dir.Readdirnames(batch)
		dir.Close()
		if len(names) == 0 {
			return n, s.root.Remove(day) // Readdirnames ends with io.EOF
		}
		for _, name := range names {
			if err := errors.Join(ctx.Err(), s.root.Remove(path.Join(day, name))); err != nil {
				return n, err
			}
			n++
		}
		if err != nil {
			return n, err
		}
	}
}
