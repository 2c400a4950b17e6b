package formats

import (
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// ServeAsset answers with an asset's bytes, which the kernel copies from the
// file to the connection where both allow it. Range, If-Range, If-None-Match and
// HEAD work as RFC 9110 has them. An asset's bytes never change under its name,
// so that a client may keep them for good. The object is closed.
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
