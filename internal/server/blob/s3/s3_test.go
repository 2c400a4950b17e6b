//go:build stores

package s3_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
)

func TestStore_Conformance(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) func() blob.Store {
		c := blobtest.S3Config(t)
		return func() blob.Store { return blobtest.OpenS3(t, c) }
	})
}
