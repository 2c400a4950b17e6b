package nuget_test

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/nuget"
)

const (
	secure = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/nuget/lib/"
	theirs = "/home/ada/.nuget/NuGet/NuGet.Config"
	ours   = "/home/ada/.nuget/NuGet/config/gatehouse.config"
)

var places = login.Environment{Home: "/home/ada", GOOS: "linux", Getenv: func(string) string { return "" }}

func target(address string, placement login.Placement) login.Target {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return login.Target{
		Endpoint: u, Name: "acme-lib", Domain: "acme", Owner: "111122223333", Repository: "lib", Region: "eu-west-1",
		Token: authtoken.Token{Username: "aws", Password: "secret"}, Placement: placement,
	}
}

func edit(t testing.TB, tool login.Tool, target login.Target) login.Edit {
	t.Helper()
	edits, err := tool.Edits(target, places)
	if err != nil || len(edits) != 2 || edits[0].Path != ours || edits[1].Path != theirs {
		t.Fatalf("%v, %v", edits, err)
	}
	i := 0
	if target.Placement == login.Replace {
		i = 1
	}
	// The other file has nothing of the login, and its mode stays.
	other := edits[1-i]
	for _, text := range []string{"", "<configuration></configuration>", apply(t, edits[i], "")} {
		got := apply(t, other, text)
		if want := strings.Replace(text, apply(t, edits[i], ""), "", 1); got != want || other.Mode != 0o644 {
			t.Errorf("%v\n%s", other.Mode, got)
		}
	}
	return edits[i]
}

func apply(t testing.TB, e login.Edit, text string) string {
	t.Helper()
	out, err := e.Apply([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A repository that is added goes into our own file.
func TestDotnet_Add(t *testing.T) {
	e := edit(t, nuget.Dotnet(), target("http://127.0.0.1:4283/nuget/lib/", login.Add))
	got := apply(t, e, "")
	want := `<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <packageSources>
    <add key="acme-lib" value="http://127.0.0.1:4283/nuget/lib/v3/index.json" protocolVersion="3" allowInsecureConnections="true" />
  </packageSources>
</configuration>
`
	if got != want || e.Path != ours || e.Mode != 0o644 {
		t.Errorf("%s %v\n%s", e.Path, e.Mode, got)
	}
	if gone, err := e.Remove([]byte(got)); err != nil || gone != nil {
		t.Errorf("%v\n%s", err, gone)
	}
}

// If the repository replaces others, login disables these except folders. What
// the person had disabled stays disabled after logout.
func TestDotnet_Replace(t *testing.T) {
	const before = `<configuration>
  <packageSources>
    <add key="main" value="https://feed.example/v3/index.json" />
    <add key="old" value="https://old.example/v3/index.json" />
    <add key="disk" value="../packages" />
  </packageSources>
  <disabledPackageSources>
    <add key="old" value="true" />
    <add key="acme-lib" value="true" />
  </disabledPackageSources>
</configuration>
`
	e := edit(t, nuget.Dotnet(), target(secure, login.Replace))
	got := apply(t, e, before)
	want := `<configuration>
  <packageSources>
    <add key="main" value="https://feed.example/v3/index.json" />
    <add key="old" value="https://old.example/v3/index.json" />
    <add key="disk" value="../packages" />
    <add key="acme-lib" value="` + secure + `v3/index.json" protocolVersion="3" />
  </packageSources>
  <disabledPackageSources>
    <add key="old" value="true" />
    <add key="main" value="true" disabledBy="acme-lib" />
  </disabledPackageSources>
</configuration>
`
	if got != want || e.Path != theirs {
		t.Errorf("%s\n%s", e.Path, got)
	}
	after, err := e.Remove([]byte(got))
	if want := strings.Replace(before, "    <add key=\"acme-lib\" value=\"true\" />\n", "", 1); err != nil || string(after) != want {
		t.Errorf("%v\n%s", err, after)
	}
}

// The settings of a NuGet that cannot ask have the token, or the name of a
// variable.
func TestCredentials(t *testing.T) {
	to := target(secure, login.Add)
	e := edit(t, nuget.NuGet(), to)
	got := apply(t, e, "")
	if e.Mode != 0o600 || !strings.Contains(got, `    <acme-lib>
      <add key="Username" value="aws" />
      <add key="ClearTextPassword" value="secret" />
      <add key="ValidAuthenticationTypes" value="basic" />
    </acme-lib>
`) {
		t.Errorf("%v\n%s", e.Mode, got)
	}
	if gone, err := e.Remove([]byte(got)); err != nil || gone != nil {
		t.Errorf("%v\n%s", err, gone)
	}
	to.Variable, to.Token, to.Name = "CODEARTIFACT_AUTH_TOKEN", authtoken.Token{}, "7-lib"
	e = edit(t, nuget.NuGet(), to)
	if got := apply(t, e, ""); e.Mode != 0o644 || !strings.Contains(got, `<_x0037_-lib>`) || !strings.Contains(got, `value="%CODEARTIFACT_AUTH_TOKEN%"`) {
		t.Errorf("%v\n%s", e.Mode, got)
	}
	if next := nuget.NuGet().Next(to); !strings.HasPrefix(next, `export CODEARTIFACT_AUTH_TOKEN="$(gatehouse token codeartifact --domain acme `) {
		t.Error(next)
	}
}

func TestWindows(t *testing.T) {
	p := login.Environment{Home: "/users/ada", GOOS: "windows", Getenv: func(name string) string { return map[string]string{"APPDATA": "/roaming"}[name] }}
	edits, err := nuget.Dotnet().Edits(target(secure, login.Replace), p)
	if err != nil || edits[0].Path != "/roaming/NuGet/config/gatehouse.config" || edits[1].Path != "/roaming/NuGet/NuGet.Config" {
		t.Errorf("%v, %v", edits, err)
	}
}

func TestAddresses(t *testing.T) {
	files := map[string]string{
		theirs: `<configuration><packageSources><add key="a" value="https://a.example/v3/index.json"/><add key="b" value="./b"/></packageSources></configuration>`,
		ours:   apply(t, edit(t, nuget.Dotnet(), target(secure, login.Add)), ""),
	}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	if got, err := nuget.Dotnet().Addresses(places, read); err != nil || !slices.Equal(got, []string{"https://a.example/v3/index.json", secure + "v3/index.json"}) {
		t.Errorf("%q, %v", got, err)
	}
	files[theirs] = "<configuration>"
	if _, err := nuget.Dotnet().Addresses(places, read); err == nil || !strings.HasPrefix(err.Error(), theirs+": line 1") {
		t.Error(err)
	}
}

// What a person has in NuGet.Config stays, byte for byte.
func TestEdits_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := []string{
			"  <packageSources>\n    <!-- ours -->\n    <add key='main' value='https://feed.example/v3/index.json' protocolVersion='3'/>\n    <add key=\"disk\" value=\"../p\" />\n  </packageSources>",
			"  <disabledPackageSources><add key=\"x\" value=\"true\" /></disabledPackageSources>",
			"  <config>\n    <add key=\"globalPackagesFolder\" value=\"%HOME%/p&amp;q\" />\n  </config>",
			"  <packageSourceCredentials>\n    <main>\n      <add key=\"Username\" value=\"u\" />\n    </main>\n  </packageSourceCredentials>",
			"  <!-- <packageSources><add key=\"acme-lib\"/></packageSources> -->",
		}
		parts = rapid.Permutation(parts).Draw(t, "parts")[:rapid.IntRange(1, len(parts)).Draw(t, "how many")]
		before := rapid.SampledFrom([]string{"", "\uFEFF<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"}).Draw(t, "head") + "<configuration>\n" + strings.Join(parts, "\n") + "\n</configuration>"
		if rapid.Bool().Draw(t, "CRLF") {
			before = strings.ReplaceAll(before, "\n", "\r\n")
		}
		tool := rapid.SampledFrom([]func() login.Tool{nuget.Dotnet, nuget.NuGet}).Draw(t, "tool")()
		edits, err := tool.Edits(target(secure, rapid.SampledFrom([]login.Placement{login.Replace, login.Add}).Draw(t, "placement")), places)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range edits {
			once, err := e.Apply([]byte(before))
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := e.Apply(once); err != nil || string(twice) != string(once) {
				t.Fatalf("%v\n%s", err, twice)
			}
			if after, err := e.Remove(once); err != nil || string(after) != before {
				t.Fatalf("%v\n%s\n%s", err, once, after)
			}
		}
	})
}
