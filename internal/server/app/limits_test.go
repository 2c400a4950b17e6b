package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// dial connects to the server, and sends text.
func (g *fixture) dial(text string) net.Conn {
	g.t.Helper()
	c := must(net.Dial("tcp", strings.TrimPrefix(g.url, "http://")))(g.t)
	g.t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// A body of which a few bytes never come is let go on every route.
func TestLimits_StalledBody(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.Limits.Idle = time.Second })
	g.repositories(victim, "first")
	image, packages := "Basic "+g.imageToken(g.admin(victim)), "Bearer "+g.packageToken(g.admin(victim), "first")
	npm := strings.TrimSuffix(libPath, "-/ping")
	ended := make(chan string)
	requests := map[string]string{
		"form":          "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
		"CodeArtifact":  "POST /v1/domain?domain=x HTTP/1.1\r\nContent-Type: application/json\r\n",
		"wrong token":   "PUT /v2/app/manifests/x HTTP/1.1\r\nAuthorization: Bearer x\r\n",
		"manifest":      "PUT /v2/app/manifests/x HTTP/1.1\r\nAuthorization: " + image + "\r\nContent-Type: " + manifestType + "\r\n",
		"npm document":  "PUT " + npm + "x HTTP/1.1\r\nAuthorization: " + packages + "\r\nContent-Type: application/json\r\n",
		"health":        "GET /healthz HTTP/1.1\r\n",
		"metrics":       "GET /metrics HTTP/1.1\r\n",
		"unknown path":  "POST /nope HTTP/1.1\r\n",
		"wants to send": "PUT /v2/app/manifests/x HTTP/1.1\r\nExpect: 100-continue\r\n",
	}
	for name, header := range requests {
		c := g.dial(header + "Host: x\r\nContent-Length: 60\r\n\r\n0123456789")
		go func() {
			answer, _ := io.ReadAll(c) // a reset is an end too
			if len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
				name += ": " + string(answer)
			}
			ended <- name
		}()
	}
	for range requests {
		select {
		case name := <-ended:
			if _, ok := requests[name]; !ok {
				t.Error(name)
			}
		case <-time.After(time.Minute):
			t.Fatal("connections are still held after a minute")
		}
	}
}

// A client that sends a large body before it is asked for credentials gets its answer.
func TestLimits_LargeBodyWithoutCredentials(t *testing.T) {
	g := start(t)
	const size = 20 << 20
	for _, path := range []string{"/v2/app/blobs/uploads/?digest=x", libPath, "/"} {
		c := g.dial(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", path, size))
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode < 400 || res.StatusCode >= 500 {
			t.Errorf("%s: %v, %v", path, res, err)
		}
	}
}

// Stalled requests do not keep a server from ending, in time and without an error.
func TestServer_StopWithStalledRequests(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.DrainTimeout = 500 * time.Millisecond })
	c := g.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60\r\n\r\nAction=Get")
	g.waitFor(`gatehouse_requests_in_flight{route="api"} 1`)
	began := time.Now()
	g.stop() // fails the test if the server ends with an error
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if !strings.Contains(g.log.String(), "requests were cut off") {
		t.Error("the log does not say that a request was cut off")
	}
	c.Close()
}

// waitFor waits until the metrics contain a line.
func (g *fixture) waitFor(line string) {
	g.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, body := g.send(g.get("/metrics", "")); strings.Contains(body, line) {
			return
		}
	}
	g.t.Fatalf("the metrics never had %s", line)
}

// After SIGTERM /readyz says so while requests are still served. Then the listener
// closes, and what is in flight may finish.
func TestServer_Drain(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.DrainDelay = time.Second })
	c := g.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\nAction")
	g.waitFor(`gatehouse_requests_in_flight{route="api"} 1`)
	ended := make(chan struct{})
	go func() { defer close(ended); g.stop() }()
	for {
		if status, body := g.send(g.get("/readyz", "")); status == http.StatusServiceUnavailable {
			if !strings.Contains(body, "shutting down") {
				t.Errorf("/readyz: %s", body)
			}
			break
		}
	}
	for path, want := range map[string]int{"/v2/": http.StatusUnauthorized, "/healthz": http.StatusOK} {
		if status, _ := g.send(g.get(path, "")); status != want {
			t.Errorf("%s while load balancers notice: %d", path, status)
		}
	}
	for {
		other, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			break // the listener is closed
		}
		other.Close()
	}
	io.WriteString(c, "=Get") // the request in flight is completed
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode >= 500 {
		t.Errorf("the request in flight: %v, %v", res, err)
	}
	<-ended
}

// With few connections, silent ones make room for others.
func TestLimits_Connections(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.Limits.Connections = 40 })
	for range 60 {
		if c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://")); err == nil {
			defer c.Close()
		}
	}
	var last error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		res, err := client.Get(g.url + "/healthz")
		if err != nil {
			last = err
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			g.waitFor("gatehouse_connections_shed_total ")
			return
		}
		last = fmt.Errorf("status %d", res.StatusCode)
	}
	t.Errorf("60 silent connections lock everybody out: %v", last)
}

// Clients that send their headers a byte at a time do not keep others out.
func TestLimits_SlowHeaders(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.Limits.Connections = 40 })
	var dripping sync.WaitGroup
	stop := make(chan struct{})
	for range 60 {
		dripping.Go(func() {
			for {
				c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
				for err == nil {
					_, err = c.Write([]byte("x"))
					select {
					case <-stop:
						c.Close()
						return
					case <-time.After(100 * time.Millisecond):
					}
				}
				if c != nil {
					c.Close()
				}
				select { // refused: try again later, as long as others do
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	defer dripping.Wait()
	defer close(stop)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	healthy := func() bool {
		res, err := client.Get(g.url + "/healthz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	for healthy() { // until they have taken all connections
	}
	served := 0
	for deadline := time.Now().Add(8 * time.Second); served < 3 && time.Now().Before(deadline); {
		if healthy() {
			served++
		}
	}
	if served < 3 {
		t.Errorf("%d of 3 requests were served within 8 s, below the limit of 10 s for headers", served)
	}
}

// A rate of an address is answered in the form of each protocol.
func TestLimits_AddressRate(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.Limits.AddressRate, c.TrustedProxies = 1, []string{"127.0.0.0/8"} })
	throttled := func(r *http.Request) (*http.Response, string) {
		for range 50 {
			r := r.Clone(t.Context())
			r.Header.Set("X-Forwarded-For", outside)
			res := must(http.DefaultClient.Do(r))(t)
			body := string(must(io.ReadAll(res.Body))(t))
			res.Body.Close()
			if strings.Contains(body, "Rate exceeded") {
				return res, body
			}
		}
		t.Fatalf("%s is never throttled", r.URL)
		return nil, ""
	}
	for _, tt := range []struct {
		r      *http.Request
		status int
		text   string
	}{
		{g.get("/v2/", ""), 429, "TOOMANYREQUESTS"},
		{g.get(libPath, ""), 429, `{"message":"Rate exceeded"}`},
		{g.call("DescribeRepositories", ""), 400, "ThrottlingException"},
		{g.get("/v1/domain", ""), 429, "ThrottlingException"},
		{g.get("/?Action=GetCallerIdentity", ""), 400, "<Code>Throttling</Code>"},
	} {
		res, body := throttled(tt.r)
		if res.StatusCode != tt.status || !strings.Contains(body, tt.text) || res.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s, Retry-After %q", tt.r.URL.Path, res.StatusCode, body, res.Header.Get("Retry-After"))
		}
	}
	r := g.get("/healthz", "")
	r.Header.Set("X-Forwarded-For", outside)
	if status, _ := g.send(r); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	for range 50 {
		if status, _ := g.send(g.get("/v2/", "")); status != http.StatusUnauthorized {
			t.Fatalf("this machine: %d", status)
		}
	}
}

// Quotas of AWS hold for an account and an action, whoever asks.
func TestLimits_AWSQuotas(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.Limits.AWSQuotas = true })
	g.repositories(victim, "first")
	c := ecr.NewFromConfig(g.admin(victim))
	var err error
	for i := 0; i < 200 && err == nil; i++ {
		_, err = c.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: aws.String("{}"), ImageTag: aws.String("x")})
		if err != nil && !strings.Contains(err.Error(), "ThrottlingException") {
			err = nil // the manifest is not valid
		}
	}
	refused(t, "the eleventh image of a second", err, "ThrottlingException")
	if _, err := c.DescribeRepositories(t.Context(), nil); err != nil {
		t.Errorf("another action: %v", err)
	}
}

func TestLimits_PrincipalRate(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.Limits.PrincipalRate = 20 })
	c, other := ecr.NewFromConfig(g.admin(victim)), ecr.NewFromConfig(g.admin(stranger))
	var err error
	for i := 0; i < 2000 && err == nil; i++ {
		_, err = c.DescribeRepositories(t.Context(), nil)
	}
	refused(t, "many requests", err, "ThrottlingException")
	if _, err := other.DescribeRepositories(t.Context(), nil); err != nil {
		t.Errorf("another principal: %v", err)
	}
}

// Refusals that repeat are counted instead of logged and audited one by one.
func TestLimits_RepeatedRefusals(t *testing.T) {
	g := start(t)
	for range 500 {
		g.send(g.get("/v2/", ""))
	}
	g.stop()
	audit := string(must(os.ReadFile(filepath.Join(g.data, "audit.jsonl")))(t))
	if n := strings.Count(audit, `"sourceIPAddress":"127.0.0.1"`); n > 100 {
		t.Errorf("%d audit records of 500 refusals", n)
	}
	if n := strings.Count(g.log.String(), "path=/v2/"); n > 100 {
		t.Errorf("%d log lines of 500 refusals", n)
	}
	if !strings.Contains(g.log.String(), "count=480") || !strings.Contains(audit, `"count":480`) {
		t.Error("the rest is not summarized")
	}
}

// What known callers do is always recorded, refused or not.
func TestLimits_RefusalsOfKnownCallers(t *testing.T) {
	g := start(t)
	c := ecr.NewFromConfig(g.user(victim, "nobody"))
	for range 60 {
		_, err := c.DescribeRepositories(t.Context(), nil)
		refused(t, "no permission", err, "AccessDenied")
	}
	g.stop()
	audit := string(must(os.ReadFile(filepath.Join(g.data, "audit.jsonl")))(t))
	if n := strings.Count(audit, `"DescribeRepositories"`); n != 60 {
		t.Errorf("%d audit records of 60 denials", n)
	}
}

// A browser adds remembered credentials to forms of other sites.
func TestServer_CrossOrigin(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	image, packages := "Basic "+g.imageToken(g.admin(victim)), "Bearer "+g.packageToken(g.admin(victim), "first")
	pypi := strings.Replace(strings.TrimSuffix(libPath, "-/ping"), "/npm/", "/pypi/", 1)
	for _, tt := range []struct{ path, authorization string }{{"/v2/app/blobs/uploads/", image}, {pypi, packages}, {"/", ""}} {
		for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
			r := g.request(http.MethodPost, tt.path, "a=b")
			r.Header.Set(header[0], header[1])
			r.Header.Set("Authorization", tt.authorization)
			if status, body := g.send(r); status != http.StatusForbidden || !strings.Contains(body, "another site") {
				t.Errorf("%s with %s: %d %s", tt.path, header, status, body)
			}
		}
	}
	r := g.request(http.MethodPost, "/v2/app/blobs/uploads/", "")
	r.Header.Set("Authorization", image)
	r.Header.Set("Origin", g.url)
	if status, body := g.send(r); status != http.StatusAccepted {
		t.Errorf("the own origin: %d %s", status, body)
	}
}

// Profiles are served only if they are asked for, and not on the public address.
func TestServer_DebugListener(t *testing.T) {
	if g := start(t); g.server.DebugAddress() != "" {
		t.Error("profiles are served by default")
	}
	g := startWith(t, func(c *config.Config) { c.DebugListen = "127.0.0.1:0" })
	for _, path := range []string{"/debug/pprof/goroutine?debug=1", "/metrics"} {
		res := must(http.Get("http://" + g.server.DebugAddress() + path))(t)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if status, _ := g.send(g.get("/debug/pprof/", "")); status != http.StatusNotFound {
		t.Errorf("the public address has profiles: %d", status)
	}
}
