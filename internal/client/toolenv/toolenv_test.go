package toolenv_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
	"github.com/gatehouse-registry/gatehouse/internal/client/toolenv"
)

const (
	dir    = "/tmp/private"
	canary = "ghct_secret"
)

// endpoint is one of a format, with a token that has the canary in it.
func endpoint(t testing.TB, name, format, address string, scopes ...string) project.Endpoint {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	user := "aws"
	if format == "" {
		user = "AWS"
	}
	return project.Endpoint{Format: format, Target: login.Target{
		Endpoint: u, Name: name, Scopes: scopes, AWS: credential.AWS{Profile: "work"},
		Token: authtoken.Token{Username: user, Password: canary + "-" + name, Value: canary + "-" + name, Type: "Bearer"},
	}}
}

const host = "https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com"

func of(t testing.TB, name, format string, scopes ...string) project.Endpoint {
	t.Helper()
	if format == "" {
		return endpoint(t, name, "", "https://111122223333.dkr.ecr.us-east-1.amazonaws.com")
	}
	return endpoint(t, name, format, host+"/"+format+"/"+name+"/", scopes...)
}

// command makes a command for a person with some files and variables.
func command(files, env map[string]string, endpoints ...project.Endpoint) toolenv.Command {
	return toolenv.Command{
		Endpoints: endpoints, Dir: dir,
		Places: login.Environment{
			Home: "/home/ada", Dir: "/src/app", GOOS: "linux", Program: "/usr/bin/gatehouse",
			Getenv: func(name string) string { return env[name] },
		},
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
	}
}

func environment(t testing.TB, c toolenv.Command) toolenv.Environment {
	t.Helper()
	env, err := c.Environment()
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func value(env toolenv.Environment, name string) string {
	for _, v := range slices.Backward(env.Variables) {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

func file(env toolenv.Environment, path string) string {
	for _, f := range env.Files {
		if f.Path == path {
			return string(f.Text)
		}
	}
	return ""
}

// What each tool is told, as its documentation has it.
func TestEnvironment_Tools(t *testing.T) {
	env := environment(t, command(nil, nil,
		of(t, "lib", "npm"), of(t, "team", "npm", "@acme"),
		of(t, "lib", "pypi"), of(t, "more-lib", "pypi"),
		of(t, "lib", "cargo"), of(t, "my-lib", "maven"), of(t, "lib", "ruby"), of(t, "lib", "nuget"), of(t, "ecr", "")))
	const user = "https://aws:ghct_secret-"
	at := strings.TrimPrefix(host, "https://")
	for name, want := range map[string]string{
		"CODEARTIFACT_AUTH_TOKEN":                  canary + "-lib",
		"GATEHOUSE_TEAM_TOKEN":                     canary + "-team",
		"GATEHOUSE_LIB_PYPI_URL":                   host + "/pypi/lib/",
		"ECR_REGISTRY":                             "111122223333.dkr.ecr.us-east-1.amazonaws.com",
		"ECR_PASSWORD":                             canary + "-ecr",
		"npm_config_registry":                      host + "/npm/lib/",
		"npm_config_userconfig":                    dir + "/npmrc",
		"YARN_NPM_REGISTRY_SERVER":                 host + "/npm/lib",
		"YARN_PLUGINS":                             dir + "/yarn-plugin.cjs",
		"PIP_INDEX_URL":                            user + "lib@" + at + "/pypi/lib/simple/",
		"PIP_EXTRA_INDEX_URL":                      user + "more-lib@" + at + "/pypi/more-lib/simple/",
		"UV_DEFAULT_INDEX":                         user + "lib@" + at + "/pypi/lib/simple/",
		"UV_INDEX":                                 user + "more-lib@" + at + "/pypi/more-lib/simple/",
		"UV_PUBLISH_URL":                           host + "/pypi/lib/",
		"UV_PUBLISH_PASSWORD":                      canary + "-lib",
		"TWINE_REPOSITORY_URL":                     host + "/pypi/lib/",
		"TWINE_USERNAME":                           "aws",
		"TWINE_PASSWORD":                           canary + "-lib",
		"POETRY_REPOSITORIES_MORE_LIB_URL":         host + "/pypi/more-lib/",
		"POETRY_HTTP_BASIC_MORE_LIB_USERNAME":      "aws",
		"POETRY_HTTP_BASIC_MORE_LIB_PASSWORD":      canary + "-more-lib",
		"PDM_PYPI_URL":                             host + "/pypi/lib/simple/",
		"PDM_PYPI_PASSWORD":                        canary + "-lib",
		"CARGO_REGISTRIES_LIB_INDEX":               "sparse+" + host + "/cargo/lib/",
		"CARGO_REGISTRIES_LIB_TOKEN":               canary + "-lib",
		"CARGO_REGISTRIES_LIB_CREDENTIAL_PROVIDER": "cargo:token",
		"MAVEN_ARGS":                               "-gs " + dir + "/settings.xml",
		"ORG_GRADLE_PROJECT_myLibUrl":              host + "/maven/my-lib/",
		"ORG_GRADLE_PROJECT_myLibUsername":         "aws",
		"ORG_GRADLE_PROJECT_myLibPassword":         canary + "-my-lib",
		"GEM_HOST_API_KEY":                         "Bearer " + canary + "-lib",
		"RUBYGEMS_HOST":                            host + "/ruby/lib",
		"BUNDLE_ACME___111122223333__D__CODEARTIFACT__US___EAST___1__AMAZONAWS__COM": "aws:" + canary + "-lib",
		"NuGetPackageSourceCredentials_lib":                                          "Username=aws;Password=" + canary + "-lib;ValidAuthenticationTypes=Basic",
		"DOCKER_CONFIG":                                                              dir + "/docker",
		"REGISTRY_AUTH_FILE":                                                         dir + "/docker/config.json",
		"HELM_REGISTRY_CONFIG":                                                       dir + "/docker/config.json",
		"GATEHOUSE_ADDRESSES":                                                        dir + "/addresses.toml",
	} {
		if got := value(env, name); got != want {
			t.Errorf("%s=%s; want %s", name, got, want)
		}
	}
	for path, want := range map[string]string{
		"npmrc": "registry=" + host + "/npm/lib/\n//" + at + "/npm/lib/:_authToken=${GATEHOUSE_LIB_TOKEN}\n//" + at + "/npm/lib/:always-auth=true\n" +
			"@acme:registry=" + host + "/npm/team/\n//" + at + "/npm/team/:_authToken=${GATEHOUSE_TEAM_TOKEN}\n//" + at + "/npm/team/:always-auth=true\n",
		"docker/config.json": "{\n\t\"credHelpers\": {\n\t\t\"111122223333.dkr.ecr.us-east-1.amazonaws.com\": \"gatehouse\"\n\t}\n}",
		"addresses.toml":     "[\"111122223333.dkr.ecr.us-east-1.amazonaws.com\"]\nprofile = \"work\"\n",
	} {
		if got := strings.TrimSpace(file(env, path)); got != strings.TrimSpace(want) {
			t.Errorf("%s:\n%s\nwant\n%s", path, got, want)
		}
	}
	if want := []toolenv.Link{{Path: "bin/docker-credential-gatehouse", To: "/usr/bin/gatehouse"}}; !slices.Equal(env.Links, want) {
		t.Error(env.Links)
	}
	if !strings.HasPrefix(value(env, "PATH"), dir+"/bin:") {
		t.Error(value(env, "PATH"))
	}
	for d := xml.NewDecoder(strings.NewReader(file(env, "settings.xml"))); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// The person's npmrc is used, except for what is set here. Other passwords become
// variables.
func TestEnvironment_OwnNpmrc(t *testing.T) {
	at := strings.TrimPrefix(host, "https:") + "/npm/lib/"
	files := map[string]string{"/home/ada/.npmrc": "; mine\r\nfund = false\nregistry=https://registry.example/\n" +
		at + ":_authToken=expired\n" + at + ":username=x\n" + at + ":_password=eA==\n" +
		"//registry.example/:_authToken=\"secret1\"\n//registry.example/:_auth=c2VjcmV0\n//other.example/:_authToken=${OTHER}\n//a.example/:email=a@b\n_auth = secret2\nhttps-proxy=http://a:secret3@proxy.example\n@b:registry = https://b:secret4@b.example/\n"}
	env := environment(t, command(files, nil, of(t, "lib", "npm")))
	text := file(env, "npmrc")
	for _, want := range []string{"; mine\n", "fund = false\n", "//other.example/:_authToken=${OTHER}\n", "//a.example/:email=a@b\n", "//registry.example/:_authToken=${GATEHOUSE_NPMRC_", at + ":_authToken=${GATEHOUSE_LIB_TOKEN}\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, unwanted := range []string{"secret", "c2VjcmV0", "expired", "username", "registry=https://registry.example", "eA=="} {
		if strings.Contains(text, unwanted) {
			t.Errorf("%q in\n%s", unwanted, text)
		}
	}
	var moved []string
	for _, v := range env.Variables {
		if strings.HasPrefix(v.Name, "GATEHOUSE_NPMRC_") && v.Secret {
			moved = append(moved, v.Value)
		}
	}
	if want := []string{"secret1", "c2VjcmV0", "secret2", "http://a:secret3@proxy.example", "https://b:secret4@b.example/"}; !slices.Equal(moved, want) {
		t.Errorf("%q", moved)
	}
}

// The person's docker configuration counts, without its passwords.
func TestEnvironment_OwnDockerConfiguration(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "contexts/meta"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{filepath.Join(home, "config.json"): `{"detachKeys":"ctrl-q","auths":{"r.example":{"auth":"secret"}},"HttpHeaders":{"X":"secret"},"credHelpers":{"r.example":"pass"},"proxies":{"default":{"httpProxy":"http://a:secret@p"}}}`}
	env := environment(t, command(files, map[string]string{"DOCKER_CONFIG": home}, of(t, "ecr", "")))
	text := file(env, "docker/config.json")
	if strings.Contains(text, "secret") || !strings.Contains(text, `"ctrl-q"`) || !strings.Contains(text, `"r.example":"pass"`) || !strings.Contains(text, `"gatehouse"`) {
		t.Error(text)
	}
	if !slices.Contains(env.Links, toolenv.Link{Path: "docker/contexts", To: filepath.Join(home, "contexts")}) {
		t.Error(env.Links)
	}
	files[filepath.Join(home, "config.json")] = "{"
	if _, err := command(files, map[string]string{"DOCKER_CONFIG": home}, of(t, "ecr", "")).Environment(); err == nil || !strings.HasPrefix(err.Error(), "docker: ") {
		t.Error(err)
	}
}

// Whatever the endpoints and the person's files, no secret is in a file, and none
// is shown.
func TestEnvironment_NoSecretInFiles(t *testing.T) {
	formats := []string{"npm", "pypi", "cargo", "maven", "ruby", "nuget", "swift", ""}
	rapid.Check(t, func(rt *rapid.T) {
		var endpoints []project.Endpoint
		for i := range rapid.IntRange(1, 6).Draw(rt, "endpoints") {
			format := rapid.SampledFrom(formats).Draw(rt, "format")
			var scopes []string
			if format == "npm" && rapid.Bool().Draw(rt, "scoped") {
				scopes = []string{fmt.Sprintf("@s%d", i)}
			}
			endpoints = append(endpoints, of(t, fmt.Sprintf("%s-%d", rapid.StringMatching(`[a-z][a-z-]{0,8}[a-z]`).Draw(rt, "name"), i), format, scopes...))
		}
		key := rapid.SampledFrom([]string{"//r.example/:_authToken", "_auth", "//r.example:8080/a/:_password", "//r.example/:_auth", `"//r.example/:_authToken"`}).Draw(rt, "key")
		files := map[string]string{
			"/home/ada/.npmrc":              "a=b\n" + key + rapid.SampledFrom([]string{"=", " = "}).Draw(rt, "equals") + canary + "\n",
			"/home/ada/.docker/config.json": `{"auths":{"r.example":{"auth":"` + canary + `"}}}`,
		}
		env := environment(t, command(files, nil, endpoints...))
		for _, f := range env.Files {
			if strings.Contains(string(f.Text), canary) {
				rt.Errorf("%s:\n%s", f.Path, f.Text)
			}
		}
		for _, v := range env.Variables {
			if strings.Contains(v.Masked(), canary) || strings.Contains(v.Value, canary) != v.Secret {
				rt.Errorf("%s=%s, secret %v, shown as %s", v.Name, v.Value, v.Secret, v.Masked())
			}
			if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(v.Name) && !strings.HasPrefix(v.Name, "NuGetPackageSourceCredentials_") {
				rt.Errorf("a shell would drop %s", v.Name)
			}
		}
	})
}

// Behind the proxy there is no secret at all, and old ones in the environment are
// taken away.
func TestEnvironment_WithoutTokens(t *testing.T) {
	var endpoints []project.Endpoint
	for _, format := range []string{"npm", "pypi", "cargo", "maven", "ruby", "nuget", ""} {
		e := of(t, "lib", format)
		e.Endpoint, e.Token = &url.URL{Scheme: "http", Host: "127.0.0.1:4284", Path: "/lib/" + format + "/"}, authtoken.Token{}
		endpoints = append(endpoints, e)
	}
	env := environment(t, command(nil, nil, endpoints...))
	for _, v := range env.Variables {
		if v.Secret || strings.Contains(v.Value, canary) || strings.Contains(v.Value, "@127") {
			t.Errorf("%s=%s", v.Name, v.Value)
		}
	}
	applied := env.Apply([]string{
		"CODEARTIFACT_AUTH_TOKEN=old", "ECR_PASSWORD=old", "YARN_NPM_AUTH_TOKEN=old", "PDM_PYPI_PASSWORD=old", "HOME=/home/ada", "NPM_CONFIG_REGISTRY=old", "pip_index_url=old", "=C:=C:\\",
	})
	if slices.ContainsFunc(applied, func(v string) bool { return strings.HasSuffix(v, "=old") }) || !slices.Contains(applied, "HOME=/home/ada") || !slices.Contains(applied, "PIP_INDEX_URL=http://127.0.0.1:4284/lib/pypi/simple/") {
		t.Errorf("%q", applied)
	}
	if got := value(env, "YARN_UNSAFE_HTTP_WHITELIST"); got != "127.0.0.1" {
		t.Error(got)
	}
}

// npm 11 and later warn about a setting that they do not know, each time. Yarn 1
// needs it, and gets it wherever it can run.
func TestEnvironment_AlwaysAuth(t *testing.T) {
	for _, c := range []struct {
		program, lockFile string
		want              bool
	}{
		{"npm", "", false},
		{"/usr/local/bin/npx", "yarn.lock", false},
		{`npm.cmd`, "", false},
		{"pnpm", "", false},
		{"bun", "", false},
		{"yarn", "package-lock.json", true},
		{"/opt/yarnpkg", "", true},
		{"sh", "", true},
		{"make", "package-lock.json", false},
		{"make", "yarn.lock", true},
		{"", "", true},
	} {
		cmd := command(map[string]string{"/src/app/" + c.lockFile: ""}, nil, of(t, "lib", "npm"))
		cmd.Program = c.program
		if got := strings.Contains(file(environment(t, cmd), "npmrc"), "always-auth"); got != c.want {
			t.Errorf("%q with %q: %v", c.program, c.lockFile, got)
		}
	}
}

// An address of the proxy is good for one run, so npm writes none into its lock
// file.
func TestEnvironment_NpmLockFileBehindTheProxy(t *testing.T) {
	const setting = "npm_config_omit_lockfile_registry_resolved"
	e := of(t, "lib", "npm")
	if got := value(environment(t, command(nil, nil, e)), setting); got != "" {
		t.Errorf("with a token it is %q", got)
	}
	e.Token = authtoken.Token{}
	if got := value(environment(t, command(nil, nil, e)), setting); got != "true" {
		t.Errorf("without one it is %q", got)
	}
}

func TestEnvironment_ChosenTools(t *testing.T) {
	c := command(nil, nil, of(t, "lib", "npm"), of(t, "lib", "pypi"))
	c.Tools = []string{"pip"}
	env := environment(t, c)
	if value(env, "PIP_INDEX_URL") == "" || value(env, "UV_DEFAULT_INDEX") != "" || len(env.Files) != 0 {
		t.Errorf("%+v", env)
	}
	c.Tools = []string{"pipx"}
	if _, err := c.Environment(); err == nil || !strings.Contains(err.Error(), "one of npm, yarn, pip") {
		t.Error(err)
	}
}

// Settings of the person for tools that accept several stay.
func TestEnvironment_Appended(t *testing.T) {
	env := environment(t, command(nil, map[string]string{"MAVEN_ARGS": "-ntp", "YARN_PLUGINS": "/a.cjs"}, of(t, "lib", "npm"), of(t, "lib", "maven")))
	if got := value(env, "MAVEN_ARGS"); got != "-ntp -gs "+dir+"/settings.xml" {
		t.Error(got)
	}
	if got := value(env, "YARN_PLUGINS"); got != "/a.cjs;"+dir+"/yarn-plugin.cjs" {
		t.Error(got)
	}
}

func TestEnvironment_Write(t *testing.T) {
	private := t.TempDir()
	env := toolenv.Environment{
		Files: []toolenv.File{{Path: "a/b", Text: []byte("text")}}, Links: []toolenv.Link{{Path: "bin/c", To: filepath.Join(private, "a/b")}},
	}
	if err := env.Write(private); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(private, "bin/c")); err != nil || string(text) != "text" {
		t.Error(string(text), err)
	}
	if info, err := os.Stat(filepath.Join(private, "a/b")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	outside := toolenv.Environment{Files: []toolenv.File{{Path: "../x"}}}
	if err := outside.Write(private); err == nil {
		t.Error("a file outside of the folder was written")
	}
}
