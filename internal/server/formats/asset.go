package formats

import (
	"net/http"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobhttp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// assetURLLifetime is how long the address of an asset in the blob store works. A
// client follows a redirect at once; the rest is for the retries of a slow download.
const assetURLLifetime = time.Hour

// ServeAsset answers a GET or HEAD with an asset of a version: see [ServeAsset]. A HEAD
// about a file of an external registry downloads nothing if the registry tells what it is
// about.
func (b *Base[P]) ServeAsset(w http.ResponseWriter, r *Request, id packages.PackageID, version, name string) error {
	open := b.Packages.OpenAsset
	if r.Method == http.MethodHead {
		open = b.Packages.StatAsset
	}
	asset, content, err := open(r.Context(), r.Repository, id, version, name)
	if err != nil {
		return err
	}
	return ServeAsset(w, r.Request, asset, content)
}

// ServeAsset answers a GET or HEAD with an asset and closes the object. If the blob
// store lets clients fetch the object, the answer to a GET is 307 and the address
// there: the clients of all formats follow it, and send no credentials to another
// host. Otherwise it is the bytes; then the kernel copies them from the file to the
// connection if both allow it, and Range, If-Range, If-None-Match and HEAD work as in
// RFC 9110. The bytes under an asset's name never change, so clients may keep them.
//
// The media type is application/octet-stream unless the header has one. w must be the
// server's ResponseWriter: one around it would keep the kernel from copying.
//
// A GET for the whole asset counts as a download.
func ServeAsset(w http.ResponseWriter, r *http.Request, a packages.Asset, o blob.Object) error {
	defer o.Close()
	recordUse(r, &a)
	h := w.Header()
	// A client that has the bytes gets 304 here. The address is for GET only.
	if p, ok := o.(blob.Presigner); ok && r.Method == http.MethodGet && r.Header.Get("If-None-Match") == "" {
		address, err := p.Presign(r.Context(), assetURLLifetime)
		if err != nil {
			return err
		}
		h.Set("Location", address)
		h.Set("Cache-Control", "no-store") // the address expires
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return nil
	}
	if f, ok := o.(interface{ WaitVerified() error }); ok && r.Method == http.MethodGet && r.Header.Get("Range") != "" {
		if err := f.WaitVerified(); err != nil {
			return err
		}
	}
	if a.SHA256 != "" { // it is not known while the asset comes from an external registry
		h["Etag"] = []string{`"` + a.SHA256 + `"`}
	}
	h["Cache-Control"] = immutable
	if h.Get("Content-Type") == "" {
		h["Content-Type"] = octetStream
	}
	neverRun(h)
	blobhttp.Serve(w, r, o)
	if f, ok := o.(interface{ Failed() error }); ok && f.Failed() != nil {
		panic(http.ErrAbortHandler) // the client must not take the beginning for the whole
	}
	return nil
}

// recordUse counts a download. A client that has the bytes already, or asks for a part of
// them, uses the asset, and downloads nothing that counts.
func recordUse(r *http.Request, a *packages.Asset) {
	switch {
	case r.Method != http.MethodGet:
	case r.Header.Get("If-None-Match") != "" || r.Header.Get("Range") != "":
		a.RecordUse()
	default:
		a.RecordDownload()
	}
}
