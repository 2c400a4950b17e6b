package oci

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// LayerURLs makes and verifies the URLs that ECR's GetDownloadUrlForLayer returns:
// the URL of the blob on the registry endpoint, with a query that replaces
// credentials. A URL gives access to one blob of one repository until it expires. It
// is made for a caller who is allowed to read the blob, and signed as a whole with
// HMAC-SHA256.
type LayerURLs struct {
	keys      func() ([][]byte, error)
	addresses *endpoint.Addresses
	now       func() time.Time
}

// layerURLLifetime is how long a URL is valid: as long as ECR's URLs.
const layerURLLifetime = time.Hour

// The parameters of a signed URL. The signature covers the first three and the path.
const (
	paramAccount   = "registryId"
	paramRegion    = "region"
	paramExpires   = "expires" // Unix seconds
	paramSignature = "signature"
)

// NewLayerURLs returns LayerURLs that sign with the first of the keys, and accept the
// signatures of all. keys is called for each URL, so the keys can change; each has at
// least 32 bytes. All servers must accept what one of them signs.
func NewLayerURLs(keys func() ([][]byte, error), addresses *endpoint.Addresses, now func() time.Time) *LayerURLs {
	return &LayerURLs{keys: keys, addresses: addresses, now: now}
}

// LayerURL returns the URL of a blob. It does not authorize: call it only after the
// domain has. It fails if the server does not know which keys are good.
func (l *LayerURLs) LayerURL(id images.RepositoryID, d digest.Digest) (string, error) {
	keys, err := l.signingKeys()
	if err != nil {
		return "", err
	}
	p := path{kind: kindBlob, name: id.Name, digest: d}
	query := url.Values{
		paramAccount: {id.Account},
		paramRegion:  {id.Region},
		paramExpires: {strconv.FormatInt(l.now().Add(layerURLLifetime).Unix(), 10)},
	}
	query.Set(paramSignature, sign(keys[0], p, query))
	base := l.addresses.RegistryURL(endpoint.Registry{Account: id.Account, Region: id.Region})
	return base + p.String() + "?" + query.Encode(), nil
}

func (l *LayerURLs) signingKeys() ([][]byte, error) {
	keys, err := l.keys()
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("oci: there is no key for layer URLs")
	}
	for _, key := range keys {
		if len(key) < sha256.Size {
			return nil, errors.New("oci: a key of layer URLs is shorter than 32 bytes")
		}
	}
	return keys, nil
}

// sign returns the signature of a URL in its canonical form. The host is not part of
// it, because a server has several.
func sign(key []byte, p path, query url.Values) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("gatehouse layer address 1\n" + p.String() + "?" + query.Encode()))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// isSigned reports whether a URL has a signature. It may be invalid.
func isSigned(u *url.URL) bool { return strings.Contains(u.RawQuery, paramSignature+"=") }

// verify checks a URL and returns the repository that it is about.
func (l *LayerURLs) verify(p path, u *url.URL) (images.RepositoryID, error) {
	keys, err := l.signingKeys()
	if err != nil {
		return images.RepositoryID{}, err
	}
	query := u.Query()
	signature := query.Get(paramSignature)
	query.Del(paramSignature)
	signed := func(key []byte) bool { return hmac.Equal([]byte(signature), []byte(sign(key, p, query))) }
	if !slices.ContainsFunc(keys, signed) {
		return images.RepositoryID{}, fault.New(fault.Denied, "InvalidLayerURL", "This registry did not sign the URL. Call GetDownloadUrlForLayer and use its URL unchanged.")
	}
	expires, err := strconv.ParseInt(query.Get(paramExpires), 10, 64)
	if err != nil || l.now().Unix() >= expires {
		return images.RepositoryID{}, fault.New(fault.Denied, "ExpiredLayerURL", "The URL has expired. Call GetDownloadUrlForLayer again.")
	}
	return images.RepositoryID{Account: query.Get(paramAccount), Region: query.Get(paramRegion), Name: p.name}, nil
}

// serveSigned serves a signed URL, which was authorized when it was made. It ignores
// credentials in the request.
func (h *Handler) serveSigned(w http.ResponseWriter, r *http.Request, p path) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return fault.New(fault.Denied, "InvalidLayerURL", "The signed URL of a layer allows only GET and HEAD.")
	}
	id, err := h.layers.verify(p, r.URL)
	if err != nil {
		return err
	}
	recordParameters(audit.From(r.Context()), target{p, id})
	b, object, err := h.images.OpenGrantedBlob(r.Context(), id, p.digest)
	if err != nil {
		return err
	}
	serveBlob(w, r, b, object)
	return nil
}
