package sigv4_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
)

// A dialect is how one family of clients signs, read from its source: the
// headers that it sends, which of them it signs, and how it writes path, query
// and Authorization header. The e2e script signatures.txtar runs the clients that
// can be installed.
type dialect struct {
	client string
	// line is the request line without the protocol: an ECR token if it is empty.
	line string
	// headers are as sent, in that order, without Authorization.
	headers string
	// signed is SignedHeaders.
	signed string
	// layout is the Authorization header after the algorithm, in which C, H and S
	// stand for the three fields: "C, H, S" if it is empty.
	layout string
	// path and query are as signed, if they are not those of the request line.
	path, query string
	body        string
	service     string // "ecr" if it is empty
	open        sigv4.Reason
	protected   sigv4.Reason
}

const (
	json11      = "Content-Type: application/x-amz-json-1.1\n"
	host        = "Host: registry.example:4283\n"
	date        = "X-Amz-Date: 20260314T120000Z\n"
	targetLine  = "X-Amz-Target: " + tokenTarget + "\n"
	contentHash = "X-Amz-Content-Sha256: {sha256}\n"
	sdkRetry    = "Amz-Sdk-Invocation-Id: 1bda5c3c-674b-dafb-15f9-068398c769e9\nAmz-Sdk-Request: attempt=1; max=3\n"
)

var dialects = []dialect{
	{
		client:  "AWS SDK for Go v2",
		headers: host + "User-Agent: aws-sdk-go-v2/1.41.0\nContent-Length: 2\n" + sdkRetry + json11 + date + targetLine + "Accept-Encoding: gzip\n",
		signed:  "amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;x-amz-date;x-amz-target",
	},
	{
		client:  "AWS SDK for Go v1",
		headers: host + "User-Agent: aws-sdk-go/1.55.7\nContent-Length: 2\n" + json11 + date + targetLine + "Accept-Encoding: gzip\n",
		signed:  "content-length;content-type;host;x-amz-date;x-amz-target",
	},
	{
		client:  "AWS SDK for Java v2",
		headers: sdkRetry + json11 + "User-Agent: aws-sdk-java/2.57.8\n" + contentHash + date + targetLine + "Accept: */*\n" + host + "Connection: keep-alive\nContent-Length: 2\n",
		signed:  "amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "AWS SDK for Java v1, which signs User-Agent",
		headers: host + targetLine + date + "User-Agent: aws-sdk-java/1.12.788  Linux/6.1\n" + sdkRetry + "Amz-Sdk-Retry: 0/0/500\n" + json11 + "Content-Length: 2\nConnection: Keep-Alive\n",
		signed:  "amz-sdk-invocation-id;amz-sdk-request;amz-sdk-retry;content-length;content-type;host;user-agent;x-amz-date;x-amz-target",
	},
	{
		client:  "botocore, boto3 and the AWS CLI",
		headers: host + "Accept-Encoding: identity\n" + targetLine + json11 + "User-Agent: Boto3/1.43.11\n" + date + sdkRetry + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-date;x-amz-target",
	},
	{
		client:  "botocore, a request with a query",
		line:    "POST /v1/authorization-token?domain=acme&domain-owner=000000000001&duration=900",
		headers: host + "Accept-Encoding: identity\nUser-Agent: Boto3/1.43.11\n" + date + "Content-Length: 0\n",
		signed:  "host;x-amz-date", service: "codeartifact",
	},
	{
		client:  "AWS SDK for JavaScript v2, which never signs Content-Type",
		headers: "User-Agent: aws-sdk-nodejs/2.1692.0 linux/v20.20.2 callback\n" + json11 + targetLine + contentHash + "Content-Length: 2\n" + host + date + "Connection: close\n",
		signed:  "host;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "AWS SDK for JavaScript v3",
		headers: strings.ToLower(json11) + targetLine + "content-length: 2\nx-amz-user-agent: aws-sdk-js/3.758.0\nuser-agent: aws-sdk-js/3.758.0 ua/2.1\n" + host + sdkRetry + date + contentHash,
		signed:  "amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target;x-amz-user-agent",
	},
	{
		client:  "AWS SDK for Rust",
		headers: json11 + targetLine + "content-length: 2\nuser-agent: aws-sdk-rust/1.3.3\nx-amz-user-agent: aws-sdk-rust/1.3.3\n" + date + sdkRetry + host,
		signed:  "content-length;content-type;host;x-amz-date;x-amz-target;x-amz-user-agent",
	},
	{
		client:  "AWS SDK for C++, which sends the API version",
		headers: host + "Accept: */*\n" + sdkRetry + "content-length: 2\n" + json11 + "user-agent: aws-sdk-cpp/1.11.500\nx-amz-api-version: 2015-09-21\n" + contentHash + date + targetLine,
		signed:  "amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;x-amz-api-version;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "AWS SDK for .NET",
		headers: host + targetLine + "User-Agent: aws-sdk-dotnet-coreclr/4.0\n" + sdkRetry + date + contentHash + json11 + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "AWS SDK for .NET with UseAlternateUserAgentHeader, which it does not sign",
		headers: host + targetLine + "X-Amz-User-Agent: aws-sdk-dotnet-coreclr/4.0\n" + sdkRetry + date + contentHash + json11 + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "AWS SDK for Ruby",
		headers: json11 + "X-Amz-Api-Version: 2015-09-21\n" + targetLine + "Accept-Encoding:\nUser-Agent: aws-sdk-ruby3/3.220.0\n" + host + date + contentHash + "Content-Length: 2\nAccept: */*\n",
		signed:  "content-type;host;x-amz-api-version;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "AWS SDK for PHP",
		headers: host + targetLine + json11 + "aws-sdk-invocation-id: 1bda5c3c674bdafb15f9068398c769e9\naws-sdk-retry: 0/0\n" + date + "User-Agent: aws-sdk-php/3.342.0\nContent-Length: 2\n",
		signed:  "aws-sdk-invocation-id;aws-sdk-retry;host;x-amz-date;x-amz-target",
	},
	{
		client:  "R's paws",
		headers: host + "User-Agent: paws/0.7.0 (R4.2.2; linux-gnu; x86_64)\nAccept: application/json\n" + json11 + targetLine + date + "Content-Length: 2\n",
		signed:  "accept;content-type;host;x-amz-date;x-amz-target",
	},
	{
		client:  "OCaml's awsm and awso",
		headers: json11 + targetLine + "content-length: 2\n" + date + contentHash + "host: registry.example\n", // on port 443, always
		signed:  "content-type;host;x-amz-date",
		open:    sigv4.Incomplete,
	},
	{
		client:  "OCaml's awsm and awso, a request with a query",
		line:    "POST /v1/authorization-token?domain=acme&duration=900",
		headers: "content-length: 0\n" + date + contentHash + host,
		signed:  "host;x-amz-date", service: "codeartifact",
	},
	{
		client:  "Perl's Paws, which signs Date as well",
		headers: "Date: 20260314T120000Z\n" + json11 + host + targetLine + contentHash + date + "User-Agent: AWS Perl SDK\nContent-Length: 2\nTE: deflate,gzip;q=0.3\nConnection: TE, close\n",
		signed:  "content-type;date;host;x-amz-content-sha256;x-amz-date;x-amz-target",
		layout:  "C,H,S",
	},
	{
		client:  "Perl's Paws with an old Net::Amazon::Signature::V4, which sends Date alone",
		headers: "Date: 20260314T120000Z\n" + json11 + host + targetLine + "Content-Length: 2\n",
		signed:  "content-type;date;host;x-amz-target",
		layout:  "C,H,S",
		open:    sigv4.Incomplete, protected: sigv4.Incomplete,
	},
	{
		client:  "Haskell's amazonka",
		headers: host + date + "X-Amz-Content-SHA256: {sha256}\n" + json11 + targetLine + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "Haskell's amazonka, which sends the query as it signs it",
		line:    "GET /v1/repository/endpoint?domain=acme&domain-owner=000000000001&format=npm&repository=lib",
		headers: host + date + "X-Amz-Content-SHA256: {sha256}\n",
		signed:  "host;x-amz-content-sha256;x-amz-date", service: "codeartifact",
	},
	{
		client:  "Erlang's aws and Elixir's aws",
		headers: "X-Amz-Content-SHA256: {sha256}\n" + date + host + json11 + targetLine + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
		layout:  "C,H,S",
	},
	{
		client:  "Elixir's ex_aws, whose Host has no port",
		headers: "host: registry.example\nx-amz-date: 20260314T120000Z\nx-amz-content-sha256: {sha256}\n" + json11 + strings.ToLower("X-Amz-Target: ") + tokenTarget + "\nContent-Length: 2\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
		layout:  "C,H,S",
	},
	{
		client:  "Rust's rusoto",
		headers: json11 + host + contentHash + date + targetLine + "user-agent: rusoto/0.48.0 rust/1.60.0 linux\ncontent-length: 2\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "Rust's rusoto, a form of STS",
		line:    "POST /",
		headers: "Content-Type: application/x-www-form-urlencoded\n" + host + contentHash + date + "content-length: 43\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date",
		body:    "Action=GetCallerIdentity&Version=2011-06-15", service: "sts",
	},
	{
		client:  "curl --aws-sigv4 7.88 and newer",
		headers: host + date + "User-Agent: curl/7.88.1\nAccept: */*\n" + json11 + targetLine + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-date;x-amz-target",
	},
	{
		client:  "curl --aws-sigv4 up to 7.86, which signs no header of --header but Content-Type",
		headers: host + date + "User-Agent: curl/7.74.0\nAccept: */*\n" + json11 + targetLine + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-date",
		open:    sigv4.Incomplete,
	},
	{
		client:  "curl --aws-sigv4 up to 7.86 with a session token",
		headers: host + date + "X-Amz-Security-Token: ghst_AAAA\nUser-Agent: curl/7.74.0\nAccept: */*\n" + json11 + targetLine + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-date",
		open:    sigv4.Incomplete, protected: sigv4.Incomplete,
	},
	{
		client:  "aws4 of npm",
		headers: json11 + targetLine + host + "Content-Length: 2\n" + date + "Connection: keep-alive\n",
		signed:  "content-length;content-type;host;x-amz-date;x-amz-target",
	},
	{
		client:  "Postman, which signs with aws4 of npm and adds headers of its own after that",
		headers: json11 + targetLine + host + date + "User-Agent: PostmanRuntime/7.43.0\nAccept: */*\nCache-Control: no-cache\nPostman-Token: 0f3c\nAccept-Encoding: gzip, deflate, br\nConnection: keep-alive\nContent-Length: 2\n",
		signed:  "content-type;host;x-amz-date;x-amz-target",
	},
	{
		client:  "aws4fetch of npm",
		headers: "host: registry.example:4283\nconnection: keep-alive\n" + json11 + targetLine + date + "accept: */*\naccept-language: *\nsec-fetch-mode: cors\nuser-agent: node\naccept-encoding: gzip, deflate\ncontent-length: 2\n",
		signed:  "host;x-amz-date;x-amz-target",
	},
	{
		client:  "aws4fetch of npm, which sorts the query",
		line:    "POST /v1/package?domain=acme&package=%40acme%2Fui&format=npm&repository=lib",
		headers: host + date + "content-length: 0\n",
		signed:  "host;x-amz-date", service: "codeartifact",
		query: "domain=acme&format=npm&package=%40acme%2Fui&repository=lib",
	},
	{
		client:  "awscurl up to 0.33, which signs no header of --header",
		headers: host + "User-Agent: python-requests/2.34.2\nAccept-Encoding: gzip, deflate\nAccept: */*\nConnection: keep-alive\n" + json11 + targetLine + strings.ToLower("X-Amz-Date: ") + "20260314T120000Z\n" + contentHash + "Content-Length: 2\n",
		signed:  "host;x-amz-date",
		open:    sigv4.Incomplete,
	},
	{
		client:  "awscurl 0.36 and 0.37, which do not sign the hash that they send",
		headers: host + "User-Agent: python-requests/2.34.2\n" + json11 + targetLine + date + contentHash + "Content-Length: 2\n",
		signed:  "host;x-amz-date;x-amz-target",
	},
	{
		client:  "awscurl 0.38 and newer",
		headers: host + "User-Agent: python-requests/2.34.2\n" + json11 + targetLine + date + contentHash + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "aws-requests-auth of PyPI",
		headers: host + "User-Agent: python-requests/2.34.2\n" + json11 + targetLine + date + contentHash + "Content-Length: 2\n",
		signed:  "host;x-amz-date",
		open:    sigv4.Incomplete,
	},
	{
		client:  "requests-aws4auth of PyPI",
		headers: host + "User-Agent: python-requests/2.34.2\n" + json11 + targetLine + date + contentHash + "Content-Length: 2\n",
		signed:  "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
	},
	{
		client:  "aws-sigv4-proxy, which signs first and then adds the headers of the request that it got",
		headers: host + "Content-Length: 2\n" + date + json11 + targetLine + "User-Agent: some-client\nAccept-Encoding: gzip\nX-Forwarded-For: 10.0.0.1\n",
		signed:  "content-length;host;x-amz-date",
		open:    sigv4.Incomplete,
	},
	{
		client:  "aws-sigv4-proxy, with the session token of the request that it got",
		headers: host + "Content-Length: 2\n" + date + json11 + targetLine + "X-Amz-Security-Token: ghst_AAAA\n",
		signed:  "content-length;host;x-amz-date",
		open:    sigv4.Incomplete, protected: sigv4.Incomplete,
	},
}

// text is the request of the dialect, and what it signs.
func (d dialect) text() signedText {
	orDefault := func(text, fallback string) string {
		if text == "" {
			return fallback
		}
		return text
	}
	line, body, service := orDefault(d.line, "POST /"), d.body, orDefault(d.service, "ecr")
	if d.line == "" {
		body = "{}"
	}
	method, target, _ := strings.Cut(line, " ")
	path, query, _ := strings.Cut(target, "?")

	values := map[string]string{}
	for header := range strings.Lines(d.headers) {
		name, value, _ := strings.Cut(header, ":")
		values[strings.ToLower(name)] = strings.Join(strings.Fields(value), " ")
	}
	var canonical strings.Builder
	for name := range strings.SplitSeq(d.signed, ";") {
		canonical.WriteString(name + ":" + values[name] + "\n")
	}
	authorization := strings.NewReplacer(
		"C", "Credential="+keyID+"/20260314/us-east-1/"+service+"/aws4_request",
		"H", "SignedHeaders="+d.signed,
		"S", "Signature={signature}",
	).Replace(orDefault(d.layout, "C, H, S"))
	return signedText{
		sent: line + " HTTP/1.1\n" + d.headers + "Authorization: AWS4-HMAC-SHA256 " + authorization + "\n\n" + body,
		signed: strings.Join([]string{
			method, orDefault(d.path, path), orDefault(d.query, query), canonical.String(), d.signed, "{sha256}",
		}, "\n"),
	}
}

func TestVerify_Dialects(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.client, func(t *testing.T) {
			service := d.service
			if service == "" {
				service = "ecr"
			}
			v := sigv4.New(sigv4.Config{Now: clockAt(noon)})
			for channel, want := range map[sigv4.Channel]sigv4.Reason{sigv4.Open: d.open, sigv4.Protected: d.protected} {
				checkVerify(t, want, v, d.text(), channel, service)
				// What is signed cannot be another body.
				r, body := d.text().request(t)
				if _, err := v.Verify(r, channel, service, append(body, ' '), knownSecret); err == nil {
					t.Errorf("channel %d: another body is accepted", channel)
				}
			}
		})
	}
}
