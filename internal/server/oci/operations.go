package oci

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
)

// An operation serves one method of one kind of path. It returns an error only if it
// has not written anything.
type operation struct {
	// event is the name in the audit record: the ECR operation that does the same, if
	// there is one.
	event string
	serve func(h *Handler, w http.ResponseWriter, r *http.Request, t target) error
}

// operations is the route table of the endpoint, by kind and method.
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

// methodNotAllowed lists the methods of the kind (RFC 9110, section 15.5.6).
func methodNotAllowed(w http.ResponseWriter, k kind, method string) error {
	var methods []string
	for m := range operations[k] {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	allow := strings.Join(methods, ", ")
	w.Header().Set("Allow", allow)
	return fault.New(fault.Invalid, "MethodNotAllowed", "The method %s is not allowed here. Use %s.", clip(method), allow)
}

// requestParameters describes a registry request in the terms of ECR's API, for the
// audit record.
type requestParameters struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName,omitempty"`
	ImageTag       string `json:"imageTag,omitempty"`
	ImageDigest    string `json:"imageDigest,omitempty"`
	LayerDigest    string `json:"layerDigest,omitempty"`
	UploadID       string `json:"uploadId,omitempty"`
}

// recordParameters adds what a request is about to its audit record.
func recordParameters(e *audit.Entry, t target) {
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

// ping tells a client that this is a registry and that its credentials are valid
// (OCI distribution-spec 1.1, "Determining Support").
func (h *Handler) ping(w http.ResponseWriter, _ *http.Request, _ target) error {
	writeJSON(w, http.StatusOK, "application/json", struct{}{})
	return nil
}
