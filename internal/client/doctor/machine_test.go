package doctor_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// A fixture is a machine with one endpoint for everything.
type fixture struct {
	t       *testing.T
	url     string
	dir     string
	env     map[string]string
	ahead   time.Duration // of the endpoint's clock
	refuse  string        // the password that the repositories refuse
	failure string        // the error code with which STS answers; "" for none
	m       *doctor.Machine
	logins  []login.Recorded
}

// repository is the path of the fixture's repository for a format.
func repository(format string) string {
	return "/codeartifact/us-east-1/111122223333/acme/" + format + "/lib/"
}

func newFixture(t *testing.T) *fixture {
	b := &fixture{t: t, dir: t.TempDir(), env: map[string]string{}}
	s := httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(s.Close)
	b.set(s.URL)
	return b
}

// set points the machine at an endpoint.
func (b *fixture) set(endpoint string) {
	b.url = endpoint
	b.write("config", "[profile ci]\nregion = us-east-1\nendpoint_url = "+endpoint+"\n")
	b.write("credentials", "[ci]\naws_access_key_id = AKIAX\naws_secret_access_key = hidden\n")
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": b.path("config"), "AWS_SHARED_CREDENTIALS_FILE": b.path("credentials"), "AWS_PROFILE": "ci",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true", "XDG_CACHE_HOME": b.path("cache"), "HOME": b.dir,
	} {
		b.t.Setenv(name, value)
	}
	b.env["AWS_SHARED_CREDENTIALS_FILE"] = b.path("credentials")
	b.m = &doctor.Machine{
		Places:   login.Environment{Home: b.dir, Dir: b.dir, GOOS: "linux", Getenv: func(name string) string { return b.env[name] }, Program: b.write("gatehouse", "")},
		Lookup:   &credential.Lookup{Config: credential.AWS{}.LoadRemembered, Options: []authtoken.Option{authtoken.CacheDir(b.path("cache"))}},
		ReadFile: os.ReadFile, Stat: os.Stat, Now: time.Now,
		LookPath: func(name string) (string, error) {
			if _, err := os.Stat(b.path("bin/" + name)); err != nil {
				return "", exec.ErrNotFound
			}
			return b.path("bin/" + name), nil
		},
		Logins: func() ([]login.Recorded, error) { return b.logins, nil },
	}
}

// setenv sets a variable for the SDK and for the checks.
func (b *fixture) setenv(name, value string) {
	b.t.Setenv(name, value)
	b.env[name] = value
}

func (b *fixture) path(name string) string { return filepath.Join(b.dir, name) }

func (b *fixture) write(name, text string) string {
	b.t.Helper()
	path := b.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// tool adds one whose configuration is a file of addresses.
func (b *fixture) tool(t login.Tool, installed bool, text string) string {
	b.t.Helper()
	path := b.write("etc/"+t.Name, text)
	t.Programs = []string{t.Name}
	t.Addresses = func(_ login.Environment, read login.ReadFile) ([]string, error) {
		text, err := read(path)
		var found []string
		for _, word := range strings.Fields(string(text)) {
			if strings.Contains(word, ":") || strings.Contains(word, ".") {
				found = append(found, word)
			}
		}
		return found, err
	}
	if installed {
		b.write("bin/"+t.Name, "")
	}
	b.m.Tools = append(b.m.Tools, t)
	return path
}

func (b *fixture) serve(w http.ResponseWriter, r *http.Request) {
	if b.ahead != 0 {
		w.Header().Set("Date", time.Now().Add(b.ahead).UTC().Format(http.TimeFormat))
	}
	_, password, _ := r.BasicAuth()
	switch {
	case b.failure != "":
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse><Error><Code>`+b.failure+`</Code><Message>no</Message></Error></ErrorResponse>`)
	case strings.HasPrefix(r.URL.Path, "/codeartifact/"), r.URL.Path == "/v2/":
		if password == "" || password == b.refuse {
			w.WriteHeader(http.StatusUnauthorized)
		}
	case r.Header.Get("X-Amz-Target") != "":
		fmt.Fprint(w, `{"authorizationData":[{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800,"proxyEndpoint":"http://`+r.Host+`"}]}`)
	case r.URL.Path == "/v1/authorization-token" && r.URL.Query().Get("domain") == "acme":
		fmt.Fprint(w, `{"authorizationToken":"secret","expiration":4102444800}`)
	case r.URL.Path == "/v1/authorization-token":
		w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"Domain not found"}`)
	case r.URL.Path == "/v1/domains":
		fmt.Fprint(w, `{"domains":[]}`)
	default:
		fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/ci</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	}
}

// run runs the checks and returns what one of them says, a line each.
func (b *fixture) run(check string) string {
	b.t.Helper()
	fresh := &doctor.Machine{
		Places: b.m.Places, AWS: b.m.AWS, Lookup: b.m.Lookup, Tools: b.m.Tools, ReadFile: b.m.ReadFile, Stat: b.m.Stat,
		LookPath: b.m.LookPath, Now: b.m.Now, Logins: b.m.Logins,
	}
	checks := slices.DeleteFunc(fresh.Checks(), func(c doctor.Check) bool { return c.Name != check })
	if len(checks) != 1 {
		b.t.Fatalf("%d checks of the name %s", len(checks), check)
	}
	var lines []string
	for _, f := range doctor.Run(b.t.Context(), checks, time.Minute) {
		line := f.State.String() + " " + strings.TrimSpace(f.Subject+" "+f.Message)
		if f.Fix != "" {
			line += " | " + f.Fix
		}
		lines = append(lines, strings.NewReplacer(b.url, "URL", strings.TrimPrefix(b.url, "http://"), "HOST", b.dir, "DIR").Replace(line))
	}
	return strings.Join(lines, "\n")
}

func (b *fixture) want(check, want string) {
	b.t.Helper()
	if got := b.run(check); got != want && (!strings.HasSuffix(want, "…") || !strings.HasPrefix(got, strings.TrimSuffix(want, "…"))) {
		b.t.Errorf("%s:\n%s\nwant:\n%s", check, got, want)
	}
}

func TestChecks_Clock(t *testing.T) {
	b := newFixture(t)
	b.want("clock", "ok agrees with that of URL")
	for ahead, want := range map[time.Duration]string{
		30 * time.Second:   "ok 3…",
		10 * time.Minute:   "warning ",
		-10 * time.Minute:  "warning ",
		16 * time.Minute:   "error ",
		-100 * time.Minute: "error 1h40m",
	} {
		b.ahead = ahead
		got := b.run("clock")
		if !strings.HasPrefix(got, strings.TrimSuffix(want, "3…")) {
			t.Errorf("%v: %s", ahead, got)
		}
		if way := map[bool]string{true: "behind", false: "ahead of"}[ahead > 0]; !strings.Contains(got, way) || !strings.HasPrefix(got, "ok") != strings.HasSuffix(got, " | sudo timedatectl set-ntp true") {
			t.Errorf("%v: %s", ahead, got)
		}
	}
	b.m.Places.GOOS = "windows"
	if got := b.run("clock"); !strings.HasSuffix(got, " | w32tm /resync") && !strings.HasPrefix(got, "ok") {
		t.Error(got)
	}
}

func TestChecks_Endpoints(t *testing.T) {
	b := newFixture(t)
	b.want("endpoint", "ok URL answers, for sts, ecr, codeartifact")
	b.set("http://127.0.0.1:1")
	b.want("endpoint", "error URL cannot be reached: check endpoint_url and that it runs | gatehouse serve")
	b.want("caller", "skipped the endpoint cannot be reached")
	b.set("https://gate.invalid")
	b.want("endpoint", "error URL has no address: check endpoint_url and that it runs")
}

func TestChecks_Proxies(t *testing.T) {
	b := newFixture(t)
	b.want("proxy", "ok none")
	b.env["https_proxy"] = "http://proxy.example"
	b.want("proxy", "ok https_proxy is set")
	b.env["HTTP_PROXY"] = "http://proxy.example"
	b.want("proxy", "warning HTTP_PROXY is set, so most clients ask the proxy for HOST, which only this machine can reach | export NO_PROXY=127.0.0.1,localhost,::1 no_proxy=127.0.0.1,localhost,::1")
	for _, list := range []string{"127.0.0.1", "other.example, 127.0.0.1:1", "*"} {
		b.env["no_proxy"] = list
		b.want("proxy", "ok https_proxy is set")
	}
	b.env["no_proxy"], b.env["NO_PROXY"] = "", "corp.example"
	if got := b.run("proxy"); !strings.Contains(got, "NO_PROXY=corp.example,127.0.0.1") {
		t.Error(got)
	}
}

func TestChecks_Tools(t *testing.T) {
	b := newFixture(t)
	b.tool(login.Tool{Name: "pip", Format: "pypi", Helper: "keyring"}, true, "https://packages.example/simple "+b.url+repository("pypi"))
	b.tool(login.Tool{Name: "npm", Format: "npm", Secret: login.Stored}, true, "http://x:"+"ghct_"+strings.Repeat("a", 40)+"@"+strings.TrimPrefix(b.url, "http://")+repository("npm"))
	b.tool(login.Tool{Name: "gem", Format: "ruby"}, false, "")
	b.tool(login.Tool{Name: "uv", Format: "pypi"}, false, b.url+repository("pypi"))
	b.tool(login.Tool{Name: "bun", Format: "npm"}, false, b.url+strings.ReplaceAll(repository("npm"), "acme", "zoo"))
	b.tool(login.Tool{Name: "docker"}, true, strings.TrimPrefix(b.url, "http://")+" registry.example")
	b.m.Tools = append(b.m.Tools, login.Tool{Name: "broken", Addresses: func(login.Environment, login.ReadFile) ([]string, error) {
		return nil, fmt.Errorf("line 3: what is this?")
	}})
	b.want("tool", strings.Join([]string{
		"ok pip URL" + repository("pypi") + ", asks a helper for a token when it needs one",
		"ok pip https://packages.example/simple, which is not a registry or repository of the endpoint",
		"ok npm http://x@HOST" + repository("npm") + ", with a token in its configuration",
		"skipped bun URL" + strings.ReplaceAll(repository("npm"), "acme", "zoo") + ": no token for it",
		"warning bun it is configured, but none of bun is on PATH",
		"ok docker HOST, asks a helper for a token when it needs one",
		"ok docker registry.example, which is not a registry or repository of the endpoint",
		"error broken its configuration cannot be read: line 3: what is this?",
		"ok not installed: gem, uv",
	}, "\n"))
	b.want("token", strings.Join([]string{
		"ok acme can be obtained",
		`error zoo there is no domain "zoo" of account 111122223333 in region us-east-1: check --domain, --domain-owner and --region | aws codeartifact list-domains`,
		"ok HOST can be obtained",
	}, "\n"))
	if _, err := b.m.Lookup.Token(t.Context(), b.url+repository("pypi")); err != nil {
		t.Fatal(err)
	}
	if got := b.run("tool"); !strings.HasPrefix(got, "ok pip URL"+repository("pypi")+", asks a helper; a token is cached until 2100-01-01 00:00 UTC, in ") {
		t.Error(got)
	}
}

func TestChecks_Helpers(t *testing.T) {
	b := newFixture(t)
	b.tool(login.Tool{Name: "docker", Helper: "docker-credential-gatehouse"}, true, strings.TrimPrefix(b.url, "http://")+` "desktop"`)
	b.want("helper", "ok no tool is configured to ask one")
	b.tool(login.Tool{Name: "podman", Helper: "docker-credential-gatehouse"}, true, strings.TrimPrefix(b.url, "http://")+` "gatehouse"`)
	fix := "mkdir -p DIR/.local/bin\nln -sf DIR/gatehouse DIR/.local/bin/docker-credential-gatehouse"
	b.want("helper", "error docker-credential-gatehouse podman asks it, but it is not on PATH | "+fix+"\nexport PATH=DIR/.local/bin:\"$PATH\"")
	b.env["PATH"] = b.path(".local/bin") + ":/bin"
	b.want("helper", "error docker-credential-gatehouse podman asks it, but it is not on PATH | "+fix)
	b.write("bin/docker-credential-gatehouse", "#!/bin/sh")
	b.want("helper", "error docker-credential-gatehouse podman asks it, but DIR/bin/docker-credential-gatehouse is another program | "+fix)
	if err := os.Remove(b.path("bin/docker-credential-gatehouse")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(b.path("gatehouse"), b.path("bin/docker-credential-gatehouse")); err != nil {
		t.Fatal(err)
	}
	b.want("helper", "ok docker-credential-gatehouse DIR/bin/docker-credential-gatehouse is this program")
}

func TestChecks_TokensInFiles(t *testing.T) {
	b := newFixture(t)
	const token = "ghct_0123456789abcdef0123456789"
	path := b.tool(login.Tool{Name: "npm", Format: "npm", Secret: login.Stored}, true, b.url+repository("npm")+" "+token)
	b.want("files", "ok npm DIR/etc/npm holds a token that is valid now; it does not say until when")
	b.refuse = token
	b.want("files", "error npm DIR/etc/npm holds a token that HOST refuses: it has expired, or was revoked | gatehouse login npm --domain acme --domain-owner 111122223333 --repository lib --region us-east-1")

	// A token is sent only to the host that it is for.
	b.write("etc/npm", b.url+repository("npm")+" https://packages.example/ "+token)
	b.want("files", "ok npm DIR/etc/npm holds a token; it does not say until when it is valid")

	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.path("credentials"), 0o640); err != nil {
		t.Fatal(err)
	}
	b.want("files", strings.Join([]string{
		"error DIR/credentials holds a secret, and others can read it (mode 0640) | chmod 600 DIR/credentials",
		"error DIR/etc/npm holds a secret, and others can read it (mode 0644) | chmod 600 DIR/etc/npm",
		"ok npm DIR/etc/npm holds a token; it does not say until when it is valid",
	}, "\n"))
	b.m.Places.GOOS = "windows"
	b.want("files", "ok npm DIR/etc/npm holds a token; it does not say until when it is valid")
}

// Tokens of AWS that say themselves when they end.
func TestChecks_TokensInFiles_Expiry(t *testing.T) {
	for until, want := range map[int64]string{
		4102444800: "ok npm DIR/etc/npm holds a token until 2100-01-01 00:00 UTC, in …",
		946684800:  "error npm DIR/etc/npm holds a token until 2000-01-01 00:00 UTC, which is over | gatehouse login npm …",
	} {
		header := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"ver":1,"exp":%d,"alg":"A128GCMKW"}`, until))
		pair := base64.StdEncoding.EncodeToString([]byte("AWS:" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"payload":"x","type":"DATA_KEY","expiration":%d}`, until))))
		for _, token := range []string{header + ".aa.bb.cc.dd", pair} {
			b := newFixture(t)
			b.tool(login.Tool{Name: "npm", Format: "npm", Secret: login.Stored}, true, b.url+repository("npm")+" "+strings.ReplaceAll(token, ":", ""))
			b.m.Tools[0].Addresses = only(b.m.Tools[0].Addresses, b.url)
			b.want("files", want)
		}
	}
}

// only removes the words that are not addresses.
func only(all func(login.Environment, login.ReadFile) ([]string, error), prefix string) func(login.Environment, login.ReadFile) ([]string, error) {
	return func(p login.Environment, read login.ReadFile) ([]string, error) {
		found, err := all(p, read)
		return slices.DeleteFunc(found, func(a string) bool { return !strings.HasPrefix(a, prefix) }), err
	}
}

func TestChecks_Logins(t *testing.T) {
	b := newFixture(t)
	b.want("login", "ok none")
	path := b.tool(login.Tool{Name: "npm", Format: "npm", Secret: login.Stored}, true, b.url+repository("npm"))
	endpoint, err := url.Parse(b.url + repository("npm"))
	if err != nil {
		t.Fatal(err)
	}
	one := login.Recorded{Tool: "npm", Files: []string{path}, Target: login.Target{
		Endpoint: endpoint, Name: "work", Domain: "acme", Owner: "111122223333", Repository: "lib", Scopes: []string{"@a"},
		AWS: credential.AWS{Profile: "it's"}, Duration: 15*time.Minute + 30*time.Second, Placement: login.Add,
	}}
	b.logins = []login.Recorded{one}
	b.want("login", "ok npm URL"+repository("npm")+", without a token in the configuration")
	b.logins[0].Expires = time.Unix(4102444800, 0)
	b.want("login", "ok npm URL"+repository("npm")+", with a token until 2100-01-01 00:00 UTC, in …")
	b.logins[0].Expires = time.Unix(946684800, 0)
	b.want("login", "error npm URL"+repository("npm")+", with a token until 2000-01-01 00:00 UTC, which is over | "+
		`gatehouse login npm --domain acme --domain-owner 111122223333 --repository lib --profile 'it'\''s' --name work --scope @a --extra --duration 930`)
	b.write("etc/npm", "https://packages.example/")
	b.want("login", "warning npm URL"+repository("npm")+" is recorded, but is not in the configuration any more | gatehouse logout npm --domain acme --repository lib")
	b.m.Logins = func() ([]login.Recorded, error) { return nil, fmt.Errorf("the record of logins is damaged") }
	b.want("login", "error the record of logins is damaged")
}

func TestChecks_Cache(t *testing.T) {
	b := newFixture(t)
	b.want("cache", "ok DIR/cache/gatehouse will be created when it is needed")
	b.write("cache/gatehouse/x.token", "")
	b.want("cache", "ok DIR/cache/gatehouse")
	if err := os.Chmod(b.path("cache/gatehouse"), 0o777); err != nil {
		t.Fatal(err)
	}
	b.want("cache", "error others can write to DIR/cache/gatehouse (mode 0777) | chmod 700 DIR/cache/gatehouse")
	if err := os.RemoveAll(b.path("cache")); err != nil {
		t.Fatal(err)
	}
	b.write("cache/gatehouse", "")
	b.want("cache", "error DIR/cache/gatehouse is not a folder; each process asks for its own token | mv DIR/cache/gatehouse DIR/cache/gatehouse.old")
	if err := os.RemoveAll(b.path("cache")); err != nil {
		t.Fatal(err)
	}
	b.write("cache", "")
	b.want("cache", "error DIR/cache/gatehouse cannot be created: DIR/cache is not a folder | mv DIR/cache DIR/cache.old")
}

func TestChecks_CLI(t *testing.T) {
	b := newFixture(t)
	b.want("aws cli", "ok not installed")
	for version, want := range map[string]string{
		"aws-cli/2.9.19 Python/3.11":  "warning DIR/bin/aws is version 2.9, which asks AWS and not URL: it ignores endpoint_url; version 2.13 and later read it | alias aws='aws --endpoint-url URL'",
		"aws-cli/1.28.1 Python/3.8":   "warning DIR/bin/aws is version 1.28, which asks AWS and not URL: it ignores endpoint_url; version 1.29 and later read it | alias aws='aws --endpoint-url URL'",
		"aws-cli/2.13.0 Python/3.11":  "ok DIR/bin/aws, version 2.13",
		"aws-cli/1.45.11 Python/3.11": "ok DIR/bin/aws, version 1.45",
		"something else":              "warning DIR/bin/aws does not print its version | DIR/bin/aws --version",
	} {
		if err := os.Chmod(b.write("bin/aws", "#!/bin/sh\necho '"+version+"'\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		b.want("aws cli", want)
	}
}

func TestChecks_Trust(t *testing.T) {
	b := newFixture(t)
	b.want("trust", "ok no address uses TLS")
	s := httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := b.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	b.set(s.URL)
	b.want("endpoint", "error the certificate of URL is not trusted: set AWS_CA_BUNDLE, or ca_bundle in the profile, to its authority's")
	t.Setenv("AWS_CA_BUNDLE", ca)
	b.env["AWS_CA_BUNDLE"] = ca
	b.want("trust", "ok the AWS configuration trusts its endpoints")
	for _, tool := range []string{"npm", "pip", "maven", "cargo"} {
		b.tool(login.Tool{Name: tool, Format: tool}, true, s.URL+repository("npm"))
	}
	b.tool(login.Tool{Name: "docker"}, true, s.URL)
	host := strings.TrimPrefix(s.URL, "https://")
	got := strings.ReplaceAll(b.run("trust"), host, "HOST")
	for _, want := range []string{
		"error npm does not trust HOST, by the system's authorities | export NODE_EXTRA_CA_CERTS=DIR/ca.pem\n",
		"error pip does not trust HOST, by the system's authorities | export PIP_CERT=DIR/ca.pem\n",
		"warning maven HOST has a certificate of a private authority; add it to Java's store | cp ",
		"error cargo does not trust HOST, by the system's authorities | export CARGO_HTTP_CAINFO=DIR/ca.pem\n",
		"error docker does not trust HOST, by the system's authorities | sudo install -D -m 644 DIR/ca.pem /etc/docker/certs.d/HOST/ca.crt",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for name, tool := range map[string]string{"NODE_EXTRA_CA_CERTS": "npm", "REQUESTS_CA_BUNDLE": "pip", "SSL_CERT_FILE": "cargo"} {
		b.env[name] = ca
		if got := strings.ReplaceAll(b.run("trust"), host, "HOST"); !strings.Contains(got, "ok "+tool+" trusts HOST, by "+name) {
			t.Errorf("%s: %s", name, got)
		}
	}
	b.env["PIP_CERT"] = b.path("none")
	if got := b.run("trust"); !strings.Contains(got, "error pip PIP_CERT names a file of authorities that cannot be read") {
		t.Error(got)
	}
}

// In a shell without credentials, tools that login has given a profile still work.
func TestChecks_AddressBook(t *testing.T) {
	b := newFixture(t)
	t.Setenv("AWS_PROFILE", "")
	b.tool(login.Tool{Name: "docker"}, true, strings.TrimPrefix(b.url, "http://"))
	if got := b.run("credentials"); !strings.HasPrefix(got, "error no AWS credentials were found") {
		t.Error(got)
	}
	if got := b.run("region"); got != "error no region: set --region, AWS_REGION, or region in the profile | export AWS_REGION=us-east-1" {
		t.Error(got)
	}
	b.m.Lookup.Addresses = func() (credential.Addresses, error) {
		return credential.Addresses{{Host: strings.TrimPrefix(b.url, "http://"), AWS: credential.AWS{Profile: "ci"}}}, nil
	}
	if got := b.run("credentials"); !strings.HasPrefix(got, "warning no AWS credentials were found") || !strings.Contains(got, "the tools that are logged in have their own") {
		t.Error(got)
	}
	b.want("token", "ok HOST can be obtained")
	b.write("gatehouse-data/aws/config", "")
	b.write("bin/gatehouse", "")
	if got := b.run("credentials"); !strings.HasSuffix(got, ` | eval "$(gatehouse env)"`) {
		t.Error(got)
	}
}

func TestChecks_CallerAndRegion(t *testing.T) {
	b := newFixture(t)
	b.m.AWS.Profile = "ci"
	b.want("credentials", "ok static, AKIAX, of profile ci")
	b.want("caller", "ok arn:aws:iam::111122223333:user/ci")
	b.want("region", "ok us-east-1")
	t.Setenv("AWS_REGION", "eu-west-1")
	b.env["AWS_REGION"] = "eu-west-1"
	b.want("region", "ok eu-west-1, from AWS_REGION; the profile's own is us-east-1")
}
