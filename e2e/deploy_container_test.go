//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A builtImage is the container image as an engine has built it, and its files in a folder.
type builtImage struct {
	t      *testing.T
	root   string
	config struct {
		User        string
		Env         []string
		Entrypoint  []string
		Cmd         []string
		Volumes     map[string]struct{}
		Healthcheck struct{ Test []string }
	}
}

// buildImage builds the image with podman, which needs no daemon for that, and unpacks
// it.
func buildImage(t *testing.T) *builtImage {
	t.Helper()
	run(t, "make", "-C", module, "image-context")
	dir, err := os.MkdirTemp("", "gh-") // podman accepts no long path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	podman := func(args ...string) []byte {
		t.Helper()
		return run(t, "podman", append([]string{"--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}, args...)...)
	}
	podman("build", "--isolation", "chroot", "--format", "docker", "--tag", "gatehouse", filepath.Join(module, "bin/image"))
	i := &builtImage{t: t, root: filepath.Join(dir, "files")}
	if err := json.Unmarshal(podman("image", "inspect", "--format", "{{json .Config}}", "gatehouse"), &i.config); err != nil {
		t.Fatal(err)
	}
	var health []struct{ Healthcheck struct{ Test []string } }
	if err := json.Unmarshal(podman("image", "inspect", "gatehouse"), &health); err != nil {
		t.Fatal(err)
	}
	i.config.Healthcheck = health[0].Healthcheck
	mounted := strings.TrimSpace(string(podman("image", "mount", "gatehouse")))
	run(t, "cp", "-a", mounted, i.root)
	podman("image", "unmount", "gatehouse")
	return i
}

// run runs a command and returns what it printed.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return out
}

// command is a process in the image: its user, its environment, and no other files.
// That needs root, as CI has it.
func (i *builtImage) command(env []string, args ...string) *exec.Cmd {
	i.t.Helper()
	user, group, _ := strings.Cut(i.config.User, ":")
	uid, err := strconv.ParseUint(user, 10, 32)
	if err != nil || uid == 0 {
		i.t.Fatalf("the user is %q: Kubernetes can only check a number, and it must not be 0", i.config.User)
	}
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		i.t.Fatal(err)
	}
	return &exec.Cmd{
		Path: args[0], Args: args, Dir: "/", Env: slices.Concat(i.config.Env, env),
		SysProcAttr: &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}},
	}
}

// TestContainer runs the image's files in a chroot, as its user, and nothing else: no
// shell, no /etc, no /tmp, no authorities, and only its volume to write in.
func TestContainer(t *testing.T) {
	t.Parallel()
	i := buildImage(t)
	t.Run("serves", func(t *testing.T) { testContainerServes(t, i) })
	t.Run("trusts public authorities", func(t *testing.T) { testContainerTrusts(t, i) })
}

func testContainerServes(t *testing.T, i *builtImage) {
	var files []string
	err := filepath.WalkDir(i.root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, i.root))
		}
		return err
	})
	if err != nil || !slices.Equal(files, []string{"/gatehouse"}) {
		t.Errorf("the image has the files %q: %v", files, err)
	}
	if len(i.config.Volumes) != 1 {
		t.Errorf("volumes %v", i.config.Volumes)
	}

	port := freePort(t)
	listen := "GATEHOUSE_LISTEN=0.0.0.0:" + port
	var output bytes.Buffer
	server := i.command([]string{listen}, append(slices.Clone(i.config.Entrypoint), i.config.Cmd...)...)
	server.Stdout, server.Stderr = &output, &output
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() { server.Process.Kill() })

	// The image's own health check, until it succeeds.
	check := i.config.Healthcheck.Test
	if len(check) < 2 || check[0] != "CMD" {
		t.Fatalf("the health check is %q", check)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	for healthy := false; !healthy; {
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v\n%s", err, output.String())
		case <-ctx.Done():
			t.Fatal("the server does not become healthy")
		case <-time.After(50 * time.Millisecond):
			healthy = i.command([]string{listen}, check[1:]...).Run() == nil
		}
	}

	// A client outside.
	out, err := i.command(nil, "/gatehouse", "env", "--keys", "--output", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var environment struct{ Set map[string]string }
	if err := json.Unmarshal(out, &environment); err != nil {
		t.Fatal(err)
	}
	aws := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(binary, "aws1"), args...)
		cmd.Env = append(os.Environ(), "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
		for name, value := range environment.Set {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws %v: %v\n%s\n%s", args, err, out, output.String())
		}
		return string(out)
	}
	aws("ecr", "create-repository", "--repository-name", "app")
	if got := aws("ecr", "describe-repositories", "--query", "repositories[].repositoryName", "--output", "text"); got != "app\n" {
		t.Errorf("%q", got)
	}

	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, output.String())
		}
	case <-time.After(waitTimeout):
		t.Error("the server does not stop")
	}
	if err := i.command([]string{listen}, check[1:]...).Run(); err == nil {
		t.Error("a stopped server is healthy")
	}
}

// testContainerTrusts checks that the program judges certificates in
// an image without any authorities: it must refuse a certificate because nobody whom it
// trusts has signed it, and not because it trusts nobody.
func testContainerTrusts(t *testing.T, i *builtImage) {
	issuer := httptest.NewUnstartedServer(http.NotFoundHandler())
	issuer.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshake fails
	issuer.StartTLS()
	defer issuer.Close()
	cmd := i.command([]string{"AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true"},
		"/gatehouse", "token", "ecr", "--region", region, "--endpoint-url", issuer.URL)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "certificate signed by unknown authority") {
		t.Errorf("%v: %s", err, out)
	}
}

// freePort returns a port on which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
