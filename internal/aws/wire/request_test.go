package wire

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const target = "AmazonEC2ContainerRegistry_V20150921."

// answer is the answer to a raw request.
type answer struct {
	*http.Response
	text string
}

func send(t *testing.T, method, url string, header map[string]string, body io.Reader) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(b)}
}

// echo serves all four services, each with an operation that returns a part of
// its input.
func echo(t *testing.T) string {
	e, c, s, i := newService(t, "ecr", Options{}), newService(t, "codeartifact", Options{}), newService(t, "sts", Options{}), newService(t, "iam", Options{})
	Handle(e, func(_ context.Context, in *ecr.DescribeRepositoriesInput) (*ecr.DescribeRepositoriesOutput, error) {
		return &ecr.DescribeRepositoriesOutput{NextToken: aws.String(strings.Join(in.RepositoryNames, " "))}, nil
	})
	Handle(e, func(_ context.Context, in *ecr.UploadLayerPartInput) (*ecr.UploadLayerPartOutput, error) {
		return &ecr.UploadLayerPartOutput{LastByteReceived: aws.Int64(int64(len(in.LayerPartBlob)))}, nil
	})
	Handle(c, func(_ context.Context, in *codeartifact.ListDomainsInput) (*codeartifact.ListDomainsOutput, error) {
		return &codeartifact.ListDomainsOutput{NextToken: in.NextToken}, nil
	})
	Handle(c, func(_ context.Context, in *codeartifact.GetRepositoryEndpointInput) (*codeartifact.GetRepositoryEndpointOutput, error) {
		return &codeartifact.GetRepositoryEndpointOutput{RepositoryEndpoint: aws.String(string(in.EndpointType) + " " + *in.Domain)}, nil
	})
	Handle(s, func(_ context.Context, in *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
		return &sts.GetCallerIdentityOutput{Arn: aws.String("arn:aws:iam::111122223333:root")}, nil
	})
	Handle(s, func(_ context.Context, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
		var b strings.Builder
		for _, tag := range in.Tags {
			b.WriteString(*tag.Key + "=" + *tag.Value + ";")
		}
		return &sts.AssumeRoleOutput{SourceIdentity: aws.String(b.String())}, nil
	})
	Handle(i, func(_ context.Context, in *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
		return &iam.ListUsersOutput{Marker: in.PathPrefix}, nil
	})
	return serve(t, NewMux(e, c, s, i))
}

func TestJSON_Bodies(t *testing.T) {
	url := echo(t)
	deep := strings.Repeat(`{"a":`, 20_000)
	for _, c := range []struct{ name, body, want string }{
		{"plain", `{"repositoryNames":["aa","bb"]}`, `{"nextToken":"aa bb","repositories":[]}`},
		{"empty", ``, `{"nextToken":"","repositories":[]}`},
		{"blank", " \r\n", `{"nextToken":"","repositories":[]}`},
		{"escapes", `{"repository\u004eames":["a\u0061","b\/b"]}`, `{"nextToken":"aa b/b","repositories":[]}`},
		{"unknown members", `{"new":{"x":[1,{"y":null}]},"repositoryNames":["aa"],"RepositoryNames":7}`, `{"nextToken":"aa","repositories":[]}`},
		{"null member", `{"repositoryNames":null}`, `{"nextToken":"","repositories":[]}`},
		{"trailing value", `{} {}`, "after the end"},
		{"trailing garbage", `{"repositoryNames":["aa"]}x`, "not valid JSON"},
		{"cut", `{"repositoryNames":["aa"`, "not valid JSON"},
		{"not an object", `["aa"]`, "The request body must be a structure."},
		{"null", `null`, "The request body must be a structure."},
		{"wrong type", `{"repositoryNames":"aa"}`, "The member repositoryNames must be a list."},
		{"wrong element", `{"repositoryNames":["aa",7]}`, "The member repositoryNames.1 must be a string."},
		{"null element", `{"repositoryNames":[null]}`, "The member repositoryNames.0 must be a string."},
		{"fraction", `{"maxResults":1.5}`, "The member maxResults must be an integer."},
		{"number in a string", `{"maxResults":"1"}`, "The member maxResults must be an integer."},
		{"too large a number", `{"maxResults":99999999999}`, "The member maxResults must be an integer."},
		{"duplicate", `{"maxResults":1,"maxResults":2}`, "not valid JSON"},
		{"duplicate in what is unknown", `{"x":{"a":1,"a":2}}`, "not valid JSON"},
		{"invalid UTF-8", "{\"repositoryNames\":[\"\xff\"]}", "not valid JSON"},
		{"deep", deep, "not valid JSON"},
	} {
		got := send(t, "POST", url, map[string]string{"X-Amz-Target": target + "DescribeRepositories", "Content-Type": "text/plain"}, strings.NewReader(c.body))
		if strings.HasPrefix(c.want, "{") {
			if got.StatusCode != 200 || got.text != c.want || got.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
				t.Errorf("%s: %d %s", c.name, got.StatusCode, got.text)
			}
			continue
		}
		if got.StatusCode != 400 || !strings.HasPrefix(got.text, `{"__type":"SerializationException","code":"SerializationException","message":"`) || !strings.Contains(got.text, c.want) || len(got.text) > 400 {
			t.Errorf("%s: %d %s", c.name, got.StatusCode, got.text)
		}
		if got.Header.Get("X-Amzn-Errortype") != "SerializationException" || len(got.Header.Get("X-Amzn-Requestid")) != 36 {
			t.Errorf("%s: %v", c.name, got.Header)
		}
	}
}

func TestJSON_LargeLayerPart(t *testing.T) {
	url, blob := echo(t), bytes.Repeat([]byte{0xfb, 0xff, 0x00}, 20<<20/3)
	header := map[string]string{"X-Amz-Target": target + "UploadLayerPart"}
	body := `{"partFirstByte":0,"partLastByte":1,"repositoryName":"ab","uploadId":"00000000-0000-0000-0000-000000000000","layerPartBlob":"` + base64.StdEncoding.EncodeToString(blob) + `"}`
	got := send(t, "POST", url, header, strings.NewReader(body))
	if got.text != fmt.Sprintf(`{"lastByteReceived":%d}`, len(blob)) {
		t.Fatalf("%d %.300s", got.StatusCode, got.text)
	}
	got = send(t, "POST", url, header, strings.NewReader(strings.Replace(body, `//`, `\/\/`, 1)))
	if got.text != fmt.Sprintf(`{"lastByteReceived":%d}`, len(blob)) {
		t.Fatalf("with an escape: %d %.300s", got.StatusCode, got.text)
	}
}

func TestServe_BodyTooLarge(t *testing.T) {
	url := echo(t)
	for name, c := range map[string]struct {
		path   string
		header map[string]string
		want   string
	}{
		"ecr":          {"/", map[string]string{"X-Amz-Target": target + "DescribeRepositories"}, `{"__type":"RequestEntityTooLargeException"`},
		"codeartifact": {"/v1/domains", nil, `"message":"The request body is larger than the 1048576 bytes`},
		"sts":          {"/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "<Code>RequestEntityTooLarge</Code>"},
	} {
		for kind, body := range map[string]io.Reader{
			"announced": strings.NewReader(strings.Repeat("a", DefaultMaxBody+1)),
			"chunked":   io.MultiReader(strings.NewReader(strings.Repeat("a", DefaultMaxBody+1))),
		} {
			got := send(t, "POST", url+c.path, c.header, body)
			if got.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(got.text, c.want) {
				t.Errorf("%s, %s: %d %s", name, kind, got.StatusCode, got.text)
			}
		}
	}
}

func TestREST_Parameters(t *testing.T) {
	url := echo(t) + "/v1/repository/endpoint"
	for _, c := range []struct {
		query  string
		status int
		want   string
	}{
		{"domain=some-domain&repository=repo&format=npm&endpointType=dualstack", 200, `{"repositoryEndpoint":"dualstack some-domain"}`},
		{"domain=some%2Ddomain&repository=repo&format=npm&unknown=1", 200, `{"repositoryEndpoint":" some-domain"}`},
		{"domain=some-domain&domain=other&repository=repo&format=npm", 400, `"message":"The parameter domain occurs more than once."}`},
		{"domain=%zz", 400, "invalid escape"},
		{"domain=some-domain&repository=repo", 400, `"message":"1 validation error detected: Value null at 'format' failed to satisfy constraint: Member must not be null"}`},
		{"domain=some-domain&domain-owner=&repository=repo&format=npm", 400, "Value '' at 'domainOwner'"},
	} {
		if got := send(t, "GET", url+"?"+c.query, nil, nil); got.StatusCode != c.status || !strings.Contains(got.text, c.want) {
			t.Errorf("%s: %d %s", c.query, got.StatusCode, got.text)
		}
	}
}

func TestQuery_Forms(t *testing.T) {
	url := echo(t)
	role := "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::111122223333:role/r&RoleSessionName=s1"
	for _, c := range []struct {
		name, query, body string
		status            int
		want              string
	}{
		{"list", "", role + "&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=b&Tags.member.2.Value=", 200, "<SourceIdentity>a=1;b=;</SourceIdentity>"},
		{"ten and more", "", role + manyTags(12), 200, "<SourceIdentity>k1=;k2=;k3=;k4=;k5=;k6=;k7=;k8=;k9=;k10=;k11=;k12=;</SourceIdentity>"},
		{"empty list", "", role + "&Tags=", 200, "<SourceIdentity></SourceIdentity>"},
		{"in the query string", role, "", 200, "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"},
		{"in both", "Action=AssumeRole", role[len("Action=AssumeRole&"):], 200, "</AssumeRoleResult><ResponseMetadata><RequestId>"},
		{"unknown parameter", "", role + "&New.member.7=x&Tagsx=y", 200, "<AssumeRoleResult>"},
		{"gap", "", role + "&Tags.member.2.Key=a&Tags.member.2.Value=1", 400, "The parameter Tags must be numbered from 1 without gaps."},
		{"not numbered", "", role + "&Tags=x", 400, "The parameter Tags must be numbered."},
		{"leading zero", "", role + "&Tags.member.01.Key=a", 400, "without gaps"},
		{"twice", "", role + "&RoleArn=x", 400, "The parameter RoleArn occurs twice."},
		{"not a number", "", role + "&DurationSeconds=1h", 400, "<Code>MalformedInput</Code><Message>The parameter DurationSeconds must be an integer.</Message>"},
		{"structure for a scalar", "", role + "&DurationSeconds.x=1", 400, "must be an integer"},
		{"bad escape", "", role + "&Policy=%", 400, "The value of the parameter Policy has an invalid escape."},
		{"invalid UTF-8", "", role + "&Policy=%ff", 400, "not valid UTF-8"},
		{"constraint", "", role + "&DurationSeconds=1", 400, "<Code>ValidationError</Code><Message>1 validation error detected: Value &#39;1&#39; at &#39;durationSeconds&#39;"},
		{"no such action", "", "Action=Nonsense&Version=2011-06-15", 400, "<Code>InvalidAction</Code><Message>Could not find operation Nonsense for version 2011-06-15</Message>"},
		{"no action", "", "Version=2011-06-15", 400, "The request names no operation."},
	} {
		got := send(t, "POST", url+"/?"+c.query, map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, strings.NewReader(c.body))
		if got.StatusCode != c.status || !strings.Contains(got.text, c.want) || got.Header.Get("Content-Type") != "text/xml" {
			t.Errorf("%s: %d %s", c.name, got.StatusCode, got.text)
		}
		if id := got.Header.Get("X-Amzn-Requestid"); !strings.Contains(got.text, "<RequestId>"+id+"</RequestId>") {
			t.Errorf("%s: no request id %s in %s", c.name, id, got.text)
		}
	}
}

func manyTags(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&Tags.member.%d.Key=k%d&Tags.member.%d.Value=", i+1, i+1, i+1)
	}
	return b.String()
}

func TestMux_FindsService(t *testing.T) {
	url := echo(t)
	scope := func(service string) map[string]string {
		return map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=0"}
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for _, c := range []struct {
		method, path string
		header       map[string]string
		body         string
		status       int
		want         string
	}{
		{"POST", "/", map[string]string{"X-Amz-Target": target + "DescribeRepositories"}, "{}", 200, `"repositories":[]`},
		{"POST", "/", map[string]string{"X-Amz-Target": target + "Nonsense"}, "{}", 400, `{"__type":"UnknownOperationException","code":"UnknownOperationException","message":"Could not find operation ` + target + `Nonsense"}`},
		{"POST", "/", map[string]string{"X-Amz-Target": "DynamoDB_20120810.ListTables"}, "{}", 400, `names no service`},
		{"GET", "/", map[string]string{"X-Amz-Target": target + "DescribeRepositories"}, "", 405, `"MethodNotAllowedException"`},
		{"POST", "/v1/domains", nil, `{"nextToken":"n"}`, 200, `{"domains":[],"nextToken":"n"}`},
		{"POST", "/v1/domains", nil, `{"nextToken":"n"} x`, 400, `not valid JSON`},
		{"GET", "/v1/domains", nil, "", 405, "use POST"},
		{"OPTIONS", "/v1/domain", nil, "", 405, "use DELETE, GET, POST"},
		{"GET", "/v1/nonsense", nil, "", 404, "There is no AWS operation at GET /v1/nonsense."},
		{"GET", "/", nil, "", 404, "There is no AWS operation at GET /."},
		{"POST", "/", map[string]string{"Content-Type": "application/json"}, "{}", 404, "There is no AWS operation"},
		{"GET", "/?Action=GetCallerIdentity&Version=2011-06-15", nil, "", 200, "<GetCallerIdentityResponse"},
		{"POST", "/", form, "Action=ListUsers&Version=2010-05-08&PathPrefix=/a/", 200, "<ListUsersResult><Users></Users><IsTruncated>false</IsTruncated><Marker>/a/</Marker>"},
		{"POST", "/", scope("iam"), "Action=ListUsers", 200, "<ListUsersResponse"},
		{"POST", "/", scope("sts"), "Action=GetCallerIdentity", 200, "<GetCallerIdentityResponse"},
		{"POST", "/", scope("iam"), "Action=GetCallerIdentity&Version=2011-06-15", 200, "<GetCallerIdentityResponse"},
		{"GET", "/?Action=ListUsers&X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fiam%2Faws4_request", nil, "", 200, "<ListUsersResponse"},
		{"POST", "/", form, "Action=ListUsers&Version=1999-01-01", 400, "InvalidAction"},
		{"PUT", "/", form, "Action=ListUsers", 404, "There is no AWS operation at PUT /."},
	} {
		got := send(t, c.method, url+c.path, c.header, strings.NewReader(c.body))
		if got.StatusCode != c.status || !strings.Contains(got.text, c.want) {
			t.Errorf("%s %s %q: %d %s", c.method, c.path, c.body, got.StatusCode, got.text)
		}
		if got.StatusCode == 405 && got.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
	}
	if got := send(t, "HEAD", url+"/v1/domain", nil, nil); got.StatusCode != 405 || got.text != "" {
		t.Errorf("HEAD: %d %s", got.StatusCode, got.text)
	}
	if got := send(t, "GET", serve(t, NewMux()), nil, nil); got.StatusCode != 404 {
		t.Errorf("no services: %d %s", got.StatusCode, got.text)
	}
}

func TestAuthenticate_SeesBody(t *testing.T) {
	var seen []string
	o := Options{Authenticate: func(r *http.Request, op string, body []byte) (context.Context, error) {
		seen = append(seen, fmt.Sprintf("%s %q %t", op, body, body == nil))
		if body == nil { // as a verifier of a streaming body does
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader("verified "), r.Body), r.Body}
		}
		return r.Context(), nil
	}}
	e, c, s := newService(t, "ecr", o), newService(t, "codeartifact", o), newService(t, "sts", o)
	Handle(c, func(_ context.Context, in *codeartifact.PublishPackageVersionInput) (*codeartifact.PublishPackageVersionOutput, error) {
		b, err := io.ReadAll(in.AssetContent)
		return &codeartifact.PublishPackageVersionOutput{Version: aws.String(string(b)), VersionRevision: in.AssetSHA256}, err
	})
	url := serve(t, NewMux(e, c, s))
	send(t, "POST", url, map[string]string{"X-Amz-Target": target + "DescribeRepositories"}, strings.NewReader("{ }"))
	send(t, "GET", url+"/v1/domain", nil, nil)
	send(t, "POST", url, nil, strings.NewReader("Action=GetCallerIdentity"))
	sum := strings.Repeat("0", 64)
	got := send(t, "POST", url+"/v1/package/version/publish?domain=dd&repository=rr&format=generic&package=p&version=1&asset=a",
		map[string]string{"X-Amz-Content-Sha256": sum}, strings.NewReader("bytes"))
	if want := `{"version":"verified bytes","versionRevision":"` + sum + `"}`; !strings.Contains(got.text, `"version":"verified bytes"`) || !strings.Contains(got.text, sum) {
		t.Errorf("%d %s, want %s", got.StatusCode, got.text, want)
	}
	want := []string{`DescribeRepositories "{ }" false`, `DescribeDomain "" false`, `GetCallerIdentity "Action=GetCallerIdentity" false`, `PublishPackageVersion "" true`}
	if strings.Join(seen, "\n") != strings.Join(want, "\n") {
		t.Errorf("seen %q", seen)
	}
}

// asset is an asset that is a file, as the blob store has it.
type asset struct {
	io.Reader
	file   *os.File
	closed *bool
}

func (a asset) Size() int64    { return 5 }
func (a asset) File() *os.File { return a.file }
func (a asset) Close() error   { *a.closed = true; return a.file.Close() }

func TestREST_StreamsAssets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "asset")
	if err := os.WriteFile(name, []byte("asset"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := false
	bodies := map[string]func() io.ReadCloser{
		"file": func() io.ReadCloser {
			f, err := os.Open(name)
			if err != nil {
				t.Error(err)
			}
			return asset{Reader: f, file: f, closed: &closed}
		},
		"stream":  func() io.ReadCloser { return io.NopCloser(strings.NewReader("asset")) },
		"failing": func() io.ReadCloser { return io.NopCloser(io.MultiReader(strings.NewReader("ass"), failingReader{})) },
	}
	c := newService(t, "codeartifact", Options{})
	Handle(c, func(_ context.Context, in *codeartifact.GetPackageVersionAssetInput) (*codeartifact.GetPackageVersionAssetOutput, error) {
		return &codeartifact.GetPackageVersionAssetOutput{AssetName: in.Asset, PackageVersion: in.PackageVersion, Asset: bodies[*in.Package]()}, nil
	})
	client := codeartifact.NewFromConfig(config(serve(t, c)))
	get := func(pkg string) (string, *codeartifact.GetPackageVersionAssetOutput, error) {
		out, err := client.GetPackageVersionAsset(t.Context(), &codeartifact.GetPackageVersionAssetInput{
			Domain: aws.String("dd"), Repository: aws.String("rr"), Format: "generic", Package: &pkg, PackageVersion: aws.String("1.0"), Asset: aws.String("a b.txt"),
		})
		if err != nil {
			return "", nil, err
		}
		defer out.Asset.Close()
		b, err := io.ReadAll(out.Asset)
		return string(b), out, err
	}
	for _, pkg := range []string{"file", "stream"} {
		if b, out, err := get(pkg); err != nil || b != "asset" || *out.AssetName != "a b.txt" || *out.PackageVersion != "1.0" {
			t.Errorf("%s: %q, %v", pkg, b, err)
		}
	}
	if !closed {
		t.Error("the asset was not closed")
	}
	if b, _, err := get("failing"); err == nil {
		t.Errorf("a cut asset looks whole: %q", b)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("the disk failed") }

func TestHandle_RefusesMisfits(t *testing.T) {
	if _, err := New("dynamodb", Options{Authenticate: anyone}); err == nil {
		t.Error("an unknown service must be refused")
	}
	if _, err := New("ecr", Options{}); err == nil {
		t.Error("a service without Authenticate must be refused")
	}
	defer func() {
		if recover() == nil {
			t.Error("an operation of another service must be refused")
		}
	}()
	Handle(newService(t, "ecr", Options{}), func(context.Context, *iam.GetRoleInput) (*iam.GetRoleOutput, error) { return nil, nil })
}
