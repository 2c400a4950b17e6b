package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// A clientHome is a home of real clients that are logged in at the load balancer.
type clientHome struct {
	*session
	dir  string
	host string
}

func newClientHome(t *testing.T, s *session) *clientHome {
	t.Helper()
	h := &clientHome{session: s, dir: t.TempDir(), host: strings.TrimPrefix(s.url, "http://")}
	auths, err := json.Marshal(map[string]any{"auths": map[string]any{h.host: map[string]string{"auth": strings.TrimPrefix(s.basic, "Basic ")}}})
	if err != nil {
		t.Fatal(err)
	}
	npm := s.endpoint("npm")
	npmrc := "registry=" + npm + "\n" + strings.TrimPrefix(npm, "http:") + ":_authToken=" + strings.TrimPrefix(s.bearer, "Bearer ") + "\n"
	if err := errors.Join(os.WriteFile(filepath.Join(h.dir, "config.json"), auths, 0o600), os.WriteFile(filepath.Join(h.dir, ".npmrc"), []byte(npmrc), 0o600)); err != nil {
		t.Fatal(err)
	}
	return h
}

// run runs a client in a folder.
func (h *clientHome) run(folder, client string, args ...string) error {
	cmd := exec.CommandContext(h.ctx, "sh", append([]string{"-c", `exec "$0" "$@"`, client}, args...)...)
	cmd.Dir = folder
	cmd.Env = []string{
		"HOME=" + h.dir, "PATH=" + binary + ":" + os.Getenv("PATH"), "DOCKER_CONFIG=" + h.dir, "REGISTRY_AUTH_FILE=" + filepath.Join(h.dir, "config.json"),
		"npm_config_cache=" + filepath.Join(folder, "npm-cache"), "npm_config_update_notifier=false", "PIP_CONFIG_FILE=/dev/null", "PIP_NO_CACHE_DIR=1", "PIP_DISABLE_PIP_VERSION_CHECK=1",
	}
	out, err := cmd.CombinedOutput()
	if err != nil && h.ctx.Err() == nil {
		return fmt.Errorf("%s %v: %w\n%s", client, args, err, out)
	}
	return err
}

// pypi is an address of the Python repository with the token in it.
func (h *clientHome) pypi(path string) string {
	return strings.Replace(h.endpoint("pypi"), "http://", "http://aws:"+strings.TrimPrefix(h.bearer, "Bearer ")+"@", 1) + path
}

// prepare publishes what the loops install.
func (h *clientHome) prepare() error {
	folder := filepath.Join(h.dir, "prepare")
	project := filepath.Join(folder, "project")
	if err := os.MkdirAll(project, 0o700); err != nil {
		return err
	}
	images, err := layout.Write(filepath.Join(folder, "image"), empty.Index)
	if err != nil {
		return err
	}
	image, err := random.Image(200_000, 3)
	if err != nil {
		return err
	}
	whl := filepath.Join(folder, "spam-1.0.0-py3-none-any.whl")
	return errors.Join(
		images.AppendImage(image),
		writeWheel(whl, "spam", "1.0.0"),
		os.WriteFile(filepath.Join(project, "package.json"), []byte(`{"name":"left","version":"1.0.0"}`), 0o600),
		h.run(project, "npm", "publish"),
		h.run(folder, "twine", "upload", "--non-interactive", "--disable-progress-bar", "--repository-url", h.endpoint("pypi"), "-u", "aws", "-p", strings.TrimPrefix(h.bearer, "Bearer "), whl),
		h.run(folder, "crane", "push", filepath.Join(folder, "image"), h.host+"/app:v1"),
	)
}

// loops are what people and pipelines do all day, by name. n is new in each round.
func (h *clientHome) loops() map[string]func(folder string, n int) error {
	image := filepath.Join(h.dir, "prepare/image")
	return map[string]func(folder string, n int) error{
		"crane push": func(folder string, n int) error {
			pushed, err := layout.Write(filepath.Join(folder, "image"), empty.Index)
			if err != nil {
				return err
			}
			image, err := random.Image(100_000, 2)
			if err != nil {
				return err
			}
			return errors.Join(pushed.AppendImage(image), h.run(folder, "crane", "push", "image", fmt.Sprintf("%s/app:push%d", h.host, n)))
		},
		"crane pull": func(folder string, _ int) error { return h.run(folder, "crane", "pull", h.host+"/app:v1", "image.tar") },
		"skopeo copy": func(folder string, n int) error {
			return errors.Join(
				h.run(folder, "skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:"+image, fmt.Sprintf("docker://%s/app:copy%d", h.host, n)),
				h.run(folder, "skopeo", "copy", "-q", "--src-tls-verify=false", fmt.Sprintf("docker://%s/app:copy%d", h.host, n), "oci:pulled"),
			)
		},
		"npm install": func(folder string, _ int) error {
			return h.run(folder, "npm", "install", "--no-save", "--no-audit", "left")
		},
		"npm publish": func(folder string, n int) error {
			err := os.WriteFile(filepath.Join(folder, "package.json"), fmt.Appendf(nil, `{"name":"published","version":"1.0.%d"}`, n), 0o600)
			return errors.Join(err, h.run(folder, "npm", "publish"))
		},
		"pip install": func(folder string, _ int) error {
			return h.run(folder, "pip", "install", "-q", "--no-deps", "--target", "installed", "--index-url", h.pypi("simple/"), "spam")
		},
	}
}

// TestRollingRestart_NoCommandFails restarts each of three servers while real clients
// push, pull, publish and install through the load balancer.
func TestRollingRestart_NoCommandFails(t *testing.T) {
	s := newServers(t, newStores(t), several, "log: {level: warn}")
	session := connectFirst(t, &process{t: t, url: s.balancer.url}, s.data(0), newLedger())
	home := newClientHome(t, session)
	if err := home.prepare(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	loops := home.loops()
	done := make(map[string]*atomic.Int64, len(loops))
	for name, loop := range loops {
		finished := new(atomic.Int64)
		done[name] = finished
		base := t.TempDir()
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				folder := filepath.Join(base, fmt.Sprint(n))
				err := errors.Join(os.Mkdir(folder, 0o700), loop(folder, n), os.RemoveAll(folder))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				finished.Add(1)
			}
		})
	}
	// Each server restarts while every loop makes progress.
	for i := range several {
		waitForProgress(t, done)
		s.stop(i)
		waitForProgress(t, done)
		s.start(i)
		s.balancer.waitFor(t, several)
	}
	waitForProgress(t, done)
	stop()
	running.Wait()
	if n := s.balancer.failures.Load(); n > 0 {
		t.Errorf("the load balancer could not pass on %d requests", n)
	}
	for name, n := range done {
		t.Logf("%s: %d commands", name, n.Load())
	}
	for i := range several {
		s.stop(i)
	}
}

// waitForProgress waits until each loop has finished one more command.
func waitForProgress(t *testing.T, done map[string]*atomic.Int64) {
	t.Helper()
	before := map[string]int64{}
	for name, n := range done {
		before[name] = n.Load()
	}
	for !t.Failed() && slices.ContainsFunc(keysOf(done), func(name string) bool { return done[name].Load() == before[name] }) {
		pause()
	}
	if t.Failed() {
		t.FailNow()
	}
}
