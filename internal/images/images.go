// Package images is the container registry's store: its rules and its
// transactions, and no HTTP. The ECR API and the OCI endpoint are two doors of
// it.
package images

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/authz"
	"github.com/gatehouse-registry/gatehouse/internal/blob"
	"github.com/gatehouse-registry/gatehouse/internal/db"
)

// An Authorizer decides whether the caller in the context may do one thing. It
// returns nil or a fault of the kind Denied. It is *authz.Authorizer.
type Authorizer interface {
	Authorize(ctx context.Context, req *authz.Request) error
}

// Config is what a [Service] is made of.
type Config struct {
	DB    *db.DB
	Blobs blob.Store
	Authz Authorizer
	// Now is the clock.
	Now func() time.Time
	// ManifestCache is the number of bytes of manifests that are kept in
	// memory; 0 means 64 MiB.
	ManifestCache int64
}

// A Service is the store. It is safe for use by many goroutines.
type Service struct{ Config }

var errTODO = errors.New("images: body follows")

// New applies the migrations and loads the repositories.
func New(ctx context.Context, c Config) (*Service, error) { return nil, errTODO }

// A RepositoryID names a repository. A registry is an account in a region.
type RepositoryID struct{ Account, Region, Name string }

// ARN is arn:aws:ecr:REGION:ACCOUNT:repository/NAME.
func (id RepositoryID) ARN() string { return "" }

// A Reference names an image of a repository by tag, by digest or by both,
// which then have to agree.
type Reference struct {
	Tag    string
	Digest digest.Digest
}

// A Manifest is a stored manifest. It is immutable and shared: do not change
// what it holds.
type Manifest struct {
	Digest    digest.Digest
	MediaType string
	// ArtifactType is the manifest's own or, for an image manifest without
	// one, its config's media type (OCI distribution-spec 1.1, Listing Referrers).
	ArtifactType string
	Subject      digest.Digest
	Body         []byte
	PushedAt     time.Time
}

// A Blob is a blob that a repository holds.
type Blob struct {
	Digest digest.Digest
	Size   int64
}

// An Upload is an unfinished upload of a blob.
type Upload struct {
	ID   string // a UUID
	Size int64  // bytes received
}

// A Repository is a repository with its settings. It is immutable and shared.
type Repository struct {
	ID      RepositoryID
	Created time.Time
	// further settings follow
}

// AnyOffset is where an upload is: the offset of a chunk that names none.
const AnyOffset int64 = -1

// PutManifest is a manifest to be stored.
type PutManifest struct {
	// Digest is the one that the client names; empty where it names none, and
	// then the manifest is stored by its sha256.
	Digest digest.Digest
	// Tags are set on the manifest; none leaves it untagged.
	Tags []string
	// MediaType is the client's Content-Type; empty takes the body's mediaType.
	MediaType string
	Body      []byte
	// Existing says what becomes of a push that changes nothing.
	Existing Existing
}

// Existing says what becomes of a push that changes nothing: the image is there
// under this tag already.
type Existing uint8

const (
	// AcceptExisting lets it succeed, as OCI clients that push again expect.
	AcceptExisting Existing = iota
	// RejectExisting makes it ImageAlreadyExists, as ECR's PutImage documents.
	RejectExisting
)

// Every method authorizes itself, before it looks at the store, and returns
// AccessDenied, or RepositoryNotFound to a caller that identity policies allow
// the action.

// Manifest returns a manifest. Action ecr:BatchGetImage. Faults: ImageNotFound,
// ImageTagDoesNotMatchDigest.
func (s *Service) Manifest(ctx context.Context, id RepositoryID, ref Reference) (*Manifest, error) {
	return nil, errTODO
}

// BlobInfo describes a blob. Action ecr:BatchCheckLayerAvailability, or
// ecr:GetDownloadUrlForLayer. Fault: BlobNotFound.
func (s *Service) BlobInfo(ctx context.Context, id RepositoryID, d digest.Digest) (Blob, error) {
	return Blob{}, errTODO
}

// OpenBlob opens a blob; the caller closes it. Action
// ecr:GetDownloadUrlForLayer. Fault: BlobNotFound.
func (s *Service) OpenBlob(ctx context.Context, id RepositoryID, d digest.Digest) (Blob, blob.Object, error) {
	return Blob{}, nil, errTODO
}

// PutBlob stores a whole blob in one go: no upload, one transaction. Actions
// ecr:InitiateLayerUpload, ecr:UploadLayerPart and ecr:CompleteLayerUpload.
// Faults: DigestMismatch, DigestUnsupported.
func (s *Service) PutBlob(ctx context.Context, id RepositoryID, d digest.Digest, body io.Reader) (Blob, error) {
	return Blob{}, errTODO
}

// StartUpload begins an upload. algorithm is what the final digest will use
// where the client says so (?digest-algorithm), and otherwise empty. Action
// ecr:InitiateLayerUpload. Fault: DigestUnsupported.
func (s *Service) StartUpload(ctx context.Context, id RepositoryID, algorithm digest.Algorithm) (Upload, error) {
	return Upload{}, errTODO
}

// UploadStatus says how far an upload is. Action ecr:UploadLayerPart. Fault:
// UploadNotFound.
func (s *Service) UploadStatus(ctx context.Context, id RepositoryID, uploadID string) (Upload, error) {
	return Upload{}, errTODO
}

// AppendUpload appends body to an upload and makes it durable. at is the offset
// of its first byte or [AnyOffset]. Where body fails, what came before is kept,
// and the error of body is returned. Action ecr:UploadLayerPart. Faults:
// UploadNotFound, UploadOffset, UploadConflict (another writer won).
func (s *Service) AppendUpload(ctx context.Context, id RepositoryID, uploadID string, at int64, body io.Reader) (Upload, error) {
	return Upload{}, errTODO
}

// CompleteUpload appends body, which may be nil, and makes the upload a blob of
// the repository. On DigestMismatch the upload is gone. Actions
// ecr:CompleteLayerUpload and, with a body, ecr:UploadLayerPart. Faults: those of
// [Service.AppendUpload], DigestMismatch, DigestUnsupported.
func (s *Service) CompleteUpload(ctx context.Context, id RepositoryID, uploadID string, at int64, body io.Reader, d digest.Digest) (Blob, error) {
	return Blob{}, errTODO
}

// CancelUpload drops an upload. Action ecr:UploadLayerPart. Fault:
// UploadNotFound.
func (s *Service) CancelUpload(ctx context.Context, id RepositoryID, uploadID string) error {
	return errTODO
}

// MountBlob makes a blob of the repository named from, of the same registry, a
// blob of to. Actions ecr:InitiateLayerUpload on to and
// ecr:GetDownloadUrlForLayer on from. Fault: BlobNotFound where it cannot be
// mounted for any reason that lies in from; the door then starts an upload.
func (s *Service) MountBlob(ctx context.Context, to RepositoryID, from string, d digest.Digest) (Blob, error) {
	return Blob{}, errTODO
}

// PutManifest stores a manifest in one transaction. Action ecr:PutImage.
// Faults: InvalidManifest, DigestMismatch (code ImageDigestDoesNotMatch),
// DigestUnsupported, InvalidTag, LayersNotFound, ReferencedImagesNotFound,
// ImageTagAlreadyExists (immutable), ImageAlreadyExists (RejectExisting alone).
func (s *Service) PutManifest(ctx context.Context, id RepositoryID, p PutManifest) (*Manifest, error) {
	return nil, errTODO
}

// DeleteImage deletes a manifest with its tags, by digest, or one tag, by tag
// (OCI distribution-spec 1.1, Deleting tags; the manifest stays). Action
// ecr:BatchDeleteImage. Faults: ImageNotFound, ImageReferencedByManifestList.
func (s *Service) DeleteImage(ctx context.Context, id RepositoryID, ref Reference) error {
	return errTODO
}

// DeleteBlob takes a blob out of a repository. Action ecr:BatchDeleteImage.
// Faults: BlobNotFound, BlobReferenced where a manifest refers to it.
func (s *Service) DeleteBlob(ctx context.Context, id RepositoryID, d digest.Digest) error {
	return errTODO
}

// Tags lists at most limit tags after the tag after, in byte order; more says
// that there are further ones. Action ecr:ListImages.
func (s *Service) Tags(ctx context.Context, id RepositoryID, after string, limit int) (tags []string, more bool, err error) {
	return nil, false, errTODO
}

// Referrers lists at most limit manifests whose subject is subject, of one
// artifact type or, where it is empty, of all, in the order of their digests,
// after the digest after. next is what to pass as after for the next page, and
// empty at the end. Action ecr:BatchGetImage.
func (s *Service) Referrers(ctx context.Context, id RepositoryID, subject digest.Digest, artifactType, after string, limit int) (list []ocispec.Descriptor, next string, err error) {
	return nil, "", errTODO
}

// Repositories lists at most limit repositories of a registry after the name
// after, in byte order. Action ecr:DescribeRepositories on repository/*.
func (s *Service) Repositories(ctx context.Context, account, region, after string, limit int) (list []*Repository, more bool, err error) {
	return nil, false, errTODO
}
