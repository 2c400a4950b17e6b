//go:build stores

package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
)

// The store's errors say what is wrong, to the client and in the log.
func TestErrors_SayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status     int
		code       string
		kind       fault.Kind
		wantCode   string
		wantDetail string
	}{
		{403, "AccessDenied", fault.Unavailable, "BlobStoreDenied", "lists the permissions"},
		{403, "InvalidAccessKeyId", fault.Unavailable, "BlobStoreCredentials", "missing, wrong or expired"},
		{403, "SignatureDoesNotMatch", fault.Unavailable, "BlobStoreCredentials", "missing, wrong or expired"},
		{400, "ExpiredToken", fault.Unavailable, "BlobStoreCredentials", "missing, wrong or expired"},
		{404, "NoSuchBucket", fault.Unavailable, "BlobStoreBucketMissing", "create it, or correct its name"},
		{301, "PermanentRedirect", fault.Unavailable, "BlobStoreRegion", "correct region and endpoint"},
		{400, "AuthorizationHeaderMalformed", fault.Unavailable, "BlobStoreRegion", "correct region and endpoint"},
		{507, "XMinioStorageFull", fault.StorageFull, "StorageFull", "no room left"},
		{403, "QuotaExceeded", fault.StorageFull, "StorageFull", "quota"},
		{400, "BadDigest", fault.Unavailable, "BlobStoreChecksum", "checksum"},
	} {
		t.Run(c.code, func(t *testing.T) {
			p, config := newProxy(t)
			s := blobtest.OpenS3(t, config)
			mustPut(t, s, "there", []byte("x"))
			p.harm = func(string, int) http.HandlerFunc { return answer(c.status, c.code) }
			for what, err := range map[string]error{
				"small": put(t.Context(), s, "small", []byte("x")), "large": put(t.Context(), s, "large", noise(6, large)),
				"Delete": s.Delete(t.Context(), "there"), "Check": s.Check(t.Context()),
			} {
				f := fault.From(err)
				if f == nil || f.Kind != c.kind || f.Code != c.wantCode || !strings.Contains(err.Error(), c.wantDetail) || errors.Is(err, blob.ErrNotFound) {
					t.Errorf("%s: %v", what, err)
					continue
				}
				if strings.Contains(f.Message, config.Bucket) {
					t.Errorf("%s: the client is told about the bucket: %s", what, f.Message)
				}
			}
		})
	}
}

// A store that goes on failing is unavailable, and its errors are no missing objects.
func TestErrors_LastingFailure(t *testing.T) {
	for code, status := range map[string]int{"SlowDown": 503, "InternalError": 500} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			p, config := newProxy(t)
			s := blobtest.OpenS3(t, config)
			mustPut(t, s, "object", []byte("x"))
			p.harm = func(string, int) http.HandlerFunc { return answer(status, code) }
			_, err := s.Open(t.Context(), "object")
			if f := fault.From(err); f.Kind != fault.Unavailable || errors.Is(err, blob.ErrNotFound) {
				t.Errorf("Open = %v", err)
			}
		})
	}
}

// A store that accepts connections and says nothing holds a client for two stalls of a
// minute, and not for those of all retries. Other failures are tried as often as before.
func TestRetries_StalledStore(t *testing.T) {
	retryer := s3.NewRetryer()
	stalled := fmt.Errorf("the connection: %w", os.ErrDeadlineExceeded)
	if _, err := retryer.RetryDelay(1, stalled); err != nil {
		t.Errorf("after the first stall: %v", err)
	}
	if _, err := retryer.RetryDelay(2, stalled); !errors.Is(err, stalled) {
		t.Errorf("after the second stall: %v, want the end of the retries", err)
	}
	if _, err := retryer.RetryDelay(5, io.ErrUnexpectedEOF); err != nil {
		t.Errorf("after another failure: %v", err)
	}
}
