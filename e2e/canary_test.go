package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/tools"
)

// TestSecretsNotLeaked runs every client command and looks for tokens and for the
// secret access key in everything that others can see: command lines and
// environments of running processes, files, output of commands, and the server's
// logs, metrics and data.
func TestSecretsNotLeaked(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	c.logins()
	c.helpers()
	c.running()
	c.messages()
	c.server()
	c.watch.stop()
	for _, leak := range c.watch.leaks {
		t.Error(leak)
	}
	if c.watch.seen < 50 {
		t.Errorf("only %d processes were seen", c.watch.seen)
	}
	if c.issued == 0 || c.held == 0 {
		t.Errorf("%d tokens were printed and %d found in files: the test did not look for anything", c.issued, c.held)
	}
}

// A canary is a user's home and a server, with the pattern of the secrets to look
// for.
type canary struct {
	t      *testing.T
	p      *process
	data   string
	home   string
	tmp    string
	env    []string
	secret *regexp.Regexp
	watch  *processWatcher
	issued int // tokens printed by commands whose purpose is to print one
	held   int // files of tools that contain a token
}

func newCanary(t *testing.T) *canary {
	dir := t.TempDir()
	c := &canary{t: t, data: filepath.Join(dir, "data"), home: filepath.Join(dir, "home"), tmp: filepath.Join(dir, "tmp")}
	for _, d := range []string{c.home, c.tmp, filepath.Join(c.home, ".local/bin")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c.p = startProcess(t, c.data, "--log-level", "debug")
	// All processes that the test starts inherit the mark. The watcher finds them by it.
	mark := "GATEHOUSE_CANARY=" + filepath.Base(dir) + strconv.Itoa(os.Getpid())
	c.env = append(os.Environ(), "HOME="+c.home, "TMPDIR="+c.tmp, "XDG_CONFIG_HOME=", "XDG_CACHE_HOME=", "XDG_STATE_HOME=", "XDG_DATA_HOME=", "DOCKER_CONFIG=", "REGISTRY_AUTH_FILE=",
		"PATH="+filepath.Join(c.home, ".local/bin")+":"+binary+":"+os.Getenv("PATH"), "PIP_CONFIG_FILE=", "NO_COLOR=1", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+filepath.Join(c.data, "aws/config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(c.data, "aws/credentials"), "AWS_PROFILE=gatehouse", "URL="+c.p.url,
		"PIP_DISABLE_PIP_VERSION_CHECK=1", "npm_config_update_notifier=false", mark)
	g := &fixture{t: t, url: c.p.url, data: c.data}
	g.repositories(account, "acme")
	credentials, err := g.profile(account).Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.secret = secretForms(credentials)
	c.watch = startProcessWatcher(mark, c.secret)
	t.Cleanup(c.watch.stop)
	return c
}

// secretForms matches every form of a secret: a token as it is; a token in base64,
// as in Basic authentication and in configuration files, by its constant beginning;
// the secret access key.
func secretForms(c aws.Credentials) *regexp.Regexp {
	return regexp.MustCompile(`gh[ce]t_[A-Za-z0-9_-]{20,}|` +
		`YXdzOmdoY3Rf[A-Za-z0-9+/_-]{20,}|` + // aws:ghct_
		`QVdTOmdoZXRf[A-Za-z0-9+/_-]{20,}|` + // AWS:ghet_
		`Z2h[jl]dF[A-Za-z0-9+/_-]{20,}|` + // ghct_, ghet_
		regexp.QuoteMeta(c.SecretAccessKey))
}

// run runs a command as the user does and returns its output.
func (c *canary) run(stdin string, argv ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(c.t.Context(), "sh", append([]string{"-c", `exec "$0" "$@"`}, argv...)...)
	cmd.Env, cmd.Dir, cmd.Stdin = c.env, c.tmp, strings.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	return out.String(), said.String(), err
}

// quiet runs a command that must succeed without printing a secret.
func (c *canary) quiet(argv ...string) string {
	c.t.Helper()
	stdout, stderr, err := c.run("", argv...)
	if err != nil {
		c.t.Fatalf("%q: %v\n%s%s", argv, err, stdout, stderr)
	}
	c.clean(strings.Join(argv, " "), stdout+stderr)
	return stdout
}

// printing runs a command that must print a token on standard output, and no secret
// on standard error.
func (c *canary) printing(stdin string, argv ...string) {
	c.t.Helper()
	stdout, stderr, err := c.run(stdin, argv...)
	if err != nil || !c.secret.MatchString(stdout) {
		c.t.Fatalf("%q: %v: no token\n%s", argv, err, stderr)
	}
	c.issued++
	c.clean("the messages of "+strings.Join(argv, " "), stderr)
}

// clean reports a secret in a text, without repeating it.
func (c *canary) clean(what, text string) {
	c.t.Helper()
	if at := c.secret.FindStringIndex(text); at != nil {
		c.t.Errorf("%s: a secret after %q", what, text[max(0, at[0]-40):at[0]])
	}
}

// logins logs every tool in and out. Only a tool that stores its token may have
// files with one, with mode 0600, and none may remain after logout.
func (c *canary) logins() {
	c.t.Helper()
	c.holders("before")
	for _, tool := range tools.All() {
		args := []string{"--tool", tool.Name}
		if tool.Format != "" {
			args = append(args, "--domain", "acme", "--repository", "lib")
		}
		c.quiet(append([]string{"gatehouse", "login"}, args...)...)
		holders := c.holders(tool.Name)
		if (len(holders) > 0) != (tool.Secret != login.FromHelper) {
			c.t.Errorf("%s: %d files hold a secret, and it is to be %v", tool.Name, len(holders), tool.Secret)
		}
		c.held += len(holders)
		c.quiet(append([]string{"gatehouse", "logout"}, args[:2]...)...)
		if left := c.holders(tool.Name + " logged out"); len(left) > 0 {
			c.t.Errorf("%s: logged out, and %q hold a secret", tool.Name, left)
		}
	}
	var all []string
	for _, tool := range tools.All() {
		all = append(all, "--tool", tool.Name)
	}
	c.quiet(slices.Concat([]string{"gatehouse", "login", "--dry-run", "--domain", "acme", "--repository", "lib"}, all)...)
	c.quiet(slices.Concat([]string{"gatehouse", "login", "--domain", "acme", "--repository", "lib"}, all)...)
	c.quiet("gatehouse", "doctor")
	c.quiet("gatehouse", "doctor", "--format", "json")
	c.quiet(slices.Concat([]string{"gatehouse", "logout", "--dry-run"}, all)...)
	c.quiet(slices.Concat([]string{"gatehouse", "logout"}, all)...)
	if left := c.holders("all logged out"); len(left) > 0 {
		c.t.Errorf("all are logged out, and %q hold a secret", left)
	}
}

// holders returns the user's files that contain a secret. Each must have mode 0600.
func (c *canary) holders(when string) []string {
	c.t.Helper()
	var found []string
	for _, dir := range []string{c.home, c.tmp} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return ignoreGone(err)
			}
			text, err := os.ReadFile(path)
			if err != nil || !c.secret.Match(text) && !c.secret.MatchString(path) {
				return ignoreGone(err)
			}
			info, err := e.Info()
			if err != nil {
				return ignoreGone(err)
			}
			if info.Mode().Perm() != 0o600 {
				c.t.Errorf("%s: %s holds a secret and has mode %v", when, path, info.Mode())
			}
			found = append(found, path)
			return nil
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return found
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// helpers calls each helper protocol, directly and through clients.
func (c *canary) helpers() {
	c.t.Helper()
	host := strings.TrimPrefix(c.p.url, "http://")
	index := c.p.url + "/codeartifact/" + region + "/" + account + "/acme/pypi/lib/simple/"
	for _, format := range []string{"text", "json", "export", "header", "netrc"} {
		c.printing("", "gatehouse", "token", "codeartifact", "--domain", "acme", "--format", format)
		c.printing("", "gatehouse", "token", "ecr", "--format", format)
	}
	c.printing(host, "gatehouse", "credential", "docker", "get")
	c.printing("", "gatehouse", "credential", "keyring", "get", index, "aws")
	c.printing(`{"uri":"`+index+`"}`, "gatehouse", "credential", "bazel", "get")
	c.printing("url="+index+"\n\n", "gatehouse", "credential", "get", "get")
	c.printing(`{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderRequest","image":"`+host+`/app"}`, "gatehouse", "credential", "kubelet")
	c.quiet("gatehouse", "login", "--tool", "docker", "--tool", "pip", "--tool", "npm", "--domain", "acme", "--repository", "lib")
	image := filepath.Join(c.tmp, "image.tar")
	c.quiet("crane", "append", "--new_layer", c.tar(), "--new_tag", host+"/app:v1", "--output", image)
	c.quiet("crane", "push", image, host+"/app:v1")
	c.quiet("crane", "--verbose", "manifest", host+"/app:v1")
	c.quiet("skopeo", "inspect", "--tls-verify=false", "docker://"+host+"/app:v1")
	c.quiet("npm", "ping", "--loglevel", "http")
	stdout, stderr, _ := c.run("", "pip", "install", "-vvv", "--target", filepath.Join(c.tmp, "got"), "some-lib") // a package that does not exist
	c.clean("pip -vvv", stdout+stderr)
	c.quiet("gatehouse", "logout", "--tool", "docker", "--tool", "pip", "--tool", "npm")
	if left := c.holders("helpers"); len(left) > 0 {
		c.t.Errorf("%q hold a secret", left)
	}
}

// tar returns the path of an image layer.
func (c *canary) tar() string {
	path := filepath.Join(c.tmp, "layer.tar")
	c.quiet("tar", "-C", "/etc", "-cf", path, "hostname")
	return path
}

// running tests the commands that run others: exec, which gives the token only to
// its child process, and proxy, which gives it to no process.
func (c *canary) running() {
	c.t.Helper()
	target := []string{"--domain", "acme", "--repository", "lib", "--format", "npm,pypi,maven,cargo,nuget,ruby", "--registry"}
	c.quiet(slices.Concat([]string{"gatehouse", "exec", "--print"}, target)...)
	const look = `
grep -qaE 'gh[ce]t_' /proc/$$/environ || exit 10
! grep -qaE 'gh[ce]t_' /proc/$PPID/environ || exit 11
! cat /proc/$$/cmdline /proc/$PPID/cmdline | grep -qaE 'gh[ce]t_' || exit 12
`
	c.quiet(slices.Concat([]string{"gatehouse", "exec"}, target, []string{"--", "env", child, "sh", "-c", look})...)
	c.during(slices.Concat([]string{"gatehouse", "exec"}, target))
	c.during(slices.Concat([]string{"gatehouse", "proxy", "--verbose"}, target))
	const through = `
! grep -qaE 'gh[ce]t_' /proc/$$/environ || exit 10
! cat /proc/$PPID/cmdline /proc/$PPID/environ | grep -qaE 'gh[ce]t_' || exit 11
curl -sf "http://$ECR_REGISTRY/v2/app/tags/list" || exit 12
npm ping`
	c.quiet(slices.Concat([]string{"gatehouse", "proxy", "--verbose"}, target, []string{"--", "sh", "-c", through})...)
}

// during looks at the files while a child process runs, and afterwards. Files for
// the child may refer to secrets but must not contain any.
func (c *canary) during(argv []string) {
	c.t.Helper()
	in, out := filepath.Join(c.t.TempDir(), "in"), filepath.Join(c.t.TempDir(), "out")
	c.quiet("mkfifo", in, out)
	done := make(chan string, 1)
	go func() {
		stdout, stderr, err := c.run("", append(argv, "--", "env", child, "sh", "-c", `echo >"$1"; read -r _ <"$2"`, "sh", out, in)...)
		done <- fmt.Sprintf("%s%s%v", stdout, stderr, err)
	}()
	begun, err := os.ReadFile(out) // returns when the child has begun
	if err != nil || len(begun) == 0 {
		c.t.Fatalf("%q: %v", argv, err)
	}
	if holders := c.holders(strings.Join(argv[:2], " ")); len(holders) > 0 {
		c.t.Errorf("%q: %q hold a secret", argv, holders)
	}
	if err := os.WriteFile(in, []byte("\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	said := <-done
	if !strings.HasSuffix(said, "<nil>") {
		c.t.Errorf("%q: %s", argv, said)
	}
	c.clean(strings.Join(argv, " "), said)
	if left := c.holders("after"); len(left) > 0 {
		c.t.Errorf("%q left a secret in %q", argv, left)
	}
}

// messages checks the output of all commands that must not print a token, and of
// errors.
func (c *canary) messages() {
	c.t.Helper()
	for _, command := range []string{"token", "token codeartifact", "token ecr", "credential", "login", "logout", "exec", "proxy", "whoami", "doctor"} {
		c.quiet(append(append([]string{"gatehouse"}, strings.Fields(command)...), "--help")...)
	}
	for _, command := range []string{"whoami", "whoami --format json --domain acme", "doctor", "doctor --format json"} {
		c.quiet(append([]string{"gatehouse"}, strings.Fields(command)...)...)
	}
	for _, command := range []string{
		"token codeartifact --domain nowhere", "token ecr --region eu-west-1", "token ecr --endpoint-url http://127.0.0.1:1",
		"login --tool pip --domain acme --repository nothing", "login --tool npm --domain nowhere --repository lib", "login --tool emacs",
		"exec --domain nowhere --repository lib -- true", "exec --domain acme --repository lib -- env " + child + " false", "proxy --domain nowhere --repository lib -- true",
		"whoami --region eu-west-1", "doctor --region eu-west-1",
	} {
		stdout, stderr, err := c.run("", append([]string{"gatehouse"}, strings.Fields(command)...)...)
		if err == nil {
			c.t.Errorf("%s: succeeded", command)
		}
		c.clean(command, stdout+stderr)
	}
}

// server checks the server's log of all requests, its metrics, and its data folder,
// in which only the profile may contain access keys.
func (c *canary) server() {
	c.t.Helper()
	log := c.p.logged()
	if !strings.Contains(log, "GetAuthorizationToken") {
		c.t.Error("the log says nothing about tokens")
	}
	c.clean("the log", log)
	res, err := http.Get(c.p.url + "/metrics")
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	metrics, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Contains(metrics, []byte("gatehouse_requests_total")) {
		c.t.Errorf("metrics: %v", err)
	}
	c.clean("the metrics", string(metrics))
	err = filepath.WalkDir(c.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || path == filepath.Join(c.data, "aws", "credentials") {
			return ignoreGone(err)
		}
		text, err := os.ReadFile(path)
		c.clean(path, string(text))
		return ignoreGone(err)
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// child marks the child processes of exec, whose environment may contain a token.
const child = "GATEHOUSE_CANARY_CHILD=1"
