package sigv4_test

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
)

// drawRequest draws a request as a client makes one, not signed yet.
func drawRequest(t *rapid.T) (*http.Request, []byte) {
	method := rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}).Draw(t, "method")
	body := []byte{}
	if method != "GET" && method != "HEAD" {
		body = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "body")
	}
	text := rapid.StringMatching(`[ -~]{0,12}|[\x{0}-\x{10FFFF}]{0,6}`)

	segments := rapid.SliceOfN(rapid.StringMatching(`[!-~ äß株%/?#+;]{1,10}`), 0, 5).
		Filter(func(s []string) bool {
			for _, s := range s {
				if s == "." || s == ".." {
					return false
				}
			}
			return true
		}).Draw(t, "path")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	address := "http://registry.example" + rapid.SampledFrom([]string{"", ":80", ":4283"}).Draw(t, "port") +
		"/" + strings.Join(segments, "/")
	if len(segments) > 0 && rapid.Bool().Draw(t, "trailing slash") {
		address += "/"
	}
	query := url.Values{}
	for _, name := range rapid.SliceOfN(text, 0, 5).Draw(t, "names") {
		query.Add(name, text.Draw(t, "value"))
	}
	r, err := http.NewRequest(method, address+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	value := rapid.StringMatching(`[ -~]{0,20}`)
	for _, name := range rapid.SliceOfN(rapid.StringMatching(`(X-Amz-|x-)[A-Za-z0-9-]{1,9}|Content-Type|Accept|Range`), 0, 5).Draw(t, "headers") {
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			r.Header.Add(name, value.Draw(t, name))
		}
	}
	if rapid.Bool().Draw(t, "names its body") {
		r.Header.Set("X-Amz-Content-Sha256", hexSHA256(body))
	}
	// The verifier reads these, and refuses random values.
	for _, name := range []string{"X-Amz-Date", "X-Amz-Security-Token"} {
		r.Header.Del(name)
	}
	return r, body
}

func TestVerify_SignedBySDK(t *testing.T) {
	verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	rapid.Check(t, func(rt *rapid.T) {
		r, body := drawRequest(rt)
		if _, err := verifier.Verify(sign(t, r, vectorSecret, body, noon), sigv4.Protected, "ecr", body, knownSecret); err != nil {
			rt.Fatalf("%s %s %v: %v", r.Method, r.URL, r.Header, err)
		}
	})
}

func TestVerify_ChangedRequest(t *testing.T) {
	verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	changes := map[string]func(*http.Request, *[]byte){
		"method": func(r *http.Request, _ *[]byte) { r.Method = "OPTIONS" },
		"host":   func(r *http.Request, _ *[]byte) { r.Host = "other.example" },
		"port":   func(r *http.Request, _ *[]byte) { r.Host += "1" },
		"path":   func(r *http.Request, _ *[]byte) { r.URL = r.URL.JoinPath("x") },
		"query":  func(r *http.Request, _ *[]byte) { r.URL.RawQuery += "&x=y" },
		"header": func(r *http.Request, _ *[]byte) { r.Header["X-Added"] = append(r.Header["X-Added"], "x") },
		"time":   func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Date", "20260314T120001Z") },
		"body": func(r *http.Request, b *[]byte) {
			*b = append(bytes.Clone(*b), 'x')
			r.Header.Set("X-Amz-Content-Sha256", hexSHA256(*b))
		},
		"region": func(r *http.Request, _ *[]byte) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "us-east-1", "us-east-2", 1))
		},
		"key": func(r *http.Request, _ *[]byte) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), keyID, "AKIA2222333344446666", 1))
		},
	}
	var names []string
	for name := range changes {
		names = append(names, name)
	}
	secretOf := func(c *sigv4.Credential) (string, error) {
		if c.AccessKeyID != keyID {
			return "the secret of another key", nil
		}
		return vectorSecret, nil
	}
	rapid.Check(t, func(rt *rapid.T) {
		r, body := drawRequest(rt)
		r.Header.Set("X-Added", "by the client")
		r.Header.Set("X-Amz-Content-Sha256", hexSHA256(body))
		got := sign(t, r, vectorSecret, body, noon)
		changes[rapid.SampledFrom(names).Draw(rt, "change")](got, &body)
		_, err := verifier.Verify(got, sigv4.Protected, "ecr", body, secretOf)
		checkReason(t, sigv4.SignatureMismatch, err)
	})
}

func FuzzVerify(f *testing.F) {
	for _, v := range vectors[:8] {
		r := v.request(f)
		f.Add(r.Header.Get("Authorization"), "20260314T120000Z", r.URL.RequestURI(), "", v.body)
	}
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=00", "", "/?%", "UNSIGNED-PAYLOAD", "")
	f.Add("AWS4-HMAC-SHA256 =,=,;", "2026", "//?;=&&", "x", "y")
	verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	// No request in the corpus has a signature with this secret.
	secret := func(*sigv4.Credential) (string, error) { return "a secret of the fuzz target alone", nil }
	f.Fuzz(func(t *testing.T, authorization, date, target, hash, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: "POST", URL: u, Host: "registry.example", Header: http.Header{
			"Authorization": {authorization}, "X-Amz-Date": {date}, "X-Amz-Content-Sha256": {hash},
		}}
		for _, body := range [][]byte{[]byte(body), nil} {
			if c, err := verifier.Verify(r, sigv4.Protected, "ecr", body, secret); err == nil {
				t.Fatalf("a forged signature: %+v", c)
			}
		}
	})
}
