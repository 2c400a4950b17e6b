package oci

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"
)

// contentHeaders sets what identifies the content of a response, and returns
// its entity tag. The content of a digest never changes, so the tag is strong.
func contentHeaders(w http.ResponseWriter, d digest.Digest) (etag string) {
	etag = `"` + d.String() + `"`
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Etag", etag)
	return etag
}

// created answers that there is content now, and where.
func created(w http.ResponseWriter, at path, d digest.Digest) {
	w.Header().Set("Location", at.String())
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}

// accepted answers that something was deleted.
func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
}

// writeJSON writes a small document. A client that went away is no error.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		// Only documents of this package's own types come here, and those marshal.
		panic("oci: " + err.Error())
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
