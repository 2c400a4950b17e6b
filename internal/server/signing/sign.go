package signing

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// EnvelopeType is the media type of a signature.
	EnvelopeType = jws.MediaTypeEnvelope
	// payloadType is the media type of what is signed (Notary Project, "Signature
	// Specification", payload).
	payloadType = "application/vnd.cncf.notary.payload.v1+json"
)

// A payload is what is signed.
type payload struct {
	TargetArtifact ocispec.Descriptor `json:"targetArtifact"`
}

// A Signature is a signature of an image.
type Signature struct {
	Envelope      []byte
	Time, Expires time.Time
	// Thumbprints are the SHA-256 of the certificates in hexadecimal digits, the signing one
	// first.
	Thumbprints []string
}

// MaySign authorizes the caller to sign with a profile, which may not exist. Action
// signer:SignPayload. Fault: AccessDenied.
func (s *Service) MaySign(ctx context.Context, profileARN string) error {
	id, err := ParseARN(profileARN)
	if err != nil {
		return err
	}
	return s.authorize(ctx, "SignPayload", id, nil)
}

// Sign signs an image with a profile, for the server itself. Faults: ResourceNotFound,
// ProfileNotActive.
func (s *Service) Sign(ctx context.Context, profileARN string, image ocispec.Descriptor) (*Signature, error) {
	id, err := ParseARN(profileARN)
	if err != nil {
		return nil, fault.New(fault.NotFound, "ResourceNotFound", "%q is not the ARN of a signing profile.", profileARN)
	}
	p, err := read(ctx, s.c.DB, id)
	if err != nil {
		return nil, err
	}
	if p.Status != Active {
		return nil, fault.New(fault.Conflict, "ProfileNotActive", "The signing profile %s was canceled.", id.Name)
	}
	root, err := s.root(ctx, id.Account)
	if err != nil {
		return nil, err
	}
	key, err := s.key(ctx, p, root)
	if err != nil {
		return nil, err
	}
	chain := []*x509.Certificate{key.certificate, root.certificate}
	signer, err := signature.NewLocalSigner(chain, key.key)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(payload{ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}})
	if err != nil {
		return nil, err
	}
	now := s.c.Now().UTC().Truncate(time.Second)
	expiry, _ := p.Validity.from(now)
	envelope, err := jws.NewEnvelope().Sign(&signature.SignRequest{
		Payload: signature.Payload{ContentType: payloadType, Content: content},
		Signer:  signer, SigningTime: now, Expiry: expiry, SigningScheme: signature.SigningSchemeX509, SigningAgent: "gatehouse",
	})
	if err != nil {
		return nil, err
	}
	out := &Signature{Envelope: envelope, Time: now, Expires: expiry}
	for _, c := range chain {
		sum := sha256.Sum256(c.Raw)
		out.Thumbprints = append(out.Thumbprints, hex.EncodeToString(sum[:]))
	}
	return out, nil
}

// A Verified says who signed an image.
type Verified struct {
	// Signer is the ARN of the profile.
	Signer string
	// Expires is when the signature stops being valid, and zero if it does not.
	Expires time.Time
}

// ErrNotTrusted means that a signature is not one of a profile of this installation, or not
// one of the image.
var ErrNotTrusted = errors.New("signing: the signature is not one of a signing profile")

// Verify verifies a signature of an image with a digest. The error is ErrNotTrusted if the
// signature is not valid, whatever is wrong with it.
func (s *Service) Verify(ctx context.Context, envelope []byte, image digest.Digest) (Verified, error) {
	parsed, err := jws.ParseEnvelope(envelope)
	if err != nil {
		return Verified{}, notTrusted(err)
	}
	content, err := parsed.Verify()
	if err != nil {
		return Verified{}, notTrusted(err)
	}
	var signed payload
	if err := json.Unmarshal(content.Payload.Content, &signed); err != nil {
		return Verified{}, notTrusted(err)
	}
	info := &content.SignerInfo
	if content.Payload.ContentType != payloadType || signed.TargetArtifact.Digest != image || len(info.CertificateChain) != 2 || len(info.CertificateChain[0].URIs) != 1 {
		return Verified{}, ErrNotTrusted
	}
	name := info.CertificateChain[0].URIs[0].String()
	id, err := ParseARN(name)
	if err != nil {
		return Verified{}, notTrusted(err)
	}
	// The root of the account: nobody else's says what a profile of the account signs.
	row, err := db.One(ctx, s.c.DB, scanSealed, `SELECT certificate, sealed FROM signing_root WHERE account = $1`, id.Account)
	if errors.Is(err, db.ErrNoRows) {
		return Verified{}, ErrNotTrusted
	}
	if err != nil {
		return Verified{}, err
	}
	root, err := x509.ParseCertificate(row.certificate)
	if err != nil {
		return Verified{}, err
	}
	if _, err := signature.VerifyAuthenticity(info, []*x509.Certificate{root}); err != nil || !info.CertificateChain[1].Equal(root) {
		return Verified{}, ErrNotTrusted
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	if _, err := info.CertificateChain[0].Verify(x509.VerifyOptions{Roots: pool, CurrentTime: info.SignedAttributes.SigningTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}); err != nil {
		return Verified{}, notTrusted(err)
	}
	return Verified{name, info.SignedAttributes.Expiry}, nil
}

func notTrusted(err error) error { return fmt.Errorf("%w: %w", ErrNotTrusted, err) }
