package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

// A cause is what an error of the store means for the one who runs the server.
type cause struct {
	code   string // of the fault
	kind   fault.Kind
	client string // what a client is told
	hint   string // what the log says
}

const askAdministrator = " Ask the server's administrator, or try again later."

var (
	denied = cause{
		"BlobStoreDenied", fault.Unavailable, "The server may not use its object store." + askAdministrator,
		`the credentials do not allow it; docs/operations.md, "S3", lists the permissions`,
	}
	credentials = cause{
		"BlobStoreCredentials", fault.Unavailable, "The server's object store does not accept its credentials." + askAdministrator,
		"the credentials are missing, wrong or expired; the AWS SDK takes them from the environment, its files, or the machine's role",
	}
	noBucket = cause{
		"BlobStoreBucketMissing", fault.Unavailable, "The server's object store has lost its bucket." + askAdministrator,
		"there is no such bucket; create it, or correct its name",
	}
	wrongRegion = cause{
		"BlobStoreRegion", fault.Unavailable, "The server does not reach the right region of its object store." + askAdministrator,
		"the bucket is in another region, or at another endpoint; correct region and endpoint in the address of the bucket",
	}
	clockSkew = cause{
		"BlobStoreClock", fault.Unavailable, "The clocks of the server and of its object store differ." + askAdministrator,
		"the clocks of this machine and of the store differ by more than 15 minutes; correct the wrong one",
	}
	busy = cause{
		"BlobStoreBusy", fault.Unavailable, "The server's object store is overloaded. Try again in a few seconds.",
		"the store limits its requests or is overloaded, and retries did not help",
	}
	corrupted = cause{
		"BlobStoreChecksum", fault.Unavailable, "The bytes did not reach the server's object store unchanged. Try again.",
		"a checksum did not match what the store got; look at the network and at the memory of this machine if that happens again",
	}
	unreachable = cause{
		"BlobStoreUnreachable", fault.Unavailable, "The server does not reach its object store." + askAdministrator,
		"the store cannot be reached, or it failed, and retries did not help",
	}
	// full has diskspace's code and no message of its own.
	full = cause{code: diskspace.Code, hint: "the store has no room left, or its quota is used up"}
)

// causes are the store's error codes. Amazon lists its own under "Error responses" in
// the API reference; the others are of MinIO, Ceph and versitygw.
var causes = map[string]*cause{
	"AccessDenied": &denied, "AllAccessDisabled": &denied, "AccountProblem": &denied, "Forbidden": &denied, "MethodNotAllowed": &denied,
	"InvalidAccessKeyId": &credentials, "SignatureDoesNotMatch": &credentials, "ExpiredToken": &credentials, "InvalidToken": &credentials,
	"TokenRefreshRequired": &credentials, "InvalidClientTokenId": &credentials, "InvalidSecurity": &credentials,
	"NoSuchBucket":      &noBucket,
	"PermanentRedirect": &wrongRegion, "TemporaryRedirect": &wrongRegion, "MovedPermanently": &wrongRegion, "AuthorizationHeaderMalformed": &wrongRegion, "IllegalLocationConstraintException": &wrongRegion,
	"RequestTimeTooSkewed": &clockSkew, "RequestExpired": &clockSkew,
	"SlowDown": &busy, "Throttling": &busy, "ThrottlingException": &busy, "RequestLimitExceeded": &busy, "TooManyRequests": &busy, "BandwidthLimitExceeded": &busy, "SlowDownRead": &busy, "SlowDownWrite": &busy, "ServerBusy": &busy,
	"BadDigest": &corrupted, "InvalidDigest": &corrupted, "XAmzContentSHA256Mismatch": &corrupted, "ContentSHA256Mismatch": &corrupted, "XAmzContentChecksumMismatch": &corrupted, "IncompleteBody": &corrupted,
	"QuotaExceeded": &full, "StorageFull": &full, "XMinioStorageFull": &full, "InsufficientStorage": &full, "InsufficientCapacity": &full, "XAdminBucketQuotaExceeded": &full,
	"InternalError": &unreachable, "ServiceUnavailable": &unreachable, "RequestTimeout": &unreachable,
}

// explain makes an error of the SDK a fault that says what to do. It returns the
// context's errors as they are.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	if canceled := (*aws.RequestCanceledError)(nil); errors.As(err, &canceled) || errors.Is(err, context.Canceled) {
		return err
	}
	c := causeOf(err)
	if c == nil {
		return fmt.Errorf("%s: %w", s.config, err)
	}
	err = fmt.Errorf("%s: %s: %w", s.config, c.hint, err)
	if c == &full {
		s.metrics.full.Inc()
		return diskspace.Fault(err)
	}
	return fault.Wrap(err, c.kind, c.code, "%s", c.client)
}

// causeOf returns what an error means, or nil for an error of this program.
func causeOf(err error) *cause {
	if c := causes[errorCode(err)]; c != nil {
		return c
	}
	switch status := statusCode(err); {
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return &denied // the answer to HEAD has no code
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect, status == http.StatusPermanentRedirect:
		return &wrongRegion
	case status == http.StatusTooManyRequests:
		return &busy
	case status == http.StatusInsufficientStorage:
		return &full
	case status == http.StatusServiceUnavailable:
		return &busy
	case status >= 500 && status != http.StatusNotImplemented:
		return &unreachable
	case status != 0:
		return nil
	}
	// There was no answer. The SDK has no type for the error of getting credentials,
	// which may itself be one of the network, of the machine's metadata service.
	if strings.Contains(err.Error(), "get identity: ") {
		return &credentials
	}
	var network net.Error
	var send *smithyhttp.RequestSendError
	if errors.As(err, &send) || errors.As(err, &network) {
		return &unreachable
	}
	return nil
}

// errorCode returns the store's code of an error, or "".
func errorCode(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func statusCode(err error) int {
	if res := (*smithyhttp.ResponseError)(nil); errors.As(err, &res) {
		return res.HTTPStatusCode()
	}
	return 0
}

// isMissing reports whether an error means that there is no such object or upload. That
// there is no bucket is something else.
func isMissing(err error) bool {
	if err == nil {
		return false
	}
	switch errorCode(err) {
	case "NoSuchKey", "NoSuchUpload", "NotFound", "NoSuchVersion":
		return true
	case "NoSuchBucket":
		return false
	}
	return statusCode(err) == http.StatusNotFound
}

// isTaken reports whether a conditional write was refused because there is an object.
func isTaken(err error) bool {
	return errorCode(err) == "PreconditionFailed" || statusCode(err) == http.StatusPreconditionFailed
}

// isRace reports whether a conditional write met another one, so that it is not known
// yet whether there is an object.
func isRace(err error) bool { return errorCode(err) == "ConditionalRequestConflict" }

// isUnknown reports whether the store does not know conditional writes.
func isUnknown(err error) bool {
	return errorCode(err) == "NotImplemented" || statusCode(err) == http.StatusNotImplemented
}

// isOverwritten reports whether parts are not those that were uploaded: another server
// has uploaded parts of the same numbers.
func isOverwritten(err error) bool {
	return slices.Contains([]string{"InvalidPart", "InvalidPartOrder"}, errorCode(err))
}
