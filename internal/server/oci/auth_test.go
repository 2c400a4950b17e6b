package oci_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

var everyPath = []string{
	"/v2/", "/v2", "/v2/_catalog", "/v2/app/tags/list", "/v2/app/manifests/latest", "/v2/app/blobs/uploads/",
	"/v2/app/blobs/" + digest.FromString("").String(), "/v2/app/referrers/" + digest.FromString("").String(),
	"/v2/no/such/tags/list", "/v2/BAD/tags/list", "/v2/app/manifests/.bad", "/v2/whatever",
}

// An unauthenticated caller learns nothing, not even whether a path is valid.
func TestHandler_Challenge(t *testing.T) {
	r := newRegistry(t)
	r.create(t, account, "app", images.Settings{})
	for _, password := range []string{"", "garbage", account + "/nobody"} {
		c := r.client(t, "")
		c.password = password
		for _, path := range everyPath {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
				reply := c.do(method, path, nil).want(http.StatusUnauthorized).has(
					"Www-Authenticate", `Basic realm="`+r.url+`/",service="ecr.amazonaws.com"`,
					"Docker-Distribution-Api-Version", "registry/2.0")
				if method == "HEAD" {
					reply.is("")
				} else {
					reply.is("Not Authorized\n")
				}
			}
		}
	}
	c := r.client(t, "")
	c.password = ""
	c.host = "000000000001.dkr.ecr.us-east-1.aws.example"
	c.do("GET", "/v2/", nil).want(401).has("Www-Authenticate", `Basic realm="http://000000000001.dkr.ecr.us-east-1.aws.example/",service="ecr.amazonaws.com"`)

	req := httptest.NewRequest("GET", "https://registry.example/v2/", nil)
	req.TLS = &tls.ConnectionState{}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	if got := w.Header().Get("Www-Authenticate"); w.Code != 401 || got != `Basic realm="https://registry.example/",service="ecr.amazonaws.com"` {
		t.Errorf("over TLS: %d, %s", w.Code, got)
	}
}

// A login that can be put right gets a challenge with the way to do it.
func TestHandler_WrongUser(t *testing.T) {
	r := newRegistry(t)
	for _, path := range everyPath {
		req := httptest.NewRequest("GET", r.url+path, nil)
		req.SetBasicAuth("AKIA1", "secret")
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, req)
		want := `{"errors":[{"code":"UNAUTHORIZED","message":"how to log in","detail":{"reason":"InvalidLogin"}}]}`
		if w.Code != 401 || w.Header().Get("Www-Authenticate") == "" || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %d, %v, %s", path, w.Code, w.Header(), w.Body)
		}
	}
}

func TestHandler_ExpiredToken(t *testing.T) {
	c := newRegistry(t).client(t, "")
	c.password = "expired"
	for _, path := range everyPath {
		m := c.do("GET", path, nil).has("Www-Authenticate", "").fails(403, "DENIED")
		if m != "Your authorization token has expired. Reauthenticate and try again." {
			t.Errorf("message %q", m)
		}
		c.do("HEAD", path, nil).want(403).is("")
	}
}

// Each request needs the IAM action that the table names, on the repository's ARN, and
// nothing else.
func TestHandler_Actions(t *testing.T) {
	r := newRegistry(t)
	r.create(t, account, "app", images.Settings{})
	r.create(t, account, "source", images.Settings{})
	admin := r.client(t, "admin").in("app")
	body := admin.manifest(nil)
	image := admin.pushManifest("v1", body)
	layer := digest.FromString("a layer")
	empty := digest.FromString("")
	admin.in("source").pushBlob("mounted", "")

	for _, test := range []struct {
		actions      []string // a denial names the first one
		method, path string
		body         string
		status       int
	}{
		{[]string{"BatchGetImage"}, "GET", "manifests/v1", "", 200},
		{[]string{"BatchGetImage"}, "HEAD", "manifests/" + image.String(), "", 200},
		{[]string{"BatchGetImage"}, "GET", "referrers/" + image.String(), "", 200},
		{[]string{"BatchCheckLayerAvailability"}, "HEAD", "blobs/" + layer.String(), "", 200},
		{[]string{"GetDownloadUrlForLayer"}, "GET", "blobs/" + layer.String(), "", 200},
		{[]string{"GetDownloadUrlForLayer"}, "HEAD", "blobs/" + layer.String(), "", 200},
		{[]string{"InitiateLayerUpload"}, "POST", "blobs/uploads/", "", 202},
		{[]string{"InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"}, "POST", "blobs/uploads/?digest=" + empty.String(), "", 201},
		{[]string{"UploadLayerPart"}, "PATCH", "UPLOAD", "part", 202},
		{[]string{"UploadLayerPart"}, "GET", "UPLOAD", "", 204},
		{[]string{"UploadLayerPart"}, "DELETE", "UPLOAD", "", 204},
		{[]string{"CompleteLayerUpload"}, "PUT", "UPLOAD?digest=" + empty.String(), "", 201},
		{[]string{"PutImage"}, "PUT", "manifests/v2", string(body), 201},
		{[]string{"ListImages"}, "GET", "tags/list", "", 200},
		{[]string{"BatchDeleteImage"}, "DELETE", "manifests/v2", "", 202},
		{[]string{"BatchDeleteImage"}, "DELETE", "blobs/" + empty.String(), "", 202},
	} {
		name := test.method + " " + test.path + " " + test.actions[0]
		resource := "arn:aws:ecr:us-east-1:000000000001:repository/app"
		request := func(document string) *reply {
			r.users.policies["user"] = parse(document)
			path := test.path
			if strings.HasPrefix(path, "UPLOAD") {
				path = strings.Replace(path, "UPLOAD", admin.start(""), 1)
			}
			return r.client(t, "user").in("app").do(test.method, path, strings.NewReader(test.body))
		}
		refused := request(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":["ecr:` + test.actions[0] + `"],"Resource":"` + resource + `"}}`)
		if test.method == "HEAD" {
			// A caller who may download may also ask: see images.BlobInfo.
			if !strings.HasPrefix(test.path, "blobs/") {
				refused.want(403)
			}
		} else if m := refused.fails(403, "DENIED"); !strings.Contains(m, "arn:aws:iam::000000000001:user/user is not authorized to perform: ecr:"+test.actions[0]+" on resource: "+resource) {
			t.Errorf("%s: message %q", name, m)
		}
		granted := request(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["ecr:` + strings.Join(test.actions, `","ecr:`) + `"],"Resource":"` + resource + `"}}`)
		if granted.StatusCode != test.status {
			t.Errorf("%s: status %d with that action, want %d\n%s", name, granted.StatusCode, test.status, granted.body)
		}
	}

	// A mount reads the source. A caller who may not read it has to upload.
	mount := "blobs/uploads/?from=source&mount=" + digest.FromString("mounted").String()
	r.users.policies["user"] = allow("ecr:*", "arn:aws:ecr:us-east-1:000000000001:repository/app")
	r.client(t, "user").in("app").do("POST", mount, nil).want(202)
	r.users.policies["user"] = allow("ecr:*", "arn:aws:ecr:us-east-1:000000000001:repository/*")
	r.client(t, "user").in("app").do("POST", mount, nil).want(201)

	// A caller without permission does not learn whether a repository exists.
	r.users.policies["user"] = allow("ecr:*", "arn:aws:ecr:us-east-1:000000000001:repository/team/*")
	for _, repo := range []string{"app", "no/such"} {
		r.client(t, "user").in(repo).do("GET", "tags/list", nil).fails(403, "DENIED")
	}
	r.client(t, "user").in("team/none").do("GET", "tags/list", nil).fails(404, "NAME_UNKNOWN")
}

// A host in the form of AWS names the registry. Any other host means the registry of
// the caller's account.
func TestHandler_RegistryOfHost(t *testing.T) {
	r := newRegistry(t)
	r.create(t, account, "app", images.Settings{})
	r.create(t, other, "theirs", images.Settings{})
	c := r.client(t, "admin")

	c.do("GET", "/v2/app/tags/list", nil).want(200)
	c.do("GET", "/v2/theirs/tags/list", nil).fails(404, "NAME_UNKNOWN")
	c.host = account + ".dkr.ecr.us-east-1.aws.example:443"
	c.do("GET", "/v2/app/tags/list", nil).want(200)
	c.host = account + ".dkr.ecr.eu-west-1.aws.example"
	for _, path := range []string{"/v2/", "/v2/app/tags/list"} {
		if m := c.do("GET", path, nil).fails(403, "DENIED"); !strings.Contains(m, "is for the region us-east-1") {
			t.Errorf("message %q", m)
		}
	}
	c.host = other + ".dkr.ecr.us-east-1.aws.example"
	c.do("GET", "/v2/theirs/tags/list", nil).fails(403, "DENIED")

	c.password = other + "/admin"
	c.do("GET", "/v2/theirs/tags/list", nil).want(200)
	c.host = ""
	c.do("GET", "/v2/theirs/tags/list", nil).want(200)
}
