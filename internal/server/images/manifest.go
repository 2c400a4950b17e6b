package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// A Manifest is a stored manifest. It is shared between requests: do not change it.
type Manifest struct {
	Digest    digest.Digest
	MediaType string
	// ArtifactType is the manifest's own or, of an image manifest without one,
	// its config's media type (OCI distribution-spec 1.1, Listing Referrers).
	ArtifactType string
	// Subject is the digest of the manifest that this one refers to, or empty.
	Subject digest.Digest
	// Body is the manifest byte for byte as it was pushed.
	Body []byte
	// Size is the number of bytes of the config and the layers. An index has the
	// size of its largest image, or, as a BuildKit cache, of the blobs that it lists.
	Size     int64
	PushedAt time.Time

	// pulled is when a pull was last recorded, in microseconds since 1970.
	pulled atomic.Int64
	status ImageStatus // Active in the cache
	// signers is who signed the image, if somebody has asked; see admission.go.
	signers atomic.Pointer[[]signer]
	// severity is that of its findings, if somebody has asked; see scan_admission.go.
	severity atomic.Pointer[scanSeverity]
	// isSignature is whether it has nothing but signatures, if that was asked.
	isSignature atomic.Pointer[bool]
}

// Manifest returns a manifest, perhaps through a pull-through cache rule: see [Service.find].
func (s *Service) Manifest(ctx context.Context, id RepositoryID, ref Reference) (*Manifest, error) {
	_, m, err := s.find(ctx, id, ref)
	return m, err
}

// PullManifest is [Service.Manifest], and records the time as the image's last pull.
func (s *Service) PullManifest(ctx context.Context, id RepositoryID, ref Reference) (*Manifest, error) {
	repo, m, err := s.find(ctx, id, ref)
	if err == nil {
		s.pulled(ctx, repo, m)
	}
	return m, err
}

// manifest returns a manifest from the caches or the database. Faults: ImageNotFound,
// ImageTagDoesNotMatchDigest, ImageArchived.
func (s *Service) manifest(ctx context.Context, repo *Repository, ref Reference) (*Manifest, error) {
	d := ref.Digest
	if ref.Tag != "" {
		known := s.tags.Lookup(tagKey{repo.row, ref.Tag})
		if known.State != lru.Fresh {
			return s.readTagged(ctx, repo, ref, known)
		}
		if d = known.Value; ref.Digest != "" && ref.Digest != d {
			return nil, tagDoesNotMatch(repo.ID, ref)
		}
	}
	m, err := s.manifests.Load(digestKey{repo.row, d}, func() (*Manifest, error) {
		m, err := db.One(ctx, s.db, scanManifest, `SELECT `+manifestColumns+` FROM image_manifest WHERE repository = $1 AND digest = $2`, repo.row, string(d))
		if err == nil && m.status != Active {
			return nil, imageArchived(repo.ID, ref, m.status)
		}
		return m, err
	})
	if errors.Is(err, db.ErrNoRows) {
		return nil, imageNotFound(repo.ID, ref)
	}
	return m, err
}

// readTagged reads a tag and its manifest with one query. known is what the cache has
// for the tag.
func (s *Service) readTagged(ctx context.Context, repo *Repository, ref Reference, known lru.Lookup[digest.Digest]) (*Manifest, error) {
	since := s.manifests.LookupAny()
	m, err := db.One(ctx, s.db, scanManifest, `SELECT `+manifestColumns+` FROM image_manifest
		WHERE repository = $1 AND digest = (SELECT digest FROM image_tag WHERE repository = $1 AND tag = $2)`, repo.row, ref.Tag)
	if errors.Is(err, db.ErrNoRows) {
		return nil, imageNotFound(repo.ID, ref)
	}
	if err != nil {
		return nil, err
	}
	s.tags.Store(tagKey{repo.row, ref.Tag}, m.Digest, known)
	if m.status != Active {
		return nil, imageArchived(repo.ID, ref, m.status)
	}
	if cached := s.manifests.Lookup(digestKey{repo.row, m.Digest}); cached.State == lru.Fresh {
		m = cached.Value // which knows of pulls that are not stored yet
	} else {
		s.manifests.Store(digestKey{repo.row, m.Digest}, m, since)
	}
	if ref.Digest != "" && ref.Digest != m.Digest {
		return nil, tagDoesNotMatch(repo.ID, ref)
	}
	return m, nil
}

// resolve returns the digest that ref names. The manifest may not exist.
func (s *Service) resolve(ctx context.Context, repo *Repository, ref Reference) (digest.Digest, error) {
	if ref.Tag == "" {
		return ref.Digest, nil
	}
	d, err := s.tags.Load(tagKey{repo.row, ref.Tag}, func() (digest.Digest, error) {
		return db.One(ctx, s.db, db.Scalar[digest.Digest], `SELECT digest FROM image_tag WHERE repository = $1 AND tag = $2`, repo.row, ref.Tag)
	})
	if errors.Is(err, db.ErrNoRows) {
		return "", imageNotFound(repo.ID, ref)
	}
	if err == nil && ref.Digest != "" && ref.Digest != d {
		return "", tagDoesNotMatch(repo.ID, ref)
	}
	return d, err
}

func tagDoesNotMatch(id RepositoryID, ref Reference) error {
	return fault.New(fault.NotFound, "ImageTagDoesNotMatchDigest", "The tag '%s' of the repository with name '%s' is not that of the image with digest '%s'", ref.Tag, id.Name, ref.Digest)
}

const manifestColumns = `digest, media_type, artifact_type, subject, size, pushed, pulled, body, status`

func scanManifest(row db.Row) (*Manifest, error) {
	m := new(Manifest)
	var pushed, pulled int64
	err := row.Scan(&m.Digest, &m.MediaType, &m.ArtifactType, &m.Subject, &m.Size, &pushed, &pulled, &m.Body, &m.status)
	m.pulled.Store(pulled)
	m.PushedAt = db.Time(pushed)
	return m, err
}

// Tags lists image tags in byte order: those after the tag after, at most limit of
// them. more is true if there are further ones. The list is shared between
// requests: do not change it. Action ecr:ListImages. Faults: AccessDenied,
// RepositoryNotFound.
func (s *Service) Tags(ctx context.Context, id RepositoryID, after string, limit int) (tags []string, more bool, err error) {
	repo, err := s.authorize(ctx, id, "ecr:ListImages")
	if err != nil {
		return nil, false, err
	}
	limit = max(limit, 0)
	p, err := s.tagLists.page(ctx, s.db, repo.row, after, limit)
	return p.tags, p.more, err
}

// ReferrersQuery says which page of which referrers [Service.Referrers] lists.
type ReferrersQuery struct {
	Subject       digest.Digest
	ArtifactTypes []string // none means all types
	Status        ImageStatus
	After         string // the digest that the page comes after; empty for the first
	Limit         int    // entries of the page, at most
	// MaxBytes limits the annotations of the page: a referrer has all annotations
	// of its manifest, up to 4 MiB. A page has at least one entry.
	MaxBytes int64
}

// Referrers lists a page of the manifests with the given subject, ordered by digest.
// next is After for the next page, and empty at the end. The subject does not have to
// exist (OCI distribution-spec 1.1, Listing Referrers). Action ecr:BatchGetImage.
// Faults: AccessDenied, RepositoryNotFound.
func (s *Service) Referrers(ctx context.Context, id RepositoryID, q ReferrersQuery) (list []Referrer, next string, err error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchGetImage")
	if err != nil {
		return nil, "", err
	}
	return s.referrers(ctx, repo, q)
}

// A Referrer describes a manifest that refers to another one.
type Referrer struct {
	ocispec.Descriptor
	Status ImageStatus
}

// ImageReferrers is [Service.Referrers] for an image that must exist. Faults: as there,
// ImageNotFound, InvalidParameter.
func (s *Service) ImageReferrers(ctx context.Context, id RepositoryID, q ReferrersQuery) (list []Referrer, next string, err error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchGetImage")
	if err != nil {
		return nil, "", err
	}
	if CheckDigest(q.Subject) != nil {
		return nil, "", invalidParameter("subjectId", "imageDigest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
	}
	if _, err := s.identify(ctx, repo, Reference{Digest: q.Subject}); err != nil {
		return nil, "", err
	}
	return s.referrers(ctx, repo, q)
}

func (s *Service) referrers(ctx context.Context, repo *Repository, q ReferrersQuery) (list []Referrer, next string, err error) {
	args := []any{repo.row, string(q.Subject), q.After}
	ofType := ""
	if len(q.ArtifactTypes) > 0 {
		ofType = ` AND artifact_type IN ` + placeholders(4, 1, len(q.ArtifactTypes))
		for _, t := range q.ArtifactTypes {
			args = append(args, t)
		}
	}
	last := len(args) + 1 // the number of the last parameter
	condition := ` FROM image_manifest WHERE repository = $1 AND subject = $2 AND subject <> '' AND digest > $3` + ofType + q.Status.condition("image_manifest")
	// The sizes first, so that no more than a page is ever in memory.
	type entry struct {
		digest string
		size   int64
	}
	entries, err := db.All(ctx, s.db, func(r db.Row) (e entry, err error) {
		err = r.Scan(&e.digest, &e.size)
		return e, err
	}, `SELECT digest, length(annotations)`+condition+fmt.Sprintf(` ORDER BY digest LIMIT $%d`, last), append(args, max(q.Limit, 1)+1)...)
	if err != nil || len(entries) == 0 {
		return nil, "", err
	}
	n, size := 0, int64(0)
	for n < len(entries) && n < max(q.Limit, 1) && (n == 0 || size+entries[n].size <= q.MaxBytes) {
		size += entries[n].size
		n++
	}
	end := entries[n-1].digest
	if n < len(entries) {
		next = end
	}
	list, err = db.All(ctx, s.db, scanReferrer, `SELECT digest, media_type, artifact_type, length(body), annotations, status`+condition+fmt.Sprintf(` AND digest <= $%d ORDER BY digest`, last), append(args, end)...)
	return list, next, err
}

func scanReferrer(row db.Row) (d Referrer, err error) {
	var annotations []byte
	if err := row.Scan(&d.Digest, &d.MediaType, &d.ArtifactType, &d.Size, &annotations, &d.Status); err != nil {
		return d, err
	}
	if len(annotations) > 0 {
		err = json.Unmarshal(annotations, &d.Annotations)
	}
	return d, err
}
