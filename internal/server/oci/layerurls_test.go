package oci_test

import (
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

	address, err := url.Parse(r.layers.LayerURL(id, layer))
	if err != nil || address.Host[:12] != account {
		t.Fatalf("%v, %v", address, err)
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
	again, err := url.Parse(r.layers.LayerURL(id, layer))
	if err != nil {
		t.Fatal(err)
	}
	anyone.do("GET", again.RequestURI(), nil).fails(404, "BLOB_UNKNOWN")
}

func TestLayerURLKey(t *testing.T) {
	addresses, err := endpoint.New("https://registry.example", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oci.NewLayerURLs(make([]byte, 31), addresses, time.Now); err == nil {
		t.Error("a short key was taken")
	}
}
