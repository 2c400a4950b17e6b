// Package sdktest helps tests that call a server on the same machine through the
// AWS SDK for Go.
package sdktest

import (
	"bytes"
	"io"
	"net/http"
)

// HTTPClient is an HTTP client for the SDK that sends a copy of the request's
// body. The SDK closes the body when the answer begins. If the transport has not
// yet read the body to its end at that moment, it closes the connection, and a
// large answer is cut off. That happens with a server on the same machine, which
// answers very fast. The zero value is ready to use.
type HTTPClient struct {
	// Transport sends the requests; nil means [http.DefaultTransport].
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
