package formats

import (
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// ServeAsset answers with the bytes of an asset and closes the object. The kernel
// copies them from the file to the connection if both allow it. Range, If-Range,
// If-None-Match and HEAD work as in RFC 9110. The bytes under an asset's name never
// change, so clients may keep them.
func ServeAsset(w http.ResponseWriter, r *http.Request, a packages.Asset, o blob.Object) {
	defer o.Close()
	h := w.Header()
	h.Set("ETag", `"`+a.SHA256+`"`)
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	var content io.ReadSeeker = o
	if f, ok := o.(blob.Filer); ok {
		content = f.File()
	}
	http.ServeContent(w, r, "", time.Time{}, content)
}
