package nuget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Inspect implements [source.Inspector]. A package must have the hash that the registry's
// catalog tells, if it tells one, and the id and the version for which it was downloaded.
func (c *Codec) Inspect(ctx context.Context, r *source.Registry, f packages.Arrival) (packages.Contents, error) {
	verified := f.Asset.SHA512 != ""
	if f.Asset.About != "" {
		hash, err := catalogHash(ctx, r, f.Asset.About)
		if err != nil {
			return packages.Contents{}, err
		}
		if want := hash.sha512(); want != "" && want != f.Content.SHA512 {
			return packages.Contents{}, &source.BadAnswer{What: "its SHA-512 is not the one that the catalog of the registry tells"}
		} else if want != "" {
			verified = true
		}
	}
	m, about, err := c.open(ctx, f.Content)
	if bad := fault.From(err); bad != nil && bad.Kind == fault.Invalid {
		if verified { // what clients cannot read is their decision
			return packages.Contents{}, nil
		}
		return packages.Contents{}, &source.BadAnswer{What: strings.TrimSuffix(bad.Message, "."), Err: err}
	}
	if err != nil {
		return packages.Contents{}, err
	}
	if !strings.EqualFold(m.ID, f.Package.Name) || !packages.NuGet.SameVersion(m.Version, f.Version) {
		return packages.Contents{}, &source.BadAnswer{What: fmt.Sprintf("it is the package %s %s", m.ID, m.Version)}
	}
	return about, nil
}

// open reads the manifest of a package, and what is kept of the file.
func (c *Codec) open(ctx context.Context, content *packages.Staged) (*nupkg.Manifest, packages.Contents, error) {
	object, err := content.Open(ctx)
	if err != nil {
		return nil, packages.Contents{}, err
	}
	defer object.Close()
	release, err := c.archives.Acquire(ctx, content.Size, archive.Limits{})
	if err != nil {
		return nil, packages.Contents{}, err
	}
	defer release()
	file, err := nupkg.Open(ctx, object, content.Size)
	if err != nil {
		return nil, packages.Contents{}, err
	}
	m, err := file.Manifest()
	if err != nil {
		return nil, packages.Contents{}, err
	}
	readme, err := file.Readme(m.Readme)
	if err != nil {
		return nil, packages.Contents{}, err
	}
	metadata, err := json.Marshal(file.Metadata())
	return m, packages.Contents{Description: m.Describe(readme), Search: m.SearchText(), Metadata: metadata}, err
}

// maxCatalogLeaf bounds what a catalog says of one package, in bytes: the names of all its
// files are in it.
const maxCatalogLeaf = 32 << 20

// catalogHash reads the hash of a package in the registry's catalog. A registry that has
// no catalog, or names something else in its place, tells none.
func catalogHash(ctx context.Context, r *source.Registry, address string) (h packageHash, err error) {
	bounded := *r
	bounded.Settings.MaxDocument = maxCatalogLeaf
	_, _, err = getJSON(ctx, &bounded, address, source.Validators{}, &h)
	bad := (*source.BadAnswer)(nil)
	if errors.Is(err, packages.ErrNoRemotePackage) || errors.As(err, &bad) || egress.KindOf(err) == egress.Malformed {
		return packageHash{}, nil
	}
	return h, err
}
