package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A client that closes its sending side, or leaves, is not an error of the server, and
// what was not done for it is not answered as a success.
func TestServer_ClientLeaves(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	packages := "Bearer " + g.packageToken(g.admin(victim), "first")
	keys, host := g.keys(g.admin(victim)), strings.TrimPrefix(g.url, "http://")
	npm := strings.TrimSuffix(libPath, "-/ping")

	signed := func(service, path, contentType, target, body string) *http.Request {
		r := g.request(http.MethodPost, path, body)
		r.Header.Set("Content-Type", contentType)
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		return g.sign(r, keys, body, service, region, g.now())
	}
	requests := map[string]func(name string) *http.Request{
		"IAM": func(name string) *http.Request {
			form := url.Values{"Action": {"CreateUser"}, "Version": {"2010-05-08"}, "UserName": {name}}.Encode()
			return signed("iam", "/", "application/x-www-form-urlencoded", "", form)
		},
		"ECR": func(name string) *http.Request {
			return signed("ecr", "/", "application/x-amz-json-1.1", "AmazonEC2ContainerRegistry_V20150921.CreateRepository", `{"repositoryName":"`+name+`"}`)
		},
		"CodeArtifact": func(name string) *http.Request {
			return signed("codeartifact", "/v1/repository?domain=first&repository="+name, "application/json", "", "{}")
		},
		"npm": func(name string) *http.Request {
			r := g.request(http.MethodPut, npm+name, fmt.Sprintf(`{"name":%[1]q,"versions":{"1.0.0":{"name":%[1]q,"version":"1.0.0","dist":{}}},"dist-tags":{"latest":"1.0.0"},"_attachments":{"%[1]s-1.0.0.tgz":{"data":"eA=="}}}`, name))
			r.Header.Set("Authorization", packages)
			r.Header.Set("Content-Type", "application/json")
			return r
		},
	}
	for service, request := range requests {
		for i := range 40 {
			var raw bytes.Buffer
			name := fmt.Sprintf("%s%d", strings.ToLower(service), i)
			r := request(name)
			if err := r.Write(&raw); err != nil {
				t.Fatal(err)
			}
			c := must(net.Dial("tcp", host))(t)
			if _, err := raw.WriteTo(c); err != nil {
				t.Fatal(err)
			}
			if i%4 == 3 { // leaves at once
				c.Close()
				continue
			}
			c.(*net.TCPConn).CloseWrite()
			res, err := http.ReadResponse(bufio.NewReader(c), r)
			if err != nil {
				t.Fatalf("%s: %v", service, err)
			}
			body := string(must(io.ReadAll(res.Body))(t))
			c.Close()
			if res.StatusCode >= 500 || res.StatusCode < 300 && body == "" {
				t.Fatalf("%s: %s, %q", service, res.Status, body)
			}
		}
	}
	for _, route := range []string{"api", "packages"} {
		g.waitFor(`gatehouse_requests_in_flight{route="` + route + `"} 0`)
	}
	g.stop()
	if log := g.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has errors: %.500s", log[strings.Index(log, "level=ERROR"):])
	}
}
