package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// module is the path of the module whose command is built.
const module = "github.com/gatehouse-registry/gatehouse/"

// registry is the registry's host name, in the form of AWS.
const registry = "000000000001.dkr.ecr.us-east-1.amazonaws.com"

// A setup has the servers, the proxy that routes AWS's host names to the first of
// them, and the image.
type setup struct {
	dir, tools string
	// plain is the program; clocked is its build with a clock that a file moves.
	plain, clocked string
	server         *server // of the plain program
	later          *server // of the clocked program
	clock          string  // the file that moves it
	proxy          *http.Server
	proxyURL       string
}

func (w *setup) open(ctx context.Context) error {
	w.plain, w.clocked = filepath.Join(w.dir, "gatehouse"), filepath.Join(w.dir, "clocked")
	for path, flags := range map[string][]string{w.plain: nil, w.clocked: {"-tags", "e2e"}} {
		argv := append(append([]string{"build", "-o", path}, flags...), module+"cmd/gatehouse")
		if out, err := exec.CommandContext(ctx, "go", argv...).CombinedOutput(); err != nil {
			return fmt.Errorf("build gatehouse: %w\n%s", err, out)
		}
	}
	config := filepath.Join(w.dir, "config.yaml")
	if err := os.WriteFile(config, []byte("tls: {}\ndomain_suffix: amazonaws.com\n"), 0o600); err != nil {
		return err
	}
	w.clock = filepath.Join(w.dir, "clock")
	if err := w.advance(0); err != nil {
		return err
	}
	var err error
	if w.server, err = startServer(ctx, w.plain, filepath.Join(w.dir, "data"), config, nil); err != nil {
		return err
	}
	if w.later, err = startServer(ctx, w.clocked, filepath.Join(w.dir, "later"), config, []string{"GATEHOUSE_CLOCK=" + w.clock}); err != nil {
		return err
	}
	if err := w.startProxy(); err != nil {
		return err
	}
	return w.fill(ctx)
}

func (w *setup) close() error {
	var errs []error
	if w.proxy != nil {
		errs = append(errs, w.proxy.Close())
	}
	for _, s := range []*server{w.server, w.later} {
		if s != nil {
			errs = append(errs, s.stop())
		}
	}
	return errors.Join(errs...)
}

// advance sets how far the moved clock is ahead, atomically.
func (w *setup) advance(d time.Duration) error {
	if err := os.WriteFile(w.clock+".new", []byte(d.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(w.clock+".new", w.clock)
}

// startProxy serves CONNECT and routes every host name to the server.
func (w *setup) startProxy() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.proxyURL = "http://" + l.Addr().String()
	w.proxy = &http.Server{Handler: http.HandlerFunc(w.connect), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.proxy.Serve(l) }()
	return nil
}

func (w *setup) connect(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(rw, "only CONNECT is allowed", http.StatusMethodNotAllowed)
		return
	}
	up, err := net.Dial("tcp", strings.TrimPrefix(w.server.url, "https://"))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	if _, err := io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(up, buffered)
		_ = up.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(down, up)
}

// image is the pulled image: one incompressible layer of 4 MiB.
const image = registry + "/app:v1"

// fill creates the repository and pushes the image.
func (w *setup) fill(ctx context.Context) error {
	home := filepath.Join(w.dir, "filler")
	setUp := &helper{setup: w, suffix: "gatehouse", program: w.plain, home: home}
	if err := setUp.configure(); err != nil {
		return err
	}
	aws := filepath.Join(w.tools, "python/bin/aws")
	if _, err := w.command(ctx, home, nil, aws, "ecr", "create-repository", "--repository-name", "app"); err != nil {
		return err
	}
	layer := filepath.Join(w.dir, "layer")
	content := make([]byte, 4<<20)
	rand.Read(content)
	if err := os.WriteFile(layer, content, 0o600); err != nil {
		return err
	}
	for _, argv := range [][]string{
		{"tar", "-C", w.dir, "-cf", layer + ".tar", "layer"},
		{w.crane(), "append", "--new_layer", layer + ".tar", "--new_tag", image, "--output", layer + ".image"},
		{w.crane(), "push", layer + ".image", image},
	} {
		if _, err := w.command(ctx, home, nil, argv...); err != nil {
			return err
		}
	}
	return nil
}

func (w *setup) crane() string { return filepath.Join(w.tools, "bin/crane") }

// command runs a command with a home directory and returns its output.
func (w *setup) command(ctx context.Context, home string, stdin []byte, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdin = w.server.environment(home, w.proxyURL), bytes.NewReader(stdin)
	return output(cmd)
}

func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(append(out, stderr.Bytes()...)))
	}
	return out, nil
}

// A server is a running Gatehouse.
type server struct {
	cmd  *exec.Cmd
	url  string
	data string
	http *http.Client
}

func startServer(ctx context.Context, program, data, config string, env []string) (*server, error) {
	cmd := exec.CommandContext(ctx, program, "serve", "--data", data, "--config", config, "--listen", "127.0.0.1:0", "--log-level", "error")
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, data: data}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.url = url
			s.http, err = trusting(s.authority())
			return s, err
		}
	}
	return nil, errors.Join(errors.New("the server did not start"), cmd.Wait())
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// authority is the file with the server's own certificate authority.
func (s *server) authority() string { return filepath.Join(s.data, "tls", "ca.pem") }

// environment returns the variables of a person who uses this server as AWS.
func (s *server) environment(home, proxy string) []string {
	path := filepath.Join(home, "bin") + string(os.PathListSeparator) + os.Getenv("PATH")
	return []string{
		"HOME=" + home, "PATH=" + path, "DOCKER_CONFIG=" + filepath.Join(home, ".docker"),
		"AWS_CONFIG_FILE=" + filepath.Join(s.data, "aws", "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(s.data, "aws", "credentials"),
		"AWS_PROFILE=gatehouse", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
		"AWS_CA_BUNDLE=" + s.authority(), "SSL_CERT_FILE=" + s.authority(), "HTTPS_PROXY=" + proxy, "NO_PROXY=127.0.0.1",
		// Answers name the registry with the server's port, but clients call it at
		// port 443, as they call AWS.
		"GATEHOUSE_HOSTS=" + registry,
	}
}

// calls counts the calls of GetAuthorizationToken that were answered with a token,
// from the audit records. Refused calls do not count: after the clock was moved,
// the SDK's first attempt fails and it tries again.
func (s *server) calls() (int, error) {
	f, err := os.Open(filepath.Join(s.data, "audit.jsonl"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := 0
	for d := json.NewDecoder(f); ; {
		var record struct{ EventName, ErrorCode string }
		switch err := d.Decode(&record); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return 0, err
		case record.EventName == "GetAuthorizationToken" && record.ErrorCode == "":
			n++
		}
	}
}

// admits reports whether the registry accepts the user name and password.
func (s *server) admits(ctx context.Context, user, password string) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v2/", nil)
	if err != nil {
		return false, err
	}
	r.SetBasicAuth(user, password)
	res, err := s.http.Do(r)
	if err != nil {
		return false, err
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK, nil
}
