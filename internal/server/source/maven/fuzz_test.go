package maven_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/maven"
)

// An answer is what a repository says to every question.
type answer string

func (answer) Base() string { return "https://repository.example/maven2/" }

func (a answer) Do(_ context.Context, r egress.Request) (*egress.Response, error) {
	return &egress.Response{Status: http.StatusOK, Header: http.Header{}, URL: a.Base() + r.URL, Length: -1, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}

func FuzzPackage(f *testing.F) {
	f.Add(`<metadata><artifactId>app</artifactId><versioning><versions><version>1</version></versions><lastUpdated>20250102030405</lastUpdated></versioning></metadata>`)
	f.Add(`<metadata><plugins><plugin><prefix>p</prefix><artifactId>a</artifactId></plugin></plugins></metadata>`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, id := range []packages.PackageID{app, {Format: packages.Maven, Namespace: "com.acme"}} {
			p, _, err := maven.Codec{}.Package(t.Context(), &source.Registry{Client: answer(text), Settings: source.Override{MaxDocument: 1 << 20}}, id, "")
			if err == nil && (len(p.Versions) > 0) == (id.Name == "") {
				t.Fatalf("%v is %+v", id, p)
			}
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add(strings.Repeat("0a", 20) + "  app-1.0.jar")
	f.Add(strings.Repeat("0A", 16))
	f.Fuzz(func(t *testing.T, text string) {
		a, err := maven.Codec{}.File(t.Context(), &source.Registry{Client: answer(text), Settings: source.Override{MaxDocument: 1 << 20}}, app, "1.0", "app-1.0.jar")
		if err == nil && len(a.SHA1) != 40 && len(a.MD5) != 32 {
			t.Fatalf("the file is %+v", a)
		}
	})
}
