package egress

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// UpstreamConfig are the settings of one remote registry.
type UpstreamConfig struct {
	// Name is what messages, metrics and logs call the upstream: the name of an external
	// connection, such as public:npmjs, or one of the user's own.
	Name string
	// Label stands for Name in metrics. Upstreams whose names users choose need one, since
	// metrics keep what they have counted until the server ends. Empty means Name.
	Label string
	// URL is the address below which the registry is.
	URL string
	// FileHosts are HOST or HOST:PORT of further servers that belong to the upstream.
	// AllowPrivate counts for them too. They get the credential only if it says so.
	FileHosts []string
	// AllowPrivate allows the upstream's own hosts to have private addresses, to be this
	// machine if the URL says so (localhost, 127.0.0.1), and to be spoken to over http.
	// It does not allow redirects to other private hosts.
	AllowPrivate bool
	// Authorities may sign certificates. nil means those of the system.
	Authorities *x509.CertPool
	// Proxy is the URL of an HTTP(S) proxy, or "none". Empty means what the environment
	// says (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
	Proxy string
	// Settings is where the settings are in the configuration, for messages. Empty means
	// upstreams."NAME".
	Settings string
	// Credential authenticates this server.
	Credential Credential
	// Limits bound what one request may take. Fields that are zero have defaults.
	Limits Limits
}

// Limits bound the requests to an upstream.
type Limits struct {
	// Concurrent is how many requests are in progress at each host of the upstream. 0 is
	// 64.
	Concurrent int
	// Rate is how many requests a second are sent to each host. 0 means any number.
	Rate float64
	// Header is how long the upstream may take for the header of its answer, redirects
	// included. 0 is 30 seconds. While it takes the body of a request, the time begins
	// anew.
	Header time.Duration
	// Idle is how long the upstream may send nothing of a body. 0 is 30 seconds.
	Idle time.Duration
	// MinRate is how many bytes of a body it must send in a second, on average. 0 is
	// 1024.
	MinRate int64
	// Attempts is how often a request is sent that fails. 0 is 3.
	Attempts int
}

func (l Limits) validate() error {
	if l.Concurrent < 0 || l.Rate < 0 || l.Header < 0 || l.Idle < 0 || l.MinRate < 0 || l.Attempts < 0 {
		return errors.New("no limit can be less than zero")
	}
	if l.Attempts > 10 {
		return errors.New("more than 10 attempts only add to the load of a registry that fails")
	}
	return nil
}

func (l Limits) withDefaults() Limits {
	if l.Concurrent == 0 {
		l.Concurrent = 64
	}
	if l.Header == 0 {
		l.Header = 30 * time.Second
	}
	if l.Idle == 0 {
		l.Idle = 30 * time.Second
	}
	if l.MinRate == 0 {
		l.MinRate = 1 << 10
	}
	if l.Attempts == 0 {
		l.Attempts = 3
	}
	return l
}

// Services are what upstreams of one server share. The zero value logs and counts
// nothing.
type Services struct {
	Log     *slog.Logger
	Metrics *Metrics
	// UserAgent is sent with each request. Empty means "gatehouse".
	UserAgent string
	// Now and Wait replace the clock in tests.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
}

// A Request is one question to an upstream.
type Request struct {
	// Method is GET if it is empty. GET and HEAD are repeated if they fail.
	Method string
	// URL is absolute, or a path below the upstream's URL without a leading slash.
	URL string
	// Header may have validators, Range, Accept and Content-Type. Headers that
	// authenticate are not sent: see [UpstreamConfig].Credential and Authorization.
	Header http.Header
	// Authorization is the value of that header, for protocols in which it changes from
	// request to request. Only the host of URL gets it, and no host to which that redirects.
	Authorization string
	// Body is sent with POST, PUT and PATCH.
	Body []byte
	// MaxErrorBytes is how much of the body of an answer that is an error is kept, in
	// [Error].Body. 0 is nothing.
	MaxErrorBytes int64
	// MaxBytes bounds the body of the answer, also after decompression. It is required,
	// except for HEAD.
	MaxBytes int64
	// Compressed asks for gzip: for documents. The body is decompressed, and Length is -1.
	// Without it the body has the bytes as they were sent.
	Compressed bool
	// Types are the media types that the answer may have, such as application/json. None
	// means any. Answers without a type pass.
	Types []string
}

// A Response is the answer of an upstream: 2xx or 304. All others are errors.
type Response struct {
	Status int
	Header http.Header
	// URL is where the answer came from, after redirects. It may have a signature in its
	// query, so it must not be logged.
	URL string
	// Length is the number of bytes of Body, or -1 if it is not known.
	Length int64
	// Body must be closed. An error of reading it is an [*Error]; io.EOF means that the
	// answer is complete.
	Body io.ReadCloser
}

// An Upstream is one remote registry. It is safe for use by many goroutines.
type Upstream struct {
	name     string
	settings string   // where they are in the configuration
	label    string   // in metrics
	base     *url.URL // its path ends with a slash
	limits   Limits
	services Services
	client   *http.Client
	throttle *throttle
	warnings warnings
}

// A SettingError says which of the settings of an upstream is wrong.
type SettingError struct {
	Setting string // as in the configuration file
	Err     error
}

func (e *SettingError) Error() string { return e.Setting + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *SettingError) Unwrap() error { return e.Err }

// NewUpstream returns the client of an upstream. It makes no request. The error is a
// [*SettingError].
func NewUpstream(c UpstreamConfig, s Services) (*Upstream, error) {
	base, err := ParseBase(c.URL, c.AllowPrivate)
	if err != nil {
		return nil, &SettingError{"url", err}
	}
	if err := c.Credential.Validate(); err != nil {
		return nil, &SettingError{"credential", err}
	}
	if err := checkHosts(c.FileHosts); err != nil {
		return nil, &SettingError{"file_hosts", err}
	}
	proxy, err := newProxy(c.Proxy)
	if err != nil {
		return nil, &SettingError{"proxy", err}
	}
	if err := c.Limits.validate(); err != nil {
		return nil, &SettingError{"limits", err}
	}
	s = s.withDefaults()
	u := &Upstream{
		name: c.Name, settings: cmp.Or(c.Settings, `upstreams."`+c.Name+`"`), label: cmp.Or(c.Label, c.Name), base: base, limits: c.Limits.withDefaults(), services: s,
		throttle: newThrottle(s),
	}
	u.client = &http.Client{
		Transport:     newHop(c, base, proxy, u.throttle, newHostLimits(u.limits, s), s),
		CheckRedirect: checkRedirect,
	}
	return u, nil
}

func (s Services) withDefaults() Services {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Metrics == nil {
		s.Metrics = NewMetrics()
	}
	if s.UserAgent == "" {
		s.UserAgent = "gatehouse"
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Wait == nil {
		s.Wait = wait
	}
	return s
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ParseBase checks the URL of an upstream: https, or http if private addresses are
// allowed, with a host and without user, query and fragment. Its path ends with a slash.
func ParseBase(text string, allowPrivate bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is not a URL")
	case u.User != nil:
		return nil, fmt.Errorf("it has a user or a password: write them as credential, with the secret in a file or an environment variable")
	case u.Opaque != "" || u.Hostname() == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%q is not a scheme, a host and a path, such as https://registry.example/npm/", shown(text))
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q is not https", shown(text))
	case u.Scheme == "http" && !allowPrivate:
		return nil, fmt.Errorf("%q is not https; if the registry is in your own network, set allow_private: true", shown(text))
	case isLoopbackHost(u.Hostname()) && !allowPrivate:
		return nil, fmt.Errorf("%q is this machine; to use a registry on it, set allow_private: true", shown(text))
	}
	// The address of a NuGet registry is usually told with the name of its first document.
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/index.json"), strings.TrimSuffix(u.RawPath, "/index.json")
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
		if u.RawPath != "" {
			u.RawPath += "/"
		}
	}
	return u, nil
}

// Name returns the upstream's name.
func (u *Upstream) Name() string { return u.name }

// Base returns the URL below which the registry is. It ends with a slash.
func (u *Upstream) Base() string { return u.base.String() }

// Resolve returns the absolute URL of a request: of an address, or of a path below
// [Upstream.Base]. The path is taken as it is written, with its escapes.
func (u *Upstream) Resolve(text string) (*url.URL, error) {
	if !absolute.MatchString(text) {
		if leadsUp(text) {
			return nil, fmt.Errorf("%w: a path with .. leads out of the upstream's address", ErrForbidden)
		}
		text = u.base.String() + text
	}
	r, err := url.Parse(text)
	if err != nil || r.Hostname() == "" || r.Opaque != "" {
		return nil, fmt.Errorf("%w: it is not a URL with a host", ErrForbidden)
	}
	r.User, r.Fragment, r.RawFragment = nil, "", ""
	return r, nil
}

var absolute = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// leadsUp reports whether a path has a segment "..", also one that a server would see
// after it decoded the path.
func leadsUp(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	path = strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", "/", `\`, "/").Replace(strings.ToLower(path))
	return slices.Contains(strings.Split(path, "/"), "..")
}

// Do sends a request and returns the answer as soon as its header is there. The context
// bounds the whole exchange, including the body. The error is an [*Error].
func (u *Upstream) Do(ctx context.Context, r Request) (*Response, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	to, err := u.Resolve(r.URL)
	if err == nil && r.MaxBytes <= 0 && r.Method != http.MethodHead {
		err = fmt.Errorf("%w: the request has no bound for its answer", ErrForbidden)
	}
	if err != nil {
		return nil, u.failure(r.URL, err)
	}
	return u.repeat(ctx, r, to)
}

// An authorization is what one host gets, in the context of a request.
type authorization struct{ host, value string }

type authorizationKey struct{}

// A sentBody is the body of a request. It calls progress whenever some of it is taken.
type sentBody struct {
	content  *bytes.Reader
	progress func()
}

// Read implements io.Reader.
func (b sentBody) Read(p []byte) (int, error) {
	b.progress()
	return b.content.Read(p)
}

// Close implements io.Closer.
func (sentBody) Close() error { return nil }

// newRequest makes the request for one attempt.
func (u *Upstream) newRequest(ctx context.Context, r Request, to *url.URL, progress func()) (*http.Request, error) {
	if r.Authorization != "" {
		ctx = context.WithValue(ctx, authorizationKey{}, authorization{hostPort(to), r.Authorization})
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, to.String(), nil)
	if err != nil {
		return nil, err
	}
	if r.Body != nil {
		req.GetBody = func() (io.ReadCloser, error) { return sentBody{bytes.NewReader(r.Body), progress}, nil }
		req.Body, _ = req.GetBody() // it never fails
		req.ContentLength = int64(len(r.Body))
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization"} {
		req.Header.Del(name)
	}
	req.Header.Set("User-Agent", u.services.UserAgent)
	if r.Compressed {
		req.Header.Set("Accept-Encoding", "gzip")
	} else {
		req.Header.Set("Accept-Encoding", "identity")
	}
	return req, nil
}
