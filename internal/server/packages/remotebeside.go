package packages

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// How small files beside the files of a registry are served: the core metadata of a wheel.
//
// Installers read them of many versions before they choose one. So what they read is not
// kept as a version. It is a document of the cache, verified by its hash, and kept when the
// file itself is.

// keepPatience is how long keeping a file waits for the files beside it.
const keepPatience = 5 * time.Second

// A memoryObject is an object in memory.
type memoryObject struct {
	*bytes.Reader
	bytes []byte
}

func newMemoryObject(b []byte) memoryObject { return memoryObject{bytes.NewReader(b), b} }

// Bytes implements [blob.InMemory].
func (o memoryObject) Bytes() []byte { return o.bytes }

func (memoryObject) Close() error { return nil }

// openBeside opens a sidecar that is not stored.
func (s *Service) openBeside(ctx context.Context, id PackageID, v *Version, a *Asset) (Asset, blob.Object, error) {
	body, err := s.sidecar(ctx, id, v, a)
	if err != nil {
		return Asset{}, nil, err
	}
	found := *a
	found.Size = int64(len(body))
	return found, newMemoryObject(body), nil
}

// sidecar returns the bytes of a sidecar that is not stored.
func (s *Service) sidecar(ctx context.Context, id PackageID, v *Version, a *Asset) ([]byte, error) {
	body, err := s.remoteDocument(ctx, v.EntryPoint, DocumentRequest{
		Kind: CoreMetadata, Package: id.remote(), Version: v.Version, Address: a.remote.URL, SHA256: strings.ToLower(a.remote.SHA256),
	})
	if errors.Is(err, ErrNoRemotePackage) {
		return nil, fault.Wrap(err, fault.BadGateway, "UpstreamFailed", "The upstream %s lists the file %s of version %s of %s, but does not have it.", v.EntryPoint, a.Name, v.Version, id)
	}
	return body, err
}

// keepBeside keeps the files beside one that was kept. One that cannot be had now is read
// when a client asks for it.
func (s *Service) keepBeside(ctx context.Context, d *ingestion) {
	ctx, cancel := context.WithTimeout(ctx, keepPatience)
	defer cancel()
	for i := range d.version.Sidecars {
		a := &d.version.Sidecars[i]
		if a.beside != d.asset.Name || a.remote == nil {
			continue
		}
		beside := &ingestion{repository: d.repository, asked: d.asked, id: d.id, version: d.version, asset: a}
		if err := s.keepSidecar(ctx, beside); err != nil {
			s.log.WarnContext(ctx, "a file beside one of an external registry could not be kept", "file", beside.name(), "repository", d.repository.arn, "error", err)
		}
	}
}

func (s *Service) keepSidecar(ctx context.Context, d *ingestion) error {
	body, err := s.sidecar(ctx, d.id, d.version, d.asset)
	if err != nil {
		return err
	}
	content, err := s.stage(ctx, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return err
	}
	defer content.Discard()
	if err := d.compare(content); err != nil {
		return err
	}
	return s.keep(ctx, d, content, Contents{})
}
