package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxResumes is how often the download of a file goes on after an interruption.
const maxResumes = 5

// Open implements [packages.Remote].
func (c *Cache) Open(ctx context.Context, connection string, file *packages.RemoteAsset) (packages.RemoteFile, error) {
	r := c.registries[connection]
	if r == nil {
		return packages.RemoteFile{}, fmt.Errorf("source: %s is not configured", connection)
	}
	f := &remoteFile{ctx: ctx, registry: r, url: file.URL, size: -1}
	if err := f.open(); err != nil {
		return packages.RemoteFile{}, f.fault(err)
	}
	return packages.RemoteFile{ReadCloser: f, Size: f.size}, nil
}

// Inspect implements [packages.Remote].
func (c *Cache) Inspect(ctx context.Context, connection string, f packages.Arrival) (packages.Contents, error) {
	r := c.registries[connection]
	if r == nil {
		return packages.Contents{}, fmt.Errorf("source: %s is not configured", connection)
	}
	inspector, ok := r.Codec.(Inspector)
	if !ok {
		return packages.Contents{}, nil
	}
	contents, err := inspector.Inspect(ctx, r, f)
	bad := (*BadAnswer)(nil)
	switch {
	case errors.As(err, &bad):
		err = fault.Wrap(err, fault.BadGateway, "UpstreamMismatch", "The file %s of version %s of %s from the upstream %s is not kept: %s Ask who runs the registry.",
			f.Asset.Name, f.Version, f.Package, connection, sentence(bad.What))
	case egress.KindOf(err) != "":
		err = upstreamFault(err, connection)
	}
	return contents, err
}

// A remoteFile is a download that goes on where it was interrupted.
type remoteFile struct {
	ctx      context.Context
	registry *Registry
	url      string
	size     int64 // of the whole file; -1: unknown
	offset   int64 // what was read
	etag     string
	body     io.ReadCloser
	resumes  int
}

// open asks for what is missing.
func (f *remoteFile) open() error {
	h := http.Header{}
	if f.offset > 0 {
		h.Set("Range", fmt.Sprintf("bytes=%d-", f.offset))
		if f.etag != "" {
			h.Set("If-Range", f.etag)
		}
	}
	answer, err := f.registry.Client.Do(f.ctx, egress.Request{URL: f.url, Header: h, MaxBytes: packages.MaxAssetSize})
	if err != nil {
		return err
	}
	switch {
	case f.offset == 0 && answer.Status == http.StatusOK:
		f.size = answer.Length
		if etag := answer.Header.Get("ETag"); !strings.HasPrefix(etag, "W/") {
			f.etag = etag
		}
	case f.offset > 0 && answer.Status == http.StatusPartialContent && strings.HasPrefix(answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", f.offset)):
	case f.offset > 0 && answer.Status == http.StatusOK: // no ranges there: read it again
		if _, err := io.CopyN(io.Discard, answer.Body, f.offset); err != nil {
			_ = answer.Body.Close()
			return err
		}
	default:
		_ = answer.Body.Close()
		return &BadAnswer{What: fmt.Sprintf("it answered status %d to a request for a file", answer.Status)}
	}
	f.body = answer.Body
	return nil
}

func (f *remoteFile) Read(p []byte) (int, error) {
	for {
		n, err := f.body.Read(p)
		f.offset += int64(n)
		if errors.Is(err, io.EOF) && f.size >= 0 && f.offset < f.size {
			err = io.ErrUnexpectedEOF
		}
		switch {
		case n > 0:
			return n, nil
		case err == nil || errors.Is(err, io.EOF):
			return n, err
		case !f.resumable(err):
			return 0, f.fault(err)
		}
		f.resumes++
		_ = f.body.Close()
		if err := f.open(); err != nil {
			f.body = io.NopCloser(strings.NewReader(""))
			return 0, f.fault(err)
		}
	}
}

// resumable reports whether asking for the rest may help.
func (f *remoteFile) resumable(err error) bool {
	if f.ctx.Err() != nil || f.resumes == maxResumes {
		return false
	}
	kind := egress.KindOf(err)
	return errors.Is(err, io.ErrUnexpectedEOF) || kind == egress.Interrupted || kind == egress.TimedOut || kind == egress.Unreachable
}

func (f *remoteFile) Close() error { return f.body.Close() }

// fault names the registry.
func (f *remoteFile) fault(err error) error {
	bad := (*BadAnswer)(nil)
	switch {
	case f.ctx.Err() != nil:
		return shuttingDown(err)
	case egress.IsNotFound(err):
		return fault.Wrap(err, fault.BadGateway, "UpstreamFailed", "The upstream %s lists a file that it does not have: %s", f.registry.Connection, sentence(err.Error()))
	case errors.As(err, &bad):
		return fault.Wrap(err, fault.BadGateway, "UpstreamInvalid", "The upstream %s cannot be used: %s", f.registry.Connection, sentence(bad.What))
	case egress.KindOf(err) != "":
		return upstreamFault(err, f.registry.Connection)
	}
	return fault.Wrap(err, fault.BadGateway, "UpstreamFailed", "The upstream %s broke off in the middle of a file. Try again.", f.registry.Connection)
}
