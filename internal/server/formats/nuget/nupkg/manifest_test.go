package nupkg

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
)

const fullNuspec = `<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata minClientVersion="3.3">
    <id>Acme.Lib</id><version>1.2.0-Beta.1+abc</version><title>Acme</title><authors>Ann, Ben</authors>
    <description> A library. </description><tags>one two</tags><license type="expression">MIT OR Apache-2.0</license>
    <licenseUrl>https://licenses.example/MIT</licenseUrl><projectUrl>https://acme.example</projectUrl><iconUrl>javascript:alert(1)</iconUrl>
    <readme>docs\README.md</readme><requireLicenseAcceptance>true</requireLicenseAcceptance>
    <repository type="git" url="https://git.example/acme" commit="abc" />
    <packageTypes><packageType name="DotnetTool" /></packageTypes>
    <dependencies>
      <group targetFramework=".NETStandard2.0"><dependency id="Other.Lib" version="1.0" exclude="Build" /><dependency id="Third" version="[2.0,3.0)" /></group>
      <group targetFramework="net8.0"><dependency id="Other.Lib" version="1.0" /></group>
    </dependencies>
  </metadata>
</package>`

func TestParseManifest(t *testing.T) {
	n, err := ParseManifest([]byte("\ufeff" + fullNuspec))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(n)
	const want = `{"id":"Acme.Lib","version":"1.2.0-Beta.1+abc","title":"Acme","authors":"Ann, Ben","description":"A library.","tags":["one","two"],` +
		`"projectUrl":"https://acme.example","licenseExpression":"MIT OR Apache-2.0","licenseUrl":"https://licenses.example/MIT","requireLicenseAcceptance":true,` +
		`"minClientVersion":"3.3","dependencyGroups":[{"targetFramework":".NETStandard2.0","dependencies":[{"id":"Other.Lib","range":"1.0"},{"id":"Third","range":"[2.0,3.0)"}]},` +
		`{"targetFramework":"net8.0","dependencies":[{"id":"Other.Lib","range":"1.0"}]}],"packageTypes":["DotnetTool"],"readme":"docs/README.md"}`
	if string(got) != want {
		t.Errorf("manifest\n%s, want\n%s", got, want)
	}
	d := n.Describe("read me")
	if d.DisplayName != "Acme.Lib" || d.Summary != "A library." || d.SourceCodeRepository != "https://git.example/acme" || d.Readme != "read me" ||
		len(d.Licenses) != 1 || d.Licenses[0].Name != "MIT OR Apache-2.0" || len(d.Dependencies) != 2 || d.Dependencies[0].Package != "other.lib" || d.Dependencies[0].VersionRequirement != "1.0" {
		t.Errorf("description %+v", d)
	}
	if !n.NeedsSemVer2() || !n.HasType("dotnettool") || n.HasType("Dependency") {
		t.Error("the version needs SemVer 2 and is a tool")
	}
}

func TestParseManifest_OldForm(t *testing.T) {
	n, err := ParseManifest([]byte(`<package><metadata><id>Old</id><version>1.0</version><dependencies><dependency id="A" /></dependencies></metadata></package>`))
	if err != nil || len(n.DependencyGroups) != 1 || n.DependencyGroups[0].TargetFramework != "" || n.NeedsSemVer2() {
		t.Fatalf("%+v, %v", n, err)
	}
}

func TestParseManifest_Refused(t *testing.T) {
	metadata := func(s string) string { return "<package><metadata>" + s + "</metadata></package>" }
	for name, c := range map[string]struct{ text, reason string }{
		"empty":           {"", "no element package"},
		"not XML":         {"<package", "XML syntax error"},
		"another root":    {"<project/>", "expected element type <package>"},
		"another charset": {`<?xml version="1.0" encoding="utf-16"?><package/>`, "must be in UTF-8"},
		"no id":           {metadata("<version>1.0</version>"), "cannot be an id"},
		"id of a path":    {metadata("<id>../x</id><version>1.0</version>"), "cannot be an id"},
		"long id":         {metadata("<id>" + strings.Repeat("x", 101) + "</id><version>1.0</version>"), "cannot be an id"},
		"no version":      {metadata("<id>x</id>"), "is not a version"},
		"token":           {metadata("<id>x</id><version>$version$</version>"), "is not a version"},
		"dependency":      {metadata(`<id>x</id><version>1</version><dependencies><dependency id="a b"/></dependencies>`), "id of a dependency"},
	} {
		if _, err := ParseManifest([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: error %v, want %q", name, err, c.reason)
		}
	}
}

// zipped returns a zip with the files, which are pairs of name and content.
func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readFile(b []byte) (*Manifest, string, error) {
	p, err := Open(context.Background(), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, "", err
	}
	n, err := p.Manifest()
	if err != nil {
		return nil, "", err
	}
	readme, err := p.Readme(n.Readme)
	return n, readme, err
}

func TestOpen(t *testing.T) {
	n, readme, err := readFile(zipped(t, "_rels/.rels", "x", "Acme.Lib.nuspec", fullNuspec, "docs/README.md", "read me", "inner/other.nuspec", "no"))
	if err != nil || n.ID != "Acme.Lib" || readme != "read me" {
		t.Fatalf("%+v, %q, %v", n, readme, err)
	}
}

func TestOpen_Refused(t *testing.T) {
	big := strings.Repeat(" ", maxManifest+1)
	for name, c := range map[string]struct {
		file   []byte
		reason string
	}{
		"not a zip":     {[]byte("hello"), "not a zip"},
		"empty":         {nil, "not a zip"},
		"no manifest":   {zipped(t, "lib/a.dll", "x"), "no .nuspec file"},
		"two manifests": {zipped(t, "a.nuspec", fullNuspec, "B.NUSPEC", fullNuspec), "more than one .nuspec"},
		"traversal":     {zipped(t, "a.nuspec", fullNuspec, "lib/../../x", ""), "outside of its folder"},
		"bomb":          {zipped(t, "a.nuspec", big), "larger than 512 KiB"},
	} {
		if _, _, err := readFile(c.file); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: error %v, want %q", name, err, c.reason)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(fullNuspec))
	f.Add([]byte("<package><metadata><id>a</id><version>1</version></metadata></package>"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := ParseManifest(raw)
		if err != nil {
			return
		}
		if !ValidID(n.ID) || n.Parsed().Normal == "" {
			t.Fatalf("accepted %q %q", n.ID, n.Version)
		}
		kept, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(kept, new(Manifest)); err != nil {
			t.Fatal(err)
		}
		n.NeedsSemVer2()
		n.Describe("")
		n.SearchText()
	})
}

func FuzzOpen(f *testing.F) {
	f.Add(zipped(f, "a.nuspec", fullNuspec, "docs/README.md", "x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, readme, err := readFile(raw); err == nil && (!ValidID(n.ID) || len(readme) > maxReadme) {
			t.Fatalf("accepted %q with a readme of %d bytes", n.ID, len(readme))
		}
	})
}
