package images

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// The failure codes that people see, beside those of faults.
const (
	codeDenied       = "AccessDenied"           // the registry policy does not allow ecr:ReplicateImage
	codeCreateDenied = "RepositoryNotCreated"   // nor ecr:CreateRepository
	codeDamaged      = "SourceImageUnavailable" // a layer of the source is lost or damaged
)

// copyImage copies an image with its children and its tags. done is part of the last
// transaction. An image that does not exist any more needs no copy:
// the work for it is done.
func (r *replication) copyImage(ctx context.Context, d digest.Digest, done func(*db.Tx) error) error {
	if !r.s.serves(r.to) {
		return r.pushImage(ctx, d, done)
	}
	to, err := r.destination(ctx)
	if err != nil {
		return err
	}
	// Children come before the manifests that list them.
	for pending := []digest.Digest{d}; len(pending) > 0; {
		next := pending[len(pending)-1]
		c, err := r.prepare(ctx, to, next)
		if err != nil {
			return err
		}
		if len(c.children) > 0 {
			pending = append(pending, c.children...)
			continue
		}
		pending = pending[:len(pending)-1]
		if len(pending) == 0 {
			c.done, c.withTags = done, true
		}
		if err := c.store(ctx); err != nil {
			return err
		}
	}
	return nil
}

// destination returns the repository to copy to. It is created if it is missing, with the
// template of its registry if there is one.
func (r *replication) destination(ctx context.Context) (*Repository, error) {
	id := RepositoryID{r.to.Account, r.to.Region, r.from.ID.Name}
	if err := r.authorize(ctx, id, "ecr:ReplicateImage", codeDenied); err != nil {
		return nil, err
	}
	if to := r.s.repositories.get(id); to != nil {
		return to, nil
	}
	if err := r.authorize(ctx, id, "ecr:CreateRepository", codeCreateDenied); err != nil {
		return nil, err
	}
	to, err := r.s.createForCause(ctx, id, CauseReplication)
	if fault.Is(err, "TemplateRoleUnusable") {
		return nil, &replicaFailure{fault.From(err).Code, err}
	}
	return to, err
}

// authorize asks the registry policy of another account whether it takes images from the
// account of the source (Amazon ECR User Guide, "Registry permissions").
func (r *replication) authorize(ctx context.Context, id RepositoryID, action, code string) error {
	source := r.from.ID.Account
	if id.Account == source {
		return nil
	}
	root := "arn:aws:iam::" + source + ":root"
	caller := &authn.Caller{Region: r.from.ID.Region, Principal: &authn.Principal{Type: authn.Root, Account: source, ARN: root, PrincipalARN: root, UserID: source, UniqueID: source}}
	err := r.s.authz.Authorize(authn.WithCaller(ctx, caller), &authz.Request{Action: action, Resource: id.ARN(), Account: id.Account, Policies: r.s.registries.get(r.to).policies})
	if fault.Is(err, "AccessDenied") {
		return &replicaFailure{code, err}
	}
	return err
}

// A copyTx copies one manifest, after its blobs.
type copyTx struct {
	manifestTx
	r *replication
	// children are those that the destination lacks.
	children []digest.Digest
	withTags bool
	done     func(*db.Tx) error
	gone     bool // the source does not have the manifest any more
}

// prepare reads a manifest of the source and finds out what the destination lacks. Unless
// that is children, it copies the blobs.
func (r *replication) prepare(ctx context.Context, to *Repository, d digest.Digest) (*copyTx, error) {
	c := &copyTx{r: r, manifestTx: manifestTx{s: r.s, repo: to, digest: d, now: r.s.now().UTC().Truncate(time.Microsecond), tellsCaches: true}}
	m, err := r.s.manifest(ctx, r.from, Reference{Digest: d})
	if fault.Is(err, "ImageNotFound") || fault.Is(err, "ImageArchived") { // it is copied again when it is restored
		c.gone = true
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	c.body = m.Body
	if c.parsed, err = parseManifest(m.MediaType, m.Body); err != nil {
		return nil, &replicaFailure{fault.From(err).Code, err}
	}
	const present = `SELECT digest, 0 FROM image_manifest WHERE repository = $1 AND digest IN `
	if found, err := selectByDigest(ctx, r.s.db, present, to.row, []digest.Digest{d}); err != nil || len(found) > 0 {
		return c, err
	}
	here, err := selectByDigest(ctx, r.s.db, present, r.from.row, c.parsed.children)
	if err != nil {
		return nil, err
	}
	there, err := selectByDigest(ctx, r.s.db, `SELECT digest, 0 FROM image_manifest WHERE repository = $1 AND status = 'ACTIVE' AND digest IN `, to.row, c.parsed.children)
	if err != nil {
		return nil, err
	}
	for _, child := range c.parsed.children {
		_, has := there[child]
		if _, ok := here[child]; ok && !has {
			c.children = append(c.children, child)
		}
	}
	if len(c.children) > 0 {
		return c, nil
	}
	return c, c.blobs(ctx)
}

// blobs copies the blobs that the manifest needs, and that the source has.
func (c *copyTx) blobs(ctx context.Context) error {
	var needs []digest.Digest
	for _, n := range c.parsed.needs() {
		needs = append(needs, n.digest)
	}
	const linked = `SELECT digest, 0 FROM image_blob_link WHERE repository = $1 AND digest IN `
	here, err := selectByDigest(ctx, c.s.db, linked, c.r.from.row, needs)
	if err != nil {
		return err
	}
	for _, d := range needs {
		if _, ok := here[d]; !ok {
			continue
		}
		if err := c.r.copyBlob(ctx, c.repo, d); err != nil {
			return err
		}
	}
	return nil
}

// copyBlob copies a blob. The destination's registry may have it already.
func (r *replication) copyBlob(ctx context.Context, to *Repository, d digest.Digest) error {
	linked, err := r.linkBlob(ctx, to, d)
	if err != nil || linked {
		return err
	}
	l, o, err := r.s.openIntact(ctx, r.from, d)
	if fault.Is(err, "BlobNotFound") {
		return &replicaFailure{codeDamaged, err}
	}
	if err != nil {
		return err
	}
	defer o.Close()
	if err := r.s.checkBytes(ctx, to, d, l.size); err != nil { // before the bytes are copied
		return err
	}
	w, err := r.s.newHashingWriter(ctx, objectPrefix+randid.UUID(), d.Algorithm())
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.receive(o); err != nil {
		return err
	}
	_, err = r.s.finish(ctx, to, nil, w, d)
	if fault.Is(err, "DigestMismatch") {
		return &replicaFailure{codeDamaged, err}
	}
	return err
}

// linkBlob links a blob that the destination's registry has intact.
func (r *replication) linkBlob(ctx context.Context, to *Repository, d digest.Digest) (linked bool, err error) {
	l, err := db.One(ctx, r.s.db, func(row db.Row) (*location, error) {
		l := new(location)
		return l, row.Scan(&l.object, &l.size)
	}, `SELECT object, size FROM image_blob WHERE account = $1 AND region = $2 AND digest = $3`, to.ID.Account, to.ID.Region, string(d))
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o, err := integrity.Open(ctx, r.s.blobs, l.object, l.size)
	if integrity.IsDamaged(err) {
		return false, nil // the copy replaces it
	}
	if err != nil {
		return false, err
	}
	_ = o.Close() // nothing was written
	if err := r.s.checkBytes(ctx, to, d, l.size); err != nil {
		return false, err
	}
	err = r.s.db.Tx(ctx, func(tx *db.Tx) error {
		if err := checkExists(ctx, tx, to); err != nil {
			return err
		}
		b, err := db.One(ctx, tx, scanStored, `SELECT id, size FROM image_blob WHERE account = $1 AND region = $2 AND digest = $3`, to.ID.Account, to.ID.Region, string(d))
		if err != nil {
			return err
		}
		return r.s.link(ctx, tx, to, d, b.row)
	})
	if errors.Is(err, db.ErrNoRows) { // swept meanwhile
		return false, nil
	}
	return err == nil, err
}

// store writes the manifest and its tags, and tells about it.
func (c *copyTx) store(ctx context.Context) error {
	var changed []Reference
	err := c.s.changeCached(ctx, func(tx *db.Tx) (keys []string, err error) {
		changed, err = c.run(ctx, tx)
		return c.keys(), err
	}, c.forget)
	switch {
	case fault.Is(err, "TooManyImageTags"):
		return &replicaFailure{fault.From(err).Code, err}
	case fault.Is(err, "LayersNotFound"), fault.Is(err, "ReferencedImagesNotFound"):
		return &replicaFailure{codeDamaged, err} // everything was copied that the source has
	}
	if err != nil || len(changed) == 0 {
		return err
	}
	return c.s.recordService(ctx, "ReplicateImage", c.repo, map[string]any{
		"imageDigest": c.digest, "imageTags": append([]string{}, c.moved...), "sourceAccount": c.r.from.ID.Account, "sourceRegion": c.r.from.ID.Region,
	})
}

// run is the transaction. It returns what is new at the destination.
func (c *copyTx) run(ctx context.Context, tx *db.Tx) (changed []Reference, err error) {
	c.moved = nil
	if !c.gone {
		if changed, err = c.copy(ctx, tx); err != nil {
			return nil, err
		}
	}
	if c.done != nil {
		if err := c.done(tx); err != nil {
			return nil, err
		}
	}
	return changed, c.r.announce(ctx, tx, resultSuccess, changed...)
}

func (c *copyTx) copy(ctx context.Context, tx *db.Tx) (changed []Reference, err error) {
	here, err := selectByDigest(ctx, tx, `SELECT digest, 0 FROM image_manifest WHERE repository = $1 AND status = 'ACTIVE' AND digest IN `, c.r.from.row, []digest.Digest{c.digest})
	if err != nil || len(here) == 0 { // deleted or archived meanwhile
		return nil, err
	}
	settings, err := db.One(ctx, tx, scanSettings, `SELECT settings FROM image_repository WHERE id = $1`, c.repo.row)
	if errors.Is(err, db.ErrNoRows) {
		return nil, repositoryNotFound(c.repo.ID)
	}
	if err != nil {
		return nil, err
	}
	there, err := db.All(ctx, tx, db.Scalar[ImageStatus], `SELECT status FROM image_manifest WHERE repository = $1 AND digest = $2`, c.repo.row, string(c.digest))
	if err != nil {
		return nil, err
	}
	c.restored = nil
	if len(there) > 0 {
		restored, err := c.restoreArchived(ctx, tx, there[0])
		if err != nil {
			return nil, err
		}
		if restored {
			changed = []Reference{{Digest: c.digest}}
		}
	} else {
		if err := c.s.checkImageCount(ctx, tx, c.repo); err != nil {
			return nil, err
		}
		if err := c.insert(ctx, tx); err != nil {
			return nil, err
		}
		changed = []Reference{{Digest: c.digest}}
	}
	if c.withTags {
		if err := c.copyTags(ctx, tx, &settings); err != nil {
			return nil, err
		}
	}
	if len(c.moved) > 0 {
		changed = nil
	}
	for _, tag := range c.moved {
		changed = append(changed, Reference{tag, c.digest})
	}
	return changed, nil
}

// copyTags sets the tags that the image has in the source now, except those that are
// immutable at the destination and taken.
func (c *copyTx) copyTags(ctx context.Context, tx *db.Tx, settings *Settings) error {
	tags, err := db.All(ctx, tx, db.Scalar[string], `SELECT tag FROM image_tag WHERE repository = $1 AND digest = $2 ORDER BY tag`, c.r.from.row, string(c.digest))
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if err := c.setTag(ctx, tx, settings, tag); err != nil && !fault.Is(err, "ImageTagAlreadyExists") {
			return err
		}
	}
	if len(c.moved) == 0 {
		return nil
	}
	return c.checkTagCount(ctx, tx)
}

const (
	actionReplicate = "REPLICATE"
	// replicationAction is the kind of event of the destination's registry.
	replicationAction = "ECR Replication Action"
	resultSuccess     = "SUCCESS"
	resultFailed      = "FAILED"
)

// A replicationEvent is what an event says. Its members are those of AWS.
type replicationEvent struct {
	Result        string        `json:"result"`
	Repository    string        `json:"repository-name"`
	Digest        digest.Digest `json:"image-digest"`
	SourceAccount string        `json:"source-account"`
	Action        string        `json:"action-type"`
	SourceRegion  string        `json:"source-region"`
	Tag           string        `json:"image-tag,omitempty"`
}

// announce writes one event of the destination for each of refs.
func (r *replication) announce(ctx context.Context, tx *db.Tx, result string, refs ...Reference) error {
	name := r.from.ID.Name
	var all []events.Event
	for _, ref := range refs {
		all = append(all, events.Event{
			Source: "aws.ecr", DetailType: replicationAction, Account: r.to.Account, Region: r.to.Region, Time: r.s.now(),
			Resources:  []string{RepositoryID{r.to.Account, r.to.Region, name}.ARN()},
			Detail:     replicationEvent{result, name, ref.Digest, r.from.ID.Account, actionReplicate, r.from.ID.Region, ref.Tag},
			Repository: name,
		})
	}
	return r.s.events.Write(ctx, tx, all...)
}
