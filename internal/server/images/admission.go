package images

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/vulnerability"
	"github.com/gatehouse-registry/gatehouse/internal/server/steadyclock"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Policies can deny single images: a Deny statement with a condition on who signed the image,
// on its age or on the findings of its scan (scan_admission.go) is a rule about images (see
// [authz.RulesForVersions]). A pull and a push are authorized without these rules first, and
// then, when the manifest is known, by them.
//
// Who signed an image is verified once, in the background, when a signature arrives, and
// stored in image_signer. It is read when a rule first asks for it, and kept with the manifest
// in the cache, from which a new signature drops it. Signatures themselves are exempt from the
// rules, since whoever verifies an image must be able to pull them. What a manifest calls a
// signature could be a layer that container runtimes unpack, since some of them look at no
// media types. So the bytes of what is exempt are looked at.

// A signer is who signed an image.
type signer struct {
	name    string // the ARN of a profile
	expires int64  // microseconds since 1970, or 0
}

// admit returns the fault of an image that a rule denies to the caller. m is nil for an image
// that is not here yet; then parsed is what is pushed. Fault: AccessDenied.
func (s *Service) admit(ctx context.Context, repo *Repository, action string, d digest.Digest, m *Manifest, parsed *parsedManifest) error {
	req := s.completeRequest(repo.ID, repo, authz.Request{Action: action, PerVersion: true})
	if !authz.MayHaveVersionRules(ctx, req.Policies) {
		return nil
	}
	rules := authz.RulesForVersions(ctx, &req)
	if rules == nil {
		return nil
	}
	if parsed == nil {
		var err error
		if parsed, err = parseManifest(m.MediaType, m.Body); err != nil {
			return err
		}
	}
	if exempt, err := s.hasSignatures(ctx, repo, m, parsed); err != nil || exempt {
		return err
	}
	now, err := s.admissionClock.Times(ctx)
	if err != nil {
		return err
	}
	keys := &imageKeys{now: now}
	if m != nil {
		keys.age = max(0, now.Earliest.Sub(m.PushedAt))
		if rules.LookAt(authz.SignedBy) {
			if keys.signers, err = s.signersOf(ctx, repo, m); err != nil {
				return err
			}
		}
		if rules.LookAt(authz.ScanSeverity) {
			if keys.rating, err = s.ratingOf(ctx, repo, m); err != nil {
				return err
			}
		}
	}
	for _, rule := range rules.Rules {
		if rules.Denies(rule, keys) {
			return fault.New(fault.Denied, "AccessDenied", "User: %s is not authorized to perform: %s on image %s of resource: %s because %s (%s) denies it.",
				cmp.Or(callerARN(ctx), "anonymous"), action, d, repo.arn, authz.RuleName(rule), keys.describe(rule.Keys()))
		}
	}
	return nil
}

// imageKeys answers for the condition keys of one image.
type imageKeys struct {
	now     steadyclock.Times
	age     time.Duration
	signers []signer
	rating  vulnerability.Rating
	value   [1]string // what Lookup returned last
}

// Lookup implements [policy.Context].
func (k *imageKeys) Lookup(lower string) ([]string, bool) {
	switch name, _ := authz.VersionKey(lower); name {
	case authz.SignedBy:
		var names []string
		for _, s := range k.signers {
			if s.expires == 0 || db.Micros(k.now.Latest) < s.expires {
				names = append(names, s.name)
			}
		}
		return names, len(names) > 0
	case authz.ImageAge:
		k.value[0] = strconv.FormatInt(int64(k.age/(24*time.Hour)), 10)
	case authz.ScanSeverity:
		k.value[0] = k.rating.String()
		return k.value[:], k.rating != vulnerability.Unrated
	case authz.ReportOnly:
		k.value[0] = "false"
	default:
		return nil, false
	}
	return k.value[:], true
}

// describe shows the values of those keys that are about images.
func (k *imageKeys) describe(keys []string) string {
	var out []string
	for _, lower := range keys {
		name, ok := authz.VersionKey(lower)
		if !ok {
			continue
		}
		text := name + " is missing"
		if values, ok := k.Lookup(lower); ok {
			text = name + " is " + strings.Join(values, " and ")
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}

// The bounds of a manifest of signatures.
const (
	maxSignatures     = 100
	maxSignatureSizes = 4 << 20 // bytes, of all together
)

// hasSignatures reports whether a manifest has nothing but signatures, so that nothing can run
// it: everything in it is JSON, or the envelope of a config that is none of an image. m is nil
// if the manifest is not here yet.
func (s *Service) hasSignatures(ctx context.Context, repo *Repository, m *Manifest, parsed *parsedManifest) (bool, error) {
	if !parsed.isSignature || len(parsed.blobs) > maxSignatures {
		return false, nil
	}
	if m != nil {
		if known := m.isSignature.Load(); known != nil {
			return *known, nil
		}
	}
	is, left := true, maxSignatureSizes
	for _, d := range parsed.blobs {
		if parsed.mediaTypes[d] == coseEnvelope {
			continue
		}
		text, err := s.readEnvelope(ctx, repo, d)
		if err != nil {
			return false, err
		}
		if left -= len(text); left < 0 || !json.Valid(text) {
			is = false
			break
		}
	}
	if m != nil {
		m.isSignature.Store(&is)
	}
	return is, nil
}

// signersOf returns who signed an image, or an index that lists it. A manifest that has the
// image's bytes as a layer says nothing about them as an image.
func (s *Service) signersOf(ctx context.Context, repo *Repository, m *Manifest) ([]signer, error) {
	if known := m.signers.Load(); known != nil {
		return *known, nil
	}
	found, err := db.All(ctx, s.db, func(r db.Row) (v signer, err error) {
		err = r.Scan(&v.name, &v.expires)
		return v, err
	}, `SELECT DISTINCT signer, expires FROM image_signer WHERE repository = $1 AND (subject = $2
		OR subject IN (SELECT f.manifest FROM image_reference f JOIN image_manifest i ON i.repository = f.repository AND i.digest = f.manifest
			WHERE f.repository = $1 AND f.digest = $2 AND i.media_type IN ($3, $4))) ORDER BY signer, expires`,
		repo.row, string(m.Digest), ocispec.MediaTypeImageIndex, mediaTypeDockerList)
	if err == nil {
		m.signers.Store(&found)
	}
	return found, err
}

const (
	kindVerify = "images/verify"
	// maxEnvelope is the size of the largest signature that is verified, in bytes.
	maxEnvelope = 1 << 20
)

// A signerTx stores who signed an image.
type signerTx struct {
	s        *Service
	repo     *Repository
	subject  digest.Digest
	children []digest.Digest
}

// add adds a signer.
func (t *signerTx) add(ctx context.Context, tx *db.Tx, signature digest.Digest, name string, expires time.Time) error {
	until := int64(0)
	if !expires.IsZero() {
		until = db.Micros(expires)
	}
	_, err := tx.Exec(ctx, `INSERT INTO image_signer (repository, subject, signature, signer, expires) SELECT repository, subject, digest, CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM image_manifest WHERE repository = $1 AND digest = $2
		ON CONFLICT (repository, signature, signer) DO NOTHING`, t.repo.row, string(signature), name, until)
	if err != nil {
		return err
	}
	return t.readChildren(ctx, tx)
}

// readChildren reads which other images have the signers of the subject.
func (t *signerTx) readChildren(ctx context.Context, tx *db.Tx) (err error) {
	t.children, err = db.All(ctx, tx, db.Scalar[digest.Digest], `SELECT r.digest FROM image_reference r JOIN image_manifest m ON m.repository = r.repository AND m.digest = r.digest
		WHERE r.repository = $1 AND r.manifest = $2`, t.repo.row, string(t.subject))
	return err
}

// keys returns what the change feed tells other servers.
func (t *signerTx) keys() []string {
	var keys []string
	for _, d := range append(t.children, t.subject) {
		keys = append(keys, rowKey(manifestKey, t.repo.row, string(d)))
	}
	return keys
}

// forget drops what the caches of this server have of the same.
func (t *signerTx) forget() {
	for _, d := range append(t.children, t.subject) {
		t.s.manifests.Drop(digestKey{t.repo.row, d})
	}
}

// enqueueVerify puts the verification of a signature into the queue, as part of the
// transaction that stored it.
func (s *Service) enqueueVerify(ctx context.Context, tx *db.Tx, repo *Repository, signature digest.Digest) error {
	if s.signer == nil {
		return nil
	}
	return s.work.Enqueue(ctx, tx, work.Job{Kind: kindVerify, Key: rowKey("image", repo.row, string(signature)), Payload: storageClassJob{repo.ID, repo.row, signature}})
}

// doVerify verifies a signature and records who made it.
func (s *Service) doVerify(ctx context.Context, job storageClassJob) error {
	repo := s.repositories.get(job.Repository)
	if repo == nil || repo.row != job.Row {
		return nil // deleted
	}
	m, err := db.One(ctx, s.db, scanManifest, `SELECT `+manifestColumns+` FROM image_manifest WHERE repository = $1 AND digest = $2`, repo.row, string(job.Digest))
	if errors.Is(err, db.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	parsed, err := parseManifest(m.MediaType, m.Body)
	if err != nil || !parsed.isSignature || m.Subject == "" {
		return nil //nolint:nilerr // it is not a signature
	}
	for _, d := range parsed.blobs {
		if parsed.mediaTypes[d] != s.signer.EnvelopeType() {
			continue
		}
		envelope, err := s.readEnvelope(ctx, repo, d)
		if err != nil || envelope == nil {
			return err
		}
		name, expires, err := s.signer.Verify(ctx, envelope, m.Subject)
		if err != nil || name == "" {
			return err
		}
		t := &signerTx{s: s, repo: repo, subject: m.Subject}
		err = s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
			err := t.add(ctx, tx, m.Digest, name, expires)
			return t.keys(), err
		}, t.forget)
		if err != nil {
			return err
		}
	}
	return nil
}

// readEnvelope returns a signature, or nil if it is not here or too large.
func (s *Service) readEnvelope(ctx context.Context, repo *Repository, d digest.Digest) ([]byte, error) {
	l, o, err := s.openIntact(ctx, repo, d)
	if fault.Is(err, "BlobNotFound") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if l.size > maxEnvelope {
		return nil, nil
	}
	return io.ReadAll(o)
}
