package ruby_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/ruby"
)

// An answer is what a registry says about any gem.
type answer string

func (answer) Base() string { return "https://gems.example/" }

func (a answer) Do(_ context.Context, r egress.Request) (*egress.Response, error) {
	return &egress.Response{Status: http.StatusOK, Header: http.Header{}, URL: a.Base() + r.URL, Length: -1, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}

var acme = packages.PackageID{Format: packages.Ruby, Name: "acme-gem"}

var sum = strings.Repeat("0a", 32)

func ask(t testing.TB, id packages.PackageID, text string) (*packages.RemotePackage, error) {
	t.Helper()
	p, _, err := ruby.Codec{}.Package(t.Context(), &source.Registry{Client: answer(text)}, id, "")
	return p, err
}

func TestPackage(t *testing.T) {
	text := "---\n" +
		"1.0.0 dep:>= 1&< 3,other:= 2.0.0.rc1|checksum:" + sum + ",ruby:>= 2.5&< 4,rubygems:> 1.3,created_at:2025-01-02T03:04:05Z\n" +
		"1.0.0-x86_64-linux |checksum:" + sum + ",unknown:x\n" +
		"2.0.0.pre |checksum:" + strings.ToUpper(sum) + "\n"
	p, err := ask(t, acme, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Versions) != 2 || len(p.Versions[0].Assets) != 2 || p.Versions[1].Version != "2.0.0.pre" {
		t.Fatalf("the versions are %+v", p.Versions)
	}
	one := p.Versions[0]
	const want = `{"name":"acme-gem","version":"1.0.0","platform":"ruby","date":"2025-01-02","ruby":[[">=","2.5"],["<","4"]],"rubygems":[[">","1.3"]],` +
		`"dependencies":[{"name":"dep","requirement":[[">=","1"],["<","3"]]},{"name":"other","requirement":[["=","2.0.0.rc1"]]}]}`
	if a := one.Assets[0]; string(unescaped(a.Metadata)) != want || a.Name != "acme-gem-1.0.0.gem" || a.URL != "https://gems.example/gems/acme-gem-1.0.0.gem" || a.SHA256 != sum {
		t.Errorf("the first gem is %+v\n%s, want\n%s", a, unescaped(a.Metadata), want)
	}
	if !one.Published.Equal(time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("the time is %v", one.Published)
	}
	if a := one.Assets[1]; a.Name != "acme-gem-1.0.0-x86_64-linux.gem" || !strings.Contains(string(a.Metadata), `"platform":"x86_64-linux"`) {
		t.Errorf("the second gem is %+v", a)
	}
	if !strings.Contains(string(p.Attributes), `"info"`) {
		t.Errorf("the document is not kept: %s", p.Attributes)
	}
}

// unescaped undoes what encoding/json does with < and >.
func unescaped(raw []byte) []byte {
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(raw)))
}

// Lines that cannot be used are left out, and the document is not passed on as it is.
func TestPackage_Odd(t *testing.T) {
	p, err := ask(t, acme, "---\n1.0 |checksum:"+sum+"\n../evil |checksum:"+sum+"\n2.0 |ruby:>= 1\n3.0 a b c\n4.0 dep:nonsense|checksum:"+sum+"\n")
	if err != nil || len(p.Versions) != 1 || p.Versions[0].Version != "1.0" || p.Attributes != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = ask(t, acme, "---\n"); err != nil || len(p.Versions) != 0 {
		t.Errorf("a name of which everything was yanked: %+v, %v", p, err)
	}
	for _, text := range []string{"<html>", "{}\n", "not found"} {
		_, err := ask(t, acme, text)
		if bad := (*source.BadAnswer)(nil); !errors.As(err, &bad) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, name := range []string{"..", "../x", "a/b", "a?b", ""} {
		if _, err := ask(t, packages.PackageID{Format: packages.Ruby, Name: name}, "---\n"); !errors.Is(err, packages.ErrNoRemotePackage) {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}

func FuzzPackage(f *testing.F) {
	f.Add("---\n1.0.0 dep:>= 1&< 3,other:= 2|checksum:" + sum + ",ruby:>= 2.5,created_at:2025-01-02T03:04:05Z\n")
	f.Add("created_at: x\n---\n1-java |checksum:" + sum + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ask(t, acme, text)
		if err != nil {
			return
		}
		for _, v := range p.Versions {
			for _, a := range v.Assets {
				if len(a.SHA256) != 64 || strings.ContainsAny(a.Name, "/\n ,") || !strings.HasPrefix(a.Name, "acme-gem-"+v.Version) {
					t.Fatalf("the gem is %+v", a)
				}
			}
		}
	})
}
