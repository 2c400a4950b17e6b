package packages

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/benbjohnson/immutable"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// maxPendingNames is how many changed packages are looked up one by one. After more, all
// names are read again.
const maxPendingNames = 1000

// maxNameAnswers bounds the answers that are kept of one domain.
const maxNameAnswers = 50_000

// internalNames has the names of the internal packages of domains, for
// gatehouse:SimilarToInternal. A package is internal if it has a version that was published
// to this installation. The names of a domain are read when a rule asks for the first time.
// From then on, the change feed tells which of them to look up again.
type internalNames struct {
	db *db.DB

	mu       sync.Mutex
	domains  map[string]*domainNames // by the row of the domain
	revision uint64                  // of whatever domain; it grows
}

// domainNames are the names of one domain.
type domainNames struct {
	// pending are the packages that were changed, in whatever domain, since the names were
	// read. all means that all must be read. Both are guarded by internalNames.mu.
	pending map[cacheKey]PackageID
	all     bool

	mu           sync.Mutex // held while names are read and compared
	repositories *immutable.Map[string, string]
	names        map[cacheKey]PackageID
	near         nearIndex
	answers      map[cacheKey]*PackageID
	revision     uint64
}

func newInternalNames(d *db.DB) *internalNames {
	return &internalNames{db: d, domains: map[string]*domainNames{}}
}

// forget notes that a package was changed. It is called after the commit.
func (n *internalNames) forget(k cacheKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := PackageID{Format: k.format, Namespace: k.namespace, Name: k.name}
	for _, d := range n.domains {
		if d.all {
			continue
		}
		d.pending[entryKey(id)] = id
		if len(d.pending) > maxPendingNames {
			d.pending, d.all = map[cacheKey]PackageID{}, true
		}
	}
}

// clear forgets all names.
func (n *internalNames) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.domains = map[string]*domainNames{}
}

func (n *internalNames) of(row string) *domainNames {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.domains[row]
	if d == nil {
		d = &domainNames{pending: map[cacheKey]PackageID{}, all: true}
		n.domains[row] = d
	}
	return d
}

// similar returns an internal package of the domain whose name is easily taken for the one
// of a package that is not internal, or nil, and the revision of the names.
func (n *internalNames) similar(ctx context.Context, d *domain, id PackageID) (*PackageID, uint64, error) {
	names := n.of(d.row)
	names.mu.Lock()
	defer names.mu.Unlock()
	if err := n.refresh(ctx, d, names); err != nil {
		return nil, 0, fmt.Errorf("read the names of the internal packages of %s: %w", d.id.ARN(), err)
	}
	k := entryKey(id)
	found, ok := names.answers[k]
	if !ok {
		if _, internal := names.names[k]; !internal {
			found = names.near.find(id)
		}
		if len(names.answers) >= maxNameAnswers {
			clear(names.answers)
		}
		names.answers[k] = found
	}
	return found, names.revision, nil
}

// refresh makes the names current. If it fails, they are read again next time.
func (n *internalNames) refresh(ctx context.Context, d *domain, names *domainNames) error {
	n.mu.Lock()
	pending, all := names.pending, names.all || names.repositories != d.names // a repository may have been deleted
	names.pending, names.all = map[cacheKey]PackageID{}, false
	n.mu.Unlock()
	if len(pending) == 0 && !all {
		return nil
	}
	changed, err := all, error(nil)
	if all {
		err = names.readAll(ctx, n.db, d)
	} else {
		changed, err = names.readSome(ctx, n.db, d, pending)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		names.all = true
		return err
	}
	if changed {
		n.revision++
		names.revision, names.answers = n.revision, map[cacheKey]*PackageID{}
	}
	return nil
}

// internalPackages selects the internal packages of a domain, whose row is $1.
const internalPackages = `SELECT p.format, p.namespace, p.name FROM pkg_package p JOIN pkg_repository r ON r.id = p.repository
	WHERE r.domain = $1 AND EXISTS (SELECT 1 FROM pkg_version v WHERE v.package = p.id AND v.entry_point NOT LIKE '%:%')`

func scanPackageID(row db.Row) (id PackageID, err error) {
	err = row.Scan(&id.Format, &id.Namespace, &id.Name)
	return id, err
}

func (names *domainNames) readAll(ctx context.Context, d *db.DB, of *domain) error {
	found, err := db.All(ctx, d, scanPackageID, internalPackages, of.row)
	if err != nil {
		return err
	}
	names.repositories, names.names, names.near = of.names, map[cacheKey]PackageID{}, nearIndex{}
	for _, id := range found {
		names.names[entryKey(id)] = id
		names.near.add(id)
	}
	return nil
}

// readSome looks packages up that were changed, and reports whether one of them became
// internal or is not any more.
func (names *domainNames) readSome(ctx context.Context, d *db.DB, of *domain, ids map[cacheKey]PackageID) (changed bool, err error) {
	for k, id := range ids {
		found, err := db.All(ctx, d, scanPackageID, internalPackages+` AND p.format = $2 AND p.namespace = $3 AND p.name_key = $4 LIMIT 1`,
			of.row, string(id.Format), id.Namespace, id.key())
		if err != nil {
			return changed, err
		}
		switch was, internal := names.names[k]; {
		case len(found) > 0 && !internal:
			names.names[k] = found[0]
			names.near.add(found[0])
		case len(found) == 0 && internal:
			delete(names.names, k)
			names.near.remove(was)
		default:
			continue
		}
		changed = true
	}
	return changed, nil
}

// minNearName is the length from which on two names that differ in one character are
// similar. Many good names that are shorter do.
const minNearName = 6

// A nearIndex finds names that are similar to a name, without a look at all names. Two names
// are similar if they differ only in their separators, in the place where the namespace
// ends, or in characters that look alike; or, if they are not short, in one character more,
// less or other, or in the order of two.
//
// One such change leaves the beginning or the end of a name as it was, so names are found by
// these.
type nearIndex map[nearKey][]PackageID

type nearKey struct {
	format Format
	part   namePart
	length int // of the whole; 0 for namePart whole
	text   string
}

type namePart uint8

const (
	whole namePart = iota
	beginning
	end
)

// plainName is the name as a hasty reader sees it.
func plainName(id PackageID) string {
	plain := strings.Map(func(c rune) rune {
		switch c {
		case '-', '_', '.', '/', ':', '@', '+', '~', ' ':
			return -1
		case '0':
			return 'o'
		case '1', 'i', '|':
			return 'l'
		}
		return c
	}, strings.ToLower(id.Namespace+"/"+id.key()))
	return strings.ReplaceAll(strings.ReplaceAll(plain, "rn", "m"), "vv", "w")
}

// partsOf are the keys by which a name of the length can be found, given a name that is
// perhaps another one.
func partsOf(f Format, plain string, length int) []nearKey {
	part := length/2 - 1 // between the two are at least two characters: a change is not in both
	if length < minNearName || part > len(plain) {
		return nil
	}
	return []nearKey{{f, beginning, length, plain[:part]}, {f, end, length, plain[len(plain)-part:]}}
}

func (n nearIndex) add(id PackageID) {
	plain := plainName(id)
	for _, k := range append(partsOf(id.Format, plain, len(plain)), nearKey{id.Format, whole, 0, plain}) {
		n[k] = append(n[k], id)
	}
}

func (n nearIndex) remove(id PackageID) {
	plain := plainName(id)
	for _, k := range append(partsOf(id.Format, plain, len(plain)), nearKey{id.Format, whole, 0, plain}) {
		var left []PackageID
		for _, other := range n[k] {
			if other != id {
				left = append(left, other)
			}
		}
		if n[k] = left; left == nil {
			delete(n, k)
		}
	}
}

// find returns a name that is similar, or nil.
func (n nearIndex) find(id PackageID) *PackageID {
	plain := plainName(id)
	if same := n[nearKey{id.Format, whole, 0, plain}]; len(same) > 0 {
		return &same[0]
	}
	for length := len(plain) - 1; length <= len(plain)+1; length++ {
		for _, k := range partsOf(id.Format, plain, length) {
			for i := range n[k] {
				if oneChange(plain, plainName(n[k][i])) {
					return &n[k][i]
				}
			}
		}
	}
	return nil
}

// oneChange reports whether two texts differ in one byte more, less or other, or in the
// order of two neighbours.
func oneChange(a, b string) bool {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a)+len(b) == 1 || len(a) == 1 && len(b) == 1 ||
		len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}
