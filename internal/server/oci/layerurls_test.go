package oci_test

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/oci"
)

func TestLayerURLs(t *testing.T) {
	r := newRegistry(t)
	id := r.create(t, account, "team/app", images.Settings{})
	r.create(t, account, "another", images.Settings{})
	c := r.client(t, "admin").in("team/app")
	layer := c.pushBlob("0123456789", "").Digest
	c.pushBlob("another layer", "")
	c.in("another").pushBlob("0123456789", "")

	address := r.layerURL(t, id, layer)
	if address.Host[:12] != account {
		t.Fatal(address)
	}
	anyone := r.client(t, "")
	anyone.password = ""
	signed := address.RequestURI()
	anyone.do("GET", signed, nil).want(200).has("Docker-Content-Digest", layer.String()).is("0123456789")
	anyone.do("GET", signed, nil, "Range", "bytes=2-3").want(206).is("23")
	anyone.do("HEAD", signed, nil).want(200).is("")
	anyone.do("GET", signed, nil, "Authorization", "AWS4-HMAC-SHA256 Credential=x").want(200)
	if rec := r.trail.last(); rec.EventName != "GetDownloadUrlForLayer" || len(rec.Resources) != 1 || rec.Resources[0].ARN != id.ARN() {
		t.Errorf("record %+v", rec)
	}

	for name, change := range map[string]func(path string, q url.Values) (string, url.Values){
		"another digest": func(path string, q url.Values) (string, url.Values) {
			return strings.Replace(path, layer.String(), digest.FromString("another layer").String(), 1), q
		},
		"another repository": func(path string, q url.Values) (string, url.Values) {
			return strings.Replace(path, "team/app", "another", 1), q
		},
		"another account": func(path string, q url.Values) (string, url.Values) {
			q.Set("registryId", other)
			return path, q
		},
		"another region": func(path string, q url.Values) (string, url.Values) {
			q.Set("region", "eu-west-1")
			return path, q
		},
		"a longer life": func(path string, q url.Values) (string, url.Values) {
			q.Set("expires", "99999999999")
			return path, q
		},
		"no expiry": func(path string, q url.Values) (string, url.Values) {
			q.Del("expires")
			return path, q
		},
		"one parameter more": func(path string, q url.Values) (string, url.Values) {
			q.Set("x", "y")
			return path, q
		},
		"a parameter twice": func(path string, q url.Values) (string, url.Values) {
			q.Add("expires", "99999999999")
			return path, q
		},
		"another signature": func(path string, q url.Values) (string, url.Values) {
			q.Set("signature", strings.Repeat("A", 43))
			return path, q
		},
		"an empty signature": func(path string, q url.Values) (string, url.Values) {
			q.Set("signature", "")
			return path, q
		},
	} {
		path, query := change(address.Path, address.Query())
		if anyone.do("GET", path+"?"+query.Encode(), nil).fails(403, "DENIED"); t.Failed() {
			t.Fatal(name)
		}
	}
	for _, method := range []string{"DELETE", "PUT", "POST"} {
		anyone.do(method, signed, nil).fails(403, "DENIED")
	}
	// A signature gives access to blobs only.
	anyone.do("GET", "/v2/team/app/tags/list?"+address.RawQuery, nil).want(401)

	r.clock.time = r.clock.time.Add(time.Hour - time.Second)
	anyone.do("GET", signed, nil).want(200)
	r.clock.time = r.clock.time.Add(time.Second)
	if m := anyone.do("GET", signed, nil).fails(403, "DENIED"); !strings.Contains(m, "expired") {
		t.Errorf("message %q", m)
	}

	c.do("DELETE", "blobs/"+layer.String(), nil).want(202)
	anyone.do("GET", r.layerURL(t, id, layer).RequestURI(), nil).fails(404, "BLOB_UNKNOWN")
}

// layerURL is the signed URL of a blob.
func (r *registry) layerURL(t *testing.T, id images.RepositoryID, d digest.Digest) *url.URL {
	t.Helper()
	text, err := r.layers.LayerURL(id, d)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A URL stays good while the keyring is rotated, until its key is retired.
func TestLayerURLs_Rotation(t *testing.T) {
	r := newRegistry(t)
	id := r.create(t, account, "app", images.Settings{})
	layer := r.client(t, "admin").in("app").pushBlob("content", "").Digest
	anyone := r.client(t, "")
	anyone.password = ""
	former, next := r.layerKeys[0], bytes.Repeat([]byte{8}, 32)

	old := r.layerURL(t, id, layer).RequestURI()
	r.layerKeys = [][]byte{next, former}
	anyone.do("GET", old, nil).want(200)
	first := r.layerURL(t, id, layer).RequestURI()
	r.layerKeys = [][]byte{former, next} // a server that does not know yet that next is active
	anyone.do("GET", first, nil).want(200)
	r.layerKeys = [][]byte{next}
	anyone.do("GET", first, nil).want(200)
	anyone.do("GET", old, nil).fails(403, "DENIED")
}

func TestLayerURLs_Keys(t *testing.T) {
	addresses, err := endpoint.New("https://registry.example", "")
	if err != nil {
		t.Fatal(err)
	}
	stale := errors.New("stale")
	for name, keys := range map[string]func() ([][]byte, error){
		"none":        func() ([][]byte, error) { return nil, nil },
		"a short one": func() ([][]byte, error) { return [][]byte{make([]byte, 32), make([]byte, 31)}, nil },
		"unknown":     func() ([][]byte, error) { return nil, stale },
	} {
		id := images.RepositoryID{Account: account, Region: "us-east-1", Name: "app"}
		if u, err := oci.NewLayerURLs(keys, addresses, time.Now).LayerURL(id, digest.FromString("")); err == nil {
			t.Errorf("%s: signed %s", name, u)
		}
	}
}
