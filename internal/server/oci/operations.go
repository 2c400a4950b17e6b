package oci

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
)

// An operation serves one method of one kind of path. It returns an error
// before it has written anything, or not at all.
type operation struct {
	// event is the operation's name in the audit record: that of ECR's API
	// operation that does the same, where there is one.
	event string
	serve func(h *Handler, w http.ResponseWriter, r *http.Request, t target) error
}

// operations is the whole of the endpoint: by kind, then by method.
var operations = [kindCount]map[string]operation{
	kindPing: {
		http.MethodGet:  {"Ping", (*Handler).ping},
		http.MethodHead: {"Ping", (*Handler).ping},
	},
	kindCatalog: {
		http.MethodGet: {"DescribeRepositories", (*Handler).catalog},
	},
	kindManifest: {
		http.MethodGet:    {"BatchGetImage", (*Handler).getManifest},
		http.MethodHead:   {"BatchGetImage", (*Handler).getManifest},
		http.MethodPut:    {"PutImage", (*Handler).putManifest},
		http.MethodDelete: {"BatchDeleteImage", (*Handler).deleteManifest},
	},
	kindBlob: {
		http.MethodGet:    {"GetDownloadUrlForLayer", (*Handler).getBlob},
		http.MethodHead:   {"BatchCheckLayerAvailability", (*Handler).headBlob},
		http.MethodDelete: {"BatchDeleteImage", (*Handler).deleteBlob},
	},
	kindUploads: {
		http.MethodPost: {"InitiateLayerUpload", (*Handler).startUpload},
	},
	kindUpload: {
		http.MethodGet:    {"UploadLayerPart", (*Handler).uploadStatus},
		http.MethodPatch:  {"UploadLayerPart", (*Handler).appendUpload},
		http.MethodPut:    {"CompleteLayerUpload", (*Handler).completeUpload},
		http.MethodDelete: {"UploadLayerPart", (*Handler).cancelUpload},
	},
	kindTags: {
		http.MethodGet: {"ListImages", (*Handler).listTags},
	},
	kindReferrers: {
		http.MethodGet: {"ListImageReferrers", (*Handler).listReferrers},
	},
}

// methodNotAllowed says which methods the kind has (RFC 9110, section 15.5.6).
func methodNotAllowed(w http.ResponseWriter, k kind, method string) error {
	var methods []string
	for m := range operations[k] {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	allow := strings.Join(methods, ", ")
	w.Header().Set("Allow", allow)
	return fault.New(fault.Invalid, "MethodNotAllowed", "The method %s does not apply here: use %s.", clip(method), allow)
}

// requestParameters is a registry request in the words of ECR's API, for the
// audit record.
type requestParameters struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName,omitempty"`
	ImageTag       string `json:"imageTag,omitempty"`
	ImageDigest    string `json:"imageDigest,omitempty"`
	LayerDigest    string `json:"layerDigest,omitempty"`
	UploadID       string `json:"uploadId,omitempty"`
}

// record enters what a request is about in its audit record.
func record(e *audit.Entry, t target) {
	if e == nil || t.kind == kindPing {
		return
	}
	p := &requestParameters{RegistryID: t.repository.Account, RepositoryName: t.name, ImageTag: t.tag, UploadID: t.uploadID}
	if t.kind == kindBlob {
		p.LayerDigest = t.digest.String()
	} else {
		p.ImageDigest = t.digest.String()
	}
	e.Params(p)
	if t.name != "" {
		e.Resource("AWS::ECR::Repository", t.repository.ARN())
	}
}

// ping tells a client that this is a registry and that its credentials are good
// (OCI distribution-spec 1.1, "Determining Support").
func (h *Handler) ping(w http.ResponseWriter, _ *http.Request, _ target) error {
	writeJSON(w, http.StatusOK, "application/json", struct{}{})
	return nil
}
