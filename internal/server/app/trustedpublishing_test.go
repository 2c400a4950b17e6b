package app_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

const (
	publisherTag = "gatehouse:trusted-publisher"
	firstHost    = "first-" + victim + ".d.codeartifact." + region + "." + suffix
	jobSubject   = "repo:acme/app:ref:refs/heads/main"
	exchangePath = "/-/npm/v1/oidc/token/exchange/package/"
)

// publishing is a fixture whose accounts trust an issuer, with a domain "first" of the
// victim and a domain "other" of the stranger.
type publishing struct {
	*fixture
	issuer *issuertest.Issuer
	jobs   int
}

func startPublishing(t *testing.T) *publishing {
	t.Helper()
	g := &publishing{fixture: startWith(t, func(c *config.Config) {
		c.OIDC.AllowLoopbackHTTP = true
		c.TrustedPublishing.Domains = []string{"arn:aws:codeartifact:" + region + ":" + victim + ":domain/first"}
	}), issuer: issuertest.Start()}
	t.Cleanup(g.issuer.Close)
	g.repositories(victim, "first")
	g.repositories(stranger, "other")
	own := must(url.Parse(g.url))(t).Hostname()
	for _, account := range []string{victim, stranger} {
		must(iam.NewFromConfig(g.admin(account)).CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
			Url: &g.issuer.URL, ClientIDList: []string{"npm:" + firstHost, "pypi:" + firstHost, "npm:" + own, "pypi:" + own, "sts.amazonaws.com"},
		}))(t)
	}
	return g
}

// publisher creates a role of the account that trusts the subject and may do everything
// with packages.
func (g *publishing) publisher(account, name, subject string) string {
	g.t.Helper()
	c, issuer := iam.NewFromConfig(g.admin(account)), strings.TrimPrefix(g.issuer.URL, "http://")
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"},
		"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"%s:sub":"%s"}}}}`, account, issuer, issuer, subject)
	r := must(c.CreateRole(g.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))(g.t)
	must(c.PutRolePolicy(g.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: policyOf(allow("*", "*"))}))(g.t)
	return *r.Role.Arn
}

// group creates a package group with trusted publishers.
func (g *publishing) group(account, domain, pattern string, roles ...string) {
	g.t.Helper()
	must(codeartifact.NewFromConfig(g.admin(account)).CreatePackageGroup(g.t.Context(), &codeartifact.CreatePackageGroupInput{
		Domain: &domain, PackageGroup: &pattern, Tags: []types.Tag{{Key: aws.String(publisherTag), Value: aws.String(strings.Join(roles, " "))}},
	}))(g.t)
}

// job is a token of the CI system for an audience, unlike all others.
func (g *publishing) job(audience string, changes map[string]any) string {
	g.jobs++
	claims := g.issuer.Claims(g.now(), jobSubject, audience, changes)
	claims["jti"] = fmt.Sprint(g.jobs)
	return g.issuer.Token(claims)
}

// exchange sends a job's token as npm does; if name is empty, as the clients of PyPI do.
func (g *publishing) exchange(host, path, job string) (status int, token, body string) {
	g.t.Helper()
	r := g.request(http.MethodPost, path, "")
	if strings.HasPrefix(path, "/_/") {
		r = g.request(http.MethodPost, path, string(must(json.Marshal(map[string]string{"token": job}))(g.t)))
	} else {
		r.Header.Set("Authorization", "Bearer "+job)
	}
	r.Host = host
	status, body = g.send(r)
	var answer struct{ Token string }
	_ = json.Unmarshal([]byte(body), &answer)
	return status, answer.Token, body
}

// exchanged is exchange, which must succeed.
func (g *publishing) exchanged(host, path, job string) string {
	g.t.Helper()
	status, token, body := g.exchange(host, path, job)
	if status >= 300 || token == "" {
		g.t.Fatalf("%s%s: %d %s", host, path, status, body)
	}
	return token
}

// put publishes a version of an npm package to the endpoint with a token.
func (g *publishing) put(endpoint, name, version, token string) int {
	g.t.Helper()
	document := fmt.Sprintf(`{"name":%[1]q,"dist-tags":{"latest":%[2]q},"versions":{%[2]q:{"name":%[1]q,"version":%[2]q}},"_attachments":{"x-%[2]s.tgz":{"data":"eA=="}}}`, name, version)
	document = strings.Replace(document, `"x-`, `"`+name+"-", 1)
	r := g.request(http.MethodPut, endpoint+url.PathEscape(name), document)
	r.Header.Set("Authorization", "Bearer "+token)
	status, body := g.send(r)
	if status >= http.StatusInternalServerError {
		g.t.Errorf("publish: %d %s", status, body)
	}
	return status
}

// upload uploads a wheel to the endpoint with a token.
func (g *publishing) upload(endpoint, name, version, token string) int {
	g.t.Helper()
	metadata := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	file := strings.ToLower(strings.NewReplacer(".", "_", "-", "_").Replace(name)) + "-" + version
	var wheel, body bytes.Buffer
	z := zip.NewWriter(&wheel)
	must(io.WriteString(must(z.Create(file+".dist-info/METADATA"))(g.t), metadata))(g.t)
	z.Close()
	form := multipart.NewWriter(&body)
	for field, value := range map[string]string{":action": "file_upload", "protocol_version": "1", "name": name, "version": version, "filetype": "bdist_wheel", "pyversion": "py3", "metadata_version": "2.1"} {
		if err := form.WriteField(field, value); err != nil {
			g.t.Fatal(err)
		}
	}
	must(must(form.CreateFormFile("content", file+"-py3-none-any.whl"))(g.t).Write(wheel.Bytes()))(g.t)
	form.Close()
	r := g.request(http.MethodPost, endpoint, body.String())
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.SetBasicAuth("__token__", token)
	status, answer := g.send(r)
	if status >= http.StatusInternalServerError || status == http.StatusBadRequest {
		g.t.Errorf("upload: %d %s", status, answer)
	}
	return status
}

const (
	npmLib   = "/codeartifact/" + region + "/" + victim + "/first/npm/lib/"
	npmMore  = "/codeartifact/" + region + "/" + victim + "/first/npm/more/"
	pypiLib  = "/codeartifact/" + region + "/" + victim + "/first/pypi/lib/"
	npmOther = "/codeartifact/" + region + "/" + stranger + "/other/npm/lib/"
)

// Each address of the exchange gives a token for the package alone.
func TestTrustedPublishing_Addresses(t *testing.T) {
	g := startPublishing(t)
	role := g.publisher(victim, "publisher", jobSubject)
	g.group(victim, "first", "/npm/acme/*", role)
	g.group(victim, "first", "/npm//left$", role)
	g.group(victim, "first", "/pypi//some-lib$", role)
	must(codeartifact.NewFromConfig(g.admin(victim)).CreateRepository(t.Context(), repositoryOf("first", "more")))(t)
	u := must(url.Parse(g.url))(t)
	own, onRepository := u.Hostname(), exchangePath[1:]
	for i, c := range []struct{ host, path, audience, name string }{
		{firstHost, exchangePath + "left", "npm:" + firstHost, "left"},
		{firstHost + ":" + u.Port(), exchangePath + "@acme%2fright", "npm:" + firstHost, "@acme/right"},
		{firstHost, "/npm/lib/" + onRepository + "@acme%2fright", "npm:" + firstHost, "@acme/right"},
		{u.Host, exchangePath + "@acme/right", "npm:" + own, "@acme/right"},
		{u.Host, npmLib + onRepository + "left", "npm:" + own, "left"},
	} {
		token := g.exchanged(c.host, c.path, g.job(c.audience, nil))
		if status := g.put(npmLib, c.name, fmt.Sprintf("1.%d.0", i), token); status != http.StatusCreated {
			t.Errorf("%s%s: publish: %d", c.host, c.path, status)
		}
		for what, status := range map[string]int{
			"another package":                  g.put(npmLib, "wrong", "1.0.0", token),
			"a package of another domain":      g.put(npmOther, c.name, "1.0.0", token),
			"a package of another format":      g.upload(pypiLib, "some-lib", "1.0.0", token),
			"reading":                          g.getStatus(npmLib+"-/ping", token),
			"publishing into the registry too": g.getStatus("/v2/", token),
		} {
			if status != http.StatusForbidden && status != http.StatusUnauthorized {
				t.Errorf("%s%s: %s: %d", c.host, c.path, what, status)
			}
		}
		want := http.StatusCreated
		if strings.Contains(c.path, onRepository) && c.path[1:] != onRepository+url.PathEscape(c.name) && !strings.HasPrefix(c.path, exchangePath) {
			want = http.StatusForbidden // the address named a repository
		}
		if status := g.put(npmMore, c.name, fmt.Sprintf("1.%d.0", i), token); status != want {
			t.Errorf("%s%s: another repository: %d, want %d", c.host, c.path, status, want)
		}
	}
	for _, host := range []string{firstHost, u.Host} {
		r := g.get("/_/oidc/audience", "")
		r.Host = host
		status, body := g.send(r)
		var answer struct{ Audience string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || answer.Audience != "pypi:"+strings.Split(host, ":")[0] {
			t.Fatalf("%s: %d %s", host, status, body)
		}
		token := g.exchanged(host, "/_/oidc/mint-token", g.job(answer.Audience, nil))
		if status := g.upload(pypiLib, "Some.Lib", "1.0.0", token); status >= 300 {
			t.Errorf("%s: upload: %d", host, status)
		}
		if status := g.upload(pypiLib, "wrong", "1.0.0", token); status != http.StatusForbidden {
			t.Errorf("%s: upload of another package: %d", host, status)
		}
		if status := g.put(npmLib, "left", "9.0.0", token); status != http.StatusForbidden {
			t.Errorf("%s: publication of a package of npm: %d", host, status)
		}
	}
}

// getStatus is the status of a GET with a token.
func (g *publishing) getStatus(path, token string) int {
	status, _ := g.send(g.get(path, "Bearer "+token))
	return status
}

// All refusals have the same answer, and the log says why.
func TestTrustedPublishing_Refusals(t *testing.T) {
	g := startPublishing(t)
	role := g.publisher(victim, "publisher", jobSubject)
	strangers := g.publisher(victim, "strangers", "repo:evil/app")
	limited := g.publisher(victim, "limited", jobSubject)
	must(iam.NewFromConfig(g.admin(victim)).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("limited"), PolicyName: aws.String("p"), PolicyDocument: policyOf(allow("codeartifact:PublishPackageVersion", "*")),
	}))(t)
	g.group(victim, "first", "/npm//left$", role)
	g.group(victim, "first", "/npm//both$", role, g.publisher(victim, "second", jobSubject))
	g.group(victim, "first", "/npm//missing$", "arn:aws:iam::"+victim+":role/missing", "nonsense")
	g.group(victim, "first", "/npm//evil$", strangers)
	g.group(victim, "first", "/npm//limited$", limited)
	g.group(victim, "first", "/npm//unlimited~", role)
	g.group(victim, "first", "/npm//unlimited-not$")
	g.group(stranger, "other", "/npm//theirs$", role)
	audience, left := "npm:"+firstHost, exchangePath+"left"
	key := g.issuer.NewKey("RS256")
	used := g.job(audience, nil)
	g.exchanged(firstHost, left, used)
	parts := strings.Split(used, ".")
	var same string
	reasons := map[string]string{} // by request
	for _, c := range []struct{ name, host, path, job, reason string }{
		{"wrong audience", firstHost, left, g.job("sts.amazonaws.com", nil), "must be for npm:" + firstHost},
		{"audience of PyPI", firstHost, left, g.job("pypi:"+firstHost, nil), "must be for npm:" + firstHost},
		{"audience of the other address", firstHost, left, g.job("npm:127.0.0.1", nil), "must be for npm:" + firstHost},
		{"an audience that is not known", firstHost, left, g.job("npm:else.example", nil), "Incorrect token audience"},
		{"authorized party", firstHost, left, g.job(audience, map[string]any{"azp": "sts.amazonaws.com"}), "must be for npm:" + firstHost},
		{"another package", firstHost, exchangePath + "other", g.job(audience, nil), "There is no trusted publisher for this"},
		{"a package that looks like it", firstHost, exchangePath + "Ieft", g.job(audience, nil), "There is no trusted publisher for this"},
		{"no package", firstHost, exchangePath, g.job(audience, nil), "There is no trusted publisher for this"},
		{"a package with a star", firstHost, exchangePath + "unlimited-*", g.job(audience, nil), "character in its name"},
		{"a scope without a name", firstHost, exchangePath + "@acme", g.job(audience, nil), "There is no trusted publisher for this"},
		{"a group that inherits nothing", firstHost, exchangePath + "unlimited-not", g.job(audience, nil), "There is no trusted publisher for this"},
		{"another subject", firstHost, left, g.job(audience, map[string]any{"sub": "repo:evil/app"}), "repo:evil/app is not authorized to perform: sts:AssumeRoleWithWebIdentity"},
		{"a role of others", firstHost, exchangePath + "evil", g.job(audience, nil), "is not authorized to perform: sts:AssumeRoleWithWebIdentity"},
		{"two roles", firstHost, exchangePath + "both", g.job(audience, nil), "Several roles trust"},
		{"a role that is missing", firstHost, exchangePath + "missing", g.job(audience, nil), "role/missing"},
		{"a role without the permission for tokens", firstHost, exchangePath + "limited", g.job(audience, nil), "codeartifact:GetAuthorizationToken"},
		{"a domain of another account", "other-" + victim + ".d.codeartifact." + region + "." + suffix, exchangePath + "theirs", g.job(audience, nil), "There is no trusted publisher for this"},
		{"another region", strings.Replace(firstHost, region, secondRegion, 1), left, g.job(audience, nil), "There is no trusted publisher for this"},
		{"a repository elsewhere", "", npmOther + exchangePath[1:] + "left", g.job(audience, nil), "There is no trusted publisher for this"},
		{"expired", firstHost, left, g.job(audience, map[string]any{"exp": g.now().Add(-2 * time.Minute).Unix()}), "Token expired"},
		{"good for too long", firstHost, left, g.job(audience, map[string]any{"exp": g.now().Add(13 * time.Hour).Unix()}), "expire within 12h"},
		{"not good yet", firstHost, left, g.job(audience, map[string]any{"nbf": g.now().Add(time.Hour).Unix()}), "not good yet"},
		{"another issuer", firstHost, left, g.job(audience, map[string]any{"iss": "https://issuer.example"}), "No OpenIDConnect provider found"},
		{"the same token again", firstHost, left, used, "was used for this before"},
		{"the same token in another spelling", firstHost, left, parts[0] + "." + respell(parts[1]) + "." + parts[2], "was used for this before"},
		{"a key of others", firstHost, left, issuertest.Sign(key, g.issuer.Claims(g.now(), jobSubject, audience, nil), nil), "has no key for the token's kid"},
		{"no algorithm", firstHost, left, unsigned(t, g.issuer.Claims(g.now(), jobSubject, audience, nil)), "is not a JWT with one signature"},
		{"a changed subject", firstHost, exchangePath + "evil", parts[0] + "." + payload(t, g.issuer.Claims(g.now(), "repo:evil/app", audience, nil)) + "." + parts[2], "signature is not of"},
		{"too long", firstHost, left, strings.Repeat("x", 30_000), "longer than"},
		{"no token", firstHost, left, "", "There is no token"},
		{"no token for PyPI", firstHost, "/_/oidc/mint-token", "", "There is no token"},
		{"a body that is too large", firstHost, "/_/oidc/mint-token", strings.Repeat("x", 64<<10), "too large"},
		{"PyPI without a group of one package", firstHost, "/_/oidc/mint-token", g.job("pypi:"+firstHost, nil), "There is no trusted publisher for this"},
	} {
		status, token, body := g.exchange(c.host, c.path, c.job)
		_, request, ok := strings.Cut(body, "under request ")
		if status != http.StatusForbidden || token != "" || !ok {
			t.Errorf("%s: %d %s", c.name, status, body)
			continue
		}
		request = request[:strings.Index(request, ".")]
		if body = strings.ReplaceAll(body, request, "ID"); same == "" {
			same = body
		}
		if body != same {
			t.Errorf("%s has an answer of its own: %s", c.name, body)
		}
		reasons[request] = c.reason
	}
	// The good token is good for another package; each has one use of its own.
	g.exchanged(firstHost, exchangePath+"unlimited-lib", used)
	g.stop()
	logged := map[string]string{}
	for line := range strings.Lines(g.log.String()) {
		if _, request, ok := strings.Cut(line, " request="); ok && strings.Contains(line, "trusted publishing refused") {
			logged[strings.TrimSpace(request)] = line
		}
	}
	for request, reason := range reasons {
		if line := logged[request]; line == "" || !strings.Contains(line, reason) {
			t.Errorf("the log does not say %q: %q", reason, line)
		}
	}
	audit := string(must(os.ReadFile(filepath.Join(g.data, "audit.jsonl")))(t))
	for _, want := range []string{`"trustedPublishing":"npm"`, `"package":"left"`, "Several roles trust", ":assumed-role/publisher/trusted-publishing"} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit log has no %s", want)
		}
	}
	for _, secret := range []string{used, parts[2]} {
		if strings.Contains(audit, secret) || strings.Contains(g.log.String(), secret) {
			t.Error("a token is in the log")
		}
	}
}

// respell changes bits of the last character that base64 ignores, if there are any.
func respell(part string) string {
	if len(part)%4 == 0 {
		return part
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, part[len(part)-1])
	return part[:len(part)-1] + string(letters[last^1])
}

func payload(t *testing.T, claims map[string]any) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString(must(json.Marshal(claims))(t))
}

func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + payload(t, claims) + "."
}

// A token ends with the permissions of the role, with the role, and after fifteen minutes.
func TestTrustedPublishing_End(t *testing.T) {
	g := startPublishing(t)
	role := g.publisher(victim, "publisher", jobSubject)
	g.group(victim, "first", "/npm//left$", role)
	g.group(victim, "first", "/npm//right$", g.publisher(victim, "lasting", jobSubject))
	token := g.exchanged(firstHost, exchangePath+"left", g.job("npm:"+firstHost, nil))
	lasting := g.exchanged(firstHost, exchangePath+"right", g.job("npm:"+firstHost, nil))
	if status := g.put(npmLib, "left", "1.0.0", token); status != http.StatusCreated {
		t.Errorf("publish: %d", status)
	}
	c := iam.NewFromConfig(g.admin(victim))
	must(c.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("publisher"), PolicyName: aws.String("p")}))(t)
	if status := g.put(npmLib, "left", "1.1.0", token); status != http.StatusForbidden {
		t.Errorf("after the permission was taken away: %d", status)
	}
	must(c.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("publisher")}))(t)
	if status := g.put(npmLib, "left", "1.1.0", token); status != http.StatusUnauthorized {
		t.Errorf("after the role was deleted: %d", status)
	}
	g.offset.Add(int64(14 * time.Minute))
	if status := g.put(npmLib, "right", "1.0.0", lasting); status != http.StatusCreated {
		t.Errorf("after 14 minutes: %d", status)
	}
	g.offset.Add(int64(time.Minute + time.Second))
	if status := g.put(npmLib, "right", "1.1.0", lasting); status != http.StatusUnauthorized {
		t.Errorf("after the end of the session: %d", status)
	}
}

// The exchange needs no more and no less than AssumeRoleWithWebIdentity: the same trust
// policy also allows that, and a role of another account works if the domain allows it.
func TestTrustedPublishing_OtherAccount(t *testing.T) {
	g := startPublishing(t)
	role := g.publisher(stranger, "publisher", jobSubject)
	g.group(victim, "first", "/npm//left$", role)
	path := exchangePath + "left"
	if status, _, _ := g.exchange(firstHost, path, g.job("npm:"+firstHost, nil)); status != http.StatusForbidden {
		t.Errorf("before the domain allows it: %d", status)
	}
	document := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":["codeartifact:*","sts:GetServiceBearerToken"],"Resource":"*"}}`, role)
	must(codeartifact.NewFromConfig(g.admin(victim)).PutDomainPermissionsPolicy(t.Context(), &codeartifact.PutDomainPermissionsPolicyInput{Domain: aws.String("first"), PolicyDocument: &document}))(t)
	token := g.exchanged(firstHost, path, g.job("npm:"+firstHost, nil))
	if status := g.put(npmLib, "left", "1.0.0", token); status != http.StatusCreated {
		t.Errorf("publish: %d", status)
	}
	anonymous := g.admin(victim)
	anonymous.Credentials = aws.AnonymousCredentials{}
	job := g.job("npm:"+firstHost, nil)
	must(sts.NewFromConfig(anonymous).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &role, RoleSessionName: aws.String("by-hand"), WebIdentityToken: &job,
	}))(t)
}

// Without the setting, the server's own address names no domain.
func TestTrustedPublishing_OwnAddressNeedsSetting(t *testing.T) {
	g := start(t)
	for method, path := range map[string]string{http.MethodGet: "/_/oidc/audience", http.MethodPost: exchangePath + "left"} {
		if status, body := g.send(g.request(method, path, "")); status != http.StatusNotFound || !strings.Contains(body, "trusted_publishing.domains") {
			t.Errorf("%s: %d %s", path, status, body)
		}
		r := g.request(http.MethodDelete, path, "")
		r.Host = firstHost
		if status, _ := g.send(r); status != http.StatusMethodNotAllowed {
			t.Errorf("DELETE %s: %d", path, status)
		}
	}
}
