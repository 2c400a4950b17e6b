package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/opencontainers/go-digest"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// push pushes an image of one layer to a repository, and returns the layer's
// digest.
func (g *fixture) push(authorization, repository, layer string) digest.Digest {
	g.t.Helper()
	config, d := digest.FromString("{}"), digest.FromString(layer)
	for content, sum := range map[string]digest.Digest{"{}": config, layer: d} {
		r := g.request(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+sum.String(), content)
		r.Header.Set("Authorization", authorization)
		if status, body := g.send(r); status != http.StatusCreated {
			g.t.Fatalf("blob: %d %s", status, body)
		}
	}
	r := g.request(http.MethodPut, "/v2/"+repository+"/manifests/latest", `{"schemaVersion":2,"mediaType":"`+manifestType+`","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"`+
		config.String()+`","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"`+d.String()+`","size":1}]}`)
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", manifestType)
	if status, body := g.send(r); status != http.StatusCreated {
		g.t.Fatalf("manifest: %d %s", status, body)
	}
	return d
}

// raw requests a path exactly as it is written.
func (g *fixture) raw(method, path, authorization string) (int, string) {
	g.t.Helper()
	r := g.request(method, "/", "")
	path, r.URL.RawQuery, _ = strings.Cut(path, "?")
	r.URL.Opaque = "//" + r.URL.Host + path
	r.Header.Set("Authorization", authorization)
	return g.send(r)
}

// The name that is authorized is the name that is served, however it is spelled.
func TestAttack_RepositoryNameSpelling(t *testing.T) {
	g := start(t)
	ctx, admin := t.Context(), ecr.NewFromConfig(g.admin(victim))
	for _, name := range []string{"open/app", "secret/app", "open"} {
		must(admin.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name}))(t)
	}
	all := "Basic " + g.imageToken(g.admin(victim))
	layer := g.push(all, "secret/app", "secret")
	g.push(all, "open/app", "open")
	reader := "Basic " + g.imageToken(g.user(victim, "reader", allow("ecr:GetAuthorizationToken", "*"), allow("ecr:*", "arn:aws:ecr:*:*:repository/open/*")))

	if status, body := g.raw(http.MethodGet, "/v2/open/app/manifests/latest", reader); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	for _, name := range []string{
		"secret/app", "open/../secret/app", "open/%2e%2e/secret/app", "open/..%2fsecret/app", "open%2f..%2fsecret%2fapp", "secret%2fapp", "secret%2Fapp", "/secret/app",
		"open//../secret/app", "./secret/app", "SECRET/app", "secret/app%00", "open/app/../../secret/app", "secret/app/", "open;/../secret/app", "open%5c..%5csecret/app", "%73ecret/app", "ſecret/app",
	} {
		for _, path := range []string{"/manifests/latest", "/blobs/" + layer.String(), "/tags/list"} {
			if status, body := g.raw(http.MethodGet, "/v2/"+name+path, reader); status < 400 || status >= 500 || strings.Contains(body, "secret\"") {
				t.Errorf("%s%s: %d %s", name, path, status, body)
			}
		}
	}
	// The path of one repository that reads as an operation on another.
	for _, path := range []string{"/v2/secret/app/blobs/uploads/../../../open/app/tags/list", "/v2/open/app/manifests/..%2f..%2fsecret%2fapp", "/v2/open/app/blobs/uploads/..%2f..%2fx"} {
		if status, body := g.raw(http.MethodGet, path, reader); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// Nothing of a repository leaks through another one: not by mounting, not by
// its digests, and not by the difference between denied and missing.
func TestAttack_BlobsOfOtherRepositories(t *testing.T) {
	g := start(t)
	ctx, admin := t.Context(), ecr.NewFromConfig(g.admin(victim))
	for _, name := range []string{"open", "secret"} {
		must(admin.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name}))(t)
	}
	layer := g.push("Basic "+g.imageToken(g.admin(victim)), "secret", "secret")
	writer := "Basic " + g.imageToken(g.user(victim, "writer", allow("ecr:GetAuthorizationToken", "*"), allow("ecr:*", "arn:aws:ecr:*:*:repository/open")))

	for _, from := range []string{"secret", "missing", "open", "", "../secret", "SECRET", "secret%2f..%2fsecret"} {
		status, body := g.raw(http.MethodPost, "/v2/open/blobs/uploads/?mount="+layer.String()+"&from="+from, writer)
		if status != http.StatusAccepted {
			t.Errorf("mounting from %q: %d %s", from, status, body)
		}
	}
	for _, path := range []string{"blobs/" + layer.String(), "manifests/latest", "referrers/" + layer.String(), "tags/list"} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodPut} {
			secretStatus, secret := g.raw(method, "/v2/secret/"+path, writer)
			missingStatus, missing := g.raw(method, "/v2/missin/"+path, writer)
			if secretStatus != missingStatus || strings.ReplaceAll(missing, "missin", "secret") != secret {
				t.Errorf("%s %s: %d %s\nand for a repository that is not there: %d %s", method, path, secretStatus, secret, missingStatus, missing)
			}
		}
	}
	if status, body := g.raw(http.MethodGet, "/v2/open/blobs/"+layer.String(), writer); status != http.StatusNotFound {
		t.Errorf("the secret's layer in the open repository: %d %s", status, body)
	}
	// A manifest cannot draw in what its repository does not have.
	r := g.request(http.MethodPut, "/v2/open/manifests/thief", `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"`+layer.String()+`","size":6},"layers":[]}`)
	r.Header.Set("Authorization", writer)
	r.Header.Set("Content-Type", manifestType)
	if status, body := g.send(r); status != http.StatusBadRequest {
		t.Errorf("a manifest of somebody else's layer: %d %s", status, body)
	}
}

// The address of a layer gives that layer, in that repository, until its end.
func TestAttack_LayerAddresses(t *testing.T) {
	g := start(t)
	ctx, admin := t.Context(), ecr.NewFromConfig(g.admin(victim))
	for _, name := range []string{"app", "other"} {
		must(admin.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name}))(t)
	}
	all := "Basic " + g.imageToken(g.admin(victim))
	layer, second := g.push(all, "app", "layer"), g.push(all, "other", "second")
	address := *must(admin.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("app"), LayerDigest: aws.String(layer.String())}))(t).DownloadUrl
	u := must(url.Parse(address))(t)
	ask := func(method, path, query string) (int, string) {
		r := g.request(method, path+"?"+query, "")
		r.Host = u.Host
		return g.send(r)
	}
	if status, body := ask(http.MethodGet, u.Path, u.RawQuery); status != http.StatusOK || body != "layer" {
		t.Fatalf("%d %s", status, body)
	}
	query := func(name, value string) string {
		q := u.Query()
		q.Set(name, value)
		return q.Encode()
	}
	for what, c := range map[string]struct{ method, path, query string }{
		"another repository": {http.MethodGet, strings.Replace(u.Path, "/app/", "/other/", 1), u.RawQuery},
		"another layer":      {http.MethodGet, "/v2/app/blobs/" + second.String(), u.RawQuery},
		"another account":    {http.MethodGet, u.Path, query("registryId", stranger)},
		"another region":     {http.MethodGet, u.Path, query("region", secondRegion)},
		"a later end":        {http.MethodGet, u.Path, query("expires", "99999999999")},
		"no end":             {http.MethodGet, u.Path, strings.ReplaceAll(u.RawQuery, "expires=", "x=")},
		"two ends":           {http.MethodGet, u.Path, u.RawQuery + "&expires=99999999999"},
		"no signature":       {http.MethodGet, u.Path, query("signature", "")},
		"two signatures":     {http.MethodGet, u.Path, "signature=x&" + u.RawQuery},
		"deleting":           {http.MethodDelete, u.Path, u.RawQuery},
		"the manifest":       {http.MethodGet, "/v2/app/manifests/latest", u.RawQuery},
		"the tags":           {http.MethodGet, "/v2/app/tags/list", u.RawQuery},
	} {
		if status, body := ask(c.method, c.path, c.query); status != http.StatusForbidden && status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	g.offset.Add(int64(time.Hour + time.Second))
	if status, body := ask(http.MethodGet, u.Path, u.RawQuery); status != http.StatusForbidden {
		t.Errorf("after an hour: %d %s", status, body)
	}
	g.offset.Store(0)
	must(admin.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app"), Force: true}))(t)
	must(admin.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}))(t)
	if status, body := ask(http.MethodGet, u.Path, u.RawQuery); status != http.StatusNotFound {
		t.Errorf("after the repository was deleted: %d %s", status, body)
	}
}

// What a policy says about a package holds however its name is spelled.
func TestAttack_PackageNameSpelling(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	arn := "arn:aws:codeartifact:us-east-1:" + victim + ":package/first/lib/"
	writer := "Bearer " + g.packageToken(g.user(victim, "writer",
		allow("codeartifact:GetAuthorizationToken", "*"), allow("sts:GetServiceBearerToken", "*"), allow("codeartifact:ReadFromRepository", "*"),
		allow("codeartifact:*", arn+"npm/open/*"), allow("codeartifact:*", arn+"pypi//open")), "first")
	base := strings.TrimSuffix(libPath, "-/ping")
	tarball := `"_attachments":{"x-1.0.0.tgz":{"data":"eA=="}}`
	for _, name := range []string{"@secret/x", "@open/../@secret/x", "@open/..", "@OPEN/x", "x", "@open%2f..%2f@secret/x", "@secret%2fx", "@%73ecret/x", "%40secret%2fx", "@open\u2215x/x"} {
		r := g.request(http.MethodPut, "/", `{"name":"@secret/x","versions":{"1.0.0":{"name":"@secret/x","version":"1.0.0"}},`+tarball+`}`)
		r.URL.Opaque = "//" + r.URL.Host + base + name
		r.Header.Set("Authorization", writer)
		if status, body := g.send(r); status < 400 || status >= 500 {
			t.Errorf("publishing to %s: %d %s", name, status, body)
		}
	}
	r := g.request(http.MethodPut, base+"@open%2fx", `{"name":"@open/x","versions":{"1.0.0":{"name":"@open/x","version":"1.0.0"}},`+tarball+`}`)
	r.Header.Set("Authorization", writer)
	if status, body := g.send(r); status != http.StatusCreated {
		t.Errorf("publishing what is allowed: %d %s", status, body)
	}
}

// A reader of a repository sees what its upstreams have, without permission to read
// the upstreams, as on AWS. Adding an upstream needs the upstream's permission.
func TestAttack_UpstreamWithoutPermission(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	arn := "arn:aws:codeartifact:us-east-1:" + victim + ":repository/first/"
	mallory := g.user(victim, "mallory", allow("codeartifact:*", arn+"mine"), allow("codeartifact:CreateRepository", "*"), allow("codeartifact:GetAuthorizationToken", "*"), allow("sts:GetServiceBearerToken", "*"))
	c := codeartifact.NewFromConfig(mallory)
	_, err := c.CreateRepository(t.Context(), repositoryWithUpstream("mine", "lib"))
	refused(t, "a repository with an upstream that may not be joined", err, "AccessDenied")
	must(c.CreateRepository(t.Context(), repositoryWithUpstream("mine")))(t)
	_, err = c.UpdateRepository(t.Context(), &codeartifact.UpdateRepositoryInput{Domain: aws.String("first"), Repository: aws.String("mine"), Upstreams: repositoryWithUpstream("mine", "lib").Upstreams})
	refused(t, "adding the upstream later", err, "AccessDenied")
}

func repositoryWithUpstream(name string, upstreams ...string) *codeartifact.CreateRepositoryInput {
	in := &codeartifact.CreateRepositoryInput{Domain: aws.String("first"), Repository: &name}
	for _, u := range upstreams {
		in.Upstreams = append(in.Upstreams, types.UpstreamRepository{RepositoryName: &u})
	}
	return in
}
