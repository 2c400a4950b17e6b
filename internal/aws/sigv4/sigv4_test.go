package sigv4_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
)

const (
	keyID        = "AKIA2222333344445555"
	vectorSecret = "gatehouse/verifies+what/clients+sign/000"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func clockAt(t time.Time) func() time.Time { return func() time.Time { return t } }

// knownSecret looks up the secret of whatever key is asked for.
func knownSecret(*sigv4.Credential) (string, error) { return vectorSecret, nil }

// vector is a request as sent, and its signature.
type vector struct {
	name, line, host, body string
	headers                []string
	signed, signature      string
}

// request reads a request from its text, as a server does.
func request(t testing.TB, line, host string, headers []string, body string) *http.Request {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s HTTP/1.1\r\nHost: %s\r\n", line, host)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String())))
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return r
}

func (v *vector) request(t testing.TB) *http.Request {
	t.Helper()
	id := keyID
	if strings.Contains(v.signed, "x-amz-security-token") {
		id = strings.Replace(keyID, "AKIA", "ASIA", 1)
	}
	return request(t, v.line, v.host, append([]string{
		"X-Amz-Date: 20260314T120000Z",
		"Authorization: AWS4-HMAC-SHA256 Credential=" + id + "/20260314/us-east-1/ecr/aws4_request, SignedHeaders=" + v.signed + ", Signature=" + v.signature,
	}, v.headers...), v.body)
}

func TestVerify_Vectors(t *testing.T) {
	verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			for _, now := range []string{"the first time", "with a cached key"} {
				c, err := verifier.Verify(v.request(t), sigv4.Protected, "ecr", []byte(v.body), knownSecret)
				if err != nil {
					t.Fatalf("%s: %v", now, err)
				}
				want := sigv4.Credential{AccessKeyID: keyID, Region: "us-east-1", Service: "ecr", Time: noon}
				if strings.Contains(v.signed, "security-token") {
					want.AccessKeyID, want.SessionToken = "ASIA2222333344445555", "ghst_AAAA"
				}
				if *c != want {
					t.Fatalf("Verify = %+v, want %+v", *c, want)
				}
			}
			wrong := v
			wrong.signature = v.signature[1:] + v.signature[:1]
			refusedFor(t, sigv4.SignatureMismatch, verifier, wrong.request(t), []byte(v.body))
		})
	}
}

// refusedFor fails unless the request is refused for the reason.
func refusedFor(t testing.TB, want sigv4.Reason, v *sigv4.Verifier, r *http.Request, body []byte) {
	t.Helper()
	c, err := v.Verify(r, sigv4.Protected, "ecr", body, knownSecret)
	checkReason(t, want, err)
	if c != nil {
		t.Errorf("a credential came with the refusal: %+v", c)
	}
}

func checkReason(t testing.TB, want sigv4.Reason, err error) {
	t.Helper()
	var e *sigv4.Error
	if !errors.As(err, &e) || e.Reason != want {
		t.Errorf("refused with %v, want %s", err, want)
		return
	}
	if strings.Contains(e.Message, vectorSecret) || e.Message == "" {
		t.Errorf("the message is %q", e.Message)
	}
}

// sign signs r, as the Go SDK does, and reads it back from the wire.
func sign(t testing.TB, r *http.Request, secret string, body []byte, at time.Time) *http.Request {
	t.Helper()
	sum := sha256.Sum256(body)
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret},
		r, hex.EncodeToString(sum[:]), "ecr", "us-east-1", at)
	if err != nil {
		t.Fatal(err)
	}
	return readBack(t, r)
}

// readBack returns the request that a server reads when a client sends r.
func readBack(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func post(t testing.TB, url string, body []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify_Refused(t *testing.T) {
	const (
		credential = "Credential=" + keyID + "/20260314/us-east-1/ecr/aws4_request"
		headers    = "SignedHeaders=host;x-amz-date"
		signature  = "Signature=0afd9c31f9333685b63d0e0e597344dc29265e45aa23b7e7a80517c40714584c"
		good       = "AWS4-HMAC-SHA256 " + credential + ", " + headers + ", " + signature
		date       = "X-Amz-Date: 20260314T120000Z"
	)
	verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	try := func(line string, headers ...string) error {
		_, err := verifier.Verify(request(t, line, "registry.example", headers, ""), sigv4.Protected, "ecr", []byte{}, knownSecret)
		return err
	}
	if err := try("GET /", "Authorization: "+good, date); err != nil {
		t.Fatalf("the request that the cases start from: %v", err)
	}
	for _, accepted := range []string{
		"AWS4-HMAC-SHA256 " + credential + "," + headers + "," + signature,
		"AWS4-HMAC-SHA256  " + signature + ",   " + headers + ", " + credential,
	} {
		if err := try("GET /", "Authorization: "+accepted, date); err != nil {
			t.Errorf("%s: %v", accepted, err)
		}
	}

	for name, c := range map[string]struct {
		reason sigv4.Reason
		header string
	}{
		"empty":                     {sigv4.Missing, ""},
		"another scheme":            {sigv4.Missing, "Basic QVdTOnRva2Vu"},
		"a bare token":              {sigv4.Missing, "ghct_AAAA"},
		"version 2":                 {sigv4.Unsupported, "AWS AKIA2222333344445555:c2lnbmF0dXJl"},
		"version 4A":                {sigv4.Unsupported, strings.Replace(good, "HMAC", "ECDSA-P256", 1)},
		"lower-case algorithm":      {sigv4.Missing, strings.Replace(good, "AWS4", "aws4", 1)},
		"the algorithm alone":       {sigv4.Incomplete, "AWS4-HMAC-SHA256"},
		"no credential":             {sigv4.Incomplete, "AWS4-HMAC-SHA256 " + headers + ", " + signature},
		"no signed headers":         {sigv4.Incomplete, "AWS4-HMAC-SHA256 " + credential + ", " + signature},
		"no signature":              {sigv4.Incomplete, "AWS4-HMAC-SHA256 " + credential + ", " + headers},
		"a field twice":             {sigv4.Incomplete, good + ", " + signature},
		"an unknown field":          {sigv4.Incomplete, good + ", Extra=1"},
		"an empty field":            {sigv4.Incomplete, strings.Replace(good, signature, "Signature=", 1)},
		"a trailing comma":          {sigv4.Incomplete, good + ","},
		"a scope of four parts":     {sigv4.Incomplete, strings.Replace(good, "/us-east-1", "", 1)},
		"a scope of six parts":      {sigv4.Incomplete, strings.Replace(good, "/ecr", "/ecr/ecr", 1)},
		"an empty part":             {sigv4.Incomplete, strings.Replace(good, "/us-east-1", "/", 1)},
		"another terminator":        {sigv4.Incomplete, strings.Replace(good, "aws4_request", "aws5_request", 1)},
		"a short access key id":     {sigv4.Incomplete, strings.Replace(good, keyID, "AKIA", 1)},
		"a strange access key id":   {sigv4.Incomplete, strings.Replace(good, keyID, "AKIA2222333344445%00", 1)},
		"a very long access key id": {sigv4.Incomplete, strings.Replace(good, keyID, strings.Repeat("A", 129), 1)},
		"another service":           {sigv4.Scope, strings.Replace(good, "/ecr/", "/sts/", 1)},
		"another day":               {sigv4.Scope, strings.Replace(good, "20260314", "20260313", 1)},
		"another region":            {sigv4.SignatureMismatch, strings.Replace(good, "us-east-1", "eu-west-1", 1)},
		"another key":               {sigv4.SignatureMismatch, strings.Replace(good, signature, "Signature="+strings.Repeat("0", 64), 1)},
		"a short signature":         {sigv4.Incomplete, good[:len(good)-1]},
		"a long signature":          {sigv4.Incomplete, good + "0"},
		"an upper-case signature":   {sigv4.Incomplete, strings.Replace(good, "0afd", "0AFD", 1)},
		"no hexadecimal signature":  {sigv4.Incomplete, strings.Replace(good, "0afd", "0gfd", 1)},
		"host not signed":           {sigv4.Incomplete, strings.Replace(good, "host;", "", 1)},
		"the date not signed":       {sigv4.Incomplete, strings.Replace(good, ";x-amz-date", "", 1)},
		"unsorted headers":          {sigv4.Incomplete, strings.Replace(good, "host;x-amz-date", "x-amz-date;host", 1)},
		"a header twice":            {sigv4.Incomplete, strings.Replace(good, "host;", "host;host;", 1)},
		"an upper-case header":      {sigv4.Incomplete, strings.Replace(good, "host;", "Host;", 1)},
		"an empty header":           {sigv4.Incomplete, strings.Replace(good, "host;", "host;;", 1)},
		"a header that is not sent": {sigv4.Incomplete, strings.Replace(good, "host;", "host;my-header;", 1)},
		"too long":                  {sigv4.Incomplete, strings.Replace(good, "host;", "host;"+strings.Repeat("i", 9000)+";", 1)},
	} {
		t.Run("authorization/"+name, func(t *testing.T) {
			checkReason(t, c.reason, try("GET /", "Authorization: "+c.header, date))
		})
	}

	for name, c := range map[string]struct {
		reason  sigv4.Reason
		line    string
		headers []string
	}{
		"no signature at all":          {sigv4.Missing, "GET /", nil},
		"two Authorization headers":    {sigv4.Incomplete, "GET /", []string{"Authorization: " + good, "Authorization: " + good, date}},
		"no date":                      {sigv4.Incomplete, "GET /", []string{"Authorization: " + good}},
		"two dates":                    {sigv4.Incomplete, "GET /", []string{"Authorization: " + good, date, date}},
		"a date of another form":       {sigv4.Incomplete, "GET /", []string{"Authorization: " + good, "X-Amz-Date: 2026-03-14T12:00:00Z"}},
		"a date with a fraction":       {sigv4.Incomplete, "GET /", []string{"Authorization: " + good, "X-Amz-Date: 20260314T120000.5Z"}},
		"an unsigned session token":    {sigv4.Incomplete, "GET /", []string{"Authorization: " + good, date, "X-Amz-Security-Token: t"}},
		"presigned":                    {sigv4.Unsupported, "GET /?X-Amz-Signature=00", []string{date}},
		"presigned, in disguise":       {sigv4.Unsupported, "GET /?a=b&%58-amz-%53ignature=00", []string{date}},
		"header and query at once":     {sigv4.Incomplete, "GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256", []string{"Authorization: " + good, date}},
		"session token in the query":   {sigv4.Incomplete, "GET /?X-Amz-Security-Token=t", []string{"Authorization: " + good, date}},
		"a semicolon in the query":     {sigv4.Unsupported, "GET /?a=1;b=2", []string{"Authorization: " + good, date}},
		"a broken escape in the query": {sigv4.Unsupported, "GET /?a=%4", []string{"Authorization: " + good, date}},
		"a wrong escape in the query":  {sigv4.Unsupported, "GET /?a=%zz", []string{"Authorization: " + good, date}},
		"an empty segment":             {sigv4.Unsupported, "GET //", []string{"Authorization: " + good, date}},
		"an empty segment inside":      {sigv4.Unsupported, "GET /v1//domain", []string{"Authorization: " + good, date}},
		"a relative segment":           {sigv4.Unsupported, "GET /v1/../domain", []string{"Authorization: " + good, date}},
		"the same segment":             {sigv4.Unsupported, "GET /v1/./domain", []string{"Authorization: " + good, date}},
		"a relative segment at last":   {sigv4.Unsupported, "GET /v1/..", []string{"Authorization: " + good, date}},
		"no path":                      {sigv4.Unsupported, "OPTIONS *", []string{"Authorization: " + good, date}},
		"chunks":                       {sigv4.Unsupported, "GET /", []string{"Authorization: " + good, date, "Content-Encoding: gzip, AWS-chunked"}},
		"another path":                 {sigv4.SignatureMismatch, "GET /v1", []string{"Authorization: " + good, date}},
		"another method":               {sigv4.SignatureMismatch, "HEAD /", []string{"Authorization: " + good, date}},
		"another query":                {sigv4.SignatureMismatch, "GET /?a", []string{"Authorization: " + good, date}},
		"another time":                 {sigv4.SignatureMismatch, "GET /", []string{"Authorization: " + good, "X-Amz-Date: 20260314T120001Z"}},
	} {
		t.Run("request/"+name, func(t *testing.T) {
			checkReason(t, c.reason, try(c.line, c.headers...))
		})
	}
}

func TestVerify_Skew(t *testing.T) {
	now := noon
	verifier := sigv4.New(sigv4.Config{Now: func() time.Time { return now }})
	v := vectors[0]
	for _, off := range []time.Duration{0, sigv4.MaxSkew, -sigv4.MaxSkew} {
		now = noon.Add(off)
		if _, err := verifier.Verify(v.request(t), sigv4.Protected, "ecr", []byte{}, knownSecret); err != nil {
			t.Errorf("off by %s: %v", off, err)
		}
	}
	for _, off := range []time.Duration{sigv4.MaxSkew + time.Second, -sigv4.MaxSkew - time.Second, 24 * time.Hour, -1000 * time.Hour} {
		now = noon.Add(off)
		refusedFor(t, sigv4.Skewed, verifier, v.request(t), []byte{})
	}
}

func TestVerify_Lookup(t *testing.T) {
	verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	v := vectors[0]
	unknown := errors.New("no such key")
	no := func(*sigv4.Credential) (string, error) { return vectorSecret, unknown }
	for range 2 { // before the key is cached and after
		wrong := v
		wrong.signature = strings.Repeat("0", 64)
		for _, v := range []vector{v, wrong} {
			if c, err := verifier.Verify(v.request(t), sigv4.Protected, "ecr", []byte{}, no); err != unknown || c != nil {
				t.Errorf("an unknown key: %+v, %v, want the lookup's error", c, err)
			}
		}
		if _, err := verifier.Verify(v.request(t), sigv4.Protected, "ecr", []byte{}, knownSecret); err != nil {
			t.Error(err)
		}
	}
	other := func(*sigv4.Credential) (string, error) { return "another secret", nil }
	_, err := verifier.Verify(v.request(t), sigv4.Protected, "ecr", []byte{}, other)
	checkReason(t, sigv4.SignatureMismatch, err)
	r := sign(t, post(t, "http://registry.example/", nil), "another secret", nil, noon)
	if _, err := verifier.Verify(r, sigv4.Protected, "ecr", []byte{}, other); err != nil {
		t.Errorf("after the secret changed: %v", err)
	}
	refusedFor(t, sigv4.SignatureMismatch, verifier, r, []byte{})
}

// A request with an unknown key costs as much as one with a wrong signature: the
// derivation of a key, and the signature. A clock would not show that reliably, so
// the test counts allocations.
func TestVerify_UnknownKeyCostsAsMuchAsWrongSignature(t *testing.T) {
	v := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	body := []byte("body")
	r := sign(t, post(t, "http://registry.example/", body), "another secret", body, noon)
	unknown := errors.New("unknown")
	cost := func(lookup sigv4.Lookup) float64 {
		return testing.AllocsPerRun(50, func() {
			if _, err := v.Verify(r, sigv4.Protected, "ecr", body, lookup); err == nil {
				t.Fatal("verified")
			}
		})
	}
	unknownKey := cost(func(*sigv4.Credential) (string, error) { return "", unknown })
	wrong := cost(knownSecret)
	// Verify allocates the error of a wrong signature; the error of the lookup exists already.
	if wrong-unknownKey > 3 || unknownKey > wrong {
		t.Errorf("an unknown key takes %v allocations, and a wrong signature %v", unknownKey, wrong)
	}
}

// A signing key is cached after a success only: requests of outsiders cost a
// derivation each time and evict nothing.
func TestVerify_CachesKeyAfterSuccessOnly(t *testing.T) {
	body := []byte("body")
	good := sign(t, post(t, "http://registry.example/", body), vectorSecret, body, noon)
	bad := sign(t, post(t, "http://registry.example/", body), "another secret", body, noon)
	after := func(first *http.Request) float64 {
		return testing.AllocsPerRun(20, func() {
			v := sigv4.New(sigv4.Config{Now: clockAt(noon)})
			_, _ = v.Verify(first, sigv4.Protected, "ecr", body, knownSecret)
			if _, err := v.Verify(good, sigv4.Protected, "ecr", body, knownSecret); err != nil {
				t.Fatal(err)
			}
		})
	}
	// After a success the second derives nothing; after a failure it does.
	if remembered, anew := after(good), after(bad); anew-remembered < 20 {
		t.Errorf("after a success %v allocations, after a failure %v: the failure was remembered", remembered, anew)
	}
}

func TestVerify_Body(t *testing.T) {
	verifier, body := sigv4.New(sigv4.Config{Now: clockAt(noon)}), []byte("the bytes of an asset")
	signed := func(hash string) *http.Request {
		r := post(t, "http://registry.example/v1/package/version/publish", body)
		if hash != "" {
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: vectorSecret},
			r, cmp.Or(hash, hexSHA256(body)), "ecr", "us-east-1", noon); err != nil {
			t.Fatal(err)
		}
		return readBack(t, r)
	}
	for _, hash := range []string{"", hexSHA256(body)} {
		if _, err := verifier.Verify(signed(hash), sigv4.Protected, "ecr", body, knownSecret); err != nil {
			t.Error(err)
		}
	}
	refusedFor(t, sigv4.SignatureMismatch, verifier, signed(""), []byte("other bytes"))
	refusedFor(t, sigv4.BodyMismatch, verifier, signed(hexSHA256(body)), []byte("other bytes"))
	for hash, reason := range map[string]sigv4.Reason{
		"UNSIGNED-PAYLOAD":                       sigv4.Unsupported,
		"STREAMING-UNSIGNED-PAYLOAD-TRAILER":     sigv4.Unsupported,
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD":     sigv4.Unsupported,
		"not a hash":                             sigv4.Incomplete,
		strings.ToUpper(hexSHA256(body)):         sigv4.Incomplete,
		hexSHA256(body)[:63]:                     sigv4.Incomplete,
		strings.Repeat("g", 64):                  sigv4.Incomplete,
		hexSHA256(body) + ", " + hexSHA256(body): sigv4.Incomplete,
	} {
		refusedFor(t, reason, verifier, signed(hash), body)
		refusedFor(t, reason, verifier, signed(hash), nil)
	}
	for _, coding := range []string{"aws-chunked", "gzip, aws-chunked", "AWS-Chunked"} {
		r := signed(hexSHA256(body))
		r.Header.Set("Content-Encoding", coding)
		refusedFor(t, sigv4.Unsupported, verifier, r, body)
	}
	r := signed(hexSHA256(body))
	r.Header.Add("X-Amz-Content-Sha256", hexSHA256(body))
	refusedFor(t, sigv4.Incomplete, verifier, r, body)
	refusedFor(t, sigv4.Incomplete, verifier, signed(""), nil) // nothing says what will come
}

func TestVerify_StreamedBody(t *testing.T) {
	verifier, body := sigv4.New(sigv4.Config{Now: clockAt(noon)}), bytes.Repeat([]byte("0123456789"), 100_000)
	verified := func(arriving []byte) io.ReadCloser {
		t.Helper()
		r := post(t, "http://registry.example/v1/package/version/publish", body)
		r.Header.Set("X-Amz-Content-Sha256", hexSHA256(body))
		r = sign(t, r, vectorSecret, body, noon)
		r.Body = io.NopCloser(bytes.NewReader(arriving))
		if _, err := verifier.Verify(r, sigv4.Protected, "ecr", nil, knownSecret); err != nil {
			t.Fatal(err)
		}
		return r.Body
	}
	if got, err := io.ReadAll(verified(body)); err != nil || !bytes.Equal(got, body) {
		t.Errorf("the signed body: %d bytes, %v", len(got), err)
	}
	for _, other := range [][]byte{nil, body[:len(body)-1], append(bytes.Clone(body), '!'), bytes.Repeat([]byte("1"), len(body))} {
		r := verified(other)
		for range 2 { // and it stays so
			_, err := io.ReadAll(r)
			checkReason(t, sigv4.BodyMismatch, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestVerify_Concurrent(t *testing.T) {
	verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for _, v := range vectors {
					if _, err := verifier.Verify(v.request(t), sigv4.Protected, "ecr", []byte(v.body), knownSecret); err != nil {
						t.Errorf("%s: %v", v.name, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestReason_String(t *testing.T) {
	seen := map[string]bool{}
	for r := sigv4.Missing; r <= sigv4.BodyMismatch; r++ {
		if seen[r.String()] || strings.HasPrefix(r.String(), "reason") {
			t.Errorf("reason %d is called %q", uint8(r), r)
		}
		seen[r.String()] = true
	}
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
