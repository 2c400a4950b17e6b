package project_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

const whole = `# the project's
[[repository]]
domain = "acme"
name = "lib"
domain_owner = "111122223333"
formats = ["npm", "pypi"]
alias = "acme"
duration = "1h"
region = "eu-central-1"
profile = "work"
endpoint_url = "https://gate.example"

[[repository]]
domain = "acme"
name = "team"
formats = ["npm"]
scopes = ["@acme", "@team"]

[[registry]]
id = "111122223333"
region = "eu-west-1"
`

func TestParse(t *testing.T) {
	p, err := project.Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Repositories) != 2 || len(p.Registries) != 1 {
		t.Fatalf("%+v", p)
	}
	r := p.Repositories[0]
	if r.Domain != "acme" || r.Name != "lib" || r.DomainOwner != "111122223333" || !slices.Equal(r.Formats, []string{"npm", "pypi"}) ||
		r.Alias != "acme" || time.Duration(r.Duration) != time.Hour || r.Region != "eu-central-1" || r.Profile != "work" || r.EndpointURL != "https://gate.example" {
		t.Errorf("%+v", r)
	}
	if !slices.Equal(p.Repositories[1].Scopes, []string{"@acme", "@team"}) || p.Registries[0].ID != "111122223333" || p.Registries[0].Region != "eu-west-1" {
		t.Errorf("%+v", p)
	}
}

// Each mistake is told with its line.
func TestParse_Errors(t *testing.T) {
	const repository = "[[repository]]\ndomain = \"acme\"\nname = \"lib\"\n"
	for text, want := range map[string]string{
		"":                                                   "no [[repository]] and no [[registry]]",
		"[[repository]]\ndomain = \"acme":                    "line 2:",
		"[[repository]]\nname = \"lib\"":                     "line 1: domain is missing",
		"[[repository]]\ndomain = \"acme\"":                  "line 1: name is missing",
		repository + "token = \"x\"":                         `line 4: there is no setting "repository.token"`,
		"[[repo]]\n":                                         "there is no setting",
		repository + "duration = \"13h\"":                    `line 4:`,
		repository + "duration = \"1ms\"":                    "15m to 12h",
		repository + "region = \"x.evil.example/\"":          "line 4: region:",
		repository + "region = \"a@b\"":                      "is not a region",
		repository + "domain_owner = \"1\"":                  "is not a 12-digit account",
		repository + "formats = [\"deb\"]":                   `"deb" is not one of npm`,
		repository + "formats = [\"pypi\"]\nscopes=[\"@a\"]": "line 5: scopes are for npm",
		repository + "scopes = [\"a\"]":                      "is not a scope",
		repository + "scopes = [\"@a:registry=x\\n\"]":       "is not a scope",
		repository + "alias = \"a b\"":                       "line 4: alias:",
		repository + "profile = \"a\\u0000\"":                "line 4: profile:",
		repository + "endpoint_url = \"file:///etc\"":        "line 4: endpoint_url:",
		repository + "endpoint_url = \"https://a@b/\"":       "is not an https or http address",
		repository + repository:                              "line 4: acme-lib and acme-lib would have the same name",
		repository + "formats=[\"npm\"]\n[[repository]]\ndomain=\"acme\"\nname=\"app\"\nformats=[\"npm\"]": "line 8: npm has one registry for all packages",
		repository + "scopes=[\"@a\"]\n[[repository]]\ndomain=\"acme\"\nname=\"app\"\nscopes=[\"@a\"]":     "line 8: the scope @a has another",
		"[[registry]]\nid = \"x\"":                      "line 2: id:",
		"[[registry]]\nendpoint_url = \"gate.example\"": "line 2: endpoint_url",
	} {
		_, err := project.Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n\t%v; want %s", text, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), project.Name)
	write(t, path, whole)
	p, err := project.Load(path)
	if err != nil || p.Path != path {
		t.Error(p.Path, err)
	}
	write(t, path, "[[registry]]\nid = 1\n")
	if _, err := project.Load(path); err == nil || !strings.HasPrefix(err.Error(), path+": line 2:") {
		t.Error(err)
	}
	write(t, path, "#"+strings.Repeat(" ", 1<<20))
	if _, err := project.Load(path); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Error(err)
	}
}

// The nearest file counts, up to the home folder.
func TestFind(t *testing.T) {
	root := t.TempDir()
	home := filepath.Join(root, "home")
	deep := filepath.Join(home, "src/app/cmd")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, project.Name), whole) // above the home folder
	if p, err := project.Find(deep, home); !errors.Is(err, project.ErrNone) {
		t.Error(p.Path, err)
	}
	for _, dir := range []string{home, filepath.Join(home, "src"), deep} {
		write(t, filepath.Join(dir, project.Name), whole)
		if p, err := project.Find(deep, home); err != nil || p.Path != filepath.Join(dir, project.Name) {
			t.Error(p.Path, err)
		}
	}
	if err := os.Remove(filepath.Join(deep, project.Name)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(deep, project.Name), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := project.Find(deep, home); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Error(err)
	}
}

// A file chooses no profile and no endpoint unless its folder is trusted, or the
// person has chosen the same or something else.
func TestTrust(t *testing.T) {
	root := t.TempDir()
	app := filepath.Join(root, "src/app")
	if err := os.MkdirAll(app, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink(app, link); err != nil {
		t.Fatal(err)
	}
	load := func(text string) project.Project {
		path := filepath.Join(app, project.Name)
		write(t, path, text)
		p, err := project.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const plain = "[[repository]]\ndomain = \"acme\"\nname = \"lib\"\nregion = \"us-east-1\"\ndomain_owner = \"111122223333\"\n"
	profile, endpoint := plain+"profile = \"prod\"\n", "[[registry]]\nendpoint_url = \"https://evil.example\"\n"
	for name, c := range map[string]struct {
		text    string
		trust   project.Trust
		env     map[string]string
		refused string
	}{
		"nothing chosen":            {text: plain},
		"a profile":                 {text: profile, refused: `line 6: it chooses the profile "prod"`},
		"an endpoint":               {text: endpoint, refused: `line 2: it chooses the endpoint_url "https://evil.example"`},
		"the folder":                {text: profile, trust: project.Trust{Folders: []string{app}}},
		"a folder above":            {text: endpoint, trust: project.Trust{Folders: []string{"", root}}},
		"the folder by a link":      {text: profile, trust: project.Trust{Folders: []string{link}}},
		"another folder":            {text: profile, trust: project.Trust{Folders: []string{filepath.Join(root, "src/ap"), t.TempDir()}}, refused: "--trust " + app},
		"no folder":                 {text: profile, trust: project.Trust{Folders: []string{""}}, refused: "profile"},
		"one's own profile":         {text: profile, trust: project.Trust{Chosen: credential.AWS{Profile: "mine"}}},
		"one's own endpoint":        {text: endpoint, trust: project.Trust{Chosen: credential.AWS{EndpointURL: "https://gate.example"}}},
		"only the other chosen":     {text: endpoint, trust: project.Trust{Chosen: credential.AWS{Profile: "mine"}}, refused: "endpoint_url"},
		"the same as AWS_PROFILE":   {text: profile, env: map[string]string{"AWS_PROFILE": "prod"}},
		"another than AWS_PROFILE":  {text: profile, env: map[string]string{"AWS_PROFILE": "dev"}, refused: "profile"},
		"the same AWS_ENDPOINT_URL": {text: endpoint, env: map[string]string{"AWS_ENDPOINT_URL": "https://evil.example"}},
	} {
		c.trust.Getenv = func(name string) string { return c.env[name] }
		err := c.trust.Check(load(c.text))
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v; want %q", name, err, c.refused)
		}
	}
	// Flags are the person's own.
	flags := project.Project{Registries: []project.Registry{{Account: project.Account{Profile: "prod"}}}}
	if err := (project.Trust{Getenv: os.Getenv}).Check(flags); err != nil {
		t.Error(err)
	}
}

// What is trusted is the file that was read: a link that leads elsewhere since
// changes nothing.
func TestTrust_Link(t *testing.T) {
	trusted, other, shared := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(trusted, project.Name), whole)
	write(t, filepath.Join(other, project.Name), "[[registry]]\nendpoint_url = \"https://evil.example\"\n")
	link := filepath.Join(shared, project.Name)
	to := func(dir string) {
		if err := os.Symlink(filepath.Join(dir, project.Name), link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	to(other)
	p, err := project.Load(link)
	if err != nil {
		t.Fatal(err)
	}
	to(trusted)
	if err := (project.Trust{Folders: []string{trusted}, Getenv: os.Getenv}).Check(p); err == nil {
		t.Error("the file of a folder that is not trusted is")
	}
}

// Whatever the text, it is understood or refused, and what is understood names
// nothing that could be something else in a configuration or a host name.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("repository = [{domain = \"acme\", name = \"lib\"}]\n")
	f.Add("[[registry]]\n[registry.a]\nb = 1\n")
	f.Add("a.b.c = 1\n[[repository]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := project.Parse([]byte(text))
		if err != nil {
			return
		}
		for _, r := range p.Repositories {
			for _, s := range append(slices.Concat(r.Formats, r.Scopes), r.Domain, r.Name, r.Alias, r.Region, r.DomainOwner) {
				if strings.ContainsAny(s, " \t\r\n\"'`$;&|<>()\\/=:#?") {
					t.Errorf("%q was accepted", s)
				}
			}
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
