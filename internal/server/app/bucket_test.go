//go:build stores

package app_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// startOnBucket starts a server on a bucket and pushes an image's layer.
func startOnBucket(t *testing.T, address, downloads string) (g *fixture, token string, layerPath string) {
	t.Helper()
	g = startWith(t, func(c *config.Config) { c.Blobs, c.Downloads = address, downloads })
	g.createRepository("app")
	token = "Basic " + g.imageToken(g.admin(victim))
	return g, token, "/v2/app/blobs/" + g.push(token, "app", "layer").String()
}

// answer sends a request and follows no redirect.
func (g *fixture) answer(r *http.Request) (*http.Response, string) {
	g.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res, string(body)
}

// The address of the store is of this machine, as the server's is, so clients would
// send their credentials along.
func TestStores_DownloadIsStreamedOnTheServersHost(t *testing.T) {
	g, token, path := startOnBucket(t, blobtest.S3URL(t), "")
	if status, body := g.raw(http.MethodGet, path, token); status != http.StatusOK || body != "layer" {
		t.Errorf("GET = %d %q", status, body)
	}
	g.stop()
	g.serve()
	ranged := g.get(path, token)
	ranged.Header.Set("Range", "bytes=1-2")
	if res, body := g.answer(ranged); res.StatusCode != http.StatusPartialContent || body != "ay" {
		t.Errorf("GET of a range after a restart = %d %q", res.StatusCode, body)
	}
}

func TestStores_DownloadIsRedirected(t *testing.T) {
	address := blobtest.S3URL(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("download_endpoint", strings.Replace(query.Get("endpoint"), "127.0.0.1", "localhost", 1))
	u.RawQuery = query.Encode()
	g, token, path := startOnBucket(t, u.String(), "")

	res, body := g.answer(g.get(path, token))
	to := res.Header.Get("Location")
	if res.StatusCode != http.StatusTemporaryRedirect || body != "" || !strings.HasPrefix(to, query.Get("download_endpoint")) {
		t.Fatalf("GET = %d %q to %q", res.StatusCode, body, to)
	}
	for rng, want := range map[string]string{"": "layer", "bytes=1-2": "ay"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rng != "" {
			r.Header.Set("Range", rng)
		}
		if res, body := g.answer(r); body != want {
			t.Errorf("the bucket's answer to the range %q is %d %q, want %q", rng, res.StatusCode, body, want)
		}
	}
	// A client that follows redirects leaves its credentials behind.
	if status, body := g.raw(http.MethodGet, path, token); status != http.StatusOK || body != "layer" {
		t.Errorf("GET with the redirect followed = %d %q", status, body)
	}
	head := g.get(path, token)
	head.Method = http.MethodHead
	if res, _ := g.answer(head); res.StatusCode != http.StatusOK || res.ContentLength != 5 {
		t.Errorf("HEAD = %d, %d bytes", res.StatusCode, res.ContentLength)
	}
	if res, _ := g.answer(g.get(path, "Basic "+g.imageToken(g.user(victim, "nobody", allow("ecr:GetAuthorizationToken", "*"))))); res.StatusCode != http.StatusForbidden {
		t.Errorf("GET by someone without permission = %d", res.StatusCode)
	}
	g.stop()
	signature := query.Get("X-Amz-Signature")
	if u, err := url.Parse(to); err == nil {
		signature = u.Query().Get("X-Amz-Signature")
	}
	records, err := os.ReadFile(g.file("audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(records), "GetDownloadUrlForLayer") {
		t.Error("the redirect is not in the audit log")
	}
	if signature == "" || strings.Contains(string(records)+g.log.String(), signature) {
		t.Error("the address of the download is in a log")
	}
}

func TestStores_BucketWithoutItsDatabase(t *testing.T) {
	address := blobtest.S3URL(t)
	g, token, path := startOnBucket(t, address, "stream")
	g.stop()
	on := func(blobs string) func(*config.Config) { return func(c *config.Config) { c.Blobs = blobs } }

	fresh := filepath.Join(t.TempDir(), "data")
	if err := tryStart(t, fresh, on(address)); !errors.Is(err, app.ErrLostDatabase) {
		t.Errorf("a new server = %v, want ErrLostDatabase", err)
	}
	if _, err := os.Stat(filepath.Join(fresh, "gatehouse.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the refused start created a database: %v", err)
	}

	other := t.TempDir()
	if err := tryStart(t, other, on(blobtest.S3URL(t))); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, other, on(address)); !errors.Is(err, s3.ErrOwned) {
		t.Errorf("the server of another bucket = %v, want ErrOwned", err)
	}

	empty := blobtest.S3URL(t)
	for range 2 {
		if err := tryStart(t, g.data, on(empty)); !errors.Is(err, app.ErrLostBlobs) || !strings.Contains(err.Error(), `{"id":"`) {
			t.Errorf("on an empty prefix: %v, want ErrLostBlobs and the way out", err)
		}
	}
	if err := tryStart(t, g.data, on("")); !errors.Is(err, app.ErrLostBlobs) {
		t.Errorf("without its bucket: %v, want ErrLostBlobs", err)
	}
	g.serve()
	if status, body := g.raw(http.MethodGet, path, token); status != http.StatusOK || body != "layer" {
		t.Errorf("after that, GET = %d %q", status, body)
	}
}

func TestStores_BucketThatCannotBeUsed(t *testing.T) {
	address := blobtest.S3URL(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	missing := *u
	missing.Host = "no-such-bucket"
	nowhere := *u
	nowhere.RawQuery = "endpoint=http://127.0.0.1:1"
	for want, blobs := range map[string]string{"there is no such bucket": missing.String(), "cannot be reached": nowhere.String()} {
		data := t.TempDir()
		err := tryStart(t, data, func(c *config.Config) { c.Blobs = blobs })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start = %v, want %q", err, want)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	if err := tryStart(t, t.TempDir(), func(c *config.Config) { c.Blobs = address }); err == nil || !strings.Contains(err.Error(), "credentials are missing, wrong or expired") {
		t.Errorf("with wrong credentials: %v", err)
	}
}
