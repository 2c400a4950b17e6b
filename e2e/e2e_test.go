package e2e

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

// waitTimeout bounds each wait for a server or a client.
const waitTimeout = 3 * time.Minute

// gorace makes a program that was built with the race detector exit at once. It would
// wait a second, each time that a client asks a credential helper.
const gorace = "atexit_sleep_ms=10"

var (
	module string // the module's folder
	binary string // the folder of the built gatehouse
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if module, err = filepath.Abs(".."); err != nil {
			panic(err)
		}
		if binary, err = os.MkdirTemp("", "gatehouse-e2e-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(binary)
		if err := os.Setenv("GORACE", gorace); err != nil {
			panic(err)
		}
		if err := errors.Join(build(filepath.Join(binary, "gatehouse")), build(filepath.Join(binary, clocked, "gatehouse"), "-tags", "e2e")); err != nil {
			fmt.Fprintln(os.Stderr, "build gatehouse:", err)
			return 1
		}
		if err := linkClients(binary); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build builds the program with the race detector.
func build(path string, flags ...string) error {
	race, err := raceFlags()
	if err != nil {
		return err
	}
	build := exec.Command("go", slices.Concat([]string{"build", "-o", path}, race, flags, []string{"./cmd/gatehouse"})...)
	build.Dir = module
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return build.Run()
}

// raceFlags returns the flags of `go build` for the race detector, those of make: so the
// packages that make has built for the tests are not built again.
func raceFlags() ([]string, error) {
	text, err := os.ReadFile(filepath.Join(module, "scripts/raceflags"))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") }), nil
}

// linkClients links the clients under the names that scripts use. If a client is
// missing, the tests fail: run scripts/install-clients.
func linkClients(dir string) error {
	tools := filepath.Join(module, ".tools")
	for name, path := range map[string]string{
		"aws1": filepath.Join(tools, "python/bin/aws"), "pip": filepath.Join(tools, "python/bin/pip"),
		"twine": filepath.Join(tools, "python/bin/twine"), "uv": filepath.Join(tools, "python/bin/uv"),
		"poetry": filepath.Join(tools, "poetry/bin/poetry"), "pdm": filepath.Join(tools, "pdm/bin/pdm"),
		"npm": filepath.Join(tools, "npm/npm/node_modules/.bin/npm"), "pnpm": filepath.Join(tools, "npm/pnpm/node_modules/.bin/pnpm"),
		"yarn1": filepath.Join(tools, "npm/yarn1/node_modules/.bin/yarn"), "yarn4": filepath.Join(tools, "npm/yarn4/node_modules/.bin/yarn"),
		"bun":   filepath.Join(tools, "npm/bun/node_modules/.bin/bun"),
		"crane": filepath.Join(tools, "bin/crane"), "helm": filepath.Join(tools, "bin/helm"),
		"skopeo": "skopeo", "docker": "docker", "podman": "podman",
		"cargo": "cargo", "ruby": "ruby", "gem": "gem", "bundle": "bundle", "gradle": "gradle", "curl": "curl", "node": "node",
	} {
		found, err := exec.LookPath(path)
		if err != nil {
			return fmt.Errorf("client %s is missing; run scripts/install-clients: %w", name, err)
		}
		if filepath.Base(path) == path { // already on PATH
			continue
		}
		if err := os.Symlink(found, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := linkJava(dir); err != nil {
		return err
	}
	// Python finds its virtual environment by the path of its executable, so a link
	// does not work.
	python := "#!/bin/bash\nexec '" + filepath.Join(tools, "python/bin/python") + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "python"), []byte(python), 0o755); err != nil {
		return err
	}
	if err := linkDotnet(dir); err != nil {
		return err
	}
	// Debian's AWS CLI 2 (2.9) does not read endpoint_url from profiles (2.13 does),
	// so it gets --endpoint-url.
	return os.WriteFile(filepath.Join(dir, "aws2"), []byte("#!/bin/sh\nexec /usr/bin/aws --endpoint-url \"$URL\" \"$@\"\n"), 0o755)
}

// linkDotnet links .NET's SDK 3.1 as dotnet3, by bash: dash would not pass on the credentials,
// whose variable has a "-" in its name. The SDK cannot start credential plug-ins from
// PATH, as later ones do.
func linkDotnet(dir string) error {
	sdk := filepath.Join(module, ".tools/dotnet")
	if _, err := os.Stat(filepath.Join(sdk, "dotnet")); err != nil {
		return fmt.Errorf("client dotnet is missing; run scripts/install-clients: %w", err)
	}
	script := "#!/bin/bash\nexport LD_LIBRARY_PATH='" + filepath.Join(sdk, "psycopg2_binary.libs") + "' DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1" +
		" DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false\nexec '" + filepath.Join(sdk, "dotnet") + "' \"$@\"\n"
	return os.WriteFile(filepath.Join(dir, "dotnet3"), []byte(script), 0o755)
}

// linkJava makes Maven and sbt use the script's home, since Java ignores $HOME, and
// the plug-ins that scripts/install-clients downloaded. $M2 is Maven's local
// repository. $WORK/coursier is sbt's cache, a copy of .tools/sbt/coursier.
func linkJava(dir string) error {
	const maven = `--batch-mode --no-transfer-progress --global-settings "$PROJECT/e2e/testdata/maven.xml" -Dmaven.repo.local="$M2"`
	tools := filepath.Join(module, ".tools")
	for _, c := range []struct{ name, program, arguments string }{
		{"mvn", "mvn", maven},
		{"mvn39", filepath.Join(tools, "maven-3.9.16/bin/mvn"), maven},
		{"mvn4", filepath.Join(tools, "maven-4.0.0-rc-5/bin/mvn"), maven},
		{"sbt", "java", `-Dsbt.boot.directory="$PROJECT/.tools/sbt/boot" -Dsbt.coursier.home="$WORK/coursier" ` +
			`-Dsbt.repository.config="$PROJECT/e2e/testdata/sbt.repositories" -Dsbt.ci=true -Dsbt.color=false -jar "$PROJECT/.tools/sbt/launch.jar"`},
	} {
		program, err := exec.LookPath(c.program)
		if err != nil {
			return fmt.Errorf("client %s is missing; run scripts/install-clients: %w", c.name, err)
		}
		script := "#!/bin/sh\nexport JAVA_TOOL_OPTIONS=\"-XX:TieredStopAtLevel=1 -Duser.home=$HOME\"\nexec " + program + " " + c.arguments + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, c.name), []byte(script), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func TestScripts(t *testing.T) {
	t.Parallel()
	p := scripts()
	p.Dir, p.Setup = "testdata/script", setup
	testscript.Run(t, p)
}

// TestScripts_SeveralServers runs stories of clients on three servers behind a plain
// load balancer: each request of a client meets another server. Maven's and NuGet's
// stories take a minute each and are left out: what is different with several servers
// lies below the formats, and the other stories use all of it.
func TestScripts_SeveralServers(t *testing.T) {
	t.Parallel()
	stores := newStores(t)
	p := scripts()
	for _, story := range []string{
		"images", "images_kill", "npm", "pypi", "permissions", "roles", "signatures", "webidentity", "exec",
		"login_docker", "login_podman", "login_helm", "login_npm", "login_pip", "login_twine", "login_uv",
		"cargo", "ruby", "generic", "login_cargo", "login_gem", "login_bundler",
	} {
		p.Files = append(p.Files, filepath.Join("testdata/script", story+".txtar"))
	}
	p.Setup = func(env *testscript.Env) error {
		err := setup(env)
		env.Values[serverKey{}] = &server{stores: stores}
		return err
	}
	testscript.Run(t, p)
}

func scripts() testscript.Params {
	return testscript.Params{
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"clocked":   useClock,
			"advance":   advance,
			"serve":     serve,
			"shutdown":  shutdown,
			"issuer":    issuer,
			"makeimage": makeImage,
			"setenv":    setenv,
			"upstream":  useUpstream,
			"wheel":     wheel,
		},
		Condition: func(condition string) (bool, error) {
			if condition != "terraform" {
				return false, fmt.Errorf("unknown condition %q", condition)
			}
			return terraformPlugins() != "", nil
		},
		Deadline: time.Now().Add(time.Hour),
	}
}

// TestScripts_NoStopCommand checks that no script contains testscript's own command
// stop, which ends a script early as passed. An earlier version of these scripts
// used it by mistake. The command that ends the server is shutdown.
func TestScripts_NoStopCommand(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(archive.Comment)) {
			if strings.TrimSpace(line) == "stop" {
				t.Errorf("%s: stop ends the script as passed; shutdown ends the server", file)
			}
		}
	}
}

// terraformPlugins returns a folder with Terraform's AWS provider, or "" if this
// machine has no provider or no Terraform. It is the only client that cannot be
// installed from a package registry.
func terraformPlugins() string {
	if _, err := exec.LookPath("terraform"); err != nil {
		return ""
	}
	for _, dir := range []string{os.Getenv("TF_PLUGIN_DIR"), "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/tf-plugins"} {
		if found, _ := filepath.Glob(filepath.Join(dir, "*", "hashicorp", "aws")); dir != "" && len(found) > 0 {
			return dir
		}
	}
	return ""
}

// setup gives each script its own home, the built program and the clients. Scripts
// see none of this machine's own configuration.
func setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	env.Vars = append(env.Vars,
		"HOME="+home,
		"PATH="+strings.Join([]string{filepath.Join(home, ".local", "bin"), binary, os.Getenv("PATH")}, string(os.PathListSeparator)), // the first folder is for login's links
		"DATA="+filepath.Join(env.WorkDir, "data"),
		"GATEHOUSE="+filepath.Join(binary, "gatehouse"),
		"PROJECT="+module,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1",
		"DOCKER_CONFIG="+filepath.Join(home, ".docker"),
		"REGISTRY_AUTH_FILE="+filepath.Join(home, ".docker/config.json"),
		"npm_config_cache="+filepath.Join(env.WorkDir, "npm-cache"), "npm_config_update_notifier=false",
		"PIP_CONFIG_FILE="+filepath.Join(home, "pip.conf"), "PIP_NO_CACHE_DIR=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1",
		"YARN_ENABLE_TELEMETRY=0", "YARN_CACHE_FOLDER="+filepath.Join(env.WorkDir, "yarn-cache"), "YARN_GLOBAL_FOLDER="+filepath.Join(env.WorkDir, "yarn"),
		"M2="+filepath.Join(env.WorkDir, "m2"), "GRADLE_USER_HOME="+filepath.Join(home, ".gradle"),
		"UV_CACHE_DIR="+filepath.Join(env.WorkDir, "uv-cache"),
		"RUSTUP_HOME="+cmp.Or(os.Getenv("RUSTUP_HOME"), filepath.Join(os.Getenv("HOME"), ".rustup")), // if cargo is rustup's
		"TF_PLUGINS="+terraformPlugins(), "CHECKPOINT_DISABLE=1",
		"NO_COLOR=1", "GORACE="+gorace,
	)
	env.Values[serverKey{}] = new(server)
	env.Values[upstreamKey{}] = new(upstream)
	env.Values[issuerKey{}] = new(*issuertest.Issuer)
	return nil
}

type serverKey struct{}

// A server is the gatehouse process of one script, or several on one database and one
// bucket behind a load balancer.
type server struct {
	running  []*exec.Cmd
	stores   *stores // nil for one server on SQLite and files
	balancer *balancer
	database string // its name
}

// several is how many servers a script has if it has several.
const several = 3

// serve starts a server on the script's data folder and on a free port, waits
// until it answers, and points the AWS tools at it: $URL, $HOST and the AWS
// variables. If the script has several servers, $URL is their load balancer's.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! serve")
	}
	s := ts.Value(serverKey{}).(*server)
	if len(s.running) > 0 {
		ts.Fatalf("a server is running")
	}
	if s.stores == nil {
		pointAt(ts, s.start(ts, ts.Getenv("DATA"), nil, args...))
		return
	}
	s.startSeveral(ts, args)
	pointAt(ts, s.balancer.url)
}

// startSeveral starts the servers. A configuration that the script has is extended.
func (s *server) startSeveral(ts *testscript.TestScript, args []string) {
	if s.balancer == nil {
		var stop func()
		var err error
		s.balancer, stop = newBalancer(several)
		ts.Defer(stop)
		s.database, err = s.stores.newDatabase(context.Background())
		ts.Check(err)
	}
	settings := ""
	if len(args) >= 2 && args[0] == "--config" {
		settings, args = ts.ReadFile(args[1]), args[2:]
	}
	file := ts.MkAbs("servers.yaml")
	ts.Check(writeSharedConfig(file, s.balancer.url, s.stores.bucket(s.database), settings))
	args = append([]string{"--config", file, "--database", s.stores.url(s.database)}, args...)
	first := ts.Getenv("DATA")
	for i := range several {
		data := first
		if i > 0 {
			data = fmt.Sprintf("%s-%d", first, i)
		}
		s.balancer.set(i, s.start(ts, data, s.stores.environment(), args...))
	}
	for deadline := time.Now().Add(waitTimeout); s.balancer.count() < several; time.Sleep(healthInterval) {
		if time.Now().After(deadline) {
			ts.Fatalf("the servers are not ready")
		}
	}
}

// start starts one server and returns its address.
func (s *server) start(ts *testscript.TestScript, data string, env []string, args ...string) string {
	log, err := os.OpenFile(ts.MkAbs("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	gatehouse := filepath.Join(binary, "gatehouse")
	if ts.Getenv(clockFile) != "" {
		gatehouse = filepath.Join(binary, clocked, "gatehouse")
	}
	cmd := exec.Command(gatehouse, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), log
	cmd.Env = append(append(os.Environ(), "HOME="+ts.Getenv("HOME"), clockFile+"="+ts.Getenv(clockFile)), env...)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s.running = append(s.running, cmd)
	ts.Defer(func() {
		if slices.Contains(s.running, cmd) {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	url := make(chan string, 1)
	go func() {
		defer close(url)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				url <- address
			}
		}
	}()
	select {
	case address, ok := <-url:
		if !ok {
			text, _ := os.ReadFile(ts.MkAbs("server.log"))
			ts.Fatalf("the server did not start:\n%s", text)
		}
		return address
	case <-time.After(waitTimeout):
		ts.Fatalf("the server did not start in time")
	}
	return ""
}

func pointAt(ts *testscript.TestScript, url string) {
	_, host, _ := strings.Cut(url, "://")
	ts.Setenv("URL", url)
	ts.Setenv("HOST", host)
	ts.Setenv("AWS_CONFIG_FILE", filepath.Join(ts.Getenv("DATA"), "aws/config"))
	ts.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(ts.Getenv("DATA"), "aws/credentials"))
	ts.Setenv("AWS_PROFILE", "gatehouse")
}

// shutdown ends the servers with SIGTERM, or SIGKILL if the argument is KILL, and
// waits for them. After SIGTERM a server must exit with code 0.
func shutdown(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(serverKey{}).(*server)
	if len(s.running) == 0 || neg {
		ts.Fatalf("no server is running")
	}
	sig := syscall.SIGTERM
	if len(args) == 1 && args[0] == "KILL" {
		sig = syscall.SIGKILL
	}
	for _, cmd := range s.running {
		ts.Check(cmd.Process.Signal(sig))
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	done := make(chan error, len(s.running))
	for _, cmd := range s.running {
		go func() { done <- cmd.Wait() }()
	}
	for range s.running {
		select {
		case err := <-done:
			if err != nil && sig == syscall.SIGTERM {
				text, _ := os.ReadFile(ts.MkAbs("server.log"))
				ts.Fatalf("after SIGTERM: %v\n%s", err, text)
			}
		case <-ctx.Done():
			ts.Fatalf("the server did not exit")
		}
	}
	s.running = nil
}

// setenv NAME FILE sets a variable to a file's content without the trailing newline.
// FILE may be stdout.
func setenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setenv NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimRight(ts.ReadFile(args[1]), "\r\n"))
}
