package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
)

// A Store is a store for a test of another package. It is made of files, or is on S3 if
// the environment variable GATEHOUSE_TEST_BLOBS is s3. Then GATEHOUSE_TEST_S3 is the
// address of the S3 store, as scripts/with-stores sets it.
//
// Files are not synced, as the databases of package dbtest are not: tests kill processes
// and not machines, and syncs took three quarters of the time of whole packages.
type Store struct {
	blob.Store
	io.Closer
	replace func(name string, content []byte) error
}

// Open opens an empty store. It is closed when the test ends.
func Open(t testing.TB) *Store {
	t.Helper()
	return OpenAt(t, t.TempDir())
}

// OpenAt opens the store that belongs to a folder of the test: the same one at each
// call, as the next process of a server does.
func OpenAt(t testing.TB, dir string) *Store {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_BLOBS") == "s3" {
		c := bucketOf(t, dir)
		s := OpenS3(t, c)
		return &Store{s, s, func(name string, content []byte) error { return replaceObject(t, c, name, content) }}
	}
	dir = filepath.Join(dir, "blobs")
	s, err := local.Open(dir, local.Scratch())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &Store{s, s, func(name string, content []byte) error { return replaceFile(dir, name, content) }}
}

// Damage gives a committed object other bytes, as a fault of the disk or a mistake of
// the administrator does. nil removes the object.
func (s *Store) Damage(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := s.replace(name, content); err != nil {
		t.Fatal(err)
	}
}

// Find returns the name of the committed object that has the content.
func (s *Store) Find(t testing.TB, want []byte) string {
	t.Helper()
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Store.Open(t.Context(), info.Name)
		if errors.Is(err, blob.ErrNotFound) {
			continue // not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(o)
		o.Close()
		if err == nil && bytes.Equal(got, want) {
			return info.Name
		}
	}
	t.Fatalf("no object has the %d bytes", len(want))
	return ""
}

func replaceFile(dir, name string, content []byte) error {
	files, err := filepath.Glob(filepath.Join(dir, "??", name))
	if err != nil || len(files) != 1 {
		return errors.Join(err, os.ErrNotExist)
	}
	if content == nil {
		return os.Remove(files[0])
	}
	return os.WriteFile(files[0], content, 0o600)
}

func replaceObject(t testing.TB, c s3.Config, name string, content []byte) error {
	key := c.Prefix + "objects/" + name
	client := S3Client(t, c)
	if content == nil {
		_, err := client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &c.Bucket, Key: &key})
		return err
	}
	_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &c.Bucket, Key: &key, Body: bytes.NewReader(content)})
	return err
}

// S3Client returns a client of the SDK for the store of a configuration.
func S3Client(t testing.TB, c s3.Config) *awss3.Client {
	t.Helper()
	loaded, err := awsconfig.LoadDefaultConfig(t.Context(), awsconfig.WithRegion(c.Region))
	if err != nil {
		t.Fatal(err)
	}
	return awss3.NewFromConfig(loaded, func(o *awss3.Options) {
		o.BaseEndpoint, o.UsePathStyle = &c.Endpoint, c.PathStyle
	})
}

// bucketOf returns the S3 store of a folder. Its prefix is in a file there.
func bucketOf(t testing.TB, dir string) s3.Config {
	t.Helper()
	file := filepath.Join(dir, "blobs-on-s3")
	address, err := os.ReadFile(file)
	if err != nil {
		address = []byte(S3URL(t))
		if err := os.WriteFile(file, address, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return parse(t, string(address))
}

// S3URL returns the address of the tests' S3 store, with a prefix that no other test
// has.
func S3URL(t testing.TB) string {
	t.Helper()
	const variable = "GATEHOUSE_TEST_S3"
	u, err := url.Parse(os.Getenv(variable))
	if err != nil || u.Scheme != "s3" {
		t.Fatalf("%s is %q; run the tests through scripts/with-stores", variable, os.Getenv(variable))
	}
	return u.JoinPath("test-" + randid.Text()).String()
}

// S3Config is [S3URL] as a configuration.
func S3Config(t testing.TB) s3.Config {
	t.Helper()
	return parse(t, S3URL(t))
}

func parse(t testing.TB, address string) s3.Config {
	t.Helper()
	c, err := s3.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// OpenS3 opens an S3 store. It is closed when the test ends.
func OpenS3(t testing.TB, c s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(context.WithoutCancel(t.Context()), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
