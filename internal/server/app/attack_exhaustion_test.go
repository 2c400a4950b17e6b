package app_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"mime/multipart"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/opencontainers/go-digest"
)

// What one request may cost: the server and the client of the test together.
const (
	mostAllocated = 256 << 20   // bytes
	mostTime      = time.Minute // with the race detector, on a machine with other work
)

// costs sends a request. It fails the test if the answer has none of the statuses, is
// large, or took more than a request may cost.
func (g *fixture) costs(what string, r *http.Request, statuses ...int) {
	g.t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	answer := must(http.DefaultClient.Do(r))(g.t)
	size := must(new(bytes.Buffer).ReadFrom(answer.Body))(g.t)
	answer.Body.Close()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if took > mostTime || allocated > mostAllocated || size > 16<<20 {
		g.t.Errorf("%s: took %v and %d MiB, and was answered with %d bytes", what, took, allocated>>20, size)
	}
	for _, status := range statuses {
		if answer.StatusCode == status {
			g.t.Logf("%s: %d in %v, %d KiB, %d bytes", what, answer.StatusCode, took.Round(time.Millisecond), allocated>>10, size)
			return
		}
	}
	g.t.Errorf("%s: %d", what, answer.StatusCode)
}

// No single request makes the server work or remember out of proportion.
func TestAttack_CostOfOneRequest(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	admin := g.keys(g.admin(victim))
	image, packages := "Basic "+g.imageToken(g.admin(victim)), "Bearer "+g.packageToken(g.admin(victim), "first")
	layer := g.push(image, "app", strings.Repeat("layer", 1<<18))

	signed := func(r *http.Request, body, service string) *http.Request {
		return g.sign(r, admin, body, service, region, g.now())
	}
	with := func(r *http.Request, header ...string) *http.Request {
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}

	// The AWS APIs.
	deep := strings.Repeat(`{"a":`, 200_000)
	g.costs("deep JSON", signed(g.call("DescribeRepositories", deep), deep, "ecr"), 400)
	deep = `{"repositoryNames":` + strings.Repeat("[", 300_000)
	g.costs("deep lists", signed(g.call("DescribeRepositories", deep), deep, "ecr"), 400)
	wide := `{"repositoryNames":["app"` + strings.Repeat(`,"app"`, 200_000) + `]}`
	g.costs("a long list", signed(g.call("DescribeRepositories", wide), wide, "ecr"), 400, 413)
	var form strings.Builder
	form.WriteString("Action=TagUser&Version=2010-05-08&UserName=admin")
	for i := 1; form.Len() < 900_000; i++ {
		fmt.Fprintf(&form, "&Tags.member.%d.Key=k", i)
	}
	g.costs("many parameters", signed(g.form(form.String()), form.String(), "iam"), 400, 413)
	g.costs("far numbers", signed(g.form("Action=TagUser&Version=2010-05-08&UserName=admin&Tags.member.99999999.Key=k"), "Action=TagUser&Version=2010-05-08&UserName=admin&Tags.member.99999999.Key=k", "iam"), 400)
	huge := strings.Repeat("x", 64<<20)
	g.costs("a body of 64 MiB without a signature", g.call("PutImage", huge), 400)
	g.costs("a signed body of 64 MiB", signed(g.call("PutImage", huge), huge, "ecr"), 413)
	part := `{"layerPartBlob":"` + huge[:20<<20] + `"}`
	g.costs("a layer part without a signature", g.call("UploadLayerPart", part), 400)
	g.costs("a layer part with an unknown key", g.sign(g.call("UploadLayerPart", part), aws.Credentials{AccessKeyID: "AKIA" + strings.Repeat("A", 16), SecretAccessKey: "x"}, part, "ecr", region, g.now()), 400)
	g.costs("a form of 64 MiB without a signature", g.form(huge), 403)
	g.costs("a page of many", signed(g.call("DescribeRepositories", `{"maxResults":2147483647}`), `{"maxResults":2147483647}`, "ecr"), 400)

	// Headers.
	g.costs("a header of 1 MiB", with(g.get("/v2/", image), "X-Filler", huge[:1<<20]), http.StatusRequestHeaderFieldsTooLarge)
	g.costs("a long Accept", with(g.get("/codeartifact/us-east-1/"+victim+"/first/pypi/lib/simple/", packages), "Accept", strings.Repeat("a/b;q=0.1,", 6000)), 406, 200)
	g.costs("a long If-None-Match", with(g.get("/v2/app/manifests/latest", image), "If-None-Match", strings.Repeat(`"x",`, 15000)), 200)

	// The registry.
	var ranges []string
	for i := 0; len(ranges) < 6000; i += 3 {
		ranges = append(ranges, fmt.Sprintf("%d-%d", i, i))
	}
	g.costs("many ranges", with(g.get("/v2/app/blobs/"+layer.String(), image), "Range", "bytes="+strings.Join(ranges, ",")), 200, 206, 416)
	g.costs("the whole, many times", with(g.get("/v2/app/blobs/"+layer.String(), image), "Range", "bytes="+strings.Repeat("0-,", 10000)+"0-"), 200, 206, 416)
	for _, n := range []string{"1000000", "4294967295", "99999999999999999999", "-1", "0"} {
		g.costs("n="+n, g.get("/v2/app/tags/list?n="+n, image), 200, 400)
	}
	manifest := func(name string, size int, layers string) *http.Request {
		body := `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"` + digest.FromString("{}").String() + `","size":2},"layers":[` + layers + `]}` + strings.Repeat(" ", size)
		return with(g.request(http.MethodPut, "/v2/app/manifests/"+name, body), "Authorization", image, "Content-Type", manifestType)
	}
	g.costs("a manifest of 4 MiB and more", manifest("large", 4<<20, ""), 413)
	g.costs("a manifest of 64 MiB", manifest("huge", 64<<20, ""), 413)
	var missing, same strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&missing, `{"digest":"%s","size":1},`, digest.FromString(fmt.Sprint(i)))
		fmt.Fprintf(&same, `{"digest":"%s","size":1},`, layer)
	}
	g.costs("a manifest of 40,000 layers that are not there", manifest("missing", 0, strings.TrimSuffix(missing.String(), ",")), 400)
	g.costs("a manifest of one layer 40,000 times", manifest("same", 0, strings.TrimSuffix(same.String(), ",")), 201, 400)
	g.costs("a deep manifest", manifest("deep", 0, strings.Repeat("[", 1<<20)), 400)
	g.costs("many tags", with(g.request(http.MethodPut, "/v2/app/manifests/"+layer.String()+"?"+strings.Repeat("tag=a&", 5000), "{}"), "Authorization", image), 414)

	// The packages.
	npm := strings.TrimSuffix(libPath, "-/ping")
	publish := func(body string) *http.Request {
		return with(g.request(http.MethodPut, npm+"x", body), "Authorization", packages)
	}
	g.costs("a deep document", publish(`{"name":"x","versions":`+strings.Repeat(`{"a":`, 1<<20)), 400)
	g.costs("a document of 64 MiB", publish(`{"name":"`+huge+`"}`), 413, 400)
	g.costs("a document of many members", publish(`{"name":"x","versions":{`+strings.Repeat(`"1.0.0":{},`, 1<<18)+`"1.0.1":{}}}`), 400)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		must(z.Write([]byte(huge[:1<<20])))(t)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	g.costs("a gzip bomb to publish", with(publish(bomb.String()), "Content-Encoding", "gzip"), 400, 415)
	g.costs("a gzip bomb to audit", with(g.request(http.MethodPost, npm+"-/npm/v1/security/advisories/bulk", bomb.String()), "Authorization", packages, "Content-Encoding", "gzip"), 413)
	g.costs("a page of a search", g.get(npm+"-/v1/search?size=999999999&from=999999999&text="+strings.Repeat("+a", 10000), packages), 200)

	upload := func(fields int, size int) *http.Request {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for range fields {
			if err := w.WriteField("classifiers", strings.Repeat("x", size)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return with(g.request(http.MethodPost, "/codeartifact/us-east-1/"+victim+"/first/pypi/lib/", body.String()), "Authorization", packages, "Content-Type", w.FormDataContentType())
	}
	g.costs("a form of many fields", upload(100_000, 1), 413)
	g.costs("a form of large fields", upload(4, 16<<20), 413)

	// Policies that make a naive matcher try again and again.
	stars := strings.Repeat("*a", 400)
	var statements []string
	for range 10 {
		statements = append(statements, `{"Effect":"Allow","Principal":"*","Action":"ecr:`+stars+`"}`)
	}
	must(ecr.NewFromConfig(g.admin(victim)).SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: policyOf(statements...), Force: true}))(t)
	g.costs("a policy of stars", g.get(appTags, image), 200)
}
