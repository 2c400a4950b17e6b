package app

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/signing"
)

// An imageSigner signs images with signing profiles, and verifies their signatures.
type imageSigner struct{ signing *signing.Service }

// MaySign implements [images.Signer].
func (s imageSigner) MaySign(ctx context.Context, profileARN string) error {
	return s.signing.MaySign(ctx, profileARN)
}

// Sign implements [images.Signer].
func (s imageSigner) Sign(ctx context.Context, profileARN string, image ocispec.Descriptor) (*images.Signature, error) {
	made, err := s.signing.Sign(ctx, profileARN, image)
	if err != nil {
		return nil, err
	}
	return &images.Signature{Envelope: made.Envelope, Time: made.Time, Expires: made.Expires, Thumbprints: made.Thumbprints}, nil
}

// Verify implements [images.Signer].
func (s imageSigner) Verify(ctx context.Context, envelope []byte, image digest.Digest) (string, time.Time, error) {
	v, err := s.signing.Verify(ctx, envelope, image)
	if errors.Is(err, signing.ErrNotTrusted) {
		return "", time.Time{}, nil
	}
	return v.Signer, v.Expires, err
}

// EnvelopeType implements [images.Signer].
func (imageSigner) EnvelopeType() string { return signing.EnvelopeType }
