package egress

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// maxSecret bounds the file of a secret, in bytes.
const maxSecret = 64 << 10

// A Scheme says how a credential is sent.
type Scheme string

// The schemes.
const (
	Basic  Scheme = "basic"  // Authorization: Basic, a user and a password (RFC 7617)
	Bearer Scheme = "bearer" // Authorization: Bearer (RFC 6750)
	Token  Scheme = "token"  // Authorization: the token alone, as cargo sends it
	Header Scheme = "header" // a header of its own, such as X-Api-Key
)

// A Credential authenticates this server at an upstream. Its zero value is none. The
// secret is in a file or in an environment variable. A file is read again when it has
// changed.
type Credential struct {
	Scheme Scheme
	User   string // for Basic
	Header string // for Header
	File   string
	Env    string
	// Hosts are HOST or HOST:PORT of further servers that get the credential, beside the
	// upstream's own: for registries whose files are on another host.
	Hosts []string
}

// Validate says what is wrong with a credential.
func (c Credential) Validate() error {
	if c.isNone() {
		if len(c.Hosts) > 0 {
			return errors.New("hosts need a scheme and a secret")
		}
		return nil
	}
	switch {
	case c.Scheme != Basic && c.Scheme != Bearer && c.Scheme != Token && c.Scheme != Header:
		return fmt.Errorf("scheme %q is not basic, bearer, token or header", string(c.Scheme))
	case (c.File == "") == (c.Env == ""):
		return errors.New("name either a file or an environment variable (env) with the secret")
	case c.Scheme == Basic && (c.User == "" || strings.Contains(c.User, ":")):
		return errors.New("scheme basic needs a user without a colon")
	case c.Scheme != Basic && c.User != "":
		return errors.New("a user belongs to scheme basic only")
	case c.Scheme == Header && !isToken(c.Header):
		return fmt.Errorf("scheme header needs the name of a header, and %q is none", c.Header)
	case c.Scheme != Header && c.Header != "":
		return errors.New("a header belongs to scheme header only")
	case c.Scheme == Header && reserved[http.CanonicalHeaderKey(c.Header)]:
		return fmt.Errorf("the header %s cannot carry a credential", c.Header)
	}
	return checkHosts(c.Hosts)
}

// reserved are headers that this package or net/http sets.
var reserved = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Host": true,
	"Range": true, "Transfer-Encoding": true, "User-Agent": true,
}

// isToken reports whether text is a token of HTTP (RFC 9110, 5.6.2).
func isToken(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return text != ""
}

func (c Credential) isNone() bool {
	return c.Scheme == "" && c.File == "" && c.Env == "" && c.User == "" && c.Header == ""
}

// A secretSource has the header of a credential, as of the last time that it was read.
type secretSource struct {
	Credential

	mu       sync.Mutex
	value    string // of the header
	modified time.Time
	size     int64
}

// LogValue implements [slog.LogValuer].
func (s *secretSource) LogValue() slog.Value { return slog.StringValue("****") }

// set sets the header of the credential. Errors do not have the secret.
func (s *secretSource) set(h http.Header) error {
	if s.isNone() {
		return nil
	}
	value, err := s.header()
	if err != nil {
		return err
	}
	name := "Authorization"
	if s.Scheme == Header {
		name = s.Header
	}
	h.Set(name, value)
	return nil
}

func (s *secretSource) header() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Env != "" {
		if s.value != "" {
			return s.value, nil
		}
		return s.keep(os.Getenv(s.Env), "the environment variable "+s.Env)
	}
	info, err := os.Stat(s.File)
	if err != nil {
		return "", fmt.Errorf("the file of the credential cannot be read: %w", err)
	}
	if s.value != "" && info.ModTime().Equal(s.modified) && info.Size() == s.size {
		return s.value, nil
	}
	f, err := os.Open(s.File)
	if err != nil {
		return "", fmt.Errorf("the file of the credential cannot be read: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("the file of the credential cannot be read: %w", err)
	}
	value, err := s.keep(string(raw), "the file "+s.File)
	if err == nil {
		s.modified, s.size = info.ModTime(), info.Size()
	}
	return value, err
}

// keep makes the header of a secret and remembers it.
func (s *secretSource) keep(secret, from string) (string, error) {
	secret = strings.TrimSpace(secret)
	for _, c := range []byte(secret) {
		if c < ' ' || c == 0x7f {
			return "", fmt.Errorf("%s has more than one line, or characters that cannot be in a header", from)
		}
	}
	if secret == "" {
		return "", fmt.Errorf("%s is empty", from)
	}
	switch s.Scheme {
	case Basic:
		s.value = "Basic " + base64.StdEncoding.EncodeToString([]byte(s.User+":"+secret))
	case Bearer:
		s.value = "Bearer " + secret
	default:
		s.value = secret
	}
	return s.value, nil
}
