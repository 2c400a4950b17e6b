package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeLayout = "20060102T150405Z"
	// maxAuthorization bounds the header in bytes, since its lists are read more
	// than once.
	maxAuthorization = 8 << 10
)

// signature is what Authorization, X-Amz-Date and X-Amz-Security-Token say.
type signature struct {
	Credential
	date      string // of the scope: yyyymmdd
	headers   []string
	signature [32]byte
}

// parseRequest reads the signature of a request.
func parseRequest(r *http.Request) (*signature, error) {
	header, err := authorization(r)
	if err != nil {
		return nil, err
	}
	s, err := parseAuthorization(header)
	if err != nil {
		return nil, err
	}
	date, err := singleValue(r, "X-Amz-Date")
	if err != nil {
		return nil, err
	}
	if date == "" {
		return nil, fail(Incomplete, "The request has no X-Amz-Date header.")
	}
	if s.Time, err = time.Parse(timeLayout, date); err != nil || len(date) != len(timeLayout) {
		return nil, fail(Incomplete, "The X-Amz-Date header does not have the form YYYYMMDD'T'HHMMSS'Z'.")
	}
	if date[:8] != s.date {
		return nil, fail(Scope, "The signature's scope has the date %s, and X-Amz-Date is %s.", s.date, date)
	}
	if s.SessionToken, err = singleValue(r, "X-Amz-Security-Token"); err != nil {
		return nil, err
	}
	return s, nil
}

// authorization returns the Authorization header of a request. A request that is
// signed in its query is refused.
func authorization(r *http.Request) (string, error) {
	presigned := isPresigned(r.URL.RawQuery)
	values := r.Header["Authorization"]
	switch {
	case len(values) > 1:
		return "", fail(Incomplete, "The request has more than one Authorization header.")
	case presigned && len(values) == 1:
		return "", fail(Incomplete, "The request is signed both in its Authorization header and in its query. Use the header alone.")
	case presigned:
		return "", fail(Unsupported, "Presigned requests are not accepted. Sign with the Authorization header.")
	case len(values) == 0 || values[0] == "":
		return "", fail(Missing, "The request is not signed: it has no Authorization header.")
	case len(values[0]) > maxAuthorization:
		return "", fail(Incomplete, "The Authorization header is longer than %d bytes.", maxAuthorization)
	}
	return values[0], nil
}

// isPresigned reports whether a query holds one of the parameters of a presigned
// request. The name counts in any case and with any escaping: no client
// uses it for anything else.
func isPresigned(query string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if strings.Contains(name, "%") {
			if plain, ok := unescape(name); ok {
				name = plain
			}
		}
		if len(name) < len("x-amz-") || !strings.EqualFold(name[:6], "x-amz-") {
			continue
		}
		switch strings.ToLower(name[6:]) {
		case "algorithm", "credential", "signature", "signedheaders", "security-token":
			return true
		}
	}
	return false
}

// parseAuthorization reads
//
//	AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=A;B, Signature=HEX
//
// The three fields may come in any order, each once.
func parseAuthorization(header string) (*signature, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	switch {
	case scheme == algorithm:
	case scheme == "AWS" || strings.HasPrefix(scheme, "AWS4-"):
		return nil, fail(Unsupported, "The signing algorithm %q is not accepted. Sign with %s.", scheme, algorithm)
	default:
		return nil, fail(Missing, "The Authorization header is not a signature. Sign with %s.", algorithm)
	}
	var credential, headers, sum string
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.Trim(field, " "), "=")
		var into *string
		switch name {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &headers
		case "Signature":
			into = &sum
		default:
			return nil, fail(Incomplete, "The Authorization header has a field other than Credential, SignedHeaders and Signature.")
		}
		if *into != "" {
			return nil, fail(Incomplete, "The Authorization header has %s twice.", name)
		}
		if value == "" {
			return nil, fail(Incomplete, "The Authorization header has an empty %s.", name)
		}
		*into = value
	}
	s := new(signature)
	if err := s.setCredential(credential); err != nil {
		return nil, err
	}
	if err := s.setHeaders(headers); err != nil {
		return nil, err
	}
	return s, s.setSignature(sum)
}

func (s *signature) setCredential(text string) error {
	part := strings.SplitN(text, "/", 6)
	if len(part) != 5 || slices.Contains(part, "") || part[4] != terminator {
		return fail(Incomplete, "The Authorization header needs Credential=ACCESS_KEY_ID/YYYYMMDD/REGION/SERVICE/%s.", terminator)
	}
	// 16 to 128 letters, digits and underscores (IAM API Reference, AccessKey).
	if len(part[0]) < 16 || len(part[0]) > 128 || strings.ContainsFunc(part[0], notWord) {
		return fail(Incomplete, "The Credential of the Authorization header does not begin with an access key id.")
	}
	s.AccessKeyID, s.date, s.Region, s.Service = part[0], part[1], part[2], part[3]
	return nil
}

func notWord(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
}

func (s *signature) setHeaders(text string) error {
	if text == "" {
		return fail(Incomplete, "The Authorization header has no SignedHeaders.")
	}
	s.headers = strings.Split(text, ";")
	for i, name := range s.headers {
		if !isHeaderName(name) || i > 0 && s.headers[i-1] >= name {
			return fail(Incomplete, "SignedHeaders of the Authorization header must be header names in lower case, sorted, without repetition.")
		}
	}
	return nil
}

// isHeaderName takes the tokens of RFC 9110, section 5.6.2, in lower case.
func isHeaderName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func (s *signature) setSignature(text string) error {
	n, err := hex.Decode(s.signature[:], []byte(text[:min(len(text), 64)]))
	if err != nil || n != len(s.signature) || len(text) != 64 || text != strings.ToLower(text) {
		return fail(Incomplete, "The Authorization header needs Signature= and 64 hexadecimal digits in lower case.")
	}
	return nil
}

func (s *signature) signs(header string) bool {
	for _, name := range s.headers {
		if strings.EqualFold(name, header) {
			return true
		}
	}
	return false
}

// singleValue returns the value of a header that may occur once, or "".
func singleValue(r *http.Request, name string) (string, error) {
	switch values := r.Header[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", fail(Incomplete, "The request has more than one %s header.", name)
	}
}
