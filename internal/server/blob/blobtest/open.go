package blobtest

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
)

// S3Variable names the environment variable with the address of the S3 store of the
// tests: see [s3.ParseURL]. scripts/with-stores sets it, and starts the store.
const S3Variable = "GATEHOUSE_TEST_S3"

// Open returns an empty store for a test of another package: of files, or on S3 if
// GATEHOUSE_TEST_BLOBS is s3.
func Open(t testing.TB) blob.Store {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_BLOBS") == "s3" {
		return OpenS3(t, S3Config(t))
	}
	s, err := local.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// S3URL returns the address of the tests' S3 store, with a prefix that no other test
// has.
func S3URL(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(os.Getenv(S3Variable))
	if err != nil || u.Scheme != "s3" {
		t.Fatalf("%s is %q; run the tests through scripts/with-stores", S3Variable, os.Getenv(S3Variable))
	}
	return u.JoinPath("test-" + randid.Text()).String()
}

// S3Config is [S3URL] as a configuration.
func S3Config(t testing.TB) s3.Config {
	t.Helper()
	c, err := s3.ParseURL(S3URL(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// OpenS3 opens a store.
func OpenS3(t testing.TB, c s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
