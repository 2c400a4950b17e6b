//go:build stores

package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
)

// A store without conditional writes is used without them.
func TestCommit_StoreWithoutConditions(t *testing.T) {
	p, c := newProxy(t)
	p.harm = func(op string, _ int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				answer(501, "NotImplemented")(w, r)
				return
			}
			p.next.ServeHTTP(w, r)
		}
	}
	s := blobtest.OpenS3(t, c)
	if err := s.Claim(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if err := s.Claim(t.Context(), "two"); !errors.Is(err, s3.ErrOwned) {
		t.Errorf("Claim by another = %v, want ErrOwned", err)
	}
	for i, size := range []int{10, large} {
		name := fmt.Sprintf("object-%d", i)
		mustPut(t, s, name, noise(7, size))
		holds(t, s, name, noise(7, size))
	}
}

func TestClaim_SeveralServers(t *testing.T) {
	c := blobtest.S3Config(t)
	var wg sync.WaitGroup
	var refused atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			s, err := s3.Open(t.Context(), c)
			if err == nil {
				err = s.Claim(t.Context(), fmt.Sprintf("installation-%d", i%2))
			}
			switch {
			case errors.Is(err, s3.ErrOwned):
				refused.Add(1)
			case err != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if refused.Load() != 4 {
		t.Errorf("%d servers were refused, want the 4 of the other installation", refused.Load())
	}
}

// A part of an acknowledged upload that another server has overwritten is noticed when
// the upload is resumed.
func TestResume_PartOverwritten(t *testing.T) {
	c := blobtest.S3Config(t)
	s, client := blobtest.OpenS3(t, c), blobtest.S3Client(t, c)
	w, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(11, large)); err != nil {
		t.Fatal(err)
	}
	state, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	uploads, err := client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &c.Bucket, Prefix: &c.Prefix})
	if err != nil || len(uploads.Uploads) != 1 {
		t.Fatal(uploads, err)
	}
	second := int32(2)
	_, err = client.UploadPart(t.Context(), &awss3.UploadPartInput{
		Bucket: &c.Bucket, Key: uploads.Uploads[0].Key, UploadId: uploads.Uploads[0].UploadId, PartNumber: &second, Body: bytes.NewReader(noise(12, 8<<20)),
		ChecksumAlgorithm: "CRC32C",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resume(t.Context(), "object", state); !errors.Is(err, blob.ErrState) {
		t.Errorf("Resume = %v, want ErrState", err)
	}
}

// startServer starts an S3 server of the test's own on a port that it keeps. The
// function that it returns kills the server and starts it again.
func startServer(t *testing.T) (c s3.Config, restart func()) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/bucket", 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var running *exec.Cmd
	kill := func() {
		if running != nil {
			_ = running.Process.Kill()
			_ = running.Wait()
		}
	}
	t.Cleanup(kill)
	restart = func() {
		kill()
		cmd := exec.Command(os.Getenv("GATEHOUSE_TEST_VERSITYGW"), "--port", address, "--quiet", "posix", dir)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+os.Getenv("AWS_ACCESS_KEY_ID"), "ROOT_SECRET_KEY="+os.Getenv("AWS_SECRET_ACCESS_KEY"))
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return
		}
		running = cmd
		for range 100 {
			if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
				c.Close()
				return
			}
			time.Sleep(50 * time.Millisecond) // it is starting
		}
		t.Error("the S3 server does not start")
	}
	restart()
	c, err = s3.ParseURL("s3://bucket/p?endpoint=http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	return c, restart
}

// The S3 server is killed and started again while objects are written and read. Nothing
// that was acknowledged is lost. Requests are repeated, so an upload fails at most if the
// server is killed while it completes it: versitygw may then say that it is complete
// without having the object. The upload is sent again then, as a client does.
func TestStore_ServerKilled(t *testing.T) {
	c, restart := startServer(t)
	s := blobtest.OpenS3(t, c)
	var wg sync.WaitGroup
	var written atomic.Int32
	done := make(chan struct{})
	for i := range 3 {
		wg.Go(func() {
			for j := range 6 {
				name, content := fmt.Sprintf("object-%d-%d", i, j), noise(byte(10*i+j), 1000+j%3*9<<20)
				err := put(t.Context(), s, name, content)
				if errors.Is(err, blob.ErrNotFound) {
					err = put(t.Context(), s, name, content)
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				written.Add(1)
				o, err := s.Open(t.Context(), name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s has other bytes: %v", name, err)
				}
				o.Close()
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	kills := 0
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-time.After(700 * time.Millisecond):
			restart()
			kills++
		}
	}
	if kills == 0 || written.Load() != 18 {
		t.Errorf("%d kills, %d of 18 objects written", kills, written.Load())
	}
	for i := range 3 {
		for j := range 6 {
			holds(t, s, fmt.Sprintf("object-%d-%d", i, j), noise(byte(10*i+j), 1000+j%3*9<<20))
		}
	}
}
