package oci

import (
	"io"
	"log/slog"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
)

// An errorCode is a status and one of the codes of OCI distribution-spec 1.1, "Error
// Codes", or TAG_INVALID, which is from Docker's API.
type errorCode struct {
	status int
	code   string
}

// byCode has the faults for which the specification or ECR has a more specific answer
// than the kind of the fault gives.
var byCode = map[string]errorCode{
	// of this package
	"PathUnknown":           {http.StatusNotFound, "UNSUPPORTED"},
	"MethodNotAllowed":      {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	"InvalidRepositoryName": {http.StatusBadRequest, "NAME_INVALID"},
	"InvalidContentRange":   {http.StatusBadRequest, "BLOB_UPLOAD_INVALID"},
	"InvalidSize":           {http.StatusBadRequest, "SIZE_INVALID"},
	"TooManyTags":           {http.StatusRequestURITooLong, "TAG_INVALID"},

	// package images
	"RepositoryNotFound":            {http.StatusNotFound, "NAME_UNKNOWN"},
	"ImageNotFound":                 {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	"ImageArchived":                 {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	"BlobNotFound":                  {http.StatusNotFound, "BLOB_UNKNOWN"},
	"UploadNotFound":                {http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
	"UploadOffset":                  {http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID"},
	"UploadInterrupted":             {http.StatusBadRequest, "BLOB_UPLOAD_INVALID"},
	"TooManyRepositories":           {http.StatusForbidden, "DENIED"},
	"TooManyImages":                 {http.StatusForbidden, "DENIED"},
	"RepositoryFull":                {http.StatusForbidden, "DENIED"},
	"RegistryFull":                  {http.StatusForbidden, "DENIED"},
	"TooManyUploads":                {http.StatusTooManyRequests, "TOOMANYREQUESTS"},
	"UploadConflict":                {http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID"},
	"InvalidDigest":                 {http.StatusBadRequest, "DIGEST_INVALID"},
	"DigestMismatch":                {http.StatusBadRequest, "DIGEST_INVALID"},
	"DigestUnsupported":             {http.StatusBadRequest, "DIGEST_INVALID"},
	"ImageDigestDoesNotMatch":       {http.StatusBadRequest, "DIGEST_INVALID"},
	"InvalidManifest":               {http.StatusBadRequest, "MANIFEST_INVALID"},
	"ManifestTooLarge":              {http.StatusRequestEntityTooLarge, "MANIFEST_INVALID"},
	"ManifestUnsupported":           {http.StatusBadRequest, "MANIFEST_INVALID"},
	"InvalidTag":                    {http.StatusBadRequest, "TAG_INVALID"},
	"ImageTagAlreadyExists":         {http.StatusBadRequest, "TAG_INVALID"},
	"TooManyImageTags":              {http.StatusBadRequest, "TAG_INVALID"},
	"LayersNotFound":                {http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN"},
	"ReferencedImagesNotFound":      {http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN"},
	"ImageReferencedByManifestList": {http.StatusConflict, "UNSUPPORTED"},
	"BlobReferenced":                {http.StatusConflict, "UNSUPPORTED"},
}

// codeOf returns the answer to a fault: by its code, or by its kind if the
// specification does not have the case.
func codeOf(f *fault.Error) errorCode {
	if a, ok := byCode[f.Code]; ok {
		return a
	}
	switch f.Kind {
	case fault.Invalid, fault.Limit:
		return errorCode{http.StatusBadRequest, "UNSUPPORTED"}
	case fault.Unauthenticated:
		return errorCode{http.StatusUnauthorized, "UNAUTHORIZED"}
	case fault.Expired, fault.Denied: // as ECR: an expired token is a 403 too
		return errorCode{http.StatusForbidden, "DENIED"}
	case fault.NotFound:
		return errorCode{http.StatusNotFound, "NAME_UNKNOWN"}
	case fault.MethodNotAllowed:
		return errorCode{http.StatusMethodNotAllowed, "UNSUPPORTED"}
	case fault.Conflict:
		return errorCode{http.StatusConflict, "UNSUPPORTED"}
	case fault.TooLarge:
		return errorCode{http.StatusRequestEntityTooLarge, "SIZE_INVALID"}
	case fault.Throttled:
		return errorCode{http.StatusTooManyRequests, "TOOMANYREQUESTS"}
	case fault.Unavailable: // the specification has no code for it; this one is docker's registry's
		return errorCode{http.StatusServiceUnavailable, "UNAVAILABLE"}
	case fault.Unimplemented:
		return errorCode{http.StatusNotImplemented, "UNSUPPORTED"}
	case fault.BadGateway:
		return errorCode{http.StatusBadGateway, "UNAVAILABLE"}
	case fault.GatewayTimeout:
		return errorCode{http.StatusGatewayTimeout, "UNAVAILABLE"}
	case fault.StorageFull: // as above
		return errorCode{http.StatusInsufficientStorage, "UNAVAILABLE"}
	}
	return errorCode{http.StatusInternalServerError, "UNSUPPORTED"}
}

// messageOf returns the fault's message, or the one of ECR's registry if it differs
// from ECR's API and clients show or compare it.
func messageOf(f *fault.Error) string {
	switch {
	case f.Kind == fault.Expired:
		return "Your authorization token has expired. Reauthenticate and try again."
	case f.Code == "ImageNotFound":
		return "Requested image not found"
	}
	return f.Message
}

// errorList is the body of every error (OCI distribution-spec 1.1, "Error
// Codes").
type errorList struct {
	Errors []errorEntry `json:"errors"`
}

type errorEntry struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Detail has the code of the fault, for tools: several faults share one Code.
	Detail errorDetail `json:"detail"`
}

type errorDetail struct {
	Reason string `json:"reason"`
}

// writeError turns an error into an answer.
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	entry := audit.From(r.Context())
	if f.Kind == fault.Internal {
		if respwriter.ClientLeft(r.Context(), err) {
			entry.Failed("RequestCancelled", "The client closed the connection.")
			w.WriteHeader(respwriter.StatusClientLeft)
			return
		}
		h.logInternal(r, f)
	}
	entry.Failed(f.Code, f.Message)

	a := codeOf(f)
	switch a.status {
	case http.StatusUnauthorized:
		h.challenge(w, r)
		if f.Code != "InvalidLogin" {
			writeNotAuthorized(w, r)
			return
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(a.status)
		return
	}
	writeJSON(w, a.status, "application/json", errorList{[]errorEntry{{a.code, messageOf(f), errorDetail{f.Code}}}})
}

// challenge asks for credentials as ECR does, or for a token if the registry allows
// anonymous pulls.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request) {
	if h.allowsAnonymous(r) {
		w.Header().Set("Www-Authenticate", `Bearer realm="`+h.addresses.Origin(r)+tokenPath+`",service="ecr.amazonaws.com"`)
		return
	}
	w.Header().Set("Www-Authenticate", `Basic realm="`+h.addresses.Origin(r)+`/",service="ecr.amazonaws.com"`)
}

// writeNotAuthorized writes ECR's body of a challenge, which is not JSON, as its clients
// expect. Only a login that can be put right has an error list instead.
func writeNotAuthorized(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusUnauthorized)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, "Not Authorized\n")
	}
}

func (h *Handler) logInternal(r *http.Request, f *fault.Error) {
	id := ""
	if e := audit.From(r.Context()); e != nil {
		id = e.ID
	}
	h.log.LogAttrs(r.Context(), slog.LevelError, "registry request failed",
		slog.String("request", id), slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", f))
}
