package oci_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A client sends requests to the registry as one user.
type client struct {
	testing.TB
	*registry
	password string
	host     string // sent as Host; empty means the server's address
	repo     string // the repository of relative paths
}

func (r *registry) client(t testing.TB, user string) *client {
	return &client{TB: t, registry: r, password: account + "/" + user}
}

// in returns the client for a repository of its account.
func (c *client) in(repo string) *client {
	copied := *c
	copied.repo = repo
	return &copied
}

// A reply is a response with its body read.
type reply struct {
	*http.Response
	t    testing.TB
	body []byte
}

// do sends a request. A path that begins with "/" or a scheme is used as it is, and any
// other is relative to the client's repository. Headers are names and values in turn.
func (c *client) do(method, path string, body io.Reader, headers ...string) *reply {
	c.Helper()
	base := c.url + "/v2/" + c.repo + "/"
	u, err := url.Parse(base)
	if err == nil {
		u, err = u.Parse(path)
	}
	if err != nil {
		c.Fatal(err)
	}
	req, err := http.NewRequest(method, u.String(), body)
	if err != nil {
		c.Fatal(err)
	}
	req.Host = c.host
	if c.password != "" {
		req.SetBasicAuth("AWS", c.password)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatalf("%s %s: %v", method, u, err)
	}
	return &reply{resp, c.TB, content}
}

// want checks the status.
func (r *reply) want(status int) *reply {
	r.t.Helper()
	if r.StatusCode != status {
		r.t.Fatalf("%s %s: status %d, want %d\n%v\n%s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.Header, r.body)
	}
	return r
}

// has checks headers, given as names and values in turn; an empty value means that the
// header must be missing.
func (r *reply) has(headers ...string) *reply {
	r.t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if got := strings.Join(r.Header.Values(headers[i]), ", "); got != headers[i+1] {
			r.t.Errorf("%s %s: %s: %q, want %q", r.Request.Method, r.Request.URL, headers[i], got, headers[i+1])
		}
	}
	return r
}

// is checks the body.
func (r *reply) is(body string) *reply {
	r.t.Helper()
	if string(r.body) != body {
		r.t.Errorf("%s %s: body %.300q, want %.300q", r.Request.Method, r.Request.URL, r.body, body)
	}
	return r
}

// fails checks that the reply is an error of the specification's form with the
// status and the code, and returns its message.
func (r *reply) fails(status int, code string) string {
	r.t.Helper()
	r.want(status)
	var list struct {
		Errors []struct {
			Code, Message string
			Detail        struct{ Reason string }
		}
	}
	if err := json.Unmarshal(r.body, &list); err != nil || len(list.Errors) != 1 {
		r.t.Fatalf("%s %s: not an error: %v\n%s", r.Request.Method, r.Request.URL, err, r.body)
	}
	e := list.Errors[0]
	if e.Code != code || e.Message == "" || e.Detail.Reason == "" {
		r.t.Errorf("%s %s: error %+v, want code %s, a message and a reason", r.Request.Method, r.Request.URL, e, code)
	}
	r.has("Content-Type", "application/json")
	return e.Message
}

// json decodes the body.
func (r *reply) json(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%s %s: %v\n%s", r.Request.Method, r.Request.URL, err, r.body)
	}
}

// location returns the Location header.
func (r *reply) location() string {
	r.t.Helper()
	l, err := r.Location()
	if err != nil {
		r.t.Fatalf("%s %s: %v", r.Request.Method, r.Request.URL, err)
	}
	return l.String()
}

// pushBlob pushes a blob and returns its descriptor.
func (c *client) pushBlob(content string, mediaType string) ocispec.Descriptor {
	c.Helper()
	d := digest.FromString(content)
	c.do("POST", "blobs/uploads/?digest="+d.String(), strings.NewReader(content)).want(http.StatusCreated)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// manifest returns an image manifest with a config and one layer that exist; change may
// modify it.
func (c *client) manifest(change func(*ocispec.Manifest)) []byte {
	c.Helper()
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    c.pushBlob(`{"architecture":"amd64","os":"linux"}`, ocispec.MediaTypeImageConfig),
		Layers:    []ocispec.Descriptor{c.pushBlob("a layer", ocispec.MediaTypeImageLayer)},
	}
	if change != nil {
		change(&m)
	}
	return marshal(c, m)
}

// pushManifest pushes a manifest under a reference and returns its digest.
func (c *client) pushManifest(reference string, body []byte) digest.Digest {
	c.Helper()
	d := digest.FromBytes(body)
	var m struct{ MediaType string }
	if err := json.Unmarshal(body, &m); err != nil {
		c.Fatal(err)
	}
	if reference == "" {
		reference = d.String()
	}
	c.do("PUT", "manifests/"+reference, bytes.NewReader(body), "Content-Type", m.MediaType).
		want(http.StatusCreated).
		has("Location", "/v2/"+c.repo+"/manifests/"+d.String(), "Docker-Content-Digest", d.String())
	return d
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
