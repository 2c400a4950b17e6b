package lockedversions_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

var (
	hex256 = strings.Repeat("0f", 32)
	hex512 = strings.Repeat("00", 64)
	b64512 = strings.Repeat("A", 86) + "=="
)

// text is a lock in one line a version.
func text(l lockedversions.Lock) string {
	var out []string
	for _, v := range l.Versions {
		line := fmt.Sprintf("%d %s", v.Line, v.String())
		for _, f := range v.Files {
			line += " " + f.Name
			for _, h := range f.Hashes {
				line += "#" + h.String()[:10]
			}
		}
		out = append(out, line)
	}
	for _, i := range l.Images {
		out = append(out, fmt.Sprintf("%d %s > %s:%s", i.Line, i.Reference, i.Repository, i.Tag))
	}
	return strings.Join(append(out, l.Notes...), "\n")
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ file, content, want string }{
		{
			"package-lock.json", `{"lockfileVersion": 3, "packages": {
"": {"name": "app", "version": "1.0.0"},
"node_modules/@acme/ui": {"version": "1.0.0", "resolved": "http://registry.example/ui.tgz", "integrity": "sha1-` + strings.Repeat("A", 27) + `= sha512-` + b64512 + `"},
"node_modules/bundled": {"version": "3.0.0", "inBundle": true},
"node_modules/fork": {"version": "1.2.3", "resolved": "git+ssh://git@host/fork.git#0"},
"node_modules/alias": {"name": "real", "version": "2.0.0"}}}`,
			"3 npm/@acme/ui@1.0.0 #sha512:000\n6 npm/real@2.0.0\ndependencies that come from git, files or addresses and not from a registry, which are left out: 1",
		},
		{"uv.lock", `version = 1
[[package]]
name = "app"
version = "0.1.0"
source = { virtual = "." }
[[package]]
name = "member"
version = "0.1.0"
source = { editable = "packages/member" }
[[package]]
name = "requests"
version = "2.31.0"
source = { registry = "http://index.example/simple" }
sdist = { url = "http://files.example/requests-2.31.0.tar.gz", hash = "sha256:` + hex256 + `", size = 1 }
wheels = [{ url = "http://files.example/a/requests-2.31.0-py3-none-any.whl", hash = "sha256:` + hex256 + `" }]
`, "11 pypi/requests@2.31.0 requests-2.31.0-py3-none-any.whl#sha256:0f0 requests-2.31.0.tar.gz#sha256:0f0\npackages that come from git, folders or addresses and not from an index, which are left out: 1"},
		{"poetry.lock", "[[package]]\nname = \"six\"\nversion = \"1.16.0\"\nfiles = [{file = \"six-1.16.0.tar.gz\", hash = \"sha256:" + hex256 + "\"}]\n", "2 pypi/six@1.16.0 six-1.16.0.tar.gz#sha256:0f0"},
		{"pylock.toml", "[[packages]]\nname = \"six\"\nversion = \"1.16.0\"\n[packages.sdist]\nname = \"six-1.16.0.tar.gz\"\nhashes = {sha256 = \"" + hex256 + "\"}\n", "2 pypi/six@1.16.0 six-1.16.0.tar.gz#sha256:0f0"},
		{
			"requirements.txt", "--index-url http://index.example\n# why\nsix==1.16.0 \\\n  --hash=sha256:" + hex256 + " \\\n  --hash=sha512:" + hex512 + "  # via x\n",
			"3 pypi/six@1.16.0 #sha256:0f0 #sha512:000\nlines with options of pip, such as --index-url or -r, whose files are not read: 1",
		},
		{"Cargo.lock", "[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry+http://x\"\nchecksum = \"" + hex256 + "\"\n", "5 cargo/serde@1.0.1 #sha256:0f0"},
		{"packages.lock.json", `{"version": 1, "dependencies": {"net8.0": {
"Newtonsoft.Json": {"type": "Direct", "resolved": "13.0.3", "contentHash": "` + b64512 + `"},
"app.core": {"type": "Project"}}}}`, "2 nuget/newtonsoft.json@13.0.3 #sha512:000"},
		{
			"Gemfile.lock", "GEM\n  remote: http://x/\n  specs:\n    rack (3.0.8)\n    nokogiri (1.16.0-x86_64-linux)\n\nCHECKSUMS\n  rack (3.0.8) sha256=" + hex256 + "\n",
			"4 ruby/rack@3.0.8 rack-3.0.8.gem#sha256:0f0\n5 ruby/nokogiri@1.16.0 nokogiri-1.16.0-x86_64-linux.gem",
		},
		{
			"pom.xml", `<project><properties><v>1.2</v></properties>
<dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>m</artifactId><version>${v}</version></dependency></dependencies></dependencyManagement>
<dependencies><dependency><groupId>g</groupId><artifactId>m</artifactId></dependency>
<dependency><groupId>g</groupId><artifactId>unknown</artifactId></dependency></dependencies></project>`,
			"3 maven/g/m@1.2 m-1.2.pom m-1.2.jar\ndependencies or plugins whose version a parent, an imported POM or a range decides, which are left out: 1\na POM names direct dependencies only; list the others as maven/GROUP/ARTIFACT@VERSION in a file of their own",
		},
		{"more.txt", "# a list\nnpm/@acme/ui@1.0.0\n", "2 npm/@acme/ui@1.0.0"},
		{"images.txt", "registry.example/team/app:1.0\nregistry.example/b@sha256:" + hex256 + " mirror/b:2\n", "1 registry.example/team/app:1.0 > :\n2 registry.example/b@sha256:" + hex256 + " > mirror/b:2"},
	} {
		got, err := lockedversions.Read("dir/"+c.file, []byte(c.content))
		if err != nil || text(got) != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.file, err, text(got), c.want)
		}
	}
}

func TestRead_Hostile(t *testing.T) {
	laughs := "<project><properties><a0>x</a0>"
	for i := range 60 {
		laughs += fmt.Sprintf("<a%d>${a%d}${a%d}</a%d>", i+1, i, i, i+1)
	}
	laughs += "</properties>\n<dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId><version>${a60}</version></dependency></dependencies></project>"
	for _, c := range []struct{ file, content, want string }{
		{"package-lock.json", "{\n\"packages\": {", "line 2: the file is not valid JSON"},
		{"package-lock.json", "{\"packages\":\n{\"node_modules/a\":\n{\"version\": 1}}}", "line 3"},
		{"package-lock.json", "{\"packages\": {\n\"node_modules/a\": {\"version\": \"1\", \"integrity\": \"sha512-AAAA\"}}}", "line 2: \"AAAA\" is not a sha512 digest"},
		{"package-lock.json", "{\"packages\": {\n\"node_modules/@../a\": {\"version\": \"1\"}}}", "line 2"},
		{"package-lock.json", `{"dependencies":` + strings.Repeat(`{"a":{"dependencies":`, 20_000), "not valid JSON"},
		{"uv.lock", "[[package]]\nname = 1\n", "line 2"},
		{"uv.lock", "[[package]]\nname = \"a\"\nversion = \"1\"\nsource = {registry = \"x\"}\nwheels = [{url = \"http://x/..%2f..\", hash = \"sha256:" + hex256 + "\"}]\n", "line 2"},
		{"requirements.txt", "six==1\nsix>=2\n", "line 2: \"six>=2\" is not pinned"},
		{"requirements.txt", "six==1 --hash=md5:zz\n", "line 1"},
		{"requirements.txt", "six==1 \\\n", "line 1"},
		{"Cargo.lock", "[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"x\"\nchecksum = \"zz\"\n", "line 2"},
		{"Gemfile.lock", "CHECKSUMS\n  rack (3.0.8) sha256=zz\n", "line 2"},
		{"pom.xml", laughs, "line 2: the property"},
		{"pom.xml", "<project>\n<dependencies>\n", "line 3"},
		{"pom.xml", "<project><dependencies>\n<dependency><groupId>a..b</groupId><artifactId>a</artifactId><version>1</version></dependency></dependencies></project>", "line 2"},
		{"a.txt", "swift/a@1\n", "line 1"},
		{"a.txt", "npm/a@1\nnpm/b\n", "line 2"},
		{"images.txt", "a b c\n", "line 1"},
		{"pnpm.yaml", "", "known are package-lock.json"},
		{"package-lock.json", "{}", "names no version"},
	} {
		if got, err := lockedversions.Read(c.file, []byte(c.content)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.60q: %v, %v; want %q", c.file, c.content, got, err, c.want)
		}
	}
}

// FuzzRead checks that no content makes a reader panic or return a name that is not safe.
func FuzzRead(f *testing.F) {
	for i := range lockedversions.Names() {
		f.Add(i, `{"packages": {"node_modules/a": {"version": "1"}}}`)
		f.Add(i, "[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"x\"\n")
		f.Add(i, "npm/a@1 x\n<project><dependencies/></project>")
	}
	f.Fuzz(func(t *testing.T, i int, content string) {
		names := lockedversions.Names()
		l, err := lockedversions.Read(names[uint(i)%uint(len(names))], []byte(content))
		if err != nil {
			return
		}
		for _, v := range l.Versions {
			if v.Name == "" || v.Version == "" || strings.ContainsAny(v.Name+v.Version, " \n\t") {
				t.Errorf("%+v", v)
			}
		}
	})
}
