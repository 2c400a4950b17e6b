package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
)

// strippedHeaders are request headers that are not sent on: credentials, and what
// tells the upstream about the client. httputil.ReverseProxy removes hop-by-hop
// headers, Forwarded and X-Forwarded-*.
var strippedHeaders = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "X-Nuget-Apikey", "X-Api-Key", "X-Amz-Security-Token",
	"Npm-Otp", "Origin", "Referer", "Via", "X-Real-Ip", "Client-Ip", "True-Client-Ip", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest",
	"Accept-Encoding", "Expect",
}

// droppedHeaders are response headers that concern only the upstream and the proxy,
// or would be about the wrong host.
var droppedHeaders = []string{
	"Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Set-Cookie",
	"Strict-Transport-Security", "Alt-Svc", "Clear-Site-Data",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers",
	"Access-Control-Allow-Methods", "Access-Control-Expose-Headers",
}

// forwarder sends a route's requests on.
func (p *Proxy) forwarder(r *route, pairs []pair) *httputil.ReverseProxy {
	t := r.Transport
	t.DisableCompression = true // bodies pass unchanged
	t.ExpectContinueTimeout = continueTimeout
	t.IdleConnTimeout = p.idle
	t.MaxIdleConnsPerHost = 32
	return &httputil.ReverseProxy{
		Rewrite:       r.rewriteRequest,
		Transport:     &tokenTransport{next: t, tokens: r.Tokens, scheme: scheme(r.Format), now: p.now, log: p.log, idle: p.idle},
		FlushInterval: -1, // immediately
		BufferPool:    buffers,
		ErrorLog:      errorLog(p.log),
		ErrorHandler:  p.writeError,
		ModifyResponse: func(res *http.Response) error {
			for _, name := range droppedHeaders {
				res.Header.Del(name)
			}
			// A browser must not treat it as a page of this origin.
			res.Header.Set("Content-Security-Policy", "sandbox")
			res.Header.Set("X-Content-Type-Options", "nosniff")
			return p.rewriteResponse(r, res, pairs)
		},
	}
}

// rewriteRequest turns the client's request into one for the upstream.
func (r *route) rewriteRequest(pr *httputil.ProxyRequest) {
	rest := strings.TrimPrefix(pr.In.URL.EscapedPath(), strings.TrimSuffix(r.path, "/"))
	escaped := strings.TrimSuffix(r.base, "/") + rest
	out := pr.Out
	// Path and RawPath together keep the client's encoding.
	u := *r.URL
	out.URL.Scheme, out.URL.Host, out.URL.User = u.Scheme, u.Host, nil
	out.URL.Path, out.URL.RawPath = unescaped(escaped), escaped
	out.Host = u.Host
	gzip := r.Format != "" && httpheader.AcceptsGzip(pr.In.Header)
	for _, name := range strippedHeaders {
		out.Header.Del(name)
	}
	// No encoding that the rewriting does not know.
	out.Header.Set("Accept-Encoding", "identity")
	if gzip {
		out.Header.Set("Accept-Encoding", "gzip")
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header.Set("User-Agent", "") // otherwise Go sends its own
	}
}

// scheme is how a format's endpoints expect the token, which is how the format's
// clients send it: cargo without a scheme; npm, gem and Swift as Bearer; the others
// and registries as Basic.
func scheme(format string) func(authtoken.Token) string {
	switch format {
	case "cargo":
		return func(t authtoken.Token) string { return t.Value }
	case "npm", "ruby", "swift", "":
		return authtoken.Token.Authorization
	}
	return authtoken.Token.BasicAuthorization
}

// writeError answers if the upstream did not.
func (p *Proxy) writeError(w http.ResponseWriter, r *http.Request, err error) {
	var retry *retryError
	var token *tokenError
	switch {
	case errors.As(err, &retry):
		w.Header().Set("Retry-After", "1")
		writeRefusal(w, &requestError{http.StatusServiceUnavailable, err.Error()})
	case errors.Is(err, context.Canceled): // the client has gone
		writeRefusal(w, &requestError{http.StatusBadGateway, "the request was cancelled"})
	case errors.As(err, &token):
		p.log.Error("no token", "error", err.Error())
		writeRefusal(w, &requestError{http.StatusBadGateway, err.Error()})
	default:
		p.log.Error("the upstream did not answer", "host", r.URL.Host, "error", err.Error())
		writeRefusal(w, &requestError{http.StatusBadGateway, fmt.Sprintf("%s did not answer: %v", r.URL.Host, err)})
	}
}

// buffers are used to copy bodies.
var buffers = &bufferPool{sync.Pool{New: func() any { return new([64 << 10]byte) }}}

type bufferPool struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *bufferPool) Get() []byte { return b.pool.Get().(*[64 << 10]byte)[:] }

// Put implements httputil.BufferPool.
func (b *bufferPool) Put(buffer []byte) { b.pool.Put((*[64 << 10]byte)(buffer)) }
