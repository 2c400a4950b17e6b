package images

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A TagStatus selects images by whether they have a tag: ECR's TagStatus.
type TagStatus string

// The tag statuses.
const (
	AnyTagStatus TagStatus = "ANY"
	Tagged       TagStatus = "TAGGED"
	Untagged     TagStatus = "UNTAGGED"
)

// An ImageFilter selects images. The zero value selects all that are active.
type ImageFilter struct {
	Tags   TagStatus // empty means AnyTagStatus
	Status ImageStatus
}

// tags is the tag status for a query.
func (f ImageFilter) tags() string { return string(cmp.Or(f.Tags, AnyTagStatus)) }

// Includes reports whether an image is selected.
func (f ImageFilter) Includes(d *ImageDetail) bool {
	return (f.tags() == string(AnyTagStatus) || (f.Tags == Tagged) == (len(d.Tags) > 0)) &&
		(f.Status == AnyImageStatus || cmp.Or(f.Status, Active) == d.Status)
}

// ListImages lists the tags with their digests, and the digests without a tag,
// ordered by digest and tag: those after the reference after, at most limit of
// them. more is true if there are further ones. Action ecr:ListImages. Faults:
// AccessDenied, RepositoryNotFound.
func (s *Service) ListImages(ctx context.Context, id RepositoryID, filter ImageFilter, after Reference, limit int) (list []Reference, more bool, err error) {
	repo, err := s.authorize(ctx, id, "ecr:ListImages")
	if err != nil {
		return nil, false, err
	}
	limit = max(limit, 1)
	list, err = db.All(ctx, s.db, scanReference, `SELECT m.digest, coalesce(t.tag, '') FROM image_manifest m LEFT JOIN image_tag t ON t.repository = m.repository AND t.digest = m.digest
		WHERE m.repository = $1 AND m.digest >= $2 AND (m.digest, coalesce(t.tag, '')) > ($2, $3)
		AND ($4 = 'ANY' OR ($4 = 'TAGGED' AND t.tag IS NOT NULL) OR ($4 = 'UNTAGGED' AND t.tag IS NULL))`+filter.Status.condition("m")+`
		ORDER BY m.digest, coalesce(t.tag, '') LIMIT $5`, repo.row, string(after.Digest), after.Tag, filter.tags(), limit+1)
	if len(list) > limit {
		return list[:limit], true, err
	}
	return list, false, err
}

// An ImageDetail describes an image without its manifest.
type ImageDetail struct {
	Digest       digest.Digest
	Tags         []string // in byte order
	MediaType    string
	ArtifactType string
	Size         int64 // see [Manifest]
	PushedAt     time.Time
	// PulledAt is when a pull was last recorded: at most an hour before the last
	// pull. It is zero if the image was never pulled.
	PulledAt time.Time
	// Subject is the digest of the manifest that this one refers to, or empty.
	Subject digest.Digest
	Status  ImageStatus
	// ArchivedAt and ActivatedAt are when the image was last archived and restored, and
	// zero if it never was.
	ArchivedAt, ActivatedAt time.Time

	// Scan is the result of the image's scan, without findings; nil if it was not scanned.
	Scan *ScanResult

	pulled int64
}

const detailColumns = `m.digest, m.media_type, m.artifact_type, m.size, m.pushed, m.pulled, m.subject, m.status, m.archived, m.activated`

func scanDetail(r db.Row) (*ImageDetail, error) {
	d := new(ImageDetail)
	var pushed, archived, activated int64
	err := r.Scan(&d.Digest, &d.MediaType, &d.ArtifactType, &d.Size, &pushed, &d.pulled, &d.Subject, &d.Status, &archived, &activated)
	d.PushedAt, d.ArchivedAt, d.ActivatedAt = db.Time(pushed), timeOrZero(archived), timeOrZero(activated)
	return d, err
}

// DescribeImages describes the images of a repository, ordered by digest: those
// after the digest after, at most limit of them. more is true if there are further
// ones. Action ecr:DescribeImages. Faults: AccessDenied,
// RepositoryNotFound.
func (s *Service) DescribeImages(ctx context.Context, id RepositoryID, filter ImageFilter, after digest.Digest, limit int) (list []*ImageDetail, more bool, err error) {
	repo, err := s.authorize(ctx, id, "ecr:DescribeImages")
	if err != nil {
		return nil, false, err
	}
	limit = max(limit, 1)
	list, err = db.All(ctx, s.db, scanDetail, `SELECT `+detailColumns+` FROM image_manifest m
		WHERE m.repository = $1 AND m.digest > $2 AND ($3 = 'ANY' OR ($3 = 'TAGGED') = EXISTS (SELECT 1 FROM image_tag t WHERE t.repository = m.repository AND t.digest = m.digest))`+filter.Status.condition("m")+`
		ORDER BY m.digest LIMIT $4`, repo.row, string(after), filter.tags(), limit+1)
	if err != nil {
		return nil, false, err
	}
	if more = len(list) > limit; more {
		list = list[:limit]
	}
	s.addPulls(repo, list)
	if len(list) > 0 {
		if err := s.addScans(ctx, repo, list, after); err != nil {
			return nil, false, err
		}
	}
	if filter.Tags == Untagged || len(list) == 0 {
		return list, more, nil
	}
	fitting, err := s.addTags(ctx, repo, list, after)
	if err != nil {
		return nil, false, err
	}
	return list[:fitting], more || fitting < len(list), nil
}

// maxDescribedTags limits the tags of a page of images, which can have 1,000 each.
const maxDescribedTags = 20_000

// addTags adds the tags to the first images of list, and returns to how many: those that
// have at most maxDescribedTags tags together. list are images in the order of their
// digests, the first ones after the digest after. The tags are read as one range of the
// index: a query for each digest would read many more pages of a large database.
func (s *Service) addTags(ctx context.Context, repo *Repository, list []*ImageDetail, after digest.Digest) (fitting int, err error) {
	refs, err := db.All(ctx, s.db, scanReference, `SELECT digest, tag FROM image_tag
		WHERE repository = $1 AND digest > $2 AND digest <= $3 ORDER BY digest, tag LIMIT $4`, repo.row, string(after), string(list[len(list)-1].Digest), maxDescribedTags+1)
	if err != nil {
		return 0, err
	}
	fitting = len(list)
	if len(refs) > maxDescribedTags {
		last := refs[maxDescribedTags].Digest
		fitting = max(1, slices.IndexFunc(list, func(d *ImageDetail) bool { return d.Digest >= last }))
	}
	distribute(refs, list[:fitting])
	return fitting, nil
}

func scanReference(r db.Row) (ref Reference, err error) {
	err = r.Scan(&ref.Digest, &ref.Tag)
	return ref, err
}

// distribute adds tags to their images.
func distribute(refs []Reference, list []*ImageDetail) {
	byDigest := make(map[digest.Digest]*ImageDetail, len(list))
	for _, d := range list {
		byDigest[d.Digest] = d
	}
	for _, ref := range refs {
		if d := byDigest[ref.Digest]; d != nil { // nil: pushed after the list was read, or not in it
			d.Tags = append(d.Tags, ref.Tag)
		}
	}
}

// DescribeImagesByReference describes the images that refs name, each one once.
// Action ecr:DescribeImages. Faults: AccessDenied, RepositoryNotFound,
// ImageNotFound, InvalidParameter.
func (s *Service) DescribeImagesByReference(ctx context.Context, id RepositoryID, refs []Reference) ([]*ImageDetail, error) {
	repo, err := s.authorize(ctx, id, "ecr:DescribeImages")
	if err != nil {
		return nil, err
	}
	var list []*ImageDetail
	for _, ref := range refs {
		if err := ref.check(); err != nil {
			return nil, invalidParameter("imageIds", fault.From(err).Message)
		}
		d, err := s.resolve(ctx, repo, ref)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(i *ImageDetail) bool { return i.Digest == d }) {
			continue
		}
		detail, err := db.One(ctx, s.db, scanDetail, `SELECT `+detailColumns+` FROM image_manifest m WHERE m.repository = $1 AND m.digest = $2`, repo.row, string(d))
		if errors.Is(err, db.ErrNoRows) {
			return nil, imageNotFound(id, ref)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, detail)
	}
	s.addPulls(repo, list)
	if err := s.addScansOfAny(ctx, repo, list); err != nil {
		return nil, err
	}
	return list, s.addTagsOfAny(ctx, repo, list)
}

// addPulls adds the pull times to images.
func (s *Service) addPulls(repo *Repository, list []*ImageDetail) {
	for _, d := range list {
		if pulled := s.lastPull(digestKey{repo.row, d.Digest}, d.pulled); pulled > 0 {
			d.PulledAt = db.Time(pulled)
		}
	}
}

// addTagsOfAny adds the tags to images in any order.
func (s *Service) addTagsOfAny(ctx context.Context, repo *Repository, list []*ImageDetail) error {
	for chunk := range slices.Chunk(list, maxParameters) {
		args := []any{repo.row}
		for _, d := range chunk {
			args = append(args, string(d.Digest))
		}
		refs, err := db.All(ctx, s.db, scanReference, `SELECT digest, tag FROM image_tag WHERE repository = $1 AND digest IN `+placeholders(2, 1, len(chunk))+` ORDER BY digest, tag`, args...)
		if err != nil {
			return err
		}
		distribute(refs, chunk)
	}
	return nil
}

// maxManifests is the maximum size in bytes of all manifests of one answer. A request
// can name 100 images, and a manifest can have 4 MiB.
const maxManifests = 32 << 20

// Manifests returns the manifests that refs name, in the order of refs. Action
// ecr:BatchGetImage. Faults: AccessDenied, RepositoryNotFound, TooManyManifestBytes.
func (s *Service) Manifests(ctx context.Context, id RepositoryID, refs []Reference) (found []TaggedManifest, failures []ImageFailure, err error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchGetImage")
	rule := s.cacheRule(ctx, id)
	if err != nil && (rule == nil || !fault.Is(err, "RepositoryNotFound")) {
		return nil, nil, err
	}
	size := 0
	for _, ref := range refs {
		err := ref.check()
		var m *Manifest
		switch {
		case err != nil:
		case rule == nil:
			m, err = s.manifest(ctx, repo, ref)
		default:
			var now *Repository
			if now, m, err = s.throughCache(ctx, id, repo, ref, rule); err == nil {
				repo = now
			}
		}
		if err == nil {
			if err := s.admit(ctx, repo, "ecr:BatchGetImage", m.Digest, m, nil); err != nil {
				return nil, nil, err
			}
			if size += len(m.Body); size > maxManifests {
				return nil, nil, fault.New(fault.Limit, "TooManyManifestBytes", "The manifests of this request have more than %d bytes together. Ask for fewer images at once.", maxManifests)
			}
			s.pulled(ctx, repo, m)
			found = append(found, TaggedManifest{ref.Tag, m})
			continue
		}
		failure, ok := imageFailure(ref, err)
		if !ok {
			return nil, nil, err
		}
		failures = append(failures, failure)
	}
	return found, failures, nil
}

// A TaggedManifest is a manifest with the tag of the reference that named it. Tag
// is empty if the reference was a digest.
type TaggedManifest struct {
	Tag string
	*Manifest
}
