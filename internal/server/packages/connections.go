package packages

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// externalConnections are the public repositories to which a repository can be connected,
// with the format of their packages (CodeArtifact User Guide, "Supported external
// connection repositories"). There are none for generic and Swift packages.
var externalConnections = map[string]Format{
	"public:npmjs":               NPM,
	"public:pypi":                PyPI,
	"public:nuget-org":           NuGet,
	"public:maven-central":       Maven,
	"public:maven-googleandroid": Maven,
	"public:maven-gradleplugins": Maven,
	"public:maven-commonsware":   Maven,
	"public:maven-clojars":       Maven,
	"public:ruby-gems-org":       Ruby,
	"public:crates-io":           Cargo,
}

// ExternalConnections returns the external connections with the formats of their packages.
func ExternalConnections() map[string]Format { return maps.Clone(externalConnections) }

// ConnectionFormat returns the format of the packages of an external connection.
func ConnectionFormat(connection string) Format { return externalConnections[connection] }

// AssociateExternalConnection connects a repository to a public one, whose packages its
// clients then see. Fault Conflict: the repository has a connection already.
// codeartifact:AssociateExternalConnection on the repository.
func (s *Service) AssociateExternalConnection(ctx context.Context, id RepositoryID, connection string) (Repository, error) {
	r, err := s.authorizeRepository(ctx, "codeartifact:AssociateExternalConnection", id)
	if err != nil {
		return Repository{}, err
	}
	if _, ok := externalConnections[connection]; !ok {
		return Repository{}, invalid("%q is not an external connection. There are: %s.", connection, strings.Join(slices.Sorted(maps.Keys(externalConnections)), ", "))
	}
	return s.changeRepository(ctx, id, func(tx *db.Tx) error {
		now, err := readConnection(ctx, tx, r)
		if err != nil {
			return err
		}
		if now != "" {
			return conflict(typeRepository, id.Name, "The repository %s has the external connection %s already, and can have only one. Disassociate it first.", id.Name, now)
		}
		return writeConnection(ctx, tx, r, connection)
	})
}

// DisassociateExternalConnection removes the connection of a repository. What the
// repository contains stays. Fault ResourceNotFound: it does not have the connection.
// codeartifact:DisassociateExternalConnection on the repository.
func (s *Service) DisassociateExternalConnection(ctx context.Context, id RepositoryID, connection string) (Repository, error) {
	r, err := s.authorizeRepository(ctx, "codeartifact:DisassociateExternalConnection", id)
	if err != nil {
		return Repository{}, err
	}
	return s.changeRepository(ctx, id, func(tx *db.Tx) error {
		now, err := readConnection(ctx, tx, r)
		if err != nil {
			return err
		}
		if connection == "" || now != connection {
			return fault.New(fault.NotFound, "ResourceNotFound", "The repository %s does not have the external connection %s.", id.Name, connection).About(typeRepository, id.Name)
		}
		return writeConnection(ctx, tx, r, "")
	})
}

func readConnection(ctx context.Context, tx *db.Tx, r *repository) (string, error) {
	now, err := db.One(ctx, tx, db.Scalar[string], `SELECT external_connection FROM pkg_repository WHERE id = $1`, r.row)
	return now, orNotFound(err, repositoryNotFound(r.id))
}

func writeConnection(ctx context.Context, tx *db.Tx, r *repository, connection string) error {
	_, err := tx.Exec(ctx, `UPDATE pkg_repository SET external_connection = $2 WHERE id = $1`, r.row, connection)
	return err
}
