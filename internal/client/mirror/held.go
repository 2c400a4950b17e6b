package mirror

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

// A Mirror is a repository that is to hold the versions of a plan.
type Mirror struct {
	// API is CodeArtifact's.
	API *codeartifact.Client
	// Domain and Repository name the repository. Owner is the account of the domain, or
	// empty for the caller's.
	Domain, Owner, Repository string
	// Endpoints are the package endpoints of the repository by format; needed by Sync only.
	Endpoints map[string]*Endpoint
	// Parallel is how many packages are worked on at a time.
	Parallel int
	// ReadBytes makes Check read every file that is held, and not only the hashes that
	// the repository has of them.
	ReadBytes bool
	// Progress is called after each version, and must be safe for use by many goroutines.
	Progress func()
}

// An asset is a file that the repository holds. Its hashes are by algorithm, in hex.
type asset struct {
	name   string
	hashes map[string]string
}

// Check finds out which items of the plan the repository itself holds.
func (m *Mirror) Check(ctx context.Context, p *Plan) error {
	return m.each(ctx, p, func(ctx context.Context, items []*Item) error {
		for _, item := range items {
			if err := m.check(ctx, item); err != nil {
				return err
			}
			m.Progress()
		}
		return nil
	})
}

// each calls work for the items of each package.
func (m *Mirror) each(ctx context.Context, p *Plan, work func(context.Context, []*Item) error) error {
	byPackage := map[string][]*Item{}
	var names []string
	for i := range p.Items {
		name := p.Items[i].Package()
		if byPackage[name] == nil {
			names = append(names, name)
		}
		byPackage[name] = append(byPackage[name], &p.Items[i])
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(m.Parallel, 1))
	for _, name := range names {
		group.Go(func() error { return work(ctx, byPackage[name]) })
	}
	return group.Wait()
}

// check sets the state of an item. Its errors are those that other items would have too.
func (m *Mirror) check(ctx context.Context, item *Item) error {
	held, err := m.assets(ctx, &item.Version)
	if err != nil {
		return err
	}
	item.State, item.Message, err = m.compare(ctx, item, held)
	return err
}

// assets returns the files that the repository holds of a version.
func (m *Mirror) assets(ctx context.Context, v *lockedversions.Version) ([]asset, error) {
	in := &codeartifact.ListPackageVersionAssetsInput{
		Domain: &m.Domain, DomainOwner: optional(m.Owner), Repository: &m.Repository, Format: types.PackageFormat(v.Format),
		Namespace: optional(v.Namespace), Package: &v.Name, PackageVersion: &v.Version,
	}
	var all []asset
	pages := codeartifact.NewListPackageVersionAssetsPaginator(m.API, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		var missing *types.ResourceNotFoundException
		if errors.As(err, &missing) && missing.ResourceType != types.ResourceTypeRepository && missing.ResourceType != types.ResourceTypeDomain {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, a := range page.Assets {
			held := asset{aws.ToString(a.Name), map[string]string{}}
			for algorithm, digits := range a.Hashes {
				held.hashes[strings.ToLower(strings.ReplaceAll(algorithm, "-", ""))] = strings.ToLower(digits)
			}
			all = append(all, held)
		}
	}
	return all, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// compare says which state a version has whose held files are given.
func (m *Mirror) compare(ctx context.Context, item *Item, held []asset) (State, string, error) {
	if len(held) == 0 {
		return Missing, "the repository does not hold it", nil
	}
	if m.ReadBytes {
		for i := range held {
			h, err := m.hash(ctx, &item.Version, held[i].name, "sha256")
			if err != nil {
				return Failed, held[i].name + " cannot be read: " + err.Error(), nil
			}
			if want := held[i].hashes["sha256"]; want != "" && h != want {
				return Different, fmt.Sprintf("%s is damaged: its bytes have sha256:%s, and the repository says sha256:%s", held[i].name, h, want), nil
			}
		}
	}
	for i := range item.Files {
		f := &item.Files[i]
		state, message, err := m.compareFile(ctx, item, f, held)
		if err != nil || state != Held {
			return state, message, err
		}
	}
	return Held, "", nil
}

func (m *Mirror) compareFile(ctx context.Context, item *Item, f *lockedversions.File, held []asset) (State, string, error) {
	var other string // a file that has the place of f
	for i := range held {
		a := &held[i]
		if f.Name != "" && a.name != f.Name {
			continue
		}
		same, digest, err := m.same(ctx, item, f, a)
		if err != nil {
			return Failed, "", err
		}
		if same {
			return Held, "", nil
		}
		if f.Name != "" || singleFile[item.Format] {
			other = fmt.Sprintf("%s is held with %s, and the lock file has %s", a.name, digest, hashList(f.Hashes))
		}
	}
	if other != "" {
		return Different, other, nil
	}
	return Missing, "the repository does not hold " + describe(f), nil
}

// singleFile are the formats whose versions have one file. Maven's POM is beside it.
var singleFile = map[string]bool{"npm": true, "cargo": true, "nuget": true}

// same reports whether a held file has one of the hashes. digest is the one that it has.
func (m *Mirror) same(ctx context.Context, item *Item, f *lockedversions.File, a *asset) (same bool, digest string, err error) {
	if len(f.Hashes) == 0 {
		return true, "", nil
	}
	algorithm := f.Hashes[0].Algorithm
	digits := a.hashes[algorithm]
	if digits == "" {
		if digits, err = m.hash(ctx, &item.Version, a.name, algorithm); err != nil {
			return false, "", err
		}
	}
	if hasHash(f, algorithm, digits) {
		return true, "", nil
	}
	if item.Format == "nuget" && strings.HasSuffix(a.name, ".nupkg") { // the lock file has the hash without the signature
		unsigned, err := m.nugetHash(ctx, &item.Version, a.name)
		if err != nil {
			return false, "", err
		}
		if hasHash(f, "sha512", unsigned) {
			return true, "", nil
		}
	}
	return false, algorithm + ":" + digits, nil
}

func hasHash(f *lockedversions.File, algorithm, digits string) bool {
	return slices.Contains(f.Hashes, lockedversions.Hash{Algorithm: algorithm, Hex: digits})
}

func hashList(all []lockedversions.Hash) string {
	texts := make([]string, len(all))
	for i, h := range all {
		texts[i] = h.String()
	}
	return strings.Join(texts, " or ")
}

// open reads a file that the repository holds.
func (m *Mirror) open(ctx context.Context, v *lockedversions.Version, name string) (io.ReadCloser, error) {
	out, err := m.API.GetPackageVersionAsset(ctx, &codeartifact.GetPackageVersionAssetInput{
		Domain: &m.Domain, DomainOwner: optional(m.Owner), Repository: &m.Repository, Format: types.PackageFormat(v.Format),
		Namespace: optional(v.Namespace), Package: &v.Name, PackageVersion: &v.Version, Asset: &name,
	})
	if err != nil {
		return nil, err
	}
	return out.Asset, nil
}

// hash hashes a file that the repository holds.
func (m *Mirror) hash(ctx context.Context, v *lockedversions.Version, name, algorithm string) (string, error) {
	body, err := m.open(ctx, v, name)
	if err != nil {
		return "", err
	}
	defer body.Close()
	h := newHash(algorithm)
	if _, err := io.Copy(h, body); err != nil {
		return "", err
	}
	return sum(h), nil
}

func sum(h hash.Hash) string { return fmt.Sprintf("%x", h.Sum(nil)) }
