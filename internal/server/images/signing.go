package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/wildcard"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Managed signing (Amazon ECR User Guide, "Managed signing"): the rules of a registry say
// which profiles sign the images that are pushed to which repositories. Whether the pusher may
// sign with a profile is decided when the image is pushed, and recorded in the transaction of
// the push with the job that signs. The signature is a manifest of the Notary Project whose
// subject is the image. It is stored in the transaction that records the result, so an image
// has one signature of each profile, however often the job runs.

// A Signer makes signatures. It is *signing.Service, through an adapter.
type Signer interface {
	// MaySign authorizes the caller to sign with a profile. Fault: AccessDenied.
	MaySign(ctx context.Context, profileARN string) error
	// Sign signs an image with a profile. A fault means that it will not do so later either.
	Sign(ctx context.Context, profileARN string, image ocispec.Descriptor) (*Signature, error)
	// Verify returns the profile that made a signature of an image, and when the signature
	// expires, or zero. profileARN is empty if the signature is not a valid one of a profile.
	Verify(ctx context.Context, envelope []byte, image digest.Digest) (profileARN string, expires time.Time, err error)
	// EnvelopeType is the media type of signatures.
	EnvelopeType() string
}

// A Signature is what a [Signer] made.
type Signature struct {
	Envelope    []byte
	Time        time.Time
	Expires     time.Time // zero if it does not expire
	Thumbprints []string  // SHA-256 of the certificates, in hexadecimal digits
}

// A SigningConfiguration says what is signed in a registry.
type SigningConfiguration struct {
	Rules []SigningRule `json:"rules"`
}

// A SigningRule names a profile and the repositories whose images it signs.
type SigningRule struct {
	Profile string `json:"profile"` // an ARN
	// Filters are patterns of names with wildcards; none means all repositories.
	Filters []string `json:"filters,omitempty"`
}

func (r *SigningRule) matches(name string) bool {
	return len(r.Filters) == 0 || slices.ContainsFunc(r.Filters, func(f string) bool { return wildcard.Match(f, name) })
}

// profilePlace returns the account and the region of the ARN of a profile.
func profilePlace(profile string) (account, region string) {
	a, err := arn.Parse(profile)
	if err != nil {
		return "", ""
	}
	return a.AccountID, a.Region
}

// PutSigningConfiguration sets the signing configuration of a registry. Action
// ecr:PutSigningConfiguration. Faults: AccessDenied, InvalidParameter.
func (s *Service) PutSigningConfiguration(ctx context.Context, id RegistryID, c SigningConfiguration) error {
	if _, err := s.authorizeSettings(ctx, id, "ecr:PutSigningConfiguration"); err != nil {
		return err
	}
	if s.signer == nil {
		return fault.New(fault.Unimplemented, "SigningNotAvailable", "This server cannot sign images.")
	}
	for i := range c.Rules {
		if _, region := profilePlace(c.Rules[i].Profile); region != id.Region {
			return invalidParameter("signingConfiguration", "The signing profile '"+c.Rules[i].Profile+"' is not of the region "+id.Region)
		}
	}
	_, err := s.editRegistry(ctx, id, func(r *Registry) error {
		r.Signing = &c
		return nil
	})
	return err
}

// SigningConfiguration returns the signing configuration of a registry. Action
// ecr:GetSigningConfiguration. Faults: AccessDenied, SigningConfigurationNotFound.
func (s *Service) SigningConfiguration(ctx context.Context, id RegistryID) (SigningConfiguration, error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:GetSigningConfiguration")
	if err != nil {
		return SigningConfiguration{}, err
	}
	if r.Signing == nil {
		return SigningConfiguration{}, signingNotFound(id)
	}
	return *r.Signing, nil
}

// DeleteSigningConfiguration removes the signing configuration of a registry, and returns it.
// Signatures stay. Action ecr:DeleteSigningConfiguration. Faults: as
// [Service.SigningConfiguration].
func (s *Service) DeleteSigningConfiguration(ctx context.Context, id RegistryID) (old SigningConfiguration, err error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:DeleteSigningConfiguration"); err != nil {
		return old, err
	}
	_, err = s.editRegistry(ctx, id, func(r *Registry) error {
		if r.Signing == nil {
			return signingNotFound(id)
		}
		old, r.Signing = *r.Signing, nil
		return nil
	})
	return old, err
}

func signingNotFound(id RegistryID) error {
	return fault.New(fault.NotFound, "SigningConfigurationNotFound", "Signing configuration does not exist in the registry with id '%s'", id.Account)
}

// A signerOf is a profile that is to sign an image. reason says why the pusher may not sign
// with it, or is empty.
type signerOf struct{ profile, reason string }

// signersFor returns the profiles that are to sign an image that the caller pushes. Signatures
// are not signed.
func (s *Service) signersFor(ctx context.Context, repo *Repository, m *parsedManifest) (all []signerOf, err error) {
	c := s.registries.get(repo.ID.registry()).Signing
	if c == nil || m.isSignature {
		return nil, nil
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		if !r.matches(repo.ID.Name) || slices.ContainsFunc(all, func(o signerOf) bool { return o.profile == r.Profile }) {
			continue
		}
		of := signerOf{profile: r.Profile}
		switch err := s.signer.MaySign(ctx, r.Profile); {
		case fault.Is(err, "AccessDenied"):
			of.reason = fault.From(err).Message
		case err != nil:
			return nil, err
		}
		all = append(all, of)
	}
	return all, nil
}

// The states of a row of image_signing.
const (
	signingWaiting  = "waiting"
	signingComplete = "complete"
	signingFailed   = "failed"
)

const (
	kindSign = "images/sign"
	// signingAttempts is how often a job is tried: for about a day.
	signingAttempts = 40
)

// enqueueSigning records which profiles are to sign the image, as part of the transaction that
// pushed it. A profile that has signed it does not sign it again.
func (p *manifestTx) enqueueSigning(ctx context.Context, tx *db.Tx) error {
	waiting := false
	for _, o := range p.signers {
		state, code := signingWaiting, ""
		if o.reason != "" {
			state, code = signingFailed, "AccessDenied"
		}
		n, err := tx.Exec(ctx, `INSERT INTO image_signing (repository, digest, profile, state, code, reason, pusher, since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (repository, digest, profile) DO UPDATE SET state = excluded.state, code = excluded.code, reason = excluded.reason, pusher = excluded.pusher, since = excluded.since
			WHERE image_signing.state = '`+signingFailed+`'`,
			p.repo.row, string(p.digest), o.profile, state, code, o.reason, callerARN(ctx), db.Micros(p.now))
		if err != nil {
			return err
		}
		waiting = waiting || n > 0 && o.reason == ""
	}
	if !waiting {
		return nil
	}
	return p.s.work.Enqueue(ctx, tx, work.Job{Kind: kindSign, Key: rowKey("image", p.repo.row, string(p.digest)), Payload: storageClassJob{p.repo.ID, p.repo.row, p.digest}})
}

// SigningWork returns the kinds of background work of signing.
func (s *Service) SigningWork() []work.Kind {
	return []work.Kind{{Name: kindSign, Concurrency: 2, MaxAttempts: signingAttempts, Run: s.doSign}, {Name: kindVerify, Concurrency: 2, Run: work.JSON(s.doVerify)}}
}

// doSign makes the signatures of an image that wait.
func (s *Service) doSign(ctx context.Context, run work.Run) error {
	return work.JSON(func(ctx context.Context, job storageClassJob) error {
		repo := s.repositories.get(job.Repository)
		if repo == nil || repo.row != job.Row {
			return nil // deleted
		}
		profiles, err := db.All(ctx, s.db, db.Scalar[string], `SELECT profile FROM image_signing WHERE repository = $1 AND digest = $2 AND state = '`+signingWaiting+`' ORDER BY profile`, repo.row, string(job.Digest))
		if err != nil {
			return err
		}
		var failed error
		for _, profile := range profiles {
			err := s.sign(ctx, repo, job.Digest, profile)
			f, final := errors.AsType[*fault.Error](err)
			final = final && slices.Contains([]fault.Kind{fault.Invalid, fault.NotFound, fault.Denied, fault.Conflict, fault.Limit}, f.Kind)
			if err != nil && (final || run.Attempt >= signingAttempts) {
				code, reason := "InternalError", "The image could not be signed. Push it again to try again."
				if final {
					code, reason = f.Code, f.Message
				}
				err = s.db.Tx(ctx, func(tx *db.Tx) error {
					return s.endSigning(ctx, tx, repo, job.Digest, profile, signingFailed, code, reason)
				})
			}
			failed = errors.Join(failed, err)
		}
		return failed
	})(ctx, run)
}

func (s *Service) endSigning(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest, profile, state, code, reason string) error {
	_, err := tx.Exec(ctx, `UPDATE image_signing SET state = $4, code = $5, reason = $6 WHERE repository = $1 AND digest = $2 AND profile = $3 AND state = '`+signingWaiting+`'`,
		repo.row, string(d), profile, state, code, reason)
	return err
}

// The media types of signatures of the Notary Project ("OCI artifact signature
// specification", signature manifest).
const (
	notationSignature  = "application/vnd.cncf.notary.signature"
	notationThumbprint = "io.cncf.notary.x509chain.thumbprint#S256"
)

// sign makes the signature of one profile and stores it.
func (s *Service) sign(ctx context.Context, repo *Repository, d digest.Digest, profile string) error {
	m, err := db.One(ctx, s.db, scanManifest, `SELECT `+manifestColumns+` FROM image_manifest WHERE repository = $1 AND digest = $2`, repo.row, string(d))
	if errors.Is(err, db.ErrNoRows) {
		return nil // deleted
	}
	if err != nil {
		return err
	}
	subject := ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Body))}
	signature, err := s.signer.Sign(ctx, profile, subject)
	if err != nil {
		return err
	}
	body, err := signatureManifest(subject, signature, s.signer.EnvelopeType())
	if err != nil {
		return err
	}
	for _, content := range [][]byte{[]byte("{}"), signature.Envelope} {
		if err := s.storeBlob(ctx, repo, content); err != nil {
			return err
		}
	}
	parsed, err := parseManifest("", body)
	if err != nil {
		return err
	}
	put := &manifestTx{s: s, body: body, repo: repo, parsed: parsed, digest: digest.FromBytes(body), now: s.now().UTC().Truncate(time.Microsecond)}
	t := &signerTx{s: s, repo: repo, subject: d}
	return s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		waiting, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM image_signing WHERE repository = $1 AND digest = $2 AND profile = $3 AND state = '`+signingWaiting+`'`, repo.row, string(d), profile)
		if err != nil || waiting == 0 { // deleted, or another run has signed
			return nil, err
		}
		if err := put.run(ctx, tx); err != nil {
			return nil, err
		}
		if err := t.add(ctx, tx, put.digest, profile, signature.Expires); err != nil {
			return nil, err
		}
		return t.keys(), s.endSigning(ctx, tx, repo, d, profile, signingComplete, "", "")
	}, t.forget)
}

// signatureManifest returns the manifest of a signature.
func signatureManifest(subject ocispec.Descriptor, s *Signature, envelopeType string) ([]byte, error) {
	thumbprints, err := json.Marshal(s.Thumbprints)
	if err != nil {
		return nil, err
	}
	return json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config:  ocispec.Descriptor{MediaType: notationSignature, Digest: digest.FromString("{}"), Size: 2},
		Layers:  []ocispec.Descriptor{{MediaType: envelopeType, Digest: digest.FromBytes(s.Envelope), Size: int64(len(s.Envelope))}},
		Subject: &subject,
		Annotations: map[string]string{
			notationThumbprint: string(thumbprints), ocispec.AnnotationCreated: s.Time.UTC().Format(time.RFC3339),
		},
	})
}

// storeBlob stores bytes that the server itself has made.
func (s *Service) storeBlob(ctx context.Context, repo *Repository, content []byte) error {
	w, err := s.newHashingWriter(ctx, objectPrefix+randid.UUID(), digest.SHA256)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.receive(bytes.NewReader(content)); err != nil {
		return err
	}
	_, err = s.finish(ctx, repo, nil, w, digest.FromBytes(content))
	return err
}

// A SigningStatus says how far the signature of a profile is.
type SigningStatus struct {
	Profile string
	State   string // IN_PROGRESS, COMPLETE or FAILED
	// Code and Reason say why it failed.
	Code, Reason string
}

// SigningStatus returns the digest of an image, and the status of its signature by each
// profile. Action ecr:DescribeImageSigningStatus. Faults: AccessDenied, RepositoryNotFound,
// ImageNotFound, ImageTagDoesNotMatchDigest, InvalidParameter.
func (s *Service) SigningStatus(ctx context.Context, id RepositoryID, ref Reference) (digest.Digest, []SigningStatus, error) {
	repo, err := s.authorize(ctx, id, "ecr:DescribeImageSigningStatus")
	if err != nil {
		return "", nil, err
	}
	if err := ref.check(); err != nil {
		return "", nil, invalidParameter("imageId", fault.From(err).Message)
	}
	d, err := s.identify(ctx, repo, ref)
	if err != nil {
		return "", nil, err
	}
	list, err := db.All(ctx, s.db, func(r db.Row) (st SigningStatus, err error) {
		var state string
		err = r.Scan(&st.Profile, &state, &st.Code, &st.Reason)
		st.State = map[string]string{signingWaiting: "IN_PROGRESS", signingComplete: "COMPLETE", signingFailed: "FAILED"}[state]
		return st, err
	}, `SELECT profile, state, code, reason FROM image_signing WHERE repository = $1 AND digest = $2 ORDER BY profile`, repo.row, string(d))
	return d, list, err
}
