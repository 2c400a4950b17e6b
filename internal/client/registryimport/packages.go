package registryimport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// A Filter chooses packages. What is empty matches everything.
type Filter struct {
	// Formats are CodeArtifact's names, such as npm.
	Formats []string
	// Namespace is an npm scope without its @, or the like.
	Namespace string
	// Package is a pattern of names, as in [path.Match].
	Package string
}

func (f *Filter) matches(p packagerepo.Package) bool {
	if f.Namespace != "" && p.Namespace != f.Namespace {
		return false
	}
	if f.Package == "" {
		return true
	}
	ok, _ := path.Match(f.Package, p.Name)
	return ok
}

// Packages imports versions of packages from one repository into another.
type Packages struct {
	From, To *packagerepo.Repository
	// Foreign is for a source that does not export versions; nil if From does.
	Foreign *Foreign
	Filter  Filter
	// Parallel is how many packages are worked on at a time.
	Parallel int
	// DryRun only compares.
	DryRun bool
	// Folder is for temporary files.
	Folder string
	Report *Report
}

// Run imports what the destination does not have. It fails only if it cannot go on: what
// cannot be imported is in the report.
func (p *Packages) Run(ctx context.Context) error {
	formats := p.Filter.Formats
	if len(formats) == 0 {
		formats = []string{""}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(p.Parallel, 1))
	var listed error
	for _, format := range formats {
		listed = p.From.EachPackage(ctx, format, func(pkg packagerepo.Package) error {
			if p.Filter.matches(pkg) {
				group.Go(func() error { return p.importPackage(ctx, pkg) })
			}
			return ctx.Err()
		})
		if listed != nil {
			break
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return listed
}

func (p *Packages) importPackage(ctx context.Context, pkg packagerepo.Package) error {
	versions, err := p.From.Versions(ctx, pkg)
	if err == nil {
		var has []packagerepo.Version
		if has, err = p.To.Versions(ctx, pkg); err == nil {
			return p.importVersions(ctx, pkg, versions, has)
		}
	}
	return p.failed(ctx, pkg.Format, pkg.String(), err)
}

func (p *Packages) importVersions(ctx context.Context, pkg packagerepo.Package, versions, has []packagerepo.Version) error {
	revisions := map[string]string{}
	for _, v := range has {
		revisions[v.Version] = v.Revision
	}
	for _, v := range versions {
		at := pkg.At(v.Version)
		name := at.String()
		switch {
		case v.Status != "Published" && v.Status != "Unlisted" && v.Status != "Archived":
			p.Report.add(pkg.Format, name, Skipped, "the version is "+v.Status+" at the source")
			continue
		case v.Revision != "" && revisions[v.Version] == v.Revision:
			p.Report.add(pkg.Format, name, Held, "")
			continue
		}
		var held bool
		var err error
		switch {
		case p.DryRun:
			held, err = p.compare(ctx, pkg, v.Version)
		case p.Foreign != nil:
			held, err = p.Foreign.importVersion(ctx, p, pkg, v)
		default:
			held, err = p.importExported(ctx, pkg, v.Version)
		}
		switch {
		case err != nil:
			if err := p.failed(ctx, pkg.Format, name, err); err != nil {
				return err
			}
		case held:
			p.Report.add(pkg.Format, name, Held, "")
		case p.DryRun:
			p.Report.add(pkg.Format, name, Planned, "")
		default:
			p.Report.add(pkg.Format, name, Imported, "")
		}
	}
	return nil
}

// failed reports an error, or returns it if everything else would have it as well.
func (p *Packages) failed(ctx context.Context, format, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused smithy.APIError
	if packagerepo.IsDenied(err) && errors.As(err, &refused) && !strings.Contains(refused.ErrorCode(), "AccessDenied") {
		return fmt.Errorf("%s: %w", name, err)
	}
	state := Failed
	var different *packagerepo.DifferentError
	if errors.As(err, &different) {
		state = Different
	} else if errors.Is(err, packagerepo.ErrNotExportable) {
		state = Skipped
	}
	p.Report.add(format, name, state, err.Error())
	return nil
}

// compare finds out what a run would do with a version.
func (p *Packages) compare(ctx context.Context, pkg packagerepo.Package, version string) (held bool, err error) {
	v := pkg.At(version)
	wanted, _, err := p.From.Assets(ctx, &v)
	if err != nil {
		return false, err
	}
	has, _, err := p.To.Assets(ctx, &v)
	if err != nil {
		return false, err
	}
	held = len(has) > 0
	for name, a := range wanted {
		switch b, ok := has[name]; {
		case ok && b.SHA256 != a.SHA256:
			return false, &packagerepo.DifferentError{Version: v.String(), File: name, Has: b.SHA256, Want: a.SHA256}
		case !ok:
			held = false
			p.Report.moved(pkg.Format, a.Size)
		}
	}
	return held, nil
}

// importExported imports a version that the source exports.
func (p *Packages) importExported(ctx context.Context, pkg packagerepo.Package, version string) (held bool, err error) {
	v := pkg.At(version)
	text, err := p.From.Record(ctx, &v)
	if err != nil {
		return false, err
	}
	var record packagerepo.Record
	if err := json.Unmarshal(text, &record); err != nil {
		return false, fmt.Errorf("the record cannot be read: %w", err)
	}
	s, err := newSpool(p.Folder)
	if err != nil {
		return false, err
	}
	defer s.remove()
	return p.send(ctx, s, &record, text, func(f *packagerepo.FileRecord) (io.ReadCloser, error) {
		return p.From.OpenFile(ctx, &record, f.Name)
	})
}

// send imports a version whose files fetch opens. Each is fetched once, and only if the
// destination needs it.
func (p *Packages) send(ctx context.Context, s *spool, record *packagerepo.Record, text []byte, fetch func(*packagerepo.FileRecord) (io.ReadCloser, error)) (held bool, err error) {
	bySum := map[string]*packagerepo.FileRecord{}
	for i := range record.Files {
		bySum[record.Files[i].SHA256] = &record.Files[i]
	}
	t := &packagerepo.Transfer{Record: *record, Text: text, Open: func(sum string) (func() (io.ReadCloser, error), bool) {
		f := bySum[sum]
		return func() (io.ReadCloser, error) {
			if err := s.add(f, fetch); err != nil {
				return nil, err
			}
			return s.open(sum)
		}, f != nil
	}}
	held, err = p.To.Import(ctx, t)
	if err == nil {
		p.Report.moved(record.Format, s.size)
	}
	return held, err
}
