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
	// open marks an operation that does not need a token in a registry which allows
	// anonymous pulls.
	open bool
}

// operations is the route table of the endpoint, by kind and method.
var operations = [kindCount]map[string]operation{
	kindPing: {
		http.MethodGet:  {"Ping", (*Handler).ping, true},
		http.MethodHead: {"Ping", (*Handler).ping, true},
	},
	kindToken: {
		http.MethodGet: {"GetBearerToken", (*Handler).getToken, true},
	},
	kindCatalog: {
		http.MethodGet: {"DescribeRepositories", (*Handler).catalog, false},
	},
	kindManifest: {
		http.MethodGet:    {"BatchGetImage", (*Handler).getManifest, true},
		http.MethodHead:   {"BatchGetImage", (*Handler).getManifest, true},
		http.MethodPut:    {"PutImage", (*Handler).putManifest, false},
		http.MethodDelete: {"BatchDeleteImage", (*Handler).deleteManifest, false},
	},
	kindBlob: {
		http.MethodGet:    {"GetDownloadUrlForLayer", (*Handler).getBlob, true},
		http.MethodHead:   {"BatchCheckLayerAvailability", (*Handler).headBlob, true},
		http.MethodDelete: {"BatchDeleteImage", (*Handler).deleteBlob, false},
	},
	kindUploads: {
		http.MethodPost: {"InitiateLayerUpload", (*Handler).startUpload, false},
	},
	kindUpload: {
		http.MethodGet:    {"UploadLayerPart", (*Handler).uploadStatus, false},
		http.MethodPatch:  {"UploadLayerPart", (*Handler).appendUpload, false},
		http.MethodPut:    {"CompleteLayerUpload", (*Handler).completeUpload, false},
		http.MethodDelete: {"UploadLayerPart", (*Handler).cancelUpload, false},
	},
	kindTags: {
		http.MethodGet: {"ListImages", (*Handler).listTags, false},
	},
	kindReferrers: {
		http.MethodGet: {"ListImageReferrers", (*Handler).listReferrers, true},
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
	if e == nil || t.kind == kindPing || t.kind == kindToken {
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
