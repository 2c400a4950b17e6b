package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/jsonedit"
)

// pairs are the addresses of every upstream, and the proxy's addresses that replace
// them.
func (p *Proxy) pairs() []pair {
	var pairs []pair
	add := func(from, to string) { pairs = append(pairs, pair{[]byte(from), []byte(to)}) }
	for _, r := range p.routes {
		if r.Format == "" {
			continue
		}
		from, to := r.URL.String(), p.url(r.path).String()
		add(from, to)
		add(slashes(from), slashes(to)) // as some JSON encoders write it
		// Without the last slash, and at the end of a string: cargo's `api`.
		add(strings.TrimSuffix(from, "/")+`"`, strings.TrimSuffix(to, "/")+`"`)
		if r.Format == "pypi" { // links within the host
			add(`"`+r.base, `"`+r.path)
			add(`'`+r.base, `'`+r.path)
		}
	}
	return pairs
}

func slashes(address string) string { return strings.ReplaceAll(address, "/", `\/`) }

// rewriteResponse makes an answer name the proxy's addresses. It changes only the
// bodies of documents: a package's files, manifests, and indexes that are signed or
// hashed stay as they are.
func (p *Proxy) rewriteResponse(r *route, res *http.Response, pairs []pair) error {
	p.rewriteLocation(res)
	for i, link := range res.Header.Values("Link") {
		res.Header["Link"][i] = replaceAll(link, pairs)
	}
	rest := strings.TrimPrefix(res.Request.URL.EscapedPath(), r.base)
	if !isDocument(r.Format, rest, res) {
		return nil
	}
	body, err := decoded(res)
	if err != nil || body == nil {
		return err
	}
	dropBodyHeaders(res.Header)
	res.ContentLength = -1
	if res.Request.Method == http.MethodHead {
		return nil
	}
	if r.Format == "cargo" {
		return rewriteCargo(res, body, pairs)
	}
	res.Body = concatBody{newReplaceReader(body, pairs), res.Body}
	return nil
}

// isDocument reports whether an answer is a document of the format that contains
// addresses.
func isDocument(format, rest string, res *http.Response) bool {
	if res.StatusCode == http.StatusPartialContent || res.StatusCode == http.StatusNotModified || res.StatusCode == http.StatusNoContent {
		return false
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return false
	}
	isJSON := media == "application/json" || strings.HasSuffix(media, "+json")
	switch format {
	case "npm", "nuget", "swift":
		return isJSON
	case "pypi":
		return strings.HasPrefix(rest, "simple/") && (isJSON || media == "text/html" || strings.HasSuffix(media, "+html"))
	case "cargo":
		return rest == "config.json" && res.StatusCode == http.StatusOK
	}
	return false
}

// decoded is an answer's body without its encoding. It is nil for an encoding that
// the proxy has not asked for; the body then stays as it is.
func decoded(res *http.Response) (io.Reader, error) {
	switch res.Header.Get("Content-Encoding") {
	case "", "identity":
		return res.Body, nil
	case "gzip":
		res.Header.Del("Content-Encoding")
		if res.Request.Method == http.MethodHead {
			return res.Body, nil
		}
		return gzip.NewReader(res.Body)
	}
	return nil, nil
}

// dropBodyHeaders removes the headers that are only true of the upstream's bytes. A
// strong validator becomes a weak one (RFC 9110, 8.8.1).
func dropBodyHeaders(h http.Header) {
	for _, name := range []string{"Content-Length", "Accept-Ranges", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"} {
		h.Del(name)
	}
	if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) {
		h.Set("Etag", "W/"+tag)
	}
}

// maxConfig bounds cargo's config.json, in bytes.
const maxConfig = 64 << 10

// rewriteCargo rewrites the config.json of a cargo index. Besides addresses it says
// that every request needs a token, which is not so at the proxy.
func rewriteCargo(res *http.Response, body io.Reader, pairs []pair) error {
	text, err := io.ReadAll(io.LimitReader(newReplaceReader(body, pairs), maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = fmt.Errorf("config.json is larger than 64 KiB")
	}
	if err == nil {
		text, err = jsonedit.Set(text, []string{"auth-required"}, false)
	}
	if err != nil {
		return err
	}
	res.Body = concatBody{bytes.NewReader(text), res.Body}
	return nil
}

// rewriteLocation turns a redirect to an upstream into one to the proxy. Every other
// redirect, such as one to a blob store, is left for the client to follow without a
// token.
func (p *Proxy) rewriteLocation(res *http.Response) {
	for _, name := range []string{"Location", "Content-Location"} {
		value := res.Header.Get(name)
		if value == "" {
			continue
		}
		to, err := res.Request.URL.Parse(value)
		if err != nil {
			res.Header.Del(name)
			continue
		}
		res.Header.Set(name, p.local(to))
	}
}

// local is the proxy's address in place of an upstream's. Other addresses stay as
// they are.
func (p *Proxy) local(to *url.URL) string {
	for _, r := range p.routes {
		path := to.EscapedPath()
		if to.Scheme != r.URL.Scheme || !sameHost(to, r.URL) || !strings.HasPrefix(path, r.base) {
			continue
		}
		here := p.url(r.path + strings.TrimPrefix(path, r.base))
		here.RawQuery, here.Fragment = to.RawQuery, to.Fragment
		return here.String()
	}
	return to.String()
}

func sameHost(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		if u.Port() != "" {
			return u.Port()
		}
		return map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func replaceAll(text string, pairs []pair) string {
	out, err := io.ReadAll(newReplaceReader(strings.NewReader(text), pairs))
	if err != nil { // reading a string does not fail
		panic(err)
	}
	return string(out)
}

// unescaped is a path without its encoding. The path was checked before, or is part
// of a parsed address.
func unescaped(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return path
	}
	return plain
}

func errorLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelWarn) }
