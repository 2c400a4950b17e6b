package maven

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

func TestParseLocation(t *testing.T) {
	for _, c := range []struct {
		path string
		want location
	}{
		{"com/acme/app/1.0/app-1.0.jar", location{kind: file, group: "com.acme", artifact: "app", version: "1.0", name: "app-1.0.jar"}},
		{"acme/app/1.0/app-1.0.pom.sha1", location{kind: fileChecksum, algorithm: "sha1", group: "acme", artifact: "app", version: "1.0", name: "app-1.0.pom"}},
		{"acme/app/1.0/app-1.0.jar.asc.md5", location{kind: fileChecksum, algorithm: "md5", group: "acme", artifact: "app", version: "1.0", name: "app-1.0.jar.asc"}},
		{"com/acme/dotted.name/1/x%20y", location{kind: file, group: "com.acme", artifact: "dotted.name", version: "1", name: "x y"}},
		{"com/acme/maven-metadata.xml", location{kind: metadata, folder: []string{"com", "acme"}}},
		{"com/acme/app/1-SNAPSHOT/maven-metadata.xml.sha512", location{kind: metadataChecksum, algorithm: "sha512", folder: []string{"com", "acme", "app", "1-SNAPSHOT"}}},
		{"maven-metadata.xml", location{}},
		{".meta/prefixes.txt", location{}},
		{"", location{}},
		{"com/acme/app/", location{}},
		{"com//app/1/app-1.jar", location{}},
		{"com/../app/1/app-1.jar", location{}},
		{"com/acme/app/1/..%2fapp-1.jar", location{}},
		{"com.acme/app/1/app-1.jar", location{}},
		{"com/acme/app/1/.sha1", location{}},
		{"com/acme/app/1/maven-metadata-local.xml", location{}},
		{"com/acme/%zz/1/app-1.jar", location{}},
		{"app/1/app-1.jar", location{}},
	} {
		got := parseLocation(c.path)
		if !same(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.path, got, c.want)
		}
	}
}

func same(a, b location) bool {
	if len(a.folder) != len(b.folder) {
		return false
	}
	for i := range a.folder {
		if a.folder[i] != b.folder[i] {
			return false
		}
	}
	a.folder, b.folder = nil, nil
	return a.kind == b.kind && a.algorithm == b.algorithm && a.group == b.group && a.artifact == b.artifact && a.version == b.version && a.name == b.name
}

// TestLocation_PathIsInverse draws locations with names of all kinds.
func TestLocation_PathIsInverse(t *testing.T) {
	text := rapid.StringMatching(`[A-Za-z0-9%+_~@$ é-]{1,12}`)
	dotted := rapid.StringMatching(`[A-Za-z0-9%+_~@ é-]([A-Za-z0-9.%+_~-]{0,9}[a-z])?`)
	checksum := regexp.MustCompile(`\.(md5|sha1|sha256|sha512)$`)
	rapid.Check(t, func(t *rapid.T) {
		l := location{algorithm: rapid.SampledFrom([]formats.Algorithm{"", formats.MD5, formats.SHA1, formats.SHA256, formats.SHA512}).Draw(t, "algorithm")}
		group := rapid.SliceOfN(text, 1, 4).Draw(t, "group")
		artifact, version := dotted.Draw(t, "artifact"), dotted.Draw(t, "version")
		if rapid.Bool().Draw(t, "metadata") {
			l.kind, l.folder = metadata, append(group, artifact, version)
		} else {
			names := dotted
			if l.algorithm == "" {
				names = dotted.Filter(func(name string) bool { return !checksum.MatchString(name) })
			}
			l.kind, l.artifact, l.version, l.name = file, artifact, version, names.Draw(t, "name")
			l.group = group[0]
			for _, s := range group[1:] {
				l.group += "." + s
			}
		}
		if l.algorithm != "" {
			l.kind = map[formats.Kind]formats.Kind{file: fileChecksum, metadata: metadataChecksum}[l.kind]
		}
		if got := parseLocation(l.path()); !same(got, l) {
			t.Fatalf("%q is %+v, want %+v", l.path(), got, l)
		}
	})
}

func FuzzParseLocation(f *testing.F) {
	f.Add("com/acme/app/1.0/app-1.0.jar.sha1")
	f.Add("com/acme/app/1-SNAPSHOT/app-1-20261129.234155-1-sources.jar")
	f.Add("com/acme/maven-metadata.xml")
	f.Fuzz(func(t *testing.T, path string) {
		l := parseLocation(path)
		if l.kind == "" {
			return
		}
		if again := parseLocation(l.path()); !same(again, l) {
			t.Fatalf("%q: %+v, and again %+v", path, l, again)
		}
		l.build()
		l.part()
	})
}

func TestLocation_Part(t *testing.T) {
	for _, c := range []struct {
		path, build string
		want        part
	}{
		{"g/a/1/a-1.jar", "", part{"", "jar"}},
		{"g/a/1/a-1.tar.gz", "", part{"", "tar.gz"}},
		{"g/a/1/a-1-bin.tar.gz", "", part{"bin", "tar.gz"}},
		{"g/a/1/a-1-bin.tar.gz.asc", "", part{"bin", "tar.gz.asc"}},
		{"g/a/1/a-1-sources.jar.asc", "", part{"sources", "jar.asc"}},
		{"g/a/1/a-1-jdk-1.8.jar", "", part{"jdk-1.8", "jar"}},
		{"g/a/1/a-1-x.asc", "", part{"x", "asc"}},
		{"g/a/1-SNAPSHOT/a-1-20261129.234155-7.pom", "1-20261129.234155-7", part{"", "pom"}},
		{"g/a/1-SNAPSHOT/a-1-20261129.234155-7-build.pom", "1-20261129.234155-7", part{"build", "pom"}},
		{"g/a/SNAPSHOT/a-20261129.234155-7.pom", "20261129.234155-7", part{"", "pom"}},
	} {
		l := parseLocation(c.path)
		got, ok := l.part()
		build, _, _ := l.build()
		if !ok || got != c.want || build != c.build {
			t.Errorf("%s: %+v, %v, build %q", c.path, got, ok, build)
		}
	}
	for _, path := range []string{
		"g/a/1/b-1.jar", "g/a/1/a-1", "g/a/1/a-1-", "g/a/1/a-1-x", "g/a/1/a-1.", "g/a/1/a-10.jar",
		"g/a/1-SNAPSHOT/a-1-SNAPSHOT.jar", "g/a/1-SNAPSHOT/a-2-20261129.234155-7.pom", "g/a/1-SNAPSHOT/a-1-20261129.234155.pom",
	} {
		if p, ok := parseLocation(path).part(); ok {
			t.Errorf("%s has the part %+v", path, p)
		}
	}
}
