package pypi

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

func TestParseRoute_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := route{
			kind:  rapid.SampledFrom([]formats.Kind{root, legacy, index, detail, distribution}).Draw(t, "kind"),
			slash: rapid.Bool().Draw(t, "slash"),
		}
		if r.kind == detail || r.kind == distribution {
			r.project = rapid.StringMatching(`[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?`).Draw(t, "project")
		}
		if r.kind == distribution {
			r.slash = false
			r.version = rapid.StringMatching(`[0-9][0-9a-z.!+]{0,10}`).Draw(t, "version")
			r.file = rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._+!-]{0,20}`).Draw(t, "file")
		}
		if got := parseRoute(r.path()); got != r {
			t.Fatalf("%q was parsed as %+v, not %+v", r.path(), got, r)
		}
	})
}

func FuzzParseRoute(f *testing.F) {
	for _, s := range []string{"", "simple/", "simple/a/1.0/a-1.0.tar.gz", "simple//", "simple/%2e%2e/x", "legacy/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := parseRoute(path)
		if r.kind != "" && parseRoute(r.path()) != r {
			t.Fatalf("%q is %+v, whose path %q is %+v", path, r, r.path(), parseRoute(r.path()))
		}
	})
}

func TestCheckFileName(t *testing.T) {
	for _, c := range []struct {
		file, fileType, name, version string
		good                          bool
	}{
		{"six-1.16.0-py2.py3-none-any.whl", wheelType, "six", "1.16.0", true},
		{"my_project-1.0-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", wheelType, "My.Project", "1.0", true},
		{"my_project-1.0.0-py3-none-any.whl", wheelType, "my-project", "1.0", true},
		{"my_project-1.0.tar.gz", sdistType, "my-project", "1.0", true},
		{"my-project-1.0.tar.gz", sdistType, "My_Project", "1.0", true},
		{"my-project-1.0.zip", sdistType, "my-project", "1.0", true},
		{"p-1.0+local.1-py3-none-any.whl", wheelType, "p", "1.0+local.1", true},
		{"other-1.0.tar.gz", sdistType, "my-project", "1.0", false},
		{"my_project-2.0.tar.gz", sdistType, "my-project", "1.0", false},
		{"my_project-1.0.tar.bz2", sdistType, "my-project", "1.0", false},
		{"my_project-1.0-py3-none.whl", wheelType, "my-project", "1.0", false},
		{"my_project-1.0-py3-none-any.whl", sdistType, "my-project", "1.0", false},
		{"my_project-1.0.tar.gz", wheelType, "my-project", "1.0", false},
		{"my_project-1.0.exe", "bdist_wininst", "my-project", "1.0", false},
		{"../my_project-1.0.tar.gz", sdistType, "my-project", "1.0", false},
		{"my_project-1.0.tar.gz.metadata", sdistType, "my-project", "1.0", false},
		{"", sdistType, "my-project", "1.0", false},
	} {
		if err := checkFileName(c.file, c.fileType, release{c.name, c.version}); (err == nil) != c.good {
			t.Errorf("%s (%s) of %s %s: %v", c.file, c.fileType, c.name, c.version, err)
		}
	}
}
