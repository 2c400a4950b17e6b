package packages

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// How a search takes external registries in.
//
// The registry searches with its own rules; here is decided what of its answer clients see.
// A package that the registry would not be asked for is not shown, and of the others only
// what admission leaves.

// A RemoteSearch is a search in a registry. It is comparable.
type RemoteSearch struct {
	// Text is as the client wrote it.
	Text string
	// From and Size select results: at most Size of them, after the first From.
	From, Size int
	// Service is which of the registry's searches is asked; empty if it has one.
	Service string
	// Options are further parameters of the format, in the form of a query.
	Options string
}

// names are what the text may name as a whole: the name of a package, or one after the name
// of a field, such as packageid:NAME.
func (q RemoteSearch) names() []string {
	name := strings.Trim(q.Text, `"`)
	if _, value, ok := strings.Cut(name, ":"); ok {
		return []string{name, strings.Trim(value, `"`)}
	}
	return []string{name}
}

// RemoteHits are what a registry found.
type RemoteHits struct {
	// Total is the number of all results there, as far as the registry knows it.
	Total int         `json:"total"`
	Hits  []RemoteHit `json:"hits"`
}

// A RemoteHit is a package that a registry found.
type RemoteHit struct {
	Package PackageID `json:"package"`
	// About is what the registry says of it, in the form of the format's codec.
	About json.RawMessage `json:"about"`
	// Held means that a repository of the search has a version, so that [Service.Search] may
	// have found the package too.
	Held bool `json:"-"`
	// Admitted is the package as the caller sees it. It is nil if no rule of admission
	// decides about the package: then what the registry says holds.
	Admitted *Package `json:"-"`
}

// searchPatience is how long a search waits for a registry.
const searchPatience = 5 * time.Second

// The bounds of what a search costs if rules of admission decide about what it finds: the
// packages that are read, and how many at a time.
const (
	maxJudgedHits  = 50
	judgedAtATime  = 8
	maxRemoteQuery = 512 // bytes of a text that is sent to a registry
)

// SearchRemote returns what the registry behind the repository or its upstreams finds, as
// far as clients of the repository may see it. Without a connection, and if the
// text is the name of a package that the registry must not be asked for, nothing is found.
// A registry that fails finds nothing either, and the caller is told by [WithStaleNotice].
// codeartifact:ReadFromRepository on the repository.
func (s *Service) SearchRemote(ctx context.Context, repo RepositoryID, format Format, q RemoteSearch) (RemoteHits, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return RemoteHits{}, err
	}
	q.Text = strings.TrimSpace(q.Text)
	connected, err := s.connectedRepositories(r, format)
	if err != nil || len(connected) == 0 || q.Text == "" || len(q.Text) > maxRemoteQuery || q.Size <= 0 {
		return RemoteHits{}, err
	}
	connection := connected[0].connection // the formats with searches have one
	if !s.remote.Connected(connection) {
		return RemoteHits{}, nil
	}
	for _, name := range q.names() {
		id, ok := ParsePackageName(format, name)
		if !ok {
			continue
		}
		if open, _, err := s.openRemotely(ctx, r, id); err != nil || !open {
			return RemoteHits{}, err
		}
	}
	asking, cancel := context.WithTimeout(ctx, searchPatience)
	defer cancel()
	body, err := s.remoteDocument(asking, connection, DocumentRequest{Kind: SearchResults, Package: PackageID{Format: format}, Search: q})
	switch {
	case IsRemoteFailure(err), ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		s.noteStale(ctx, StaleNotice{Connection: connection})
		return RemoteHits{}, nil
	case isNoRemotePackage(err):
		return RemoteHits{}, nil // it has no search
	case err != nil:
		return RemoteHits{}, err
	}
	var found RemoteHits
	if err := json.Unmarshal(body, &found); err != nil {
		return RemoteHits{}, err
	}
	found.Hits, err = s.shownHits(ctx, r, found.Hits[:min(len(found.Hits), q.Size)])
	return found, err
}

// openRemotely reports whether a registry may be asked for the package, and whether a
// repository of the search has a version of it.
func (s *Service) openRemotely(ctx context.Context, r *repository, id PackageID) (open, held bool, err error) {
	f, err := s.searchStored(ctx, r, id)
	if err != nil {
		return false, false, err
	}
	for _, slot := range f.remotes {
		open = open || s.refusal(id, slot.repository, f.blocking) == ""
	}
	for _, p := range f.records {
		held = held || len(p.versions) > 0
	}
	return open, held, nil
}

// shownHits returns those of the hits that the caller may see.
func (s *Service) shownHits(ctx context.Context, r *repository, hits []RemoteHit) ([]RemoteHit, error) {
	shown := make([]bool, len(hits))
	judged := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(judgedAtATime)
	for i := range hits {
		hit := &hits[i]
		if validPackage(hit.Package) != nil {
			continue
		}
		hit.Package = hit.Package.canonical()
		open, held, err := s.openRemotely(ctx, r, hit.Package)
		if err != nil {
			return nil, err
		}
		if !open {
			continue
		}
		hit.Held = held
		a, err := s.admissionOf(ctx, readFromRepository, r, hit.Package)
		if err != nil {
			return nil, err
		}
		if a == nil {
			shown[i] = true
			continue
		}
		if judged++; judged > maxJudgedHits {
			continue
		}
		group.Go(func() error {
			p, err := s.admittedHit(ctx, r, hit.Package)
			hit.Admitted, shown[i] = p, p != nil
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []RemoteHit
	for i, hit := range hits {
		if shown[i] {
			out = append(out, hit)
		}
	}
	return out, nil
}

// admittedHit returns the package without what admission denies, or nil if nothing is left
// or the registry cannot tell.
func (s *Service) admittedHit(ctx context.Context, r *repository, id PackageID) (*Package, error) {
	p, err := s.visible(ctx, r, id)
	if err == nil {
		p, err = s.admit(WithHiddenNotice(ctx, func(HiddenNotice) {}), r, id, p)
	}
	switch {
	case isNotFound(err), IsRemoteFailure(err):
		return nil, nil
	case err != nil:
		return nil, err
	case len(p.Versions) == 0:
		return nil, nil
	}
	return p, nil
}
