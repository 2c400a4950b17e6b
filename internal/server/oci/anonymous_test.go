package oci_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

const pullActions = `"ecr:BatchCheckLayerAvailability","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"`

// publicPolicy allows everyone to pull, if the condition holds.
func publicPolicy(condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":[` + pullActions + `]` + condition + `}]}`
}

// An openRegistry allows anonymous pulls. The repository public/app has an image under v1 and
// a signature of it, and so has private/app.
type openRegistry struct {
	*registry
	testing.TB
	admin context.Context
	image digest.Digest
}

func newOpenRegistry(t *testing.T) *openRegistry {
	t.Helper()
	r := &openRegistry{registry: newRegistry(t), TB: t}
	r.admin = authn.WithCaller(t.Context(), r.users.caller(account, "admin"))
	r.allowAnonymous("ENABLED")
	for _, name := range []string{"public/app", "private/app"} {
		r.create(t, account, name, images.Settings{})
		c := r.client(t, "admin").in(name)
		r.image = c.pushManifest("v1", c.manifest(nil))
	}
	r.setPolicy("public/app", publicPolicy(""))
	return r
}

func (r *openRegistry) allowAnonymous(value string) {
	r.Helper()
	if err := r.images.PutAccountSetting(r.admin, images.RegistryID{Account: account, Region: region}, "ANONYMOUS_PULLS", value); err != nil {
		r.Fatal(err)
	}
}

func (r *openRegistry) setPolicy(name, text string) {
	r.Helper()
	if _, err := r.images.SetPolicy(r.admin, images.RepositoryID{Account: account, Region: region, Name: name}, text, images.AllowLockout); err != nil {
		r.Fatal(err)
	}
}

// anonymous returns a client without credentials.
func (r *openRegistry) anonymous(name string) *client {
	c := r.client(r.TB, "").in(name)
	c.password = ""
	return c
}

// pulls are the requests of a pull.
func (r *openRegistry) pulls() map[string]string {
	layer := digest.FromString("a layer").String()
	return map[string]string{
		"GET manifests/v1": "", "HEAD manifests/v1": "", "GET manifests/" + r.image.String(): "",
		"HEAD blobs/" + layer: "", "GET blobs/" + layer: "", "GET referrers/" + r.image.String(): "",
	}
}

func (r *openRegistry) bearerChallenge() string {
	return `Bearer realm="` + r.url + `/v2/token",service="ecr.amazonaws.com"`
}

func TestAnonymous_Pull(t *testing.T) {
	r := newOpenRegistry(t)
	c := r.anonymous("public/app")
	for _, headers := range [][]string{nil, {"Authorization", "Bearer anonymous"}} {
		for request := range r.pulls() {
			method, path, _ := strings.Cut(request, " ")
			c.do(method, path, nil, headers...).want(200)
		}
	}
	c.do("GET", "manifests/none", nil).fails(404, "MANIFEST_UNKNOWN")

	rec := r.trail.last()
	if rec.UserIdentity.Type != "Anonymous" || rec.UserIdentity.ARN != "" || rec.AWSRegion != region || rec.ErrorCode != "ImageNotFound" {
		t.Errorf("audit record %+v", rec)
	}
	// It is a pull like any other.
	found, err := r.images.DescribeImagesByReference(r.admin, images.RepositoryID{Account: account, Region: region, Name: "public/app"}, []images.Reference{{Tag: "v1"}})
	if err != nil || !found[0].PulledAt.Equal(r.clock.now()) {
		t.Errorf("described as %+v, %v", found, err)
	}
}

// A setting that was not put is off, and then everything is as without the feature.
func TestAnonymous_OffByDefault(t *testing.T) {
	r := newOpenRegistry(t)
	host := other + ".dkr.ecr." + region + ".aws.example"
	r.create(t, other, "public/app", images.Settings{})
	theirs := authn.WithCaller(t.Context(), r.users.caller(other, "admin"))
	if _, err := r.images.SetPolicy(theirs, images.RepositoryID{Account: other, Region: region, Name: "public/app"}, publicPolicy(""), images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	refused := func(c *client, origin string) {
		t.Helper()
		for request := range r.pulls() {
			method, path, _ := strings.Cut(request, " ")
			for _, headers := range [][]string{nil, {"Authorization", "Bearer anonymous"}} {
				c.do(method, path, nil, headers...).want(401).has("Www-Authenticate", `Basic realm="`+origin+`/",service="ecr.amazonaws.com"`)
			}
		}
		c.do("GET", "/v2/token", nil).want(401).has("Www-Authenticate", `Basic realm="`+origin+`/",service="ecr.amazonaws.com"`)
	}
	c := r.anonymous("public/app")
	c.host = host
	refused(c, "http://"+host)
	r.allowAnonymous("DISABLED")
	c.host = ""
	refused(c, r.url)
	r.client(t, "admin").do("GET", "/v2/token", nil).fails(404, "UNSUPPORTED")
}

// Whether a repository exists is a secret.
func TestAnonymous_PrivateRepositories(t *testing.T) {
	r := newOpenRegistry(t)
	for request := range r.pulls() {
		method, path, _ := strings.Cut(request, " ")
		var answers []string
		for _, name := range []string{"private/app", "no/such"} {
			reply := r.anonymous(name).do(method, path, nil).want(401).has("Www-Authenticate", r.bearerChallenge())
			reply.Header.Del("Date")
			var headers strings.Builder
			if err := reply.Header.Write(&headers); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, headers.String()+string(reply.body))
		}
		if answers[0] != answers[1] {
			t.Errorf("%s: the answers differ:\n%s\n%s", request, answers[0], answers[1])
		}
	}
	// A registry policy that allows everything makes no difference for what does not exist.
	_, err := r.images.PutRegistryPolicy(r.admin, images.RegistryID{Account: account, Region: region}, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*","Resource":"*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	r.setPolicy("private/app", strings.Replace(publicPolicy(""), "Allow", "Deny", 1))
	for _, name := range []string{"private/app", "no/such"} {
		r.anonymous(name).do("GET", "manifests/v1", nil).want(401).has("Www-Authenticate", r.bearerChallenge())
	}
}

// A policy that allows everyone everything opens pulls, and nothing else.
func TestAnonymous_OnlyPulls(t *testing.T) {
	r := newOpenRegistry(t)
	r.setPolicy("public/app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`)
	_, err := r.images.PutRegistryPolicy(r.admin, images.RegistryID{Account: account, Region: region}, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*","Resource":"*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	upload := r.client(t, "admin").in("public/app").start("")
	layer := digest.FromString("a layer").String()
	for _, headers := range [][]string{nil, {"Authorization", "Bearer anonymous"}} {
		c := r.anonymous("public/app")
		for _, request := range []string{
			"GET tags/list", "GET /v2/_catalog", "PUT manifests/v2", "DELETE manifests/v1", "DELETE blobs/" + layer,
			"POST blobs/uploads/", "POST blobs/uploads/?from=private/app&mount=" + layer, "PATCH " + upload, "PUT " + upload + "?digest=" + layer, "GET " + upload, "DELETE " + upload,
			"POST /v2/new/app/blobs/uploads/", "GET /v2/whatever", "GET manifests/.bad", "BREW manifests/v1", "POST /v2/token",
		} {
			method, path, _ := strings.Cut(request, " ")
			c.do(method, path, nil, headers...).want(401)
		}
	}
	// The domain does not rely on the handler for that.
	nameless := authn.WithCaller(t.Context(), &authn.Caller{Principal: &authn.Principal{Type: authn.Anonymous}, Region: region})
	app := images.RepositoryID{Account: account, Region: region, Name: "public/app"}
	if err := r.images.DeleteImage(nameless, app, images.Reference{Tag: "v1"}); err == nil {
		t.Error("an image was deleted")
	}
	if _, _, err := r.images.Tags(nameless, app, "", 10); err == nil {
		t.Error("tags were listed")
	}
	if _, err := r.images.Manifest(nameless, app, images.Reference{Tag: "v1"}); err != nil {
		t.Error(err)
	}
}

func TestAnonymous_Policies(t *testing.T) {
	r := newOpenRegistry(t)
	deny := `,{"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage"}]}`
	for name, tt := range map[string]struct {
		policy  string
		allowed bool
	}{
		"everyone":                      {publicPolicy(""), true},
		"every AWS principal":           {strings.Replace(publicPolicy(""), `"*"`, `{"AWS":"*"}`, 1), true},
		"everyone from here":            {publicPolicy(`,"Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`), true},
		"everyone from elsewhere":       {publicPolicy(`,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), false},
		"everyone in the region":        {publicPolicy(`,"Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}`), true},
		"everyone of an account":        {publicPolicy(`,"Condition":{"StringEquals":{"aws:PrincipalAccount":"000000000001"}}`), false},
		"everyone of a type":            {publicPolicy(`,"Condition":{"StringLike":{"aws:PrincipalArn":"*"}}`), false},
		"everyone with a user id":       {publicPolicy(`,"Condition":{"StringLike":{"aws:userid":"*"}}`), false},
		"everyone anonymous":            {publicPolicy(`,"Condition":{"StringEquals":{"aws:PrincipalType":"Anonymous"}}`), true},
		"an account":                    {strings.Replace(publicPolicy(""), `"*"`, `{"AWS":"000000000001"}`, 1), false},
		"an account's root":             {strings.Replace(publicPolicy(""), `"*"`, `{"AWS":"arn:aws:iam::000000000001:root"}`, 1), false},
		"a service":                     {strings.Replace(publicPolicy(""), `"*"`, `{"Service":"ecr.amazonaws.com"}`, 1), false},
		"another action":                {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:ListImages"}]}`, false},
		"a Deny wins":                   {strings.TrimSuffix(publicPolicy(""), "]}") + deny, false},
		"a Deny of NotPrincipal":        {strings.TrimSuffix(publicPolicy(""), "]}") + `,{"Effect":"Deny","NotPrincipal":{"AWS":["000000000001","arn:aws:iam::000000000001:user/admin"]},"Action":"ecr:*"}]}`, false},
		"a Deny without an account":     {strings.TrimSuffix(publicPolicy(""), "]}") + `,{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"StringNotEquals":{"aws:PrincipalAccount":"000000000001"}}}]}`, false},
		"a Deny of the other principal": {strings.TrimSuffix(publicPolicy(""), "]}") + `,{"Effect":"Deny","Principal":{"AWS":"000000000002"},"Action":"ecr:*"}]}`, true},
	} {
		r.setPolicy("public/app", tt.policy)
		want := http.StatusUnauthorized
		if tt.allowed {
			want = http.StatusOK
		}
		if reply := r.anonymous("public/app").do("GET", "manifests/v1", nil); reply.StatusCode != want {
			t.Errorf("%s: status %d, want %d", name, reply.StatusCode, want)
		}
	}
	_, err := r.images.SetPolicy(r.admin, images.RepositoryID{Account: account, Region: region, Name: "public/app"},
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotPrincipal":{"AWS":"000000000002"},"Action":"ecr:*"}]}`, images.AllowLockout)
	if err == nil {
		t.Error("NotPrincipal with Allow is accepted")
	}
}

// The token that a client gets for its login is its password.
func TestAnonymous_Token(t *testing.T) {
	r := newOpenRegistry(t)
	var answer struct {
		Token       string
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		IssuedAt    time.Time
	}
	c := r.anonymous("public/app")
	c.do("GET", "/v2/", nil).want(401).has("Www-Authenticate", r.bearerChallenge())
	c.do("GET", "/v2/token?service=ecr.amazonaws.com&scope=repository:public/app:pull", nil).want(200).has("Cache-Control", "no-store").json(&answer)
	if answer.Token != "anonymous" || answer.AccessToken != answer.Token || answer.ExpiresIn < 60 {
		t.Errorf("anonymous: %+v", answer)
	}
	c.do("GET", "/v2/", nil, "Authorization", "Bearer "+answer.Token).want(200)

	c = r.client(t, "admin")
	c.do("GET", "/v2/token", nil).want(200).json(&answer)
	if answer.Token != account+"/admin" {
		t.Errorf("logged in: %+v", answer)
	}
	// Who logs in wrongly is not treated as if there were no login.
	for _, password := range []string{"garbage", "anonymous"} {
		c.password = password
		c.do("GET", "/v2/token", nil).want(401)
		c.in("public/app").do("GET", "manifests/v1", nil).want(401).has("Www-Authenticate", r.bearerChallenge())
	}
	c.password = "expired"
	c.do("GET", "/v2/token", nil).fails(403, "DENIED")
	c.in("public/app").do("GET", "manifests/v1", nil).fails(403, "DENIED")
}

// A request without a token causes no write, and an address has a rate.
func TestAnonymous_Cost(t *testing.T) {
	r := newOpenRegistry(t)
	r.clock.time = r.clock.time.Add(100 * time.Hour)
	layer := digest.FromString("a layer")
	c := r.anonymous("public/app")
	before := renewed(t, r.registry)
	c.do("HEAD", "blobs/"+layer.String(), nil).want(200)
	if now := renewed(t, r.registry); now != before {
		t.Errorf("the link of the layer was renewed: %d, was %d", now, before)
	}
	r.client(t, "admin").in("public/app").do("HEAD", "blobs/"+layer.String(), nil).want(200)
	if now := renewed(t, r.registry); now == before {
		t.Error("the link of the layer was not renewed for a caller who may push")
	}
	for range 2000 {
		if c.do("GET", "manifests/v1", nil).StatusCode == http.StatusTooManyRequests {
			r.client(t, "admin").in("public/app").do("GET", "manifests/v1", nil).want(200)
			return
		}
	}
	t.Error("2,000 requests at once were answered")
}

// renewed is the sum of the times at which links of layers were renewed.
func renewed(t *testing.T, r *registry) int64 {
	t.Helper()
	sum, err := db.One(t.Context(), r.db, db.Scalar[int64], `SELECT sum(renewed) FROM image_blob_link`)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// Signatures of public images can be verified without a token.
func TestAnonymous_Referrers(t *testing.T) {
	r := newOpenRegistry(t)
	c := r.client(t, "admin").in("public/app")
	d := c.pushManifest("", c.manifest(func(m *ocispec.Manifest) {
		m.ArtifactType = "application/vnd.example.signature"
		m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: r.image, Size: 1}
	}))
	reply := r.anonymous("public/app").do("GET", "referrers/"+r.image.String(), nil).want(200)
	if !strings.Contains(string(reply.body), d.String()) {
		t.Errorf("referrers: %s", reply.body)
	}
}
