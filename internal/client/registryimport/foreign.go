package registryimport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
	"github.com/gatehouse-registry/gatehouse/internal/client/mirror"
	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// A Foreign imports versions of a source that does not export them.
type Foreign struct {
	// Endpoints returns the package endpoint of the source in a format.
	Endpoints func(ctx context.Context, format string) (*mirror.Endpoint, error)
	// Staging is an empty repository of the destination, in a domain of its own, where
	// versions are published before they are imported. StagingEndpoints are its package
	// endpoints.
	Staging          *packagerepo.Repository
	StagingEndpoints func(ctx context.Context, format string) (*mirror.Endpoint, error)
}

// A foreignVersion is a version on its way.
type foreignVersion struct {
	pkg    packagerepo.Package
	at     lockedversions.Version
	assets []packagerepo.FileRecord
	tags   []string
	source *mirror.Endpoint // nil for generic packages, which have none
	spool  *spool
	about  *types.PackageVersionDescription
}

func (v *foreignVersion) open(name string) (io.ReadCloser, int64, error) {
	for i := range v.assets {
		if a := &v.assets[i]; a.Name == name {
			content, err := v.spool.open(a.SHA256)
			return content, a.Size, err
		}
	}
	return nil, 0, fmt.Errorf("the source has no file %s of this version", name)
}

// importVersion imports a version, unless the destination has all of its files.
func (f *Foreign) importVersion(ctx context.Context, p *Packages, pkg packagerepo.Package, listed packagerepo.Version) (held bool, err error) {
	v := &foreignVersion{pkg: pkg, at: pkg.At(listed.Version)}
	if held, err := f.compare(ctx, p, v); held || err != nil {
		return held, err
	}
	if v.spool, err = newSpool(p.Folder); err != nil {
		return false, err
	}
	defer v.spool.remove()
	if err := f.read(ctx, p, v); err != nil {
		return false, err
	}
	record, text, err := f.stage(ctx, v)
	if err != nil {
		return false, err
	}
	if err := checkAssets(v, record); err != nil {
		return false, err
	}
	defer f.unstage(context.WithoutCancel(ctx), v)
	return p.send(ctx, v.spool, record, text, func(file *packagerepo.FileRecord) (io.ReadCloser, error) {
		return f.Staging.OpenFile(ctx, record, file.Name) // a sidecar that the destination has made
	})
}

// compare fetches the list of the assets. held means that the destination has all of them.
func (f *Foreign) compare(ctx context.Context, p *Packages, v *foreignVersion) (held bool, err error) {
	wanted, _, err := p.From.Assets(ctx, &v.at)
	if err != nil {
		return false, err
	}
	has, _, err := p.To.Assets(ctx, &v.at)
	if err != nil {
		return false, err
	}
	held = len(wanted) > 0
	for name, a := range wanted {
		v.assets = append(v.assets, packagerepo.FileRecord{Name: name, Size: a.Size, SHA256: a.SHA256})
		switch b, ok := has[name]; {
		case ok && b.SHA256 != a.SHA256:
			return false, &packagerepo.DifferentError{Version: v.at.String(), File: name, Has: b.SHA256, Want: a.SHA256}
		case !ok:
			held = false
		}
	}
	if len(wanted) == 0 {
		return false, errors.New("the source lists no files of this version")
	}
	return held, nil
}

// read fetches what the source says of a version, and its files.
func (f *Foreign) read(ctx context.Context, p *Packages, v *foreignVersion) error {
	out, err := p.From.API.DescribePackageVersion(ctx, &codeartifact.DescribePackageVersionInput{
		Domain: &p.From.Domain, DomainOwner: p.From.OwnerID(), Repository: &p.From.Name, Format: types.PackageFormat(v.pkg.Format),
		Namespace: packagerepo.Optional(v.pkg.Namespace), Package: &v.pkg.Name, PackageVersion: &v.at.Version,
	})
	if err != nil {
		return err
	}
	v.about = out.PackageVersion
	if v.pkg.Format != "generic" {
		if v.source, err = f.Endpoints(ctx, v.pkg.Format); err != nil {
			return err
		}
	}
	for i := range v.assets {
		if err := v.spool.add(&v.assets[i], func(file *packagerepo.FileRecord) (io.ReadCloser, error) {
			out, err := p.From.API.GetPackageVersionAsset(ctx, &codeartifact.GetPackageVersionAssetInput{
				Domain: &p.From.Domain, DomainOwner: p.From.OwnerID(), Repository: &p.From.Name, Format: types.PackageFormat(v.pkg.Format),
				Namespace: packagerepo.Optional(v.pkg.Namespace), Package: &v.pkg.Name, PackageVersion: &v.at.Version, Asset: &file.Name,
			})
			if err != nil {
				return nil, err
			}
			return out.Asset, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// stage publishes a version to the staging repository, and returns its record there with
// what the source says of it.
func (f *Foreign) stage(ctx context.Context, v *foreignVersion) (*packagerepo.Record, []byte, error) {
	if err := f.publish(ctx, v); err != nil {
		return nil, nil, fmt.Errorf("the destination does not take it: %w", err)
	}
	text, err := f.Staging.Record(ctx, &v.at)
	if errors.Is(err, packagerepo.ErrNotExportable) { // Maven's clients finish a version with their metadata
		if err = f.finish(ctx, v); err == nil {
			text, err = f.Staging.Record(ctx, &v.at)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if text, err = complete(text, v.about, v.tags); err != nil {
		return nil, nil, err
	}
	record := new(packagerepo.Record)
	return record, text, json.Unmarshal(text, record)
}

// unstage removes a version from the staging repository. What cannot be removed goes with
// the repository at the end.
func (f *Foreign) unstage(ctx context.Context, v *foreignVersion) {
	_, _ = f.Staging.API.DeletePackageVersions(ctx, &codeartifact.DeletePackageVersionsInput{
		Domain: &f.Staging.Domain, Repository: &f.Staging.Name, Format: types.PackageFormat(v.pkg.Format),
		Namespace: packagerepo.Optional(v.pkg.Namespace), Package: &v.pkg.Name, Versions: []string{v.at.Version},
	})
}

func (f *Foreign) finish(ctx context.Context, v *foreignVersion) error {
	_, err := f.Staging.API.UpdatePackageVersionsStatus(ctx, &codeartifact.UpdatePackageVersionsStatusInput{
		Domain: &f.Staging.Domain, Repository: &f.Staging.Name, Format: types.PackageFormat(v.pkg.Format),
		Namespace: packagerepo.Optional(v.pkg.Namespace), Package: &v.pkg.Name, Versions: []string{v.at.Version}, TargetStatus: types.PackageVersionStatusPublished,
	})
	return err
}

// complete puts time, status, origin, revision and tags of the source into a record. Every
// other member stays as it is, byte for byte.
func complete(text []byte, about *types.PackageVersionDescription, tags []string) ([]byte, error) {
	var record map[string]json.RawMessage
	var files []map[string]json.RawMessage
	err := json.Unmarshal(text, &record)
	if err == nil {
		err = json.Unmarshal(record["files"], &files)
	}
	if err != nil {
		return nil, fmt.Errorf("the record cannot be read: %w", err)
	}
	set := func(object map[string]json.RawMessage, member string, value any) {
		var text []byte
		if text, err = json.Marshal(value); err == nil {
			object[member] = text
		}
	}
	if about.PublishedTime != nil {
		published := about.PublishedTime.UTC()
		set(record, "published", published)
		for _, f := range files {
			set(f, "published", published)
		}
		set(record, "files", files)
	}
	if about.Revision != nil {
		set(record, "revision", *about.Revision)
	}
	set(record, "status", about.Status)
	if o := about.Origin; o != nil && o.DomainEntryPoint != nil && o.DomainEntryPoint.ExternalConnectionName != nil {
		set(record, "connection", *o.DomainEntryPoint.ExternalConnectionName)
	}
	delete(record, "tags")
	if len(tags) > 0 {
		set(record, "tags", tags)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(record)
}

// checkAssets checks that the destination has a place for every file of the source.
func checkAssets(v *foreignVersion, record *packagerepo.Record) error {
	has := map[string]string{}
	for i := range record.Files {
		has[record.Files[i].Name] = record.Files[i].SHA256
	}
	for i := range v.assets {
		if a := &v.assets[i]; has[a.Name] != a.SHA256 {
			return fmt.Errorf("the destination keeps no file %s of such a version, or other bytes", a.Name)
		}
	}
	return nil
}
