package oci

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// LayerURLs mints and opens the addresses that ECR's GetDownloadUrlForLayer
// answers with: the blob's own address on the registry's endpoint, with a query
// that stands for credentials. An address gives one blob of one repository to
// whoever holds it, until it expires. It is minted for a caller who may read the
// blob, and says so with a signature (HMAC-SHA256) over all of itself.
type LayerURLs struct {
	key       []byte
	addresses *endpoint.Addresses
	now       func() time.Time
}

// addressLifetime is how long an address of a layer works: as long as those of
// ECR.
const addressLifetime = time.Hour

// The parameters of a signed address. The first three are signed, together with
// the path.
const (
	paramAccount   = "registryId"
	paramRegion    = "region"
	paramExpires   = "expires" // Unix seconds
	paramSignature = "signature"
)

// NewLayerURLs returns the addresses that key signs, which has at least 32 bytes
// and is the same for all replicas.
func NewLayerURLs(key []byte, addresses *endpoint.Addresses, now func() time.Time) (*LayerURLs, error) {
	if len(key) < sha256.Size {
		return nil, errors.New("oci: the key of layer addresses is shorter than 32 bytes")
	}
	return &LayerURLs{key: key, addresses: addresses, now: now}, nil
}

// LayerURL returns the address of a blob. It decides nothing: ask it for a
// caller that was authorized.
func (l *LayerURLs) LayerURL(id images.RepositoryID, d digest.Digest) string {
	p := path{kind: kindBlob, name: id.Name, digest: d}
	query := url.Values{
		paramAccount: {id.Account},
		paramRegion:  {id.Region},
		paramExpires: {strconv.FormatInt(l.now().Add(addressLifetime).Unix(), 10)},
	}
	query.Set(paramSignature, l.sign(p, query))
	base := l.addresses.RegistryURL(endpoint.Registry{Account: id.Account, Region: id.Region})
	return base + p.String() + "?" + query.Encode()
}

// sign returns the signature of an address in its canonical form, which does not
// hold the host: one server has several.
func (l *LayerURLs) sign(p path, query url.Values) string {
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte("gatehouse layer address 1\n" + p.String() + "?" + query.Encode()))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// isSigned reports whether an address claims to be one of ours.
func isSigned(u *url.URL) bool { return strings.Contains(u.RawQuery, paramSignature+"=") }

// open checks an address and returns the repository that it is about.
func (l *LayerURLs) open(p path, u *url.URL) (images.RepositoryID, error) {
	query := u.Query()
	signature := query.Get(paramSignature)
	query.Del(paramSignature)
	if !hmac.Equal([]byte(signature), []byte(l.sign(p, query))) {
		return images.RepositoryID{}, fault.New(fault.Denied, "InvalidLayerURL", "The address is not one that this registry signed. Obtain one with GetDownloadUrlForLayer and use it unchanged.")
	}
	expires, err := strconv.ParseInt(query.Get(paramExpires), 10, 64)
	if err != nil || l.now().Unix() >= expires {
		return images.RepositoryID{}, fault.New(fault.Denied, "ExpiredLayerURL", "The address has expired. Obtain another with GetDownloadUrlForLayer.")
	}
	return images.RepositoryID{Account: query.Get(paramAccount), Region: query.Get(paramRegion), Name: p.name}, nil
}

// serveSigned answers a request for a signed address, which was authorized when
// it was minted. Credentials that come with it are not looked at.
func (h *Handler) serveSigned(w http.ResponseWriter, r *http.Request, p path) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return fault.New(fault.Denied, "InvalidLayerURL", "The signed address of a layer is for reading it.")
	}
	id, err := h.layers.open(p, r.URL)
	if err != nil {
		return err
	}
	record(audit.From(r.Context()), target{p, id})
	b, object, err := h.images.OpenGrantedBlob(r.Context(), id, p.digest)
	if err != nil {
		return err
	}
	serveBlob(w, r, b, object)
	return nil
}
