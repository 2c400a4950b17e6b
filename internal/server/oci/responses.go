package oci

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"
)

// contentHeaders sets the headers that identify the content of a response, and
// returns the entity tag. It is a strong one: the content of a digest never changes.
func contentHeaders(w http.ResponseWriter, d digest.Digest) (etag string) {
	etag = `"` + d.String() + `"`
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Etag", etag)
	return etag
}

// writeCreated answers that content was created, and gives its path.
func writeCreated(w http.ResponseWriter, location path, d digest.Digest) {
	w.Header().Set("Location", location.String())
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}

// writeAccepted answers 202 without a body.
func writeAccepted(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
}

// writeJSON writes a small document. It ignores that the client may have left.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		// v is of one of this package's own types, which always marshal.
		panic("oci: " + err.Error())
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
