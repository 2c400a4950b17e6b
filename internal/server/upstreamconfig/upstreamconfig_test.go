package upstreamconfig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/upstreamconfig"
)

var known = upstreamconfig.Known{
	Connections: map[string]string{
		"public:npmjs": "npm", "public:pypi": "pypi", "public:nuget-org": "nuget", "public:maven-central": "maven",
		"public:maven-clojars": "maven", "public:crates-io": "cargo", "public:ruby-gems-org": "ruby",
	},
	Formats: []string{"npm", "pypi", "maven", "nuget", "ruby", "cargo"},
}

// machine returns an environment with files: ~ is the home, / the root.
func machine(t *testing.T, files, variables map[string]string) upstreamconfig.Environment {
	t.Helper()
	dir := t.TempDir()
	e := upstreamconfig.Environment{Home: filepath.Join(dir, "home"), Root: dir, Getenv: func(name string) string { return variables[name] }}
	for path, text := range files {
		full := filepath.Join(dir, path)
		if rest, ok := strings.CutPrefix(path, "~/"); ok {
			full = filepath.Join(e.Home, rest)
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// one returns the upstream of a name.
func one(t *testing.T, c *config.Config, e upstreamconfig.Environment, name string) upstreamconfig.Upstream {
	t.Helper()
	for _, u := range upstreamconfig.List(c, known, e, []string{"gatehouse.example", ".aws.example"}) {
		if u.Name == name {
			return u
		}
	}
	t.Fatalf("%s is not listed", name)
	return upstreamconfig.Upstream{}
}

func TestList_MachineSettings(t *testing.T) {
	for name, c := range map[string]struct {
		connection       string
		files, variables map[string]string
		want             string // the URL
		from             string // how From ends
	}{
		"npm variable":  {"public:npmjs", nil, map[string]string{"npm_config_registry": "https://a.example"}, "https://a.example/", "variable npm_config_registry"},
		"npm user":      {"public:npmjs", map[string]string{"~/.npmrc": "; c\n//a.example/:_authToken=x\n@s:registry=https://b.example\nregistry = \"https://${H}/npm/\"\n"}, map[string]string{"H": "a.example"}, "https://a.example/npm/", ".npmrc"},
		"npm machine":   {"public:npmjs", map[string]string{"/etc/npmrc": "registry=https://a.example/\n"}, nil, "https://a.example/", "/etc/npmrc"},
		"pip variable":  {"public:pypi", nil, map[string]string{"PIP_INDEX_URL": "https://a.example/simple"}, "https://a.example/simple/", "variable PIP_INDEX_URL"},
		"uv variable":   {"public:pypi", nil, map[string]string{"UV_DEFAULT_INDEX": "corp=https://a.example/simple/"}, "https://a.example/simple/", "variable UV_DEFAULT_INDEX"},
		"pip user":      {"public:pypi", map[string]string{"~/.config/pip/pip.conf": "[global]\nextra-index-url = https://b.example\nindex_url: https://a.example/simple\n"}, nil, "https://a.example/simple/", "pip.conf"},
		"pip machine":   {"public:pypi", map[string]string{"/etc/pip.conf": "[global]\nindex-url=https://b.example\n[install]\nindex-url=https://a.example/simple\n"}, nil, "https://a.example/simple/", "/etc/pip.conf"},
		"cargo":         {"public:crates-io", map[string]string{"~/.cargo/config.toml": "[source.crates-io]\nreplace-with = 'm'\n[source.m]\nreplace-with = 'n'\n[registries.n]\nindex = 'sparse+https://a.example/index/'\n"}, nil, "https://a.example/index/", "config.toml"},
		"maven pattern": {"public:maven-central", map[string]string{"~/.m2/settings.xml": "<settings xmlns='http://maven.apache.org/SETTINGS/1.0.0'><mirrors><mirror><mirrorOf>external:http:*</mirrorOf><url>http://0.0.0.0/</url><blocked>true</blocked></mirror><mirror><mirrorOf>*,!own</mirrorOf><url> https://a.example/m2 </url></mirror></mirrors></settings>"}, nil, "https://a.example/m2/", "settings.xml"},
		"maven by id":   {"public:maven-clojars", map[string]string{"/etc/maven/settings.xml": "<settings><mirrors><mirror><mirrorOf>*</mirrorOf><url>https://b.example/</url></mirror><mirror><mirrorOf>clojars</mirrorOf><url>https://a.example/</url></mirror></mirrors></settings>"}, nil, "https://a.example/", "settings.xml"},
		"nuget":         {"public:nuget-org", map[string]string{"~/.nuget/NuGet/NuGet.Config": "\ufeff<configuration><packageSources><add key='f' value='/srv'/><add key='Off' value='https://b.example/v3/index.json'/><add key='on' value='https://a.example/v3/index.json'/></packageSources><disabledPackageSources><add key='off' value='true'/></disabledPackageSources></configuration>"}, nil, "https://a.example/v3/", "NuGet.Config"},
		"bundler":       {"public:ruby-gems-org", map[string]string{"~/.bundle/config": "---\nBUNDLE_MIRROR__ALL: \"https://a.example\"\n", "~/.gemrc": ":sources: [https://b.example]\n"}, nil, "https://a.example/", ".bundle/config"},
		"gem":           {"public:ruby-gems-org", map[string]string{"~/.bundle/config": "---\nBUNDLE_JOBS: \"4\"\n", "~/.gemrc": "---\n:sources:\n- https://a.example/\n"}, nil, "https://a.example/", ".gemrc"},
	} {
		u := one(t, config.Default(), machine(t, c.files, c.variables), c.connection)
		if u.Err != nil || u.URL != c.want || !strings.HasSuffix(u.From, c.from) {
			t.Errorf("%s: %q from %q, %v", name, u.URL, u.From, u.Err)
		}
		if _, err := u.Open(egress.Services{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each error says why the address that was found is not used, and names the setting.
func TestList_MachineSettingsNotUsed(t *testing.T) {
	for says, c := range map[string]struct{ connection, path, text string }{
		"clients have none":       {"public:npmjs", "~/.npmrc", "fund=false\n"},
		"has one with a password": {"public:pypi", "~/.config/pip/pip.conf", "[global]\nindex-url = https://u:hunter2@a.example/simple\n"},
		"address of this server":  {"public:npmjs", "~/.npmrc", "registry=https://npm-1.d.codeartifact.r.aws.example/x/\n"},
		"allow_private: true":     {"public:npmjs", "~/.npmrc", "registry=http://a.example/\n"},
		"is this machine":         {"public:npmjs", "~/.npmrc", "registry=https://localhost:4873/\n"},
		"has one that is not a":   {"public:npmjs", "~/.npmrc", "registry=https://hunter2 :x\n"},
		"index in Git":            {"public:crates-io", "~/.cargo/config.toml", "[source.crates-io]\nreplace-with='m'\n[source.m]\nregistry='https://a.example/index.git'\n"},
		"with a folder":           {"public:crates-io", "~/.cargo/config.toml", "[source.crates-io]\nreplace-with='m'\n[source.m]\ndirectory='vendor'\n"},
		"is not TOML":             {"public:crates-io", "~/.cargo/config.toml", "[["},
		"is not XML":              {"public:maven-central", "~/.m2/settings.xml", "hunter2"},
		"is not YAML":             {"public:ruby-gems-org", "~/.gemrc", "{a: [hunter2"},
		"larger than 1048576":     {"public:pypi", "/etc/pip.conf", strings.Repeat("#\n", 1<<20)},
	} {
		u := one(t, config.Default(), machine(t, map[string]string{c.path: c.text}, nil), c.connection)
		if u.Err == nil || u.URL != "" || !strings.Contains(u.Err.Error(), says) || strings.Contains(u.Err.Error(), "hunter2") ||
			!strings.Contains(u.Err.Error(), `set upstreams."`+c.connection+`".url`) {
			t.Errorf("want %q: %q, %v", says, u.URL, u.Err)
		}
		if _, err := u.Open(egress.Services{}); err == nil {
			t.Errorf("%s: it opens", says)
		}
	}
}

func TestList_Configuration(t *testing.T) {
	c := config.Default()
	c.Upstreams = map[string]config.Upstream{
		"public:npmjs":   {URL: "https://a.example/"},
		"public:pypi":    {Format: "npm", URL: "https://a.example/"},
		"public:unknown": {URL: "https://a.example/"},
		"own":            {Format: "maven", URL: "https://a.example/", CA: "/missing/ca.pem"},
		"typo":           {Format: "mavn", URL: "https://a.example/"},
	}
	e := machine(t, map[string]string{"~/.npmrc": "registry=https://b.example\n"}, nil)
	if u := one(t, c, e, "public:npmjs"); u.Err != nil || u.URL != "https://a.example/" || u.From != upstreamconfig.FromFile || u.Format != "npm" {
		t.Errorf("%+v", u)
	}
	for name, says := range map[string]string{
		"public:pypi": "leave the setting out", "public:unknown": "is not an external connection. There are: public:crates-io", "typo": "want one of npm",
	} {
		if u := one(t, c, e, name); u.Err == nil || !strings.Contains(u.Err.Error(), says) {
			t.Errorf("%s: %v", name, u.Err)
		}
	}
	u := one(t, c, e, "own")
	if _, err := u.Open(egress.Services{}); u.Err != nil || err == nil || !strings.HasPrefix(err.Error(), "ca: ") {
		t.Errorf("%v, %v", u.Err, err)
	}
	c.DiscoverUpstreams, c.Upstreams = false, nil
	if u := one(t, c, e, "public:npmjs"); u.Err == nil || u.URL != "" {
		t.Errorf("without discovery: %+v", u)
	}
}
