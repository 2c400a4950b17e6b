package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/ecrremote"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

// Destinations are registries of other installations to which images can be replicated.
type Destinations interface {
	// Open returns a registry, or nil if it is none of them or may not be used by an
	// account.
	Open(source string, to RegistryID) *ecrremote.Registry
}

// The failure codes of a destination elsewhere, beside [codeDenied], [codeCreateDenied] and
// [codeDamaged].
const (
	codeNotConfigured = "DestinationNotConfigured"
	codeUnavailable   = "DestinationUnavailable"
	codeThrottled     = "DestinationTooManyRequests"
	codeBadAnswer     = "DestinationAnswerInvalid"
	codeRefused       = "DestinationRefused"
)

// remoteBlobs is how many blobs of an image are sent at a time. Each has a chunk in memory.
const remoteBlobs = 2

// remote returns a destination in another installation, or nil.
func (s *Service) remote(source string, to RegistryID) *ecrremote.Registry {
	if s.destinations == nil {
		return nil
	}
	return s.destinations.Open(source, to)
}

// A remotePush copies an image to a registry of another installation. Whatever it finds there
// is used, so it can be repeated from the beginning after each failure.
type remotePush struct {
	r        *replication
	api      *ecrremote.Registry
	registry *ociremote.Registry
	name     string
	created  bool                   // the repository exists, as far as that is known
	present  map[digest.Digest]bool // manifests that the destination has
}

// open gets access to the destination.
func (r *replication) open(ctx context.Context) (*remotePush, error) {
	p := &remotePush{r: r, api: r.s.remote(r.from.ID.Account, r.to), name: r.from.ID.Name, present: map[digest.Digest]bool{}}
	if p.api == nil {
		return nil, fault.New(fault.Unavailable, codeNotConfigured, "%s in %s is neither a registry of this installation nor one of replication.destinations in the configuration that the account %s may use", r.to.Account, r.to.Region, r.from.ID.Account)
	}
	var err error
	p.registry, err = p.api.Images(ctx)
	return p, err
}

// pushImage is [replication.copyImage] for a destination in another installation.
func (r *replication) pushImage(ctx context.Context, d digest.Digest, done func(*db.Tx) error) error {
	p, err := r.open(ctx)
	changed := false
	if err == nil {
		changed, err = p.push(ctx, d)
	}
	if err != nil {
		return r.failed(p, err)
	}
	if err := r.s.db.Tx(ctx, done); err != nil || !changed {
		return err
	}
	return r.s.recordService(ctx, "ReplicateImage", r.from, map[string]any{"imageDigest": d, "destinationAccount": r.to.Account, "destinationRegion": r.to.Region})
}

// push copies an image with its children and its tags. Children come before the manifests
// that list them.
func (p *remotePush) push(ctx context.Context, d digest.Digest) (changed bool, err error) {
	for pending := []digest.Digest{d}; len(pending) > 0; {
		next := pending[len(pending)-1]
		m, err := p.r.s.manifest(ctx, p.r.from, Reference{Digest: next})
		if fault.Is(err, "ImageNotFound") || fault.Is(err, "ImageArchived") { // it is copied again when it is restored
			pending = pending[:len(pending)-1]
			continue
		}
		if err != nil {
			return false, err
		}
		parsed, err := parseManifest(m.MediaType, m.Body)
		if err != nil {
			return false, &replicaFailure{fault.From(err).Code, err}
		}
		has, err := p.has(ctx, next)
		if err != nil {
			return false, err
		}
		if !has {
			missing, err := p.missing(ctx, parsed.children)
			if err != nil {
				return false, err
			}
			if len(missing) > 0 {
				pending = append(pending, missing...)
				continue
			}
			if err := p.blobs(ctx, parsed); err != nil {
				return false, err
			}
		}
		pending = pending[:len(pending)-1]
		var tags []string
		if len(pending) == 0 {
			if tags, err = p.tags(ctx, d); err != nil {
				return false, err
			}
		}
		stored, err := p.store(ctx, &ociremote.Manifest{Digest: next, MediaType: m.MediaType, Body: m.Body}, has, tags)
		if err != nil {
			return false, err
		}
		changed = changed || stored
	}
	return changed, nil
}

// tags returns the tags that the image has in the source.
func (p *remotePush) tags(ctx context.Context, d digest.Digest) ([]string, error) {
	return db.All(ctx, p.r.s.db, db.Scalar[string], `SELECT tag FROM image_tag WHERE repository = $1 AND digest = $2 ORDER BY tag`, p.r.from.row, string(d))
}

// has reports whether the destination has a manifest.
func (p *remotePush) has(ctx context.Context, d digest.Digest) (bool, error) {
	if p.present[d] {
		return true, nil
	}
	_, found, err := p.registry.HeadManifest(ctx, p.name, string(d))
	if found {
		p.present[d] = true
	}
	return found, err
}

// missing returns the children that the source has and the destination lacks.
func (p *remotePush) missing(ctx context.Context, children []digest.Digest) (missing []digest.Digest, err error) {
	here, err := selectByDigest(ctx, p.r.s.db, `SELECT digest, 0 FROM image_manifest WHERE repository = $1 AND status = 'ACTIVE' AND digest IN `, p.r.from.row, children)
	if err != nil {
		return nil, err
	}
	for _, child := range unique(children) {
		if _, ok := here[child]; !ok {
			continue
		}
		has, err := p.has(ctx, child)
		if err != nil {
			return nil, err
		}
		if !has {
			missing = append(missing, child)
		}
	}
	return missing, nil
}

// blobs sends the blobs that the manifest needs, and that the source has.
func (p *remotePush) blobs(ctx context.Context, m *parsedManifest) error {
	var needs []digest.Digest
	for _, n := range m.needs() {
		needs = append(needs, n.digest)
	}
	here, err := selectByDigest(ctx, p.r.s.db, `SELECT digest, 0 FROM image_blob_link WHERE repository = $1 AND digest IN `, p.r.from.row, needs)
	if err != nil {
		return err
	}
	if len(here) > 0 {
		// The first one creates the repository if it is missing.
		needs = slices.DeleteFunc(needs, func(d digest.Digest) bool { _, ok := here[d]; return !ok })
		if err := p.creating(ctx, func() error { return p.blob(ctx, needs[0]) }); err != nil {
			return err
		}
		needs = needs[1:]
	} else {
		needs = nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(remoteBlobs)
	for _, d := range needs {
		group.Go(func() error { return p.blob(ctx, d) })
	}
	return group.Wait()
}

// creating does something that needs the repository. If the destination does not have it, and
// no template of it creates it, it is created.
func (p *remotePush) creating(ctx context.Context, do func() error) error {
	err := do()
	if p.created || !ociremote.IsNotFound(err) {
		return err
	}
	if err := p.api.CreateRepository(ctx, p.name); err != nil {
		if answer, ok := errors.AsType[*ecrremote.Error](err); ok && answer.Code == "AccessDeniedException" {
			return fault.Wrap(err, fault.Denied, codeCreateDenied, "The destination does not allow ecr:CreateRepository: %s", answer.Message)
		}
		return err
	}
	p.created = true
	return do()
}

// blob sends a blob.
func (p *remotePush) blob(ctx context.Context, d digest.Digest) error {
	l, err := p.r.s.locate(ctx, p.r.from, d)
	if err != nil {
		return p.sourceFailure(err)
	}
	from, err := p.mountFrom(ctx, d)
	if err != nil {
		return err
	}
	err = p.registry.PutBlob(ctx, p.name, ociremote.Blob{Digest: d, Size: l.size, MountFrom: from, Open: func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		_, o, err := p.r.s.openIntact(ctx, p.r.from, d)
		if err != nil {
			return nil, p.sourceFailure(err)
		}
		if _, err := o.Seek(offset, io.SeekStart); err != nil {
			return nil, errors.Join(err, o.Close())
		}
		return o, nil
	}})
	if code, _ := ociremote.ErrorCode(err); code == "DIGEST_INVALID" {
		return errors.Join(p.checkSource(ctx, d), err)
	}
	return err
}

// sourceFailure marks a failure for which no other attempt helps.
func (p *remotePush) sourceFailure(err error) error {
	if fault.Is(err, "BlobNotFound") {
		return &replicaFailure{codeDamaged, err}
	}
	return err
}

// checkSource reads a blob of the source that the destination found to have another digest.
func (p *remotePush) checkSource(ctx context.Context, d digest.Digest) error {
	_, o, err := p.r.s.openIntact(ctx, p.r.from, d)
	if err != nil {
		return p.sourceFailure(err)
	}
	defer o.Close()
	got, err := d.Algorithm().FromReader(o)
	if err == nil && got != d {
		return &replicaFailure{codeDamaged, fmt.Errorf("the blob %s has the digest %s", d, got)}
	}
	return err
}

// mountFrom returns another repository that has the blob and was replicated to the
// destination, or "".
func (p *remotePush) mountFrom(ctx context.Context, d digest.Digest) (string, error) {
	name, err := db.One(ctx, p.r.s.db, db.Scalar[string], `SELECT r.name FROM image_blob b JOIN image_blob_link l ON l.blob = b.id JOIN image_repository r ON r.id = l.repository
		WHERE b.account = $1 AND b.region = $2 AND b.digest = $3 AND r.id <> $4
			AND EXISTS (SELECT 1 FROM image_replication c JOIN image_reference f ON f.repository = c.repository AND f.manifest = c.digest
				WHERE c.repository = r.id AND f.digest = b.digest AND c.account = $5 AND c.region = $6 AND c.state = $7) LIMIT 1`,
		p.r.from.ID.Account, p.r.from.ID.Region, string(d), p.r.from.row, p.r.to.Account, p.r.to.Region, replicaComplete)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	return name, err
}

// store stores a manifest, unless the destination has it, and sets tags that are on another
// one. A tag that is immutable there stays as it is. A manifest is not stored again under a
// tag that it has: a destination that replicates back would send it for ever.
func (p *remotePush) store(ctx context.Context, m *ociremote.Manifest, has bool, tags []string) (changed bool, err error) {
	put := func(reference string) error {
		return p.creating(ctx, func() error { return p.registry.PutManifest(ctx, p.name, reference, m) })
	}
	for _, tag := range tags {
		there, found, err := p.registry.HeadManifest(ctx, p.name, tag)
		if err != nil {
			return false, err
		}
		if found && there == m.Digest {
			has = true
			continue
		}
		err = put(tag)
		if code, _ := ociremote.ErrorCode(err); code == "TAG_INVALID" {
			continue
		}
		if err != nil {
			return false, err
		}
		has, changed = true, true
	}
	if !has {
		if err := put(string(m.Digest)); err != nil {
			return false, err
		}
		changed = true
	}
	p.present[m.Digest] = true
	return changed, nil
}

// failed makes what people see of a failure. If the destination denied access, the next run
// fetches another token: this one may have been revoked.
func (r *replication) failed(p *remotePush, err error) error {
	if p != nil && errors.Is(err, ociremote.ErrDenied) {
		p.api.Forget()
	}
	return r.explain(err)
}

// explain makes what people see of a failure at a destination elsewhere.
func (r *replication) explain(err error) error {
	if _, ok := errors.AsType[*replicaFailure](err); ok {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	where := r.to.Account + " in " + r.to.Region
	code, detail := ociremote.ErrorCode(err)
	if answer, ok := errors.AsType[*ecrremote.Error](err); ok {
		return fault.Wrap(err, fault.Denied, apiFailureCode(answer.Code), "The API of %s answers %s", where, answer.Error())
	}
	if isQuotaCode(detail) {
		return fault.Wrap(err, fault.Limit, detail, "A quota of %s is reached", where)
	}
	if errors.Is(err, ociremote.ErrDenied) {
		return fault.Wrap(err, fault.Denied, codeDenied, "%s denies access: check the policies there, and the credentials in replication.destinations", where)
	}
	if bad, ok := errors.AsType[*ociremote.BadAnswer](err); ok {
		return fault.Wrap(err, fault.BadGateway, codeBadAnswer, "The answer of %s cannot be used: %s", where, bad.What)
	}
	failed, ok := errors.AsType[*egress.Error](err)
	switch {
	case !ok:
		return err
	case failed.Kind == egress.Throttled:
		return fault.Wrap(err, fault.Throttled, codeThrottled, "%s: %s", where, failed.Message)
	case failed.Kind == egress.Answered && failed.Status < 500 && slices.Contains([]string{"MANIFEST_INVALID", "NAME_INVALID", "SIZE_INVALID", "UNSUPPORTED"}, code):
		return &replicaFailure{codeRefused, err} // as it will tomorrow
	case failed.Kind == egress.Answered && failed.Status < 500:
		return fault.Wrap(err, fault.BadGateway, codeRefused, "%s refuses the image: %s %s", where, code, failed.Message)
	}
	return fault.Wrap(err, fault.BadGateway, codeUnavailable, "%s: %s", where, failed.Message)
}

// isQuotaCode reports whether the code of a fault is one of [Service]'s quotas.
func isQuotaCode(code string) bool {
	return slices.Contains([]string{"TooManyRepositories", "TooManyImages", "RepositoryFull", "RegistryFull"}, code)
}

// apiFailureCode is what people see of an error of ECR's API.
func apiFailureCode(code string) string {
	switch code {
	case "ThrottlingException", "TooManyRequestsException":
		return codeThrottled
	case "ServerException", "ServiceUnavailable", "InternalFailure":
		return codeUnavailable
	}
	return codeDenied // a wrong key, an expired token, a missing permission
}

// removeRemote is [replication.removeOne] for a destination in another installation.
func (r *replication) removeRemote(ctx context.Context, m removedReference) (done bool, err error) {
	p, err := r.open(ctx)
	deleted := false
	if err == nil {
		deleted, err = p.remove(ctx, m)
	}
	if errors.Is(err, ecrremote.ErrReferenced) {
		return false, nil
	}
	if err != nil {
		return false, r.failed(p, err)
	}
	if err := r.s.db.Tx(ctx, func(tx *db.Tx) error { return r.forget(ctx, tx, m) }); err != nil || !deleted {
		return err == nil, err
	}
	return true, r.s.recordService(ctx, "ReplicateDeletion", r.from, map[string]any{"imageDigest": m.Digest, "imageTag": m.Tag, "destinationAccount": r.to.Account, "destinationRegion": r.to.Region})
}

// remove deletes a tag or an image, unless the source has it again or the destination has a
// reason of its own to keep it.
func (p *remotePush) remove(ctx context.Context, m removedReference) (deleted bool, err error) {
	if m.Tag == "" {
		return p.removeImage(ctx, m.Digest)
	}
	there, found, err := p.registry.HeadManifest(ctx, p.name, m.Tag)
	if err != nil || !found {
		return false, err
	}
	// As in isGone: a tag may have been moved before it was removed.
	gone, err := db.One(ctx, p.r.s.db, db.Scalar[int64], `SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM image_tag s WHERE s.repository = $1 AND s.tag = $2) AND ($3 = $4
			OR EXISTS (SELECT 1 FROM image_replication c WHERE c.repository = $1 AND c.account = $5 AND c.region = $6 AND c.digest = $4)
			OR EXISTS (SELECT 1 FROM image_replication_removal m WHERE m.repository = $1 AND m.account = $5 AND m.region = $6 AND m.digest = $4 AND m.tag = ''))
		THEN 1 ELSE 0 END`, p.r.from.row, m.Tag, string(m.Digest), string(there), p.r.to.Account, p.r.to.Region)
	if err != nil || gone == 0 {
		return false, err
	}
	if err := p.api.DeleteImage(ctx, p.name, m.Tag, ""); err != nil {
		return false, err
	}
	// ECR deletes an image with its last tag. The source may keep it without one.
	kept, err := p.r.s.manifest(ctx, p.r.from, Reference{Digest: there})
	if fault.Is(err, "ImageNotFound") || fault.Is(err, "ImageArchived") {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	p.present = map[digest.Digest]bool{} // it may be gone
	if _, err := p.push(ctx, kept.Digest); err != nil {
		return false, err
	}
	return true, nil
}

// removeImage deletes an image, unless somebody has given it another tag there.
func (p *remotePush) removeImage(ctx context.Context, d digest.Digest) (deleted bool, err error) {
	here, err := selectByDigest(ctx, p.r.s.db, `SELECT digest, 0 FROM image_manifest WHERE repository = $1 AND digest IN `, p.r.from.row, []digest.Digest{d})
	if err != nil || len(here) > 0 {
		return false, err
	}
	tags, found, err := p.api.Tags(ctx, p.name, d)
	if err != nil || !found {
		return false, err
	}
	removed, err := db.All(ctx, p.r.s.db, db.Scalar[string], `SELECT tag FROM image_replication_removal WHERE repository = $1 AND account = $2 AND region = $3 AND tag <> ''`, p.r.from.row, p.r.to.Account, p.r.to.Region)
	if err != nil {
		return false, err
	}
	for _, tag := range tags {
		if !slices.Contains(removed, tag) {
			return false, nil
		}
	}
	return true, p.api.DeleteImage(ctx, p.name, "", d)
}
