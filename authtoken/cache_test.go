package authtoken_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// process is another process that prints a token.
func (g *testServer) process(dir string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(g.t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), g.env...), childVariable+"="+dir, "AWS_EC2_METADATA_DISABLED=true")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func TestCache_TwentyProcessesMakeOneCall(t *testing.T) {
	g, dir := startServer(t), filepath.Join(t.TempDir(), "not yet there")
	tokens := make([]string, 20)
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() {
			out, err := g.process(dir).Output()
			if err != nil {
				t.Errorf("%v: %s", err, err.(*exec.ExitError).Stderr)
			}
			tokens[i] = string(out)
		})
	}
	all.Wait()
	for _, other := range tokens {
		if other != tokens[0] || len(other) < 20 {
			t.Errorf("%q and %q", tokens[0], other)
		}
	}
	if n := g.issued(); n != 1 {
		t.Errorf("%d tokens were issued", n)
	}
}

// A process that dies in the middle of its call takes neither the lock nor the
// cache with it.
func TestCache_ProcessDiesInItsCall(t *testing.T) {
	g, dir := startServer(t), t.TempDir()
	target, err := url.Parse(g.url)
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // the host is signed
	}}
	var first sync.Once
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hold := false
		first.Do(func() { hold = true })
		if !hold {
			forward.ServeHTTP(w, r)
			return
		}
		// The body has to be read for the server to notice that the client is gone.
		_, _ = io.Copy(io.Discard, r.Body)
		close(begun)
		<-r.Context().Done()
	}))
	defer front.Close()
	endpoint := "AWS_ENDPOINT_URL=" + front.URL
	dying := g.process(dir, endpoint)
	if err := dying.Start(); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := dying.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dying.Wait() // killed
	out, err := g.process(dir, endpoint).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
	}
	again, err := g.process(dir, endpoint).Output()
	if err != nil || !bytes.Equal(out, again) {
		t.Errorf("the second process does not find the token of the first: %v", err)
	}
}

// A file that a crash or somebody else has damaged is not read as a token.
func TestCache_DamagedFiles(t *testing.T) {
	g, dir := startServer(t), t.TempDir()
	source := func() *authtoken.Source { return authtoken.CodeArtifact(g.cfg, "acme", authtoken.CacheDir(dir)) }
	for name, damage := range map[string]func(path string, whole []byte) error{
		"empty": func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"cut":   func(path string, whole []byte) error { return os.WriteFile(path, whole[:len(whole)/2], 0o600) },
		"one bit": func(path string, whole []byte) error {
			whole[len(whole)/2] ^= 1
			return os.WriteFile(path, whole, 0o600)
		},
		"plain":      func(path string, _ []byte) error { return os.WriteFile(path, []byte(`{"Token":{"Value":"x"}}`), 0o600) },
		"readable":   func(path string, _ []byte) error { return os.Chmod(path, 0o644) },
		"unfinished": func(path string, whole []byte) error { os.Remove(path); return os.WriteFile(path+".tmp", whole, 0o600) },
	} {
		before := token(t, source())
		path := files(t, dir, ".token")[0]
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := damage(path, whole); err != nil {
			t.Fatal(err)
		}
		after := token(t, source())
		if after.Value == before.Value {
			t.Errorf("%s: the damaged file was used", name)
		}
		if token(t, source()).Value != after.Value {
			t.Errorf("%s: the file was not mended", name)
		}
	}
}

func TestCache_PrivateAndEncrypted(t *testing.T) {
	g, dir := startServer(t), filepath.Join(t.TempDir(), "cache")
	got := token(t, authtoken.ECR(g.cfg, authtoken.CacheDir(dir)))
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	creds, err := g.cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t, dir, "") {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{got.Password, got.Value, creds.AccessKeyID, creds.SecretAccessKey} {
			if strings.Contains(path+string(content), secret) {
				t.Errorf("%s holds a secret", path)
			}
		}
	}
}

// Other credentials do not find the tokens of the first ones, even with the same
// access key id.
func TestCache_OtherCredentials(t *testing.T) {
	g, dir := startServer(t), t.TempDir()
	shared := authtoken.CacheDir(dir)
	first := token(t, authtoken.CodeArtifact(g.cfg, "acme", shared))
	friend := g.user("friend", "codeartifact:*", "sts:GetServiceBearerToken")
	if got := token(t, authtoken.CodeArtifact(friend, "acme", shared)); got.Value == first.Value {
		t.Error("another user got the first one's token")
	}
	creds, err := g.cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forged := g.with(creds.AccessKeyID, "not the secret")
	if got, err := authtoken.CodeArtifact(forged, "acme", shared).Token(t.Context()); err == nil {
		t.Errorf("%v without the secret", got)
	}
	denied := g.user("denied", "ecr:*")
	if got, err := authtoken.CodeArtifact(denied, "acme", shared).Token(t.Context()); err == nil {
		t.Errorf("%v without the permission", got)
	}
	// One source whose credentials change, as a role's do.
	current := g.cfg.Credentials
	cfg := g.cfg.Copy()
	cfg.Credentials = &changing{&current}
	s := authtoken.CodeArtifact(cfg, "acme", shared)
	if token(t, s).Value != first.Value {
		t.Error("the kept token was not found")
	}
	current = friend.Credentials
	if token(t, s).Value == first.Value {
		t.Error("the source kept its token for other credentials")
	}
}

// Any two requests that differ at all have nothing in common.
func TestCache_Keys(t *testing.T) {
	text := rapid.StringN(0, 6, -1)
	caller := rapid.Custom(func(t *rapid.T) []string {
		return rapid.SliceOfN(text, 5, 8).Draw(t, "fields")
	})
	key := func(f []string) string {
		return authtoken.KeyOf(aws.Credentials{AccessKeyID: f[0], SecretAccessKey: "s" + f[1], SessionToken: f[2]}, f[3:])
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := caller.Draw(t, "a"), caller.Draw(t, "b")
		if same := fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b); same != (key(a) == key(b)) {
			t.Errorf("%q and %q", a, b)
		}
		// Moving a byte from one field to the next is a difference.
		if moved := append([]string(nil), a...); len(a[3]) > 0 {
			moved[3], moved[4] = a[3][:len(a[3])-1], a[3][len(a[3])-1:]+a[4]
			if key(moved) == key(a) {
				t.Errorf("%q and %q", a, moved)
			}
		}
	})
}

func TestCache_OldFiles(t *testing.T) {
	g, dir := startServer(t), t.TempDir()
	old := time.Now().Add(-25 * time.Hour)
	for _, name := range []string{"a.token", "b.tmp", "c.lock", "somebody else's"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	token(t, authtoken.ECR(g.cfg, authtoken.CacheDir(dir)))
	left := files(t, dir, "")
	if len(left) != 3 { // the token, its lock, and what is not ours
		t.Errorf("left: %q", left)
	}
}

// A cache that cannot be written costs calls, and nothing else.
func TestCache_Unusable(t *testing.T) {
	g := startServer(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := authtoken.ECR(g.cfg, authtoken.CacheDir(filepath.Join(file, "below a file")))
	first := token(t, s)
	if token(t, s) != first || g.net.calls.Load() != 1 {
		t.Error("not kept in memory")
	}
}

func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("no file of %q in %s: %v", suffix, dir, err)
	}
	return found
}
