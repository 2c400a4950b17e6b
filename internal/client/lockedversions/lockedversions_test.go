package lockedversions_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

func TestReferences(t *testing.T) {
	for _, c := range []struct{ file, content, want string }{
		{"dir/package-lock.json", `{"lockfileVersion": 3, "packages": {
			"": {"name": "app", "version": "1.0.0"},
			"node_modules/react": {"version": "18.2.0"},
			"node_modules/@acme/ui": {"version": "1.0.0"},
			"node_modules/react/node_modules/loose": {"version": "1.4.0"},
			"node_modules/alias": {"name": "real", "version": "2.0.0"},
			"node_modules/linked": {"resolved": "packages/linked", "link": true},
			"packages/linked": {"version": "0.0.1"}}}`, "npm/@acme/ui@1.0.0 npm/loose@1.4.0 npm/react@18.2.0 npm/real@2.0.0"},
		{"npm-shrinkwrap.json", `{"lockfileVersion": 1, "dependencies": {
			"react": {"version": "18.2.0", "dependencies": {"loose": {"version": "1.4.0"}}},
			"alias": {"version": "npm:@acme/real@2.0.0"},
			"fromgit": {"version": "git+ssh://git@example.com/a.git#1"}}}`, "npm/@acme/real@2.0.0 npm/loose@1.4.0 npm/react@18.2.0"},
		{"Cargo.lock", "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"sparse+http://registry.example/index/\"\nchecksum = \"" + hex256 + "\"\n", "cargo/serde@1.0.1"},
		{"requirements-dev.txt", "# comment\n--index-url https://registry.example/simple\nrequests==2.31.0 \\\n    --hash=sha256:" + hex256 + "\nuvicorn[standard] == 0.29.0 ; python_version > '3'\n", "pypi/requests@2.31.0 pypi/uvicorn@0.29.0"},
		{"Gemfile.lock", "GEM\n  remote: https://registry.example/\n  specs:\n    rack (3.0.8)\n    rails (7.1.0)\n      rack (>= 2)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  rails\n", "ruby/rack@3.0.8 ruby/rails@7.1.0"},
		{"versions.txt", "npm/b@1\nnpm/a@1\n", "npm/b@1 npm/a@1"},
	} {
		got, err := lockedversions.References(c.file, []byte(c.content))
		if got = strings.Join(strings.Fields(got), " "); err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.file, got, err)
		}
	}
	for file, content := range map[string]string{
		"package-lock.json": "{", "Cargo.lock": "[[", "requirements.txt": "requests>=2\n", "Gemfile.lock": "DEPENDENCIES\n  rails\n",
	} {
		if got, err := lockedversions.References(file, []byte(content)); err == nil {
			t.Errorf("%s: %q", file, got)
		}
	}
}
