package images

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
)

// scanPage is how many images of a repository are in memory at a time.
const scanPage = maxParameters

// A lifecycleImage is an image as rules see it.
type lifecycleImage struct {
	lifecycle.Image
	digest         digest.Digest
	pushed, pulled int64
	age            int64 // when its age begins
	status         ImageStatus
	subject        digest.Digest // if it exists
}

// storageClasses are the classes as rules see them. Rules are not about an image that is
// being restored.
var storageClasses = map[ImageStatus]lifecycle.StorageClass{Active: lifecycle.Standard, Archived: lifecycle.Archive}

// A lifecyclePlace is a place among the images of a repository in the order of evaluation:
// after the image with this age and digest. The age of an image begins when it is pushed,
// and again when it is archived or restored.
type lifecyclePlace struct {
	age    int64
	digest string
}

// firstPlace is before the youngest image.
var firstPlace = lifecyclePlace{age: 1<<63 - 1}

// scanImages calls visit with the images of a repository from the youngest to the oldest,
// after a place, until it returns false. It has one page in memory.
func (s *Service) scanImages(ctx context.Context, q db.Querier, repo *Repository, after lifecyclePlace, visit func(*lifecycleImage) (more bool, err error)) error {
	for {
		page, err := s.readPage(ctx, q, repo, after)
		if err != nil {
			return err
		}
		for _, img := range page {
			if more, err := visit(img); err != nil || !more {
				return err
			}
		}
		if len(page) < scanPage {
			return nil
		}
		last := page[len(page)-1]
		after = lifecyclePlace{last.age, string(last.digest)}
	}
}

func (s *Service) readPage(ctx context.Context, q db.Querier, repo *Repository, after lifecyclePlace) ([]*lifecycleImage, error) {
	// What is older than the database cannot be judged by its times: see [db.DB.Created].
	created := s.db.Created()
	page, err := db.All(ctx, q, func(r db.Row) (*lifecycleImage, error) {
		img := new(lifecycleImage)
		err := r.Scan(&img.digest, &img.pushed, &img.pulled, &img.age, &img.status, &img.subject, &img.ListedBy)
		img.StorageClass = storageClasses[img.status]
		if img.Since = db.Time(img.age); img.Since.Before(created) {
			img.Since = created
		}
		if img.pulled > 0 { // the last pull may be this much later: see pulls.go
			img.Pulled = db.Time(img.pulled).Add(pullInterval)
		}
		img.Follows = string(img.subject)
		return img, err
	}, `SELECT m.digest, m.pushed, m.pulled, m.age_from, m.status,
			CASE WHEN m.subject <> '' AND EXISTS (SELECT 1 FROM image_manifest s WHERE s.repository = m.repository AND s.digest = m.subject) THEN m.subject ELSE '' END,
			COALESCE((SELECT r.manifest FROM image_reference r WHERE r.repository = m.repository AND r.digest = m.digest AND r.manifest <> m.digest LIMIT 1), '')
		FROM image_manifest m WHERE m.repository = $1 AND (m.age_from, m.digest) < ($2, $3)
		ORDER BY m.age_from DESC, m.digest DESC LIMIT $4`, repo.row, after.age, after.digest, scanPage)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	if err := addScannedTags(ctx, q, repo, page); err != nil {
		return nil, err
	}
	return page, followTags(ctx, q, repo, page)
}

// addScannedTags adds the tags to the images of a page.
func addScannedTags(ctx context.Context, q db.Querier, repo *Repository, page []*lifecycleImage) error {
	args, byDigest := []any{repo.row}, make(map[digest.Digest]*lifecycleImage, len(page))
	for _, img := range page {
		args, byDigest[img.digest] = append(args, string(img.digest)), img
	}
	_, err := db.All(ctx, q, func(r db.Row) (struct{}, error) {
		ref, err := scanReference(r)
		if img := byDigest[ref.Digest]; img != nil {
			img.Tags = append(img.Tags, ref.Tag)
		}
		return struct{}{}, err
	}, `SELECT digest, tag FROM image_tag WHERE repository = $1 AND digest IN `+placeholders(2, 1, len(page))+` ORDER BY digest, tag`, args...)
	return err
}

// referrerTag is a tag that says to which image the tagged one refers: cosign's
// (.sig, .att, .sbom), and the referrers tag schema of the OCI distribution specification
// 1.1, "Referrers Tag Schema".
var referrerTag = lazyregexp.New(`^(sha256|sha512)-([0-9a-f]{64}|[0-9a-f]{128})(\.sig|\.att|\.sbom)?$`)

// referrerTags are the tags of images that refer to d.
func referrerTags(d digest.Digest) []string {
	base := d.Algorithm().String() + "-" + d.Encoded()
	return []string{base, base + ".sig", base + ".att", base + ".sbom"}
}

// taggedSubject returns the digest to which all tags say that the image refers, or "".
func taggedSubject(tags []string) (subject digest.Digest) {
	for _, tag := range tags {
		parts := referrerTag.FindStringSubmatch(tag)
		if parts == nil {
			return ""
		}
		d := digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[2])
		if subject != "" && d != subject {
			return ""
		}
		subject = d
	}
	return subject
}

// followTags finds the images that refer to an existing one by their tags.
func followTags(ctx context.Context, q db.Querier, repo *Repository, page []*lifecycleImage) error {
	var subjects []digest.Digest
	for _, img := range page {
		if d := taggedSubject(img.Tags); d != "" && img.Follows == "" && d.Validate() == nil {
			subjects = append(subjects, d)
		}
	}
	if subjects == nil {
		return nil
	}
	existing, err := selectByDigest(ctx, q, `SELECT digest, 1 FROM image_manifest WHERE repository = $1 AND digest IN `, repo.row, subjects)
	if err != nil {
		return err
	}
	for _, img := range page {
		if d := taggedSubject(img.Tags); existing[d] == 1 && d != img.digest && img.Follows == "" {
			img.Follows = string(d)
		}
	}
	return nil
}

// A planned image is one on which a rule acts.
type planned struct {
	digest         digest.Digest
	tags           []string
	pushed, pulled int64
	age            int64
	rule           *lifecycle.Rule
}

// evaluateAll calls found with the images on which a policy acts, from the youngest to the
// oldest, and kept with those on which a rule would act and that a manifest list protects. It
// sees the repository as it is at one moment. images is the number of all images.
func (s *Service) evaluateAll(ctx context.Context, repo *Repository, p *lifecycle.Policy, now time.Time, found func(planned) error, kept func(img planned, listedBy string) error) (images int64, err error) {
	err = s.db.Snapshot(ctx, func(q db.Querier) error {
		images = 0
		e := p.Evaluate(now)
		return s.scanImages(ctx, q, repo, firstPlace, func(img *lifecycleImage) (bool, error) {
			images++
			rule := e.Next(&img.Image)
			if rule == nil {
				return true, nil
			}
			acted := planned{img.digest, img.Tags, img.pushed, img.pulled, img.age, rule}
			if img.ListedBy != "" {
				return true, kept(acted, img.ListedBy)
			}
			return true, found(acted)
		})
	})
	return images, err
}

// oldest keeps the last n values that were added.
type oldest[T any] struct {
	n     int
	kept  []T
	next  int
	total int
}

func (o *oldest[T]) add(v T) {
	o.total++
	if len(o.kept) < o.n {
		o.kept = append(o.kept, v)
		return
	}
	o.kept[o.next] = v
	o.next = (o.next + 1) % o.n
}

// reversed returns the values, the last one first.
func (o *oldest[T]) reversed() []T {
	all := append(slices.Clone(o.kept[o.next:]), o.kept[:o.next]...)
	slices.Reverse(all)
	return all
}

// lastPush is when an image was pushed last.
func lastPush(ctx context.Context, q db.Querier) (int64, error) {
	return db.One(ctx, q, db.Scalar[int64], `SELECT COALESCE(max(pushed), 0) FROM image_manifest`)
}
