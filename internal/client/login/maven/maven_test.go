package maven_test

import (
	"errors"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/maven"
)

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

var places = login.Environment{Home: "/home/ada", GOOS: "linux", Getenv: func(string) string { return "" }}

func edit(t testing.TB, target login.Target) login.Edit {
	t.Helper()
	edits, err := maven.Tool().Edits(target, places)
	if err != nil || len(edits) != 1 {
		t.Fatalf("%v, %v", edits, err)
	}
	return edits[0]
}

func apply(t testing.TB, e login.Edit, text string) string {
	t.Helper()
	out, err := e.Apply([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

const secure = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/lib/"

// The settings of a person who had none.
func TestApply_NewFile(t *testing.T) {
	e := edit(t, target(secure, login.Replace))
	if e.Path != "/home/ada/.m2/settings.xml" || e.Mode != 0o600 {
		t.Errorf("%s %v", e.Path, e.Mode)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">
  <servers>
    <server>
      <id>acme-lib</id>
      <username>aws</username>
      <password>secret</password>
    </server>
  </servers>
  <profiles>
    <profile>
      <id>acme-lib</id>
      <repositories>
        <repository>
          <id>acme-lib</id>
          <url>` + secure + `</url>
        </repository>
      </repositories>
      <pluginRepositories>
        <pluginRepository>
          <id>acme-lib</id>
          <url>` + secure + `</url>
        </pluginRepository>
      </pluginRepositories>
    </profile>
  </profiles>
  <activeProfiles>
    <activeProfile>acme-lib</activeProfile>
  </activeProfiles>
  <mirrors>
    <mirror>
      <id>acme-lib</id>
      <mirrorOf>external:*</mirrorOf>
      <url>` + secure + `</url>
    </mirror>
  </mirrors>
</settings>
`
	got := apply(t, e, "")
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if gone, err := e.Remove([]byte(got)); err != nil || gone != nil {
		t.Errorf("%v\n%s", err, gone)
	}
}

// The repositories that a mirror replaces.
func TestApply_Mirrors(t *testing.T) {
	for _, c := range []struct {
		address   string
		placement login.Placement
		want      string
	}{
		{secure, login.Replace, "<mirrorOf>external:*</mirrorOf>"},
		{secure, login.Add, ""},
		{"http://127.0.0.1:4283/maven/lib/", login.Add, ""},
		{"http://localhost:4283/maven/lib/", login.Add, ""},
		{"http://gate.example/maven/lib/", login.Add, "<mirrorOf>acme-lib</mirrorOf>"},
		{"http://gate.example/maven/lib/", login.Replace, "<mirrorOf>external:*</mirrorOf>"},
	} {
		got := apply(t, edit(t, target(c.address, c.placement)), "")
		if strings.Contains(got, "<mirrorOf>") != (c.want != "") || !strings.Contains(got, c.want) {
			t.Errorf("%s %v:\n%s", c.address, c.placement, got)
		}
		// A login with the other placement leaves nothing of the first.
		other := apply(t, edit(t, target(c.address, login.Add-c.placement)), got)
		if back := apply(t, edit(t, target(c.address, c.placement)), other); strings.Count(back, "<mirror>") != strings.Count(got, "<mirror>") {
			t.Errorf("%s %v:\n%s", c.address, c.placement, back)
		}
	}
}

// Our mirror is the first, since Maven takes the first that matches.
func TestApply_MirrorFirst(t *testing.T) {
	got := apply(t, edit(t, target(secure, login.Replace)), "<settings>\n  <mirrors>\n    <mirror><id>all</id><mirrorOf>*</mirrorOf><url>https://old.example/</url></mirror>\n  </mirrors>\n</settings>")
	if strings.Index(got, "external:*") > strings.Index(got, "old.example") {
		t.Error(got)
	}
}

func TestApply_Variable(t *testing.T) {
	with := target(secure, login.Add)
	with.Token, with.Variable = authtoken.Token{}, "CODEARTIFACT_AUTH_TOKEN"
	e := edit(t, with)
	if got := apply(t, e, ""); !strings.Contains(got, "<password>${env.CODEARTIFACT_AUTH_TOKEN}</password>") || e.Mode != 0o644 {
		t.Errorf("%v\n%s", e.Mode, got)
	}
	if next := maven.Tool().Next(with); next != `export CODEARTIFACT_AUTH_TOKEN="$(gatehouse token codeartifact --domain acme --domain-owner 111122223333 --region eu-west-1)"`+"\nmvn deploy -DaltDeploymentRepository=acme-lib::default::"+secure {
		t.Error(next)
	}
}

func TestAddresses(t *testing.T) {
	read := func(text string, err error) login.ReadFile {
		return func(path string) ([]byte, error) {
			if path != "/home/ada/.m2/settings.xml" {
				t.Error(path)
			}
			return []byte(text), err
		}
	}
	tool := maven.Tool()
	text := apply(t, edit(t, target(secure, login.Add)), `<settings><mirrors><mirror><id>a</id><url>${central.url}</url></mirror><mirror><id>b</id><url>https://b.example/</url></mirror></mirrors></settings>`)
	if got, err := tool.Addresses(places, read(text, nil)); err != nil || !slices.Equal(got, []string{secure, "https://b.example/"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := tool.Addresses(places, read("", fs.ErrNotExist)); err != nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := tool.Addresses(places, read("<settings>\n<a>", nil)); err == nil || !strings.Contains(err.Error(), "/home/ada/.m2/settings.xml: line 2") {
		t.Error(err)
	}
	denied := errors.New("denied")
	if _, err := tool.Addresses(places, read("", denied)); !errors.Is(err, denied) {
		t.Error(err)
	}
}

// What a person has in settings.xml stays, byte for byte.
func TestEdits_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		newline := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "newline")
		parts := []string{
			"  <localRepository>/var/m2</localRepository>",
			"  <!-- <servers><server><id>acme-lib</id></server></servers> -->",
			"  <servers>\n    <server>\n      <id>corp</id>\n      <password>{cOrP&amp;=}</password><!-- encrypted -->\n    </server>\n  </servers>",
			"\t<mirrors>\n\n\t\t<mirror><id>m</id><mirrorOf>*</mirrorOf><url>https://m.example/</url></mirror>\n\t</mirrors>",
			"  <profiles><profile><id>p</id><properties><a.b>é</a.b></properties></profile></profiles>",
			"  <activeProfiles>\n    <!-- mine -->\n    <activeProfile>p</activeProfile>\n  </activeProfiles>",
		}
		parts = rapid.Permutation(parts).Draw(t, "parts")[:rapid.IntRange(1, len(parts)).Draw(t, "how many")]
		before := strings.ReplaceAll(rapid.SampledFrom([]string{"", "\uFEFF", "<?xml version=\"1.0\"?>\n"}).Draw(t, "head")+
			"<settings xmlns=\"http://maven.apache.org/SETTINGS/1.2.0\">\n"+strings.Join(parts, "\n")+"\n</settings>\n", "\n", newline)

		to := target(rapid.SampledFrom([]string{secure, "http://127.0.0.1:4283/maven/lib/", "http://gate.example/maven/lib/"}).Draw(t, "address"),
			rapid.SampledFrom([]login.Placement{login.Replace, login.Add}).Draw(t, "placement"))
		edits, err := maven.Tool().Edits(to, places)
		if err != nil {
			t.Fatal(err)
		}
		once, err := edits[0].Apply([]byte(before))
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := edits[0].Apply(once); err != nil || string(twice) != string(once) {
			t.Fatalf("%v\n%s", err, twice)
		}
		if after, err := edits[0].Remove(once); err != nil || string(after) != before {
			t.Fatalf("%v\n%s\n%s", err, once, after)
		}
		if same, err := edits[0].Remove([]byte(before)); err != nil || string(same) != before {
			t.Fatalf("%v\n%s", err, same)
		}
	})
}
