package app

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/signing"
)

// An imageSigner signs images with signing profiles.
type imageSigner struct{ signing *signing.Service }

// Sign implements [images.Signer].
func (s imageSigner) Sign(ctx context.Context, profileARN string, image ocispec.Descriptor) (*images.Signature, error) {
	made, err := s.signing.Sign(ctx, profileARN, image)
	if err != nil {
		return nil, err
	}
	return &images.Signature{Envelope: made.Envelope, MediaType: signing.EnvelopeType, Time: made.Time, Thumbprints: made.Thumbprints}, nil
}
