package packages

import (
	"context"
	"errors"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// Small documents that a registry has beside those about packages: its signing keys, the
// attestations of a version. They are read through the same cache, with the same rules.

// A DocumentKind says what a [DocumentRequest] asks for.
type DocumentKind string

const (
	// SigningKeys are the public keys with which a registry signs its versions.
	SigningKeys DocumentKind = "keys"
	// Attestations are statements about how a version, or a file of it, was made.
	Attestations DocumentKind = "attestations"
	// CoreMetadata is what a distribution says of itself, in a file beside it (PEP 658).
	CoreMetadata DocumentKind = "metadata"
	// SearchResults are what a search of a registry finds: [RemoteHits] in JSON.
	SearchResults DocumentKind = "search"
)

// A DocumentRequest names a document of a registry. It is comparable.
type DocumentRequest struct {
	Kind DocumentKind
	// Package has only its format if the document is about the registry as a whole.
	Package PackageID
	// Version is empty if the document is not about one.
	Version string
	// Address is where the registry says that the document is, absolute; empty if the kind
	// has an address that follows from the others.
	Address string
	// SHA256 is the hash of a document that never changes, in lower-case hex; empty if it
	// may. Such a document is verified, and not asked for again while it is kept.
	SHA256 string
	// Search is what is searched for.
	Search RemoteSearch
}

// ConnectionDocument returns a document about the registry behind the repository or its
// upstreams. Fault ResourceNotFound: there is no such registry, or it has no such document.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) ConnectionDocument(ctx context.Context, repo RepositoryID, format Format, kind DocumentKind) ([]byte, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return nil, err
	}
	connected, err := s.connectedRepositories(r, format)
	if err != nil {
		return nil, err
	}
	for _, u := range connected {
		if !s.remote.Connected(u.connection) {
			continue
		}
		body, err := s.remoteDocument(ctx, u.connection, DocumentRequest{Kind: kind, Package: PackageID{Format: format}})
		if !isNoRemotePackage(err) {
			return body, err
		}
	}
	return nil, fault.New(fault.NotFound, "ResourceNotFound", "The repository %s has no external connection to a registry that has such a document.", r.id.Name)
}

// connectedRepositories are the repository and its upstreams as far as they have an external
// connection for the format, in the order of the search.
func (s *Service) connectedRepositories(r *repository, format Format) (connected []*repository, err error) {
	err = s.walkUpstreams(r, format, func(u *repository) (func(), bool, error) {
		if s.connected(u, PackageID{Format: format}) {
			connected = append(connected, u)
		}
		return nil, true, nil
	})
	return connected, err
}

// VersionDocument returns a document about a file of a version that came through an
// external connection. address is where the registry says that it is. Fault
// ResourceNotFound: the version did not come through a connection, the registry has no such
// document, or must not be asked for the package. Fault AccessDenied: admission denies the
// file. codeartifact:ReadFromRepository on the repository.
func (s *Service) VersionDocument(ctx context.Context, repo RepositoryID, id PackageID, version, file string, kind DocumentKind, address string) ([]byte, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := validPackage(id); err != nil {
		return nil, err
	}
	v, a, err := s.findAsset(ctx, r, id, version, file)
	if err != nil {
		return nil, err
	}
	if err := s.checkRead(ctx, readFromRepository, r, id, v, a); err != nil {
		return nil, err
	}
	missing := fault.New(fault.NotFound, "ResourceNotFound", "There is no such document about version %s of %s.", version, id)
	if !v.External() {
		return nil, missing
	}
	f, err := s.searchStored(ctx, r, id)
	if err != nil {
		return nil, err
	}
	for _, slot := range f.remotes {
		if slot.repository.connection != v.EntryPoint || s.refusal(id, slot.repository, f.blocking) != "" {
			continue
		}
		body, err := s.remoteDocument(ctx, v.EntryPoint, DocumentRequest{Kind: kind, Package: id.remote(), Version: v.Version, Address: address})
		if !isNoRemotePackage(err) {
			return body, err
		}
	}
	return nil, missing
}

func isNoRemotePackage(err error) bool { return errors.Is(err, ErrNoRemotePackage) }

func (s *Service) remoteDocument(ctx context.Context, connection string, d DocumentRequest) ([]byte, error) {
	body, state, err := s.remote.Document(ctx, connection, d)
	if err != nil {
		return nil, err
	}
	s.noteState(ctx, connection, state)
	return body, nil
}
