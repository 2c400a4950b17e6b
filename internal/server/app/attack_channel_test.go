package app_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

const target20110615 = "AWSSecurityTokenServiceV20110615."

// unsignedTarget is a signed request for an ECR token whose signature does not cover
// X-Amz-Target, as old clients send it.
func (g *fixture) unsignedTarget() *http.Request {
	r := g.request(http.MethodPost, "/", "{}")
	r.Header.Set("Content-Type", jsonType)
	g.sign(r, g.keys(g.admin(victim)), "{}", "ecr", region, g.now())
	r.Header.Set("X-Amz-Target", target11+"GetAuthorizationToken")
	return r
}

// text is a request as it goes over the connection.
func (g *fixture) text(r *http.Request) string {
	g.t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		g.t.Fatal(err)
	}
	return b.String()
}

// sendText sends text over a connection of its own and returns the status of the answer and
// the code of its error.
func (g *fixture) sendText(text string) (status int, code string) {
	g.t.Helper()
	c := g.dial(text)
	defer c.Close()
	answers := bufio.NewReader(c)
	res, err := http.ReadResponse(answers, nil)
	if err == nil && res.StatusCode == http.StatusContinue {
		res, err = http.ReadResponse(answers, nil)
	}
	if err != nil {
		return 0, "" // the connection was closed
	}
	defer res.Body.Close()
	return res.StatusCode, res.Header.Get("X-Amzn-Errortype")
}

// A client on plain HTTP cannot pass for one on TLS or on this machine.
func TestAttack_FakedChannel(t *testing.T) {
	const incomplete = "IncompleteSignatureException"
	check := func(g *fixture, prefix, headers, want string) {
		t.Helper()
		text := strings.Replace(g.text(g.unsignedTarget()), "\r\n", "\r\n"+headers, 1)
		if status, code := g.sendText(prefix + text); code != want || want == "" && status != http.StatusOK {
			t.Errorf("%q %q: %d %s, want %q", prefix, headers, status, code, want)
		}
	}
	direct := start(t)
	check(direct, "", "", "")
	// Through a proxy of this machine that is not trusted.
	for _, headers := range []string{
		"X-Forwarded-Proto: https\r\n", "X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-For: ::1\r\nX-Forwarded-Proto: https\r\n", "x-forwarded-host: 127.0.0.1\r\n",
		"Forwarded: for=127.0.0.1;proto=https\r\n", "Via: 1.1 x\r\n", "X-Real-IP: 127.0.0.1\r\n", "X-Forwarded-For:\r\n",
	} {
		check(direct, "", headers, incomplete)
	}
	trusting := startWith(t, func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.0/8", "10.0.0.0/8"} })
	for headers, want := range map[string]string{
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n":                             "",
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\n":                              incomplete,
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https, http\r\n":                       incomplete,
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n":  incomplete,
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https \x0b\r\n":                        incomplete,
		"X-Forwarded-For: 203.0.113.7\r\nForwarded: proto=https\r\n":                               incomplete,
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded_Proto: https\r\nX_Forwarded_Proto: https\r\n": incomplete,
		"X-Forwarded-For: 127.0.0.1\r\n":                                                           incomplete,
		"X-Forwarded-For: 127.0.0.1, 10.0.0.9\r\n":                                                 incomplete,
		"X-Forwarded-For: unknown\r\n":                                                             incomplete,
		"X-Forwarded-For: 127.1\r\n":                                                               incomplete,
		"X-Forwarded-Proto: http\r\n":                                                              incomplete,
	} {
		status, code := trusting.sendText(strings.Replace(trusting.text(trusting.unsignedTarget()), "\r\n", "\r\n"+headers, 1))
		if status == http.StatusBadRequest && code == "" && strings.Contains(headers, "\x0b") {
			continue // net/http takes no such value
		}
		if code != want || want == "" && status != http.StatusOK {
			t.Errorf("%q: %d %s, want %q", headers, status, code, want)
		}
	}
	behind := startWith(t, func(c *config.Config) { c.TrustedProxies, c.ProxyProtocol = []string{"127.0.0.0/8"}, true })
	for prefix, want := range map[string]string{
		"PROXY TCP4 203.0.113.7 10.0.0.1 1234 80\r\n":     incomplete,
		"PROXY TCP6 ::7f00:1 ::1 1234 80\r\n":             incomplete,
		"PROXY TCP6 fe80::1%lo ::1 1234 80\r\n":           incomplete,
		"PROXY TCP4 127.0.0.1 127.0.0.1 1234 80\r\n":      "",
		"PROXY TCP6 ::ffff:127.0.0.1 ::1 1234 80\r\n":     "",
		"PROXY TCP4 203.0.113.8 127.0.0.1 1234 65535\r\n": incomplete,
	} {
		check(behind, prefix, "", want)
	}
	// The client behind the PROXY protocol is not a trusted proxy itself.
	check(behind, "PROXY TCP4 203.0.113.7 10.0.0.1 1234 80\r\n", "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n", incomplete)
}

// The same over HTTP/2, where fields are split and in lower case.
func TestAttack_UnsignedTargetOverHTTP2(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.TLS = new(config.TLS) })
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	for name, c := range map[string]struct {
		change func(http.Header)
		want   string
	}{
		"unchanged":                 {func(http.Header) {}, ""},
		"said to be plain HTTP":     {func(h http.Header) { h.Set("X-Forwarded-Proto", "http") }, ""},
		"two targets":               {func(h http.Header) { h.Add("X-Amz-Target", target11+"DescribeRegistry") }, "IncompleteSignatureException"},
		"a target in two spellings": {func(h http.Header) { h["x-amz-target"] = []string{target11 + "DescribeRegistry"} }, "IncompleteSignatureException"},
		"another with underscores": {func(h http.Header) {
			h["X_Amz_Target"] = h["X-Amz-Target"]
			delete(h, "X-Amz-Target")
		}, "UnknownOperationException"},
		"a token": {func(h http.Header) { h.Set("X-Amz-Security-Token", "x") }, "IncompleteSignatureException"},
		"a host":  {func(h http.Header) { h["host"] = []string{"other.example"} }, ""}, // :authority counts, which is signed
	} {
		r := g.unsignedTarget()
		c.change(r.Header)
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if got := res.Header.Get("X-Amzn-Errortype"); res.ProtoMajor != 2 || got != c.want || (got == "") != (res.StatusCode == http.StatusOK) {
			t.Errorf("%s: %s %s %s, want %q", name, res.Proto, res.Status, got, c.want)
		}
	}
}

// A target that is not signed chooses among the operations of ECR, and nothing else.
func TestAttack_UnsignedTargetOfAnotherService(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	keys := g.keys(g.admin(victim))
	const createUser = "Action=CreateUser&Version=2010-05-08&UserName=smuggled"
	signedThen := func(path, contentType, body, service string, change func(http.Header)) *http.Request {
		r := g.request(http.MethodPost, path, body)
		g.sign(r, keys, body, service, region, g.now())
		if contentType != "" {
			r.Header.Set("Content-Type", contentType) // not signed either
		}
		change(r.Header)
		return r
	}
	target := func(text string) func(http.Header) { return func(h http.Header) { h.Set("X-Amz-Target", text) } }
	none := func(http.Header) {}
	for name, r := range map[string]*http.Request{
		"an IAM form signed for ECR":          signedThen("/", formType, createUser, "ecr", none),
		"an IAM form with ECR's target":       signedThen("/", formType, createUser, "ecr", target(target11+"DescribeRegistry")),
		"an IAM form as JSON":                 signedThen("/", jsonType, createUser, "iam", none),
		"an IAM form of IAM, ECR's target":    signedThen("/", formType, createUser, "iam", target(target11+"DescribeRegistry")),
		"STS with a target of STS":            signedThen("/", jsonType, identityForm, "sts", target(target20110615+"GetCallerIdentity")),
		"STS's form with an action as target": signedThen("/", formType, identityForm, "sts", target("CreateUser")),
		"CodeArtifact with ECR's target":      signedThen("/v1/domain?domain=first", "", "{}", "codeartifact", target(target11+"DescribeRegistry")),
		"ECR at an address of CodeArtifact":   signedThen("/v1/domain?domain=first", "", "{}", "ecr", none),
		"spaces":                              signedThen("/", jsonType, "{}", "ecr", target(" \t ")),
		"a list":                              signedThen("/", jsonType, "{}", "ecr", target(target11+"DescribeRegistry,"+target11+"DescribeRepositories")),
		"lower case":                          signedThen("/", jsonType, "{}", "ecr", target(strings.ToLower(target11+"DescribeRegistry"))),
		"a long one":                          signedThen("/", jsonType, "{}", "ecr", target(target11+strings.Repeat("x", 30<<10))),
		"a prefix":                            signedThen("/", jsonType, "{}", "ecr", target(target11)),
		"no prefix":                           signedThen("/", jsonType, "{}", "ecr", target(".DescribeRegistry")),
		"no hash of the payload": signedThen("/", jsonType, "{}", "ecr", func(h http.Header) {
			target(target11 + "DescribeRegistry")(h)
			h.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		}),
		"a hash in upper case": signedThen("/", jsonType, "{}", "ecr", func(h http.Header) { h.Set("X-Amz-Content-Sha256", strings.ToUpper(hash("{}"))) }),
	} {
		res := must(http.DefaultClient.Do(r))(t)
		body := string(must(io.ReadAll(res.Body))(t))
		res.Body.Close()
		if res.StatusCode < 400 || res.StatusCode >= 500 || res.Header.Get("X-Amzn-Errortype") == "" {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
	if status, body := g.send(g.sign(g.form("Action=GetUser&Version=2010-05-08&UserName=smuggled"), keys, "Action=GetUser&Version=2010-05-08&UserName=smuggled", "iam", region, g.now())); status != http.StatusNotFound {
		t.Errorf("the smuggled user: %d %s", status, body)
	}
	// The pseudo region is of the global services alone.
	for service, r := range map[string]*http.Request{
		"ecr":          g.call("DescribeRegistry", "{}"),
		"codeartifact": g.request(http.MethodPost, "/v1/domains", "{}"),
	} {
		if status, body := g.send(g.sign(r, keys, "{}", service, "aws-global", g.now())); status < 400 || status >= 500 {
			t.Errorf("%s in aws-global: %d %s", service, status, body)
		}
	}
	if status, body := g.send(g.sign(g.form(identityForm), keys, identityForm, "sts", "aws-global", g.now())); status != http.StatusOK {
		t.Errorf("sts in aws-global: %d %s", status, body)
	}
}

// Forms of HTTP/1 that say something twice, late or in another way.
func TestAttack_SignedRequestOnTheWire(t *testing.T) {
	g := start(t)
	host := strings.TrimPrefix(g.url, "http://")
	keys := g.keys(g.admin(victim))
	chunked := func() *http.Request { // without a signed length
		r := g.request(http.MethodPost, "/", "{}")
		r.ContentLength = -1
		r.Header.Set("Content-Type", jsonType)
		return g.sign(r, keys, "{}", "ecr", region, g.now())
	}
	target := "X-Amz-Target: " + target11 + "GetAuthorizationToken\r\n"
	withTarget := func(text string) string { return strings.Replace(text, "\r\n", "\r\n"+target, 1) }
	trailer := func(text, fields string) string {
		return strings.TrimSuffix(text, "0\r\n\r\n") + "0\r\n" + fields + "\r\n"
	}
	ordinary, inChunks := g.text(g.unsignedTarget()), g.text(chunked())
	if !strings.HasSuffix(inChunks, "\r\n0\r\n\r\n") {
		t.Fatalf("not in chunks: %q", inChunks)
	}
	replaced := func(old, new string) string {
		if !strings.Contains(ordinary, old) {
			t.Fatalf("the request has no %q", old)
		}
		return strings.Replace(ordinary, old, new, 1)
	}
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"unchanged":                     {ordinary, true},
		"chunks":                        {withTarget(inChunks), true},
		"Expect":                        {replaced("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"), true},
		"HTTP/1.0":                      {replaced("HTTP/1.1", "HTTP/1.0"), true},
		"HTTP/1.0 without a host":       {strings.Replace(replaced("HTTP/1.1", "HTTP/1.0"), "Host: "+host+"\r\n", "", 1), false},
		"the absolute form":             {replaced("POST / ", "POST http://"+host+"/ "), true},
		"the absolute form of another":  {replaced("POST / ", "POST http://other.example/ "), false},
		"the absolute form, and a path": {replaced("POST / ", "POST http://"+host+"/v1/domain "), false},
		"no path":                       {replaced("POST / ", "POST * "), false},
		"a user in the host":            {replaced("Host: ", "Host: user@"), false},
		"a host without its port":       {replaced("Host: "+host, "Host: "+strings.Split(host, ":")[0]), false},
		"a host with a dot":             {replaced("Host: "+host, "Host: "+strings.Replace(host, ":", ".:", 1)), false},
		"two hosts":                     {replaced("\r\n", "\r\nHost: "+host+"\r\n"), false},
		"a target in the trailer":       {trailer(strings.Replace(inChunks, "\r\n", "\r\nTrailer: X-Amz-Target\r\n", 1), target), false},
		"a hash in the trailer":         {trailer(strings.Replace(withTarget(inChunks), "\r\n", "\r\nTrailer: X-Amz-Content-Sha256\r\n", 1), "X-Amz-Content-Sha256: "+hash("[]")+"\r\n"), true}, // nothing reads it
		"a target before a colon":       {replaced("X-Amz-Target:", "X-Amz-Target :"), false},
		"a target with underscores":     {replaced("X-Amz-Target:", "X_Amz_Target:"), false},
		"a length and chunks":           {strings.Replace(withTarget(inChunks), "\r\n", "\r\nContent-Length: 3\r\n", 1), true}, // the chunks count (RFC 9112, section 6.3)
		"two lengths":                   {replaced("\r\n", "\r\nContent-Length: 3\r\n"), false},
		"the encoding aws-chunked":      {replaced("\r\n", "\r\nContent-Encoding: gzip, AWS-chunked\r\n"), false},
		"a folded signature":            {replaced(", SignedHeaders", ",\r\n SignedHeaders"), true}, // net/http joins the lines with a space
	} {
		status, code := g.sendText(c.text)
		if (status == http.StatusOK) != c.ok || status >= 500 {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
}
