package pypi_test

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
	"github.com/gatehouse-registry/gatehouse/internal/server/source/pypi"
)

// An answer is what an index says.
type answer string

func (answer) Base() string { return "https://index.example/simple/" }

func (a answer) Do(_ context.Context, r egress.Request) (*egress.Response, error) {
	return &egress.Response{Status: http.StatusOK, Header: http.Header{}, URL: a.Base() + r.URL, Length: -1, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}

var someLib = packages.PackageID{Format: packages.PyPI, Name: "some-lib"}

var sum = strings.Repeat("0a", 32)

func TestPackage(t *testing.T) {
	body := `{"meta":{"api-version":"1.4","tracks":[]},"name":"Some.Lib","files":[
		{"filename":"some_lib-1.0.0-py3-none-any.whl","url":"../../files/a.whl#x","hashes":{"sha256":"` + sum + `"},"requires-python":">=3.9","size":7,"upload-time":"2025-01-02T03:04:05.678901Z","yanked":"broken"},
		{"filename":"some-lib-1.0.tar.gz","url":"https://files.example/b.tar.gz","hashes":{"sha256":"` + sum + `"},"upload-time":"2025-01-01T00:00:00Z","yanked":true},
		{"filename":"some_lib-2.0-py3-none-any.whl","url":"https://files.example/c.whl","hashes":{"sha256":"` + sum + `"},"yanked":true},
		{"filename":"some_lib-2.0-cp39-cp39-linux_x86_64.whl","url":"https://files.example/d.whl","hashes":{"sha256":"` + sum + `"},"yanked":false},
		{"filename":"some_lib-3.0-py3-none-any.whl","url":"https://files.example/e.whl","hashes":{"md5":"00"}},
		{"filename":"other-1.0-py3-none-any.whl","url":"https://files.example/f.whl","hashes":{"sha256":"` + sum + `"}},
		{"filename":"some_lib-4.0-py2.7.egg","url":"https://files.example/g.egg","hashes":{"sha256":"` + sum + `"}}]}`
	p, _, err := pypi.Codec{}.Package(t.Context(), &source.Registry{Client: answer(body)}, someLib, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Versions) != 2 {
		t.Fatalf("%d versions: %+v", len(p.Versions), p.Versions)
	}
	one, two := p.Versions[0], p.Versions[1]
	a := one.Assets[0]
	if one.Version != "1.0.0" || len(one.Assets) != 2 || string(one.Metadata) != `{"yanked":"broken"}` || !one.Published.Equal(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the first version is %+v, %s", one, one.Metadata)
	}
	if a.URL != "https://index.example/files/a.whl" || a.SHA256 != sum || a.Size != 7 || string(a.Metadata) != `{"requires_python":"\u003e=3.9"}` {
		t.Errorf("the first file is %+v, %s", a, a.Metadata)
	}
	if len(two.Assets) != 2 || string(two.Metadata) != `{}` {
		t.Errorf("a version of which one file is yanked: %+v, %s", two, two.Metadata)
	}
}

// A recorder keeps the header of a request.
type recorder struct {
	answer
	header http.Header
}

func (r *recorder) Do(ctx context.Context, request egress.Request) (*egress.Response, error) {
	r.header = request.Header
	return r.answer.Do(ctx, request)
}

// A page that a release kept which did not read core metadata is read again, although the
// index has not changed it.
func TestPackage_KeptWithoutCoreMetadata(t *testing.T) {
	for known, want := range map[string]string{`{"etag":"\"zero\""}`: "", `{"etag":"\"zero\"","form":1}`: `"zero"`} {
		r := &recorder{answer: answer(`{"meta":{"api-version":"1.0"},"name":"some-lib","files":[{"filename":"some_lib-1.0-py3-none-any.whl","url":"a.whl","hashes":{"sha256":"` + sum + `"}}]}`)}
		_, validator, err := pypi.Codec{}.Package(t.Context(), &source.Registry{Client: r}, someLib, known)
		if got := r.header.Get("If-None-Match"); err != nil || got != want || validator != `{"form":1}` {
			t.Errorf("%s: If-None-Match is %q, the validator %s, %v", known, got, validator, err)
		}
	}
}

// An htmlAnswer is a page in the HTML form.
type htmlAnswer string

func (htmlAnswer) Base() string { return answer("").Base() }

func (a htmlAnswer) Do(ctx context.Context, r egress.Request) (*egress.Response, error) {
	if accept := r.Header.Get("Accept"); !strings.HasPrefix(accept, "application/vnd.pypi.simple.v1+json,") || !strings.Contains(accept, "text/html;q=") {
		return nil, errors.New("Accept: " + accept)
	}
	res, err := answer(a).Do(ctx, r)
	res.Header.Set("Content-Type", "text/html; charset=utf-8")
	return res, err
}

func TestPackage_HTML(t *testing.T) {
	body := `<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.4"><meta name="pypi:project-status" content="archived">
		<base href="https://files.example/p/"></head><body><!-- <a href="some_lib-9.0.tar.gz#sha256=` + sum + `"> --><a href="mailto:x">x</a>
		<a href="../some_lib-1.0-py3-none-any.whl#sha256=` + sum + `" data-requires-python="&gt;=3.9" data-yanked="broken &amp; bad" data-provenance="/integrity/x">some_lib-1.0-py3-none-any.whl</a>
		<A HREF=some_lib-2.0%2Blocal.tar.gz?x=1&amp;y=2#SHA256=` + strings.ToUpper(sum) + `>2</A>
		<a href="some_lib-3.0.tar.gz#md5=00">3</a><a href="some_lib-4.0.tar.gz">4</a><a href="https://u:p@h/some_lib-5.0.tar.gz#sha256=` + sum + `">5</a></body></html>`
	p, _, err := pypi.Codec{}.Package(t.Context(), &source.Registry{Client: htmlAnswer(body)}, someLib, "")
	if err != nil || len(p.Versions) != 2 || string(p.Attributes) != `{"project_status":{"status":"archived"}}` {
		t.Fatalf("%v, %+v", err, p)
	}
	one, two := p.Versions[0], p.Versions[1]
	a := one.Assets[0]
	if one.Version != "1.0" || string(one.Metadata) != `{"yanked":"broken \u0026 bad"}` || a.URL != "https://files.example/some_lib-1.0-py3-none-any.whl" || a.SHA256 != sum ||
		string(a.Metadata) != `{"requires_python":"\u003e=3.9","provenance":"https://index.example/integrity/x"}` {
		t.Errorf("the first version is %+v, %s, %s", one, one.Metadata, a.Metadata)
	}
	if a := two.Assets[0]; two.Version != "2.0+local" || a.URL != "https://files.example/p/some_lib-2.0%2Blocal.tar.gz?x=1&y=2" || a.SHA256 != sum || string(two.Metadata) != `{}` {
		t.Errorf("the second version is %+v", two)
	}
}

// A web page that is not the page of a project is a failure of the upstream. It does not
// mean that the project does not exist, unless it says that it is such a page.
func TestPackage_HTMLWithoutFiles(t *testing.T) {
	for body, missing := range map[string]bool{
		`<!DOCTYPE html><title>Sign in</title><a href="/help">Help</a>`: false,
		``:                               false,
		`<a href="some_lib-1.0.tar.gz">`: false,
		`<meta name="pypi:repository-version" content="1.0">`: true,
		`<meta name="pypi:repository-version" content="2.0">`: false,
		strings.Repeat("<", 3<<20):                            false,
		`<a x="` + strings.Repeat("a", 3<<20):                 false,
	} {
		_, _, err := pypi.Codec{}.Package(t.Context(), &source.Registry{Client: htmlAnswer(body)}, someLib, "")
		if bad := (*source.BadAnswer)(nil); missing != errors.Is(err, packages.ErrNoRemotePackage) || missing == errors.As(err, &bad) {
			t.Errorf("%.60s: %v", body, err)
		}
	}
}

func FuzzPackage_HTML(f *testing.F) {
	f.Add(`<base href="//x"><a href="some_lib-1.0.tar.gz#sha256=` + sum + `" data-yanked>`)
	f.Fuzz(func(t *testing.T, body string) {
		p, _, err := pypi.Codec{}.Package(t.Context(), &source.Registry{Client: htmlAnswer(body)}, someLib, "")
		if err != nil {
			return
		}
		for _, v := range p.Versions {
			for _, a := range v.Assets {
				if len(a.SHA256) != 64 || !strings.Contains(a.URL, "://") {
					t.Fatalf("the file is %+v", a)
				}
			}
		}
	})
}

func TestPackage_Bad(t *testing.T) {
	for _, body := range []string{
		``, `[]`, `{`, `{}`, `<html>`, `{"meta":{"api-version":"1.0"},"name":"other","files":[]}`, `{"meta":{"api-version":"2.0"},"name":"some-lib","files":[]}`,
	} {
		_, _, err := pypi.Codec{}.Package(t.Context(), &source.Registry{Client: answer(body)}, someLib, "")
		if bad := (*source.BadAnswer)(nil); !errors.As(err, &bad) {
			t.Errorf("%s: %v", body, err)
		}
	}
	_, _, err := pypi.Codec{}.Package(t.Context(), &source.Registry{Client: answer(`{"meta":{"api-version":"1.0"},"name":"some-lib","files":[]}`)}, someLib, "")
	if !errors.Is(err, packages.ErrNoRemotePackage) {
		t.Errorf("a project without files: %v", err)
	}
}

func FuzzPackage(f *testing.F) {
	f.Add(`{"meta":{"api-version":"1.0"},"name":"some-lib","files":[{"filename":"some_lib-1.0.0-py3-none-any.whl","url":"a","hashes":{"sha256":"` + sum + `"}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		p, _, err := pypi.Codec{}.Package(t.Context(), &source.Registry{Client: answer(body)}, someLib, "")
		if err != nil {
			return
		}
		for _, v := range p.Versions {
			for _, a := range v.Assets {
				if len(a.SHA256) != 64 || !strings.Contains(a.URL, "://") {
					t.Fatalf("the file is %+v", a)
				}
			}
		}
	})
}
