// Package sdktest helps tests that call a server on the same machine through the
// AWS SDK for Go.
package sdktest

import (
	"bytes"
	"io"
	"net/http"
)

// HTTPClient is an SDK's HTTP client that sends a copy of a request's body. The
// SDK closes the body when the answer begins, and where that is sooner than the
// transport has looked for the end of it, the transport closes the connection
// under a large answer. A server on the same machine is that quick, and cannot
// help it. Its zero value works.
type HTTPClient struct {
	// Transport is what sends the requests; nil is [http.DefaultTransport].
	Transport http.RoundTripper
}

// Do sends a request.
func (c HTTPClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return (&http.Client{Transport: c.Transport}).Do(r)
}
