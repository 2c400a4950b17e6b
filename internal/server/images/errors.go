package images

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// If ECR has a message for a case, it is used word for word: clients show it, and
// some compare it.

func invalidParameter(parameter, constraint string) *fault.Error {
	return fault.New(fault.Invalid, "InvalidParameter", "Invalid parameter at '%s' failed to satisfy constraint: '%s'", parameter, constraint)
}

func repositoryNotFound(id RepositoryID) *fault.Error {
	return fault.New(fault.NotFound, "RepositoryNotFound", "The repository with name '%s' does not exist in the registry with id '%s'", id.Name, id.Account).About("repository", id.Name)
}

func imageNotFound(id RepositoryID, ref Reference) *fault.Error {
	return fault.New(fault.NotFound, "ImageNotFound", "The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
		orNull(string(ref.Digest)), orNull(ref.Tag), id.Name, id.Account)
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

func blobNotFound(id RepositoryID, d digest.Digest) *fault.Error {
	return fault.New(fault.NotFound, "BlobNotFound", "The layer with digest '%s' does not exist in the repository with name '%s' in the registry with id '%s'", d, id.Name, id.Account)
}

func uploadNotFound(id RepositoryID, uploadID string) *fault.Error {
	return fault.New(fault.NotFound, "UploadNotFound", "The upload with id '%s' does not exist in the repository with name '%s' in the registry with id '%s'. It was completed, cancelled or removed after a time without requests. Start a new upload.", uploadID, id.Name, id.Account)
}

func uploadConflict(uploadID string) *fault.Error {
	return fault.New(fault.Conflict, "UploadConflict", "Another request wrote to the upload with id '%s' at the same time. Get the upload's status and continue from there.", uploadID)
}

func digestMismatch(want, got digest.Digest) *fault.Error {
	return fault.New(fault.Invalid, "DigestMismatch", "The layer digest '%s' computed from the received bytes does not match the given digest '%s'.", got, want)
}

func layersNotFound(id RepositoryID, missing []digest.Digest) *fault.Error {
	return fault.New(fault.NotFound, "LayersNotFound", "Layers with digests '%s' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist", joinDigests(missing), id.Name, id.Account)
}

func referencedImagesNotFound(id RepositoryID, missing []digest.Digest) *fault.Error {
	return fault.New(fault.NotFound, "ReferencedImagesNotFound", "Images with digests '%s' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist", joinDigests(missing), id.Name, id.Account)
}

// maxListed is the number of digests that a message names, at most.
const maxListed = 10

func joinDigests(digests []digest.Digest) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range digests {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == maxListed {
			fmt.Fprintf(&b, "and %d more", len(digests)-i)
			break
		}
		b.WriteString(string(d))
	}
	b.WriteByte(']')
	return b.String()
}
