package maven_test

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven/document"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/maven"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const (
	connection = "public:maven-central"
	indexPath  = "/com/acme/app/maven-metadata.xml"
	filePath   = "/com/acme/app/1.0/app-1.0.jar"
)

var app = packages.PackageID{Format: packages.Maven, Namespace: "com.acme", Name: "app"}

func open(t *testing.T) (*upstreamtest.Server, *source.Registry) {
	t.Helper()
	s := upstreamtest.New(t)
	return s, &source.Registry{Connection: connection, Client: s.Upstream(t, connection), Settings: source.Override{MaxDocument: 1 << 20}}
}

func putIndex(s *upstreamtest.Server, path, text string) {
	s.Put(path, upstreamtest.File{Body: []byte(text), Type: "text/xml"})
}

func versions(p *packages.RemotePackage) string {
	var all []string
	for _, v := range p.Versions {
		all = append(all, v.Version)
	}
	return strings.Join(all, " ")
}

func TestPackage(t *testing.T) {
	s, r := open(t)
	putIndex(s, indexPath, `<?xml version="1.0"?><metadata><groupId>com.acme</groupId><artifactId>app</artifactId><versioning><latest>1.2-SNAPSHOT</latest><release>1.1</release>
		<versions><version>1.0</version><version> 1.1 </version><version>1.0</version></versions><lastUpdated>20250102030405</lastUpdated></versioning></metadata>`)
	p, validator, err := maven.Codec{}.Package(t.Context(), r, app, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := versions(p); got != "1.2-SNAPSHOT 1.1 1.0" || !p.Modified.Equal(time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("versions %s, %v", got, p.Modified)
	}
	if _, _, err := (maven.Codec{}).Package(t.Context(), r, app, validator); !errors.Is(err, source.ErrNotModified) {
		t.Errorf("asked again: %v", err)
	}
}

func TestPackage_Group(t *testing.T) {
	s, r := open(t)
	const index = `<metadata><plugins><plugin><name>Apache</name><prefix>compiler</prefix><artifactId>maven-compiler-plugin</artifactId></plugin></plugins></metadata>`
	putIndex(s, "/org/plugins/maven-metadata.xml", index)
	p, _, err := maven.Codec{}.Package(t.Context(), r, packages.PackageID{Format: packages.Maven, Namespace: "org.plugins"}, "")
	if err != nil {
		t.Fatal(err)
	}
	var plugins document.Plugins
	if err := json.Unmarshal(p.Attributes, &plugins); err != nil || len(p.Versions) > 0 ||
		!slices.Equal(plugins.Plugins, []document.Plugin{{Name: "Apache", Prefix: "compiler", ArtifactID: "maven-compiler-plugin"}}) {
		t.Errorf("%s, %v", p.Attributes, err)
	}
	// The same address is the one of an artifact, which does not exist.
	if _, _, err := (maven.Codec{}).Package(t.Context(), r, packages.PackageID{Format: packages.Maven, Namespace: "org", Name: "plugins"}, ""); !errors.Is(err, packages.ErrNoRemotePackage) {
		t.Errorf("as an artifact: %v", err)
	}
	putIndex(s, indexPath, `<metadata><artifactId>app</artifactId><versioning><versions><version>1</version></versions></versioning></metadata>`)
	if _, _, err := (maven.Codec{}).Package(t.Context(), r, packages.PackageID{Format: packages.Maven, Namespace: "com.acme.app"}, ""); !errors.Is(err, packages.ErrNoRemotePackage) {
		t.Errorf("an artifact as a group: %v", err)
	}
}

func TestPackage_Missing(t *testing.T) {
	s, r := open(t)
	putIndex(s, "/com/acme/empty/maven-metadata.xml", "<metadata/>")
	for _, id := range []packages.PackageID{
		app, {Namespace: "com.acme", Name: "empty"}, {Namespace: "com..acme", Name: "app"}, {Namespace: "com.acme", Name: ".."}, {Namespace: "com/acme", Name: "a"}, {Name: "a"}, {},
	} {
		id.Format = packages.Maven
		if _, _, err := (maven.Codec{}).Package(t.Context(), r, id, ""); !errors.Is(err, packages.ErrNoRemotePackage) {
			t.Errorf("%v: %v", id, err)
		}
	}
	if n := s.Count(""); n != 2 {
		t.Errorf("%d requests: %v", n, s.Requests())
	}
}

// Nothing that is wrong is taken for an answer, and no fault for an artifact or a file that
// is missing: clients remember that something does not exist.
func TestPackage_Faults(t *testing.T) {
	good := `<metadata><artifactId>app</artifactId><versioning><versions><version>1.0</version></versions></versioning></metadata>`
	for name, prepare := range map[string]func(*upstreamtest.Server){
		"another artifact": func(s *upstreamtest.Server) { putIndex(s, indexPath, strings.Replace(good, "app", "evil", 1)) },
		"not XML":          func(s *upstreamtest.Server) { putIndex(s, indexPath, "{}") },
		"another document": func(s *upstreamtest.Server) { putIndex(s, indexPath, "<project/>") },
		"too large":        func(s *upstreamtest.Server) { putIndex(s, indexPath, good+strings.Repeat(" ", 2<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			s, r := open(t)
			prepare(s)
			p, _, err := maven.Codec{}.Package(t.Context(), r, app, "")
			wantFailure(t, p, err)
		})
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s, r := open(t)
			putIndex(s, indexPath, good)
			s.Fail("", fault)
			p, _, err := maven.Codec{}.Package(t.Context(), r, app, "")
			wantFailure(t, p, err)
		})
	}
}

var faults = map[string]upstreamtest.Fault{
	"500": upstreamtest.Status(500), "403": upstreamtest.Status(403), "429": upstreamtest.Throttle(429, "1"), "cut": upstreamtest.Cut(20), "shorter": upstreamtest.Shorter(5),
	"HTML": upstreamtest.HTML(), "bomb": upstreamtest.Bomb(8 << 20), "redirect loop": upstreamtest.RedirectLoop(), "hangs up": upstreamtest.Hangup(),
}

func wantFailure(t *testing.T, answer any, err error) {
	t.Helper()
	bad := (*source.BadAnswer)(nil)
	if err == nil || errors.Is(err, packages.ErrNoRemotePackage) || !errors.As(err, &bad) && egress.KindOf(err) == "" {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestFile(t *testing.T) {
	content := []byte("a jar")
	s1, m5 := sha1.Sum(content), md5.Sum(content)
	sha1Hex, md5Hex := hex.EncodeToString(s1[:]), hex.EncodeToString(m5[:])
	modified := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		sums     map[string]string // by extension
		want     packages.RemoteAsset
		requests int
	}{
		"with a SHA-1":            {map[string]string{"sha1": sha1Hex + "\n", "md5": "no"}, packages.RemoteAsset{SHA1: sha1Hex}, 1},
		"with a name after it":    {map[string]string{"sha1": strings.ToUpper(sha1Hex) + "  ./app-1.0.jar"}, packages.RemoteAsset{SHA1: sha1Hex}, 1},
		"with a name before it":   {map[string]string{"sha1": "SHA1(app-1.0.jar)= " + sha1Hex}, packages.RemoteAsset{SHA1: sha1Hex}, 1},
		"with an MD5":             {map[string]string{"md5": md5Hex}, packages.RemoteAsset{MD5: md5Hex, Size: 5}, 3},
		"without a checksum":      {nil, packages.RemoteAsset{Size: 5}, 3},
		"with a SHA-1 of no file": {map[string]string{"sha1": "<html>", "md5": md5Hex}, packages.RemoteAsset{MD5: md5Hex}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := open(t)
			s.Put(filePath, upstreamtest.File{Body: content, Modified: modified})
			for extension, sum := range tt.sums {
				s.Put(filePath+"."+extension, upstreamtest.File{Body: []byte(sum), Type: "text/plain", Modified: modified})
			}
			a, err := maven.Codec{}.File(t.Context(), r, app, "1.0", "app-1.0.jar")
			if err != nil {
				t.Fatal(err)
			}
			if a.Name != "app-1.0.jar" || a.URL != s.URL+filePath || a.SHA1 != tt.want.SHA1 || a.MD5 != tt.want.MD5 || a.Size != tt.want.Size || !a.Published.Equal(modified) {
				t.Errorf("the file is %+v", a)
			}
			if n := s.Count(""); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

func TestFile_Missing(t *testing.T) {
	s, r := open(t)
	if _, err := (maven.Codec{}).File(t.Context(), r, app, "1.0", "app-1.0.jar"); !errors.Is(err, packages.ErrNoRemotePackage) || s.Count("") != 2 {
		t.Errorf("%d requests, %v", s.Count(""), err)
	}
	for _, part := range []string{"..", ".", "", "a/b", `a\b`} {
		for _, id := range []packages.PackageID{app, {Format: packages.Maven, Namespace: "a." + part, Name: "b"}, {Format: packages.Maven, Namespace: "a", Name: part}} {
			version := "1.0"
			if id == app {
				version = part
			}
			if _, err := (maven.Codec{}).File(t.Context(), r, id, version, part); !errors.Is(err, packages.ErrNoRemotePackage) {
				t.Errorf("%q: %v", part, err)
			}
		}
	}
	if n := s.Count(""); n != 2 {
		t.Errorf("asked for other addresses: %v", s.Requests())
	}
}

func TestFile_Faults(t *testing.T) {
	for name, fault := range faults {
		for _, at := range []string{filePath, filePath + ".sha1", filePath + ".md5"} {
			if at == filePath && !slices.Contains([]string{"500", "403", "429", "redirect loop", "hangs up"}, name) {
				continue // only its header is asked for
			}
			t.Run(name+at[len(filePath):], func(t *testing.T) {
				s, r := open(t)
				s.Put(filePath, upstreamtest.File{Body: []byte("a jar")})
				s.Put(at, upstreamtest.File{Body: []byte(strings.Repeat("0a", 20)), Type: "text/plain"})
				s.Fail(at, fault)
				if name == "redirect loop" {
					s.Fail("/loop/", fault)
				}
				a, err := maven.Codec{}.File(t.Context(), r, app, "1.0", "app-1.0.jar")
				wantFailure(t, a, err)
			})
		}
	}
	t.Run("a page for everything", func(t *testing.T) {
		s, r := open(t)
		s.Fail("", upstreamtest.HTML())
		a, err := maven.Codec{}.File(t.Context(), r, app, "1.0", "app-1.0.jar")
		wantFailure(t, a, err)
	})
	t.Run("no checksum in the file of the only one", func(t *testing.T) {
		s, r := open(t)
		s.Put(filePath, upstreamtest.File{Body: []byte("a jar")})
		s.Put(filePath+".sha1", upstreamtest.File{Body: []byte("none")})
		a, err := maven.Codec{}.File(t.Context(), r, app, "1.0", "app-1.0.jar")
		wantFailure(t, a, err)
	})
	t.Run("a HEAD that is refused", func(t *testing.T) {
		s, r := open(t)
		s.Handle("HEAD "+filePath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
		a, err := maven.Codec{}.File(t.Context(), r, app, "1.0", "app-1.0.jar")
		wantFailure(t, a, err)
	})
}

func TestDescribeFile(t *testing.T) {
	pom := `<project><groupId>com.acme</groupId><artifactId>app</artifactId><name>The app</name><dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId><version>1</version></dependency></dependencies></project>`
	d := maven.Codec{}.DescribeFile(app, "app-1.0.pom", strings.NewReader(pom))
	if d == nil || d.DisplayName != "The app" || len(d.Dependencies) != 1 {
		t.Errorf("the description is %+v", d)
	}
	for name, text := range map[string]string{"app-1.0.jar": pom, "app-1.0.pom": "not XML"} {
		if d := (maven.Codec{}).DescribeFile(app, name, strings.NewReader(text)); d != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := (maven.Codec{}).Describe(app, nil); d.DisplayName != "app" {
		t.Errorf("without a POM: %+v", d)
	}
}
