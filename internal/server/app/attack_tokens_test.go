package app_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	libPath = "/codeartifact/us-east-1/000000000001/first/npm/lib/-/ping"
	libHost = "first-000000000001.d.codeartifact.us-east-1.aws.example"
	appTags = "/v2/app/tags/list"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// schemes are the ways in which a token is sent.
func schemes(token string) []string {
	return []string{basic("AWS", token), basic("aws", token), "Bearer " + token, token}
}

// A token opens the routes of its own kind, in all its schemes, and no others.
func TestAttack_TokenOfOtherRoutes(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	admin := g.admin(victim)
	image, err := base64.StdEncoding.DecodeString(g.imageToken(admin))
	if err != nil {
		t.Fatal(err)
	}
	session := must(sts.NewFromConfig(admin).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{}))(t)
	tokens := map[string]string{
		"ghct_": g.packageToken(admin, "first"),
		"ghet_": strings.TrimPrefix(string(image), "AWS:"),
		"ghst_": *session.Credentials.SessionToken,
	}
	routes := map[string]string{libPath: "ghct_", appTags: "ghet_", "/v2/": "ghet_"}
	for prefix, token := range tokens {
		if !strings.HasPrefix(token, prefix) {
			t.Fatalf("a token begins with %q and not %q", token[:5], prefix)
		}
		for route, opens := range routes {
			for _, header := range schemes(token) {
				status, body := g.send(g.get(route, header))
				if want := opens == prefix; want != (status == http.StatusOK) || !want && status != http.StatusUnauthorized {
					t.Errorf("%s at %s: %d %s", prefix, route, status, body)
				}
			}
			for name, bad := range damaged(token) {
				for _, header := range schemes(bad) {
					if status, body := g.send(g.get(route, header)); status != http.StatusUnauthorized {
						t.Errorf("%s (%s) at %s: %d %s", prefix, name, route, status, body)
					}
				}
			}
		}
		// No API is opened by a bearer token.
		for _, header := range schemes(token) {
			r := g.request(http.MethodPost, "/", "Action=GetCallerIdentity&Version=2011-06-15")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Authorization", header)
			if status, body := g.send(r); status != http.StatusForbidden && status != http.StatusBadRequest {
				t.Errorf("%s at STS: %d %s", prefix, status, body)
			}
		}
	}
}

// damaged are tokens that are nearly the token.
func damaged(token string) map[string]string {
	flip := func(i int) string {
		b := []byte(token)
		b[i] ^= 1
		return string(b)
	}
	other := map[string]string{"ghct_": "ghet_", "ghet_": "ghst_", "ghst_": "ghct_"}[token[:5]]
	return map[string]string{
		"cut": token[:len(token)-1], "extended": token + "A", "padded": token + "=", "of another prefix": other + token[5:],
		"first bit": flip(5), "middle bit": flip(len(token) / 2), "last bit": flip(len(token) - 1), "twice": token + token,
		"without prefix": token[5:], "upper": strings.ToUpper(token), "empty": token[:5],
	}
}

// A CodeArtifact token is for one domain, whichever way its address is written.
func TestAttack_PackageTokenOfOtherDomain(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	g.repositories(stranger, "first")
	must(codeartifact.NewFromConfig(g.admin(victim)).CreateDomain(t.Context(), &codeartifact.CreateDomainInput{Domain: aws.String("second")}))(t)
	token := "Bearer " + g.packageToken(g.admin(victim), "first")

	for name, c := range map[string]struct {
		host, path string
		want       int
	}{
		"its own":               {"", libPath, http.StatusOK},
		"its own host":          {libHost, "/npm/lib/-/ping", http.StatusOK},
		"its host in upper":     {strings.ToUpper(libHost), "/npm/lib/-/ping", http.StatusOK},
		"its host with a port":  {libHost + ":8443", "/npm/lib/-/ping", http.StatusOK},
		"another domain":        {"", strings.Replace(libPath, "first", "second", 1), http.StatusForbidden},
		"another owner":         {"", strings.Replace(libPath, victim, stranger, 1), http.StatusForbidden},
		"another region":        {"", strings.Replace(libPath, region, secondRegion, 1), http.StatusForbidden},
		"no region":             {"", strings.Replace(libPath, region, "mars-1", 1), http.StatusForbidden},
		"another owner's host":  {strings.Replace(libHost, victim, stranger, 1), "/npm/lib/-/ping", http.StatusForbidden},
		"another region's host": {strings.Replace(libHost, region, secondRegion, 1), "/npm/lib/-/ping", http.StatusForbidden},
		"escaped slashes":       {"", strings.Replace(libPath, "/first/", "%2Ffirst%2F", 1), http.StatusNotFound},
		"an escaped name":       {"", strings.Replace(libPath, "first", "%66irst", 1), http.StatusNotFound},
		"upper case":            {"", strings.Replace(libPath, "first", "FIRST", 1), http.StatusNotFound},
		"dots to another":       {"", strings.Replace(libPath, "first/npm", "second/../first/npm", 1), http.StatusNotFound},
	} {
		r := g.get(c.path, token)
		if c.host != "" {
			r.Host = c.host
		}
		if status, body := g.send(r); status != c.want {
			t.Errorf("%s: %d and not %d: %s", name, status, c.want, body)
		}
	}

	// The host's domain wins over whatever the path says, and a host that is
	// nearly one is none.
	for _, c := range []struct{ host, path string }{
		{strings.Replace(libHost, "first", "second", 1), libPath},
		{libHost + ".", "/npm/lib/-/ping"},
		{"evil.example", "/npm/lib/-/ping"},
		{libHost + ".evil.example", "/npm/lib/-/ping"},
		{"x." + libHost, "/npm/lib/-/ping"},
	} {
		r := g.get(c.path, token)
		r.Host = c.host
		if status, body := g.send(r); status == http.StatusOK {
			t.Errorf("%s%s: %d %s", c.host, c.path, status, body)
		}
	}

	// What a proxy would say about the client is not believed.
	r := g.get(strings.Replace(libPath, "first", "second", 1), token)
	for _, h := range []string{"X-Forwarded-Host", "Forwarded", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Prefix"} {
		r.Header.Set(h, libHost+libPath)
	}
	if status, body := g.send(r); status != http.StatusForbidden {
		t.Errorf("with X-Forwarded-Host: %d %s", status, body)
	}
}

// An ECR token is for the registries of its region, and a mangled host is not
// taken for one of somebody else's.
func TestAttack_ImageTokenOfOtherRegion(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	g.repositories(stranger, "first")
	header := "Basic " + g.imageToken(g.admin(victim))
	for host, want := range map[string]int{
		victim + ".dkr.ecr." + region + "." + suffix:                  http.StatusOK,
		strings.ToUpper(victim + ".dkr.ecr." + region + "." + suffix): http.StatusOK,
		victim + ".dkr.ecr." + secondRegion + "." + suffix:            http.StatusForbidden,
		stranger + ".dkr.ecr." + region + "." + suffix:                http.StatusForbidden,
		stranger + ".dkr.ecr." + region + "." + suffix + ":1":         http.StatusForbidden,
		// These name no registry: the caller's own is meant.
		stranger + ".dkr.ecr." + region + "." + suffix + ".": http.StatusOK,
		stranger + ".dkr.ecr." + region + ".evil.example":    http.StatusOK,
	} {
		r := g.get(appTags, header)
		r.Host = host
		if status, body := g.send(r); status != want {
			t.Errorf("%s: %d and not %d: %s", host, status, want, body)
		}
	}
}

func TestAttack_DuplicateAuthorization(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	r := g.get(libPath, "Bearer "+g.packageToken(g.admin(victim), "first"))
	r.Header.Add("Authorization", "Bearer x")
	if status, body := g.send(r); status != http.StatusUnauthorized {
		t.Errorf("%d %s", status, body)
	}
}
