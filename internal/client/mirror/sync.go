package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

// A remoteFile is a file of a version as a package endpoint has it.
type remoteFile struct {
	name string
	url  *url.URL
	// hashes are what the endpoint says of it; there may be none.
	hashes []lockedversions.Hash
}

// A reader finds the files of versions as the clients of a format do. It is used for the
// versions of one package, one after the other.
type reader interface {
	// files returns the files of a version: all, or, if the format has no list of them,
	// those that the lock file names.
	files(ctx context.Context, v *lockedversions.Version) ([]remoteFile, error)
}

// newReader returns the reader of a format.
func newReader(format string, e *Endpoint) (reader, error) {
	switch format {
	case "npm":
		return &npmReader{endpoint: e}, nil
	case "pypi":
		return &pypiReader{endpoint: e}, nil
	case "maven":
		return &mavenReader{e}, nil
	case "nuget":
		return &nugetReader{endpoint: e}, nil
	case "cargo":
		return &cargoReader{endpoint: e}, nil
	case "ruby":
		return &rubyReader{e}, nil
	}
	return nil, fmt.Errorf("packages of the format %q cannot be fetched", format)
}

// Sync makes the repository take what it does not hold, and sets the state of each item.
// It fails only if it cannot go on: what a single version lacks is in its item.
func (m *Mirror) Sync(ctx context.Context, p *Plan) error {
	return m.each(ctx, p, func(ctx context.Context, items []*Item) error {
		r, err := newReader(items[0].Format, m.Endpoints[items[0].Format])
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := m.sync(ctx, r, item); err != nil {
				return err
			}
			m.Progress()
		}
		return nil
	})
}

func (m *Mirror) sync(ctx context.Context, r reader, item *Item) error {
	held, err := m.assets(ctx, &item.Version)
	if err != nil {
		return err
	}
	item.State, item.Message, err = m.compare(ctx, item, held)
	if err != nil || item.State == Different || item.State == Held && len(item.Files) > 0 {
		return err
	}
	wasHeld := item.State == Held
	fetched, err := m.fetch(ctx, r, item, held)
	if err != nil {
		item.State, item.Message = stateOf(err), err.Error()
		return ctx.Err()
	}
	if held, err = m.assets(ctx, &item.Version); err != nil {
		return err
	}
	if item.State, item.Message, err = m.compare(ctx, item, held); err != nil {
		return err
	}
	switch {
	case item.State == Missing:
		item.Message += ", although it was downloaded through it: its origin controls, or those of a package group, keep it from taking the package"
	case item.State == Held && (fetched > 0 || !wasHeld):
		item.State = Fetched
	}
	return nil
}

// A mismatchError is a file with another hash than the lock file.
type mismatchError struct{ text string }

func (e *mismatchError) Error() string { return e.text }

// errNoFile is a file that the registry does not have.
var errNoFile = errors.New("the registry does not have it")

func stateOf(err error) State {
	var mismatch *mismatchError
	switch {
	case errors.As(err, &mismatch):
		return Different
	case isNotFound(err) || errors.Is(err, errNoFile):
		return Missing
	}
	return Failed
}

// fetch downloads the files that are not held, and returns how many.
func (m *Mirror) fetch(ctx context.Context, r reader, item *Item, held []asset) (int, error) {
	all, err := r.files(ctx, &item.Version)
	if err != nil {
		return 0, err
	}
	wanted := item.Files
	if len(wanted) == 0 { // everything that the registry has
		for _, f := range all {
			wanted = append(wanted, lockedversions.File{Name: f.name, Hashes: f.hashes})
		}
		if len(wanted) == 0 {
			return 0, fmt.Errorf("%s: %w", item.String(), errNoFile)
		}
	}
	fetched := 0
	for i := range wanted {
		w := &wanted[i]
		if state, _, err := m.compareFile(ctx, item, w, held); err != nil || state == Held {
			if err != nil {
				return fetched, err
			}
			continue
		}
		f, err := choose(item, w, all)
		if err != nil {
			return fetched, err
		}
		if err := m.download(ctx, item, f, w); err != nil {
			return fetched, err
		}
		fetched++
	}
	return fetched, nil
}

// choose finds the file that the lock file wants among those of the registry. It refuses
// one of which the registry says another hash already, so that it is not downloaded.
func choose(item *Item, w *lockedversions.File, all []remoteFile) (*remoteFile, error) {
	var only *remoteFile
	for i := range all {
		f := &all[i]
		if w.Name != "" && f.name != w.Name {
			continue
		}
		said := ""
		for _, h := range f.hashes {
			if len(w.Hashes) > 0 && h.Algorithm == w.Hashes[0].Algorithm {
				if hasHash(w, h.Algorithm, h.Hex) {
					return f, nil
				}
				said = h.String()
			}
		}
		if said != "" && (w.Name != "" || singleFile[item.Format]) {
			return nil, &mismatchError{fmt.Sprintf("%s has %s in the registry, and %s in the lock file", f.name, said, hashList(w.Hashes))}
		}
		if said == "" {
			only = f
		}
	}
	if only != nil && (w.Name != "" || singleFile[item.Format]) {
		return only, nil
	}
	return nil, fmt.Errorf("%s: %w", describe(w), errNoFile)
}

// download reads a file to its end and verifies it. The repository keeps it meanwhile.
func (m *Mirror) download(ctx context.Context, item *Item, f *remoteFile, w *lockedversions.File) error {
	body, err := m.Endpoints[item.Format].Get(ctx, f.url, "")
	if err != nil {
		return err
	}
	defer body.Close()
	if len(w.Hashes) == 0 {
		_, err := io.Copy(io.Discard, body)
		return readError(f, err)
	}
	h := newHash(w.Hashes[0].Algorithm)
	content := io.TeeReader(body, h)
	unsigned := ""
	if item.Format == "nuget" {
		unsigned, err = nupkgHash(content)
	} else {
		_, err = io.Copy(io.Discard, content)
	}
	if err != nil {
		return readError(f, err)
	}
	if digits := sum(h); !hasHash(w, w.Hashes[0].Algorithm, digits) && !hasHash(w, "sha512", unsigned) {
		return &mismatchError{fmt.Sprintf("%s was downloaded with %s:%s, and the lock file has %s", f.name, w.Hashes[0].Algorithm, digits, hashList(w.Hashes))}
	}
	return nil
}

func readError(f *remoteFile, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s could not be read to its end: %w", f.name, err)
}
