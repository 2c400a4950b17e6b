package containers_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/containers"
)

const (
	local  = "http://127.0.0.1:4283"
	remote = "https://111122223333.dkr.ecr.eu-central-1.amazonaws.com"
)

func target(t testing.TB, address string) login.Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return login.Target{Endpoint: u, Name: "ecr"}
}

func places(env map[string]string) login.Environment {
	return login.Environment{Home: "/home/ada", Dir: "/src/app", GOOS: "linux", Getenv: func(name string) string { return env[name] }}
}

func edits(t testing.TB, tool login.Tool, address string, p login.Environment) []login.Edit {
	t.Helper()
	e, err := tool.Edits(target(t, address), p)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The files that each tool reads according to its documentation.
func TestFiles(t *testing.T) {
	session := filepath.Join("/run/containers", strconv.Itoa(os.Getuid()), "auth.json")
	for _, c := range []struct {
		name string
		tool login.Tool
		goos string
		env  map[string]string
		want []string
	}{
		{"docker", containers.Docker(), "linux", nil, []string{"/home/ada/.docker/config.json"}},
		{"docker moved", containers.Docker(), "darwin", map[string]string{"DOCKER_CONFIG": "/etc/ci"}, []string{"/etc/ci/config.json"}},
		{"docker moved by a relative path", containers.Docker(), "linux", map[string]string{"DOCKER_CONFIG": "ci"}, []string{"/src/app/ci/config.json"}},
		{"oras", containers.Oras(), "linux", map[string]string{"DOCKER_CONFIG": "/etc/ci"}, []string{"/etc/ci/config.json"}},
		{"podman", containers.Podman(), "linux", nil, []string{"/home/ada/.config/containers/auth.json", session}},
		{
			"podman in a session", containers.Podman(), "linux",
			map[string]string{"XDG_RUNTIME_DIR": "/run/user/7", "XDG_CONFIG_HOME": "/cfg"},
			[]string{"/cfg/containers/auth.json", "/run/user/7/containers/auth.json"},
		},
		{"podman on macOS", containers.Podman(), "darwin", map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}, []string{"/home/ada/.config/containers/auth.json"}},
		{"podman with one file", containers.Podman(), "linux", map[string]string{"REGISTRY_AUTH_FILE": "/x/auth.json", "DOCKER_CONFIG": "/d"}, []string{"/x/auth.json"}},
		{
			"podman with docker's", containers.Podman(), "linux",
			map[string]string{"DOCKER_CONFIG": "/d"},
			[]string{"/home/ada/.config/containers/auth.json", "/d/config.json", session},
		},
		{"helm", containers.Helm(), "linux", map[string]string{"DOCKER_CONFIG": "/d"}, []string{"/home/ada/.config/helm/registry/config.json"}},
		{"helm by XDG", containers.Helm(), "darwin", map[string]string{"XDG_CONFIG_HOME": "/cfg"}, []string{"/cfg/helm/registry/config.json"}},
		{"helm's folder", containers.Helm(), "linux", map[string]string{"XDG_CONFIG_HOME": "/cfg", "HELM_CONFIG_HOME": "/helm"}, []string{"/helm/registry/config.json"}},
		{"helm's file", containers.Helm(), "linux", map[string]string{"HELM_CONFIG_HOME": "/helm", "HELM_REGISTRY_CONFIG": "/r.json"}, []string{"/r.json"}},
		{"helm on macOS", containers.Helm(), "darwin", nil, []string{"/home/ada/Library/Preferences/helm/registry/config.json"}},
		{"helm on Windows", containers.Helm(), "windows", map[string]string{"APPDATA": "/appdata"}, []string{"/appdata/helm/registry/config.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := places(c.env)
			p.GOOS = c.goos
			var got []string
			for _, e := range edits(t, c.tool, remote, p) {
				got = append(got, e.Path)
				if e.Mode != 0o600 {
					t.Errorf("%s has mode %o", e.Path, e.Mode)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestApply_HelperForHost(t *testing.T) {
	for _, tool := range []login.Tool{containers.Docker(), containers.Podman(), containers.Helm(), containers.Oras()} {
		e := edits(t, tool, local, places(nil))[0]
		in := "{\n\t\"auths\": {\n\t\t\"127.0.0.1:4283\": {}\n\t},\n\t\"credsStore\": \"desktop\"\n}"
		want := strings.TrimSuffix(in, "\n}") + ",\n\t\"credHelpers\": {\n\t\t\"127.0.0.1:4283\": \"gatehouse\"\n\t}\n}"
		out, err := e.Apply([]byte(in))
		if err != nil || string(out) != want {
			t.Errorf("%s: %s, %v", tool.Name, out, err)
		}
		if back, err := e.Remove(out); err != nil || string(back) != in {
			t.Errorf("%s: back to %s, %v", tool.Name, back, err)
		}
		if tool.Helper != "docker-credential-gatehouse" || tool.Secret != login.FromHelper || tool.Format != "" {
			t.Errorf("%s: %+v", tool.Name, tool)
		}
	}
}

// Another helper that the person has chosen since stays.
func TestRemove_KeepsOthers(t *testing.T) {
	e := edits(t, containers.Docker(), local, places(nil))[0]
	for _, text := range []string{"", `{"credHelpers":{"127.0.0.1:4283":"ecr-login"}}`, `{"credHelpers":{"127.0.0.1:5000":"gatehouse"}}`, `{"credHelpers":"x"}`} {
		out, err := e.Remove([]byte(text))
		if string(out) != text && err == nil {
			t.Errorf("%s became %s", text, out)
		}
	}
}

// The session's file is changed only if it would take precedence.
func TestPodman_SessionFile(t *testing.T) {
	all := edits(t, containers.Podman(), local, places(map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}))
	session := all[1]
	for _, text := range []string{"", "{}", `{"auths":{"quay.example":{"auth":"YTpi"}}}`, `{"auths":{"127.0.0.1:42830":{}}}`} {
		if out, err := session.Apply([]byte(text)); err != nil || string(out) != text {
			t.Errorf("%s became %s, %v", text, out, err)
		}
	}
	if out, err := session.Apply(nil); err != nil || out != nil {
		t.Errorf("it was made: %q, %v", out, err)
	}
	for _, key := range []string{"127.0.0.1:4283", "127.0.0.1:4283/team", "http://127.0.0.1:4283/"} {
		out, err := session.Apply([]byte(`{"auths":{"` + key + `":{"auth":"YTpi"}}}`))
		if err != nil || !strings.Contains(string(out), `"credHelpers":{"127.0.0.1:4283":"gatehouse"}`) {
			t.Errorf("%s: %s, %v", key, out, err)
		}
		if again, err := session.Apply(out); err != nil || string(again) != string(out) {
			t.Errorf("a second time: %s, %v", again, err)
		}
	}
}

func TestPodman_PlainHTTP(t *testing.T) {
	all := edits(t, containers.Podman(), local, places(map[string]string{"XDG_CONFIG_HOME": "/cfg", "REGISTRY_AUTH_FILE": "/a.json"}))
	if len(all) != 2 || all[1].Path != "/home/ada/.config/containers/registries.conf.d/gatehouse-127.0.0.1-4283.conf" || all[1].Mode != 0o644 {
		t.Fatalf("%+v", all)
	}
	out, err := all[1].Apply(nil)
	if want := "[[registry]]\nlocation = \"127.0.0.1:4283\"\ninsecure = true\n"; err != nil || string(out) != want {
		t.Errorf("%s, %v", out, err)
	}
	if again, err := all[1].Apply(out); err != nil || string(again) != string(out) {
		t.Errorf("a second time: %s, %v", again, err)
	}
	if out, err = all[1].Remove(out); err != nil || len(out) != 0 {
		t.Errorf("left over: %q, %v", out, err)
	}
	for _, address := range []string{remote, "http://registry.example:5000", "https://127.0.0.1:4283"} {
		if n := len(edits(t, containers.Podman(), address, places(map[string]string{"REGISTRY_AUTH_FILE": "/a.json"}))); n != 1 {
			t.Errorf("%s: %d files change", address, n)
		}
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		tool          login.Tool
		address, want string
	}{
		{containers.Docker(), local, "docker push 127.0.0.1:4283/REPOSITORY:TAG\ndocker pull 127.0.0.1:4283/REPOSITORY:TAG"},
		{containers.Podman(), local, "podman push 127.0.0.1:4283/REPOSITORY:TAG\npodman pull 127.0.0.1:4283/REPOSITORY:TAG"},
		{containers.Podman(), "http://r.example", "podman push --tls-verify=false r.example/REPOSITORY:TAG\npodman pull --tls-verify=false r.example/REPOSITORY:TAG"},
		{containers.Helm(), local, "helm push CHART-VERSION.tgz oci://127.0.0.1:4283 --plain-http\nhelm pull oci://127.0.0.1:4283/CHART --version VERSION --plain-http"},
		{containers.Oras(), "https://r.example", "oras push r.example/REPOSITORY:TAG FILE\noras pull r.example/REPOSITORY:TAG"},
	} {
		if got := c.tool.Next(target(t, c.address)); got != c.want {
			t.Errorf("%s at %s:\n%s\nwant\n%s", c.tool.Name, c.address, got, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	files := map[string]string{
		"/home/ada/.docker/config.json":               `{"auths":{"https://index.example/v1/":{},"a.example":{}},"credHelpers":{"a.example":"x","b.example":"gatehouse"}}`,
		"/home/ada/.config/containers/auth.json":      `{"auths":null}`,
		"/run/user/7/containers/auth.json":            `{"auths":{"c.example/team":{}}}`,
		"/home/ada/.config/helm/registry/config.json": "{\n oops }",
	}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	p := places(map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"})
	for _, c := range []struct {
		tool login.Tool
		want []string
	}{
		{containers.Docker(), []string{"a.example", "b.example", "https://index.example/v1/"}},
		{containers.Podman(), []string{"c.example/team"}},
	} {
		if got, err := c.tool.Addresses(p, read); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", c.tool.Name, got, err)
		}
	}
	if _, err := containers.Helm().Addresses(p, read); err == nil || !strings.Contains(err.Error(), "registry/config.json: line 2: ") {
		t.Errorf("a broken file: %v", err)
	}
	if got, err := containers.Docker().Addresses(login.Environment{Getenv: p.Getenv}, read); err != nil || len(got) != 0 {
		t.Errorf("no file: %q, %v", got, err)
	}
}

// Login and logout leave docker's configuration as it was. In between, this
// program is the helper for the host.
func TestEdits_RoundTrip(t *testing.T) {
	tool := containers.Docker()
	e := edits(t, tool, local, places(nil))[0]
	hosts := rapid.SampledFrom([]string{"127.0.0.1:4283", "127.0.0.1:5000", "https://index.example/v1/", "quay.example/team", "111122223333.dkr.ecr.eu-central-1.amazonaws.com"})
	rapid.Check(t, func(t *rapid.T) {
		config := map[string]any{"psFormat": rapid.String().Draw(t, "format")}
		auths := rapid.MapOf(hosts, rapid.Just(map[string]string{"auth": "YTpi"})).Draw(t, "auths")
		if len(auths) > 0 {
			config["auths"] = auths
		}
		helpers := rapid.MapOf(hosts, rapid.SampledFrom([]string{"ecr-login", "osxkeychain"})).Draw(t, "helpers")
		delete(helpers, "127.0.0.1:4283")
		if len(helpers) > 0 {
			config["credHelpers"] = maps.Clone(helpers)
		}
		if rapid.Bool().Draw(t, "store") {
			config["credsStore"] = "desktop"
		}
		text, err := json.MarshalIndent(config, "", rapid.SampledFrom([]string{"", "\t", "  "}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := e.Apply(text)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ CredHelpers map[string]string }
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		helpers["127.0.0.1:4283"] = "gatehouse"
		if !maps.Equal(got.CredHelpers, helpers) {
			t.Fatalf("the helpers are %v, want %v", got.CredHelpers, helpers)
		}
		if again, err := e.Apply(out); err != nil || string(again) != string(out) {
			t.Fatalf("a second time: %s, %v", again, err)
		}
		if back, err := e.Remove(out); err != nil || string(back) != string(text) {
			t.Fatalf("back to %s, %v; want %s", back, err, text)
		}
	})
}
