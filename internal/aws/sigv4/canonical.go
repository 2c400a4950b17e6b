package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest returns the text that the client hashed and signed (IAM User
// Guide, "Create a signed AWS API request", step 1).
func canonicalRequest(r *http.Request, headers []string, payload []byte) ([]byte, error) {
	b := make([]byte, 0, 1024)
	b = append(b, r.Method...)
	b = append(b, '\n')
	b, err := appendPath(b, r.URL.EscapedPath())
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	if b, err = appendQuery(b, r.URL.RawQuery); err != nil {
		return nil, err
	}
	b = append(b, '\n')
	for _, name := range headers {
		if b, err = appendHeader(b, r, name); err != nil {
			return nil, err
		}
	}
	for i, name := range headers {
		b = append(b, "\n;"[min(i, 1)])
		b = append(b, name...)
	}
	b = append(b, '\n')
	return hex.AppendEncode(b, payload), nil
}

// appendPath appends the path of the request line, escaped once more: that is the
// rule for every service but S3.
func appendPath(b []byte, path string) ([]byte, error) {
	if path == "" {
		path = "/"
	}
	if path[0] != '/' {
		return nil, fail(Unsupported, "The path of the request does not begin with a slash.")
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(path[1:], "/"), "/") {
		if segment == "." || segment == ".." || segment == "" && path != "/" {
			return nil, fail(Unsupported, "The path of the request has empty or relative segments, which clients sign in different ways.")
		}
	}
	for i := range len(path) {
		if path[i] == '/' {
			b = append(b, '/')
		} else {
			b = appendEscaped(b, path[i])
		}
	}
	return b, nil
}

// appendEscaped appends a byte, escaped unless it is an unreserved character of
// RFC 3986.
func appendEscaped(b []byte, c byte) []byte {
	if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
		return append(b, c)
	}
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&15])
}

// parameter is a name and a value of the query, both escaped.
type parameter struct{ name, value string }

// appendQuery appends the parameters, sorted by escaped name and then by escaped
// value. Sorting the texts name=value would be wrong: '=' is greater than '-'.
func appendQuery(b []byte, query string) ([]byte, error) {
	if query == "" {
		return b, nil
	}
	var few [8]parameter
	parameters := few[:0]
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, okName := reescape(name)
		v, okValue := reescape(value)
		if !okName || !okValue {
			return nil, fail(Unsupported, "The query of the request is malformed: it has a semicolon or an incomplete escape.")
		}
		parameters = append(parameters, parameter{n, v})
	}
	slices.SortFunc(parameters, func(x, y parameter) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range parameters {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b, nil
}

// reescape returns s, a part of a query, with the escaping that is signed.
func reescape(s string) (string, bool) {
	if isUnreserved(s) {
		return s, true
	}
	plain, ok := unescape(s)
	if !ok {
		return "", false
	}
	b := make([]byte, 0, 3*len(plain))
	for i := range len(plain) {
		b = appendEscaped(b, plain[i])
	}
	return string(b), true
}

func isUnreserved(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return true
}

// unescape decodes a part of a query as net/url does: a plus is a space. It
// refuses what net/url drops.
func unescape(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ';':
			return "", false
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 >= len(s) {
				return "", false
			}
			var c [1]byte
			if _, err := hex.Decode(c[:], []byte(s[i+1:i+3])); err != nil {
				return "", false
			}
			b = append(b, c[0])
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b), true
}

// appendHeader appends name:value and a newline. The values of a repeated header
// are joined by commas.
func appendHeader(b []byte, r *http.Request, name string) ([]byte, error) {
	b = append(append(b, name...), ':')
	switch name {
	case "host":
		return append(append(b, r.Host...), '\n'), nil
	case "content-length":
		return append(strconv.AppendInt(b, max(r.ContentLength, 0), 10), '\n'), nil
	}
	var buf [64]byte
	// The conversion in the index makes no copy.
	values, ok := r.Header[string(appendCanonicalName(buf[:0], name))]
	if !ok {
		return nil, fail(Incomplete, "The header %s is signed but is not in the request.", name)
	}
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, value)
	}
	return append(b, '\n'), nil
}

// appendCanonicalName appends a header's name in the form of net/http.
func appendCanonicalName(b []byte, name string) []byte {
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper = c == '-'
		b = append(b, c)
	}
	return b
}

// appendTrimmed appends a header's value without the space around it, and with one
// space for each run of spaces inside it.
func appendTrimmed(b []byte, value string) []byte {
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if value[i] != ' ' || value[i-1] != ' ' {
			b = append(b, value[i])
		}
	}
	return b
}
