// Package sigv4 verifies requests that are signed with AWS Signature Version 4
// in the Authorization header (IAM User Guide, "AWS Signature Version 4 for API
// requests", and "Create a signed AWS API request").
//
// A [Verifier] rebuilds what the client signed from the request that arrived:
// method, path, query, the headers that the client names, and the SHA-256 of
// the body. It is strict in these points, which have been vulnerabilities of
// other servers:
//
//   - host and every X-Amz-* header that is sent must be signed, with the
//     exceptions that [Config] explains;
//   - the body is hashed here, whatever X-Amz-Content-Sha256 says, and the two
//     must agree. UNSIGNED-PAYLOAD, the STREAMING-* forms, aws-chunked bodies,
//     Signature Version 4A and presigned addresses are refused;
//   - a path with empty or relative segments is refused, since clients disagree
//     on what to sign for it;
//   - a query that decoders read in different ways is refused.
//
// A request is parsed first, then its scope and time are checked, then the body is
// hashed and the canonical request is built, and only then is the secret looked up
// through a [Lookup] and the signature compared.
//
// The package knows no service and no store, and must import nothing of the server.
package sigv4

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"time"
)

// MaxSkew is how far the time of the signature may be from the server's.
const MaxSkew = 15 * time.Minute

// A Credential is what a request says about its signer and its scope.
type Credential struct {
	AccessKeyID string
	// SessionToken is X-Amz-Security-Token, which the signature covers. It is
	// empty for long-term keys.
	SessionToken string
	// Region and Service are parts of the signature's scope.
	Region, Service string
	// Time is X-Amz-Date.
	Time time.Time
}

// A Lookup returns the secret access key of a credential. Its error refuses the
// request and is returned by [Verifier.Verify] as it is. The Lookup
// also decides whether the server has the region, and whether the session token
// belongs to the access key.
type Lookup func(*Credential) (secret string, err error)

// A Verifier verifies signatures. It is safe for use by many goroutines.
type Verifier struct {
	now            func() time.Time
	unsignedTarget UnsignedTarget
	keys           *keyCache
	unknownSecret  string // stands in for the secret of an unknown key
}

// Config is what a [Verifier] is made of.
//
// Some clients send X-Amz-Target and X-Amz-Content-Sha256 and do not sign them:
// OCaml's awsm and awso, awscurl up to 0.37, aws-requests-auth, curl up to 7.86.
// AWS accepts that. For the hash it is harmless: the hash of the body is part of
// what is signed, and a different value in the header is refused. The target names
// the operation, so UnsignedTarget decides when it may be unsigned. X-Amz-User-Agent need not
// be signed either, since the server does not read it.
type Config struct {
	// Now is the clock that the times of signatures are compared with.
	Now func() time.Time
	// UnsignedTarget says when X-Amz-Target need not be signed.
	UnsignedTarget UnsignedTarget
}

// New returns a verifier.
func New(c Config) *Verifier {
	return &Verifier{now: c.Now, unsignedTarget: c.UnsignedTarget, keys: newKeyCache(), unknownSecret: rand.Text()}
}

// Verify verifies that the request was signed for the service with the secret
// that lookup returns, and returns the credential. channel is how the request
// came.
//
// body is the whole body of the request. If it is nil, the body is read later:
// then X-Amz-Content-Sha256 is required, and r.Body is replaced by a reader that
// ends with a BodyMismatch error instead of [io.EOF] if the bytes are not the
// signed ones. The reader's user must keep nothing of the body before its end.
//
// Errors are *[Error] and the errors of lookup. An unknown key and a wrong
// signature take the same time.
func (v *Verifier) Verify(r *http.Request, channel Channel, service string, body []byte, lookup Lookup) (*Credential, error) {
	s, err := v.parse(r, channel)
	if err != nil {
		return nil, err
	}
	if err := v.checkScopeAndTime(s, service); err != nil {
		return nil, err
	}
	payload, err := payloadHash(r, body)
	if err != nil {
		return nil, err
	}
	request, err := canonicalRequest(r, s.headers, payload[:])
	if err != nil {
		return nil, err
	}
	secret, unknown := lookup(&s.Credential)
	if unknown != nil {
		v.matches(s, v.unknownSecret, request) // takes as long as for a known key
		return nil, unknown
	}
	if !v.matches(s, secret, request) {
		return nil, fail(SignatureMismatch, "The signature does not match the request. Check the secret access key, and that nothing on the way changes the request.")
	}
	if body == nil {
		r.Body = newVerifiedBody(r.Body, payload)
	}
	return &s.Credential, nil
}

// Precheck reports the errors that need no body: no signature, a signature for
// another service or time, or a credential that the lookup refuses. It does not
// verify the signature.
func (v *Verifier) Precheck(r *http.Request, channel Channel, service string, lookup Lookup) error {
	s, err := v.parse(r, channel)
	if err != nil {
		return err
	}
	if err := v.checkScopeAndTime(s, service); err != nil {
		return err
	}
	_, err = lookup(&s.Credential)
	return err
}

// parse reads the signature of a request and checks which headers it covers.
func (v *Verifier) parse(r *http.Request, channel Channel) (*signature, error) {
	s, err := parseRequest(r)
	if err != nil {
		return nil, err
	}
	return s, v.covers(s, r, channel)
}

// checkScopeAndTime reports an error unless the signature is for the service and
// its time is within MaxSkew.
func (v *Verifier) checkScopeAndTime(s *signature, service string) error {
	if s.Service != service {
		return fail(Scope, "The signature is for the service %q, and this operation belongs to %q.", s.Service, service)
	}
	now := v.now()
	if skew := now.Sub(s.Time); skew > MaxSkew || skew < -MaxSkew {
		return fail(Skewed, "The request was signed at %s, and the time here is %s: more than %d minutes apart. Set the clock of the machine that signs.",
			s.Time.Format(time.RFC3339), now.UTC().Format(time.RFC3339), int(MaxSkew.Minutes()))
	}
	return nil
}

// matches reports whether the secret gives the signature.
func (v *Verifier) matches(s *signature, secret string, request []byte) bool {
	scope := signingScope{s.AccessKeyID, s.date, s.Region, s.Service}
	key, cached := v.keys.get(scope, secret)
	if !cached {
		key = deriveKey(scope, secret)
	}
	want := sign(&key, s, request)
	if subtle.ConstantTimeCompare(want[:], s.signature[:]) != 1 {
		if cached {
			// Takes as long as for a key that is not cached or does not exist.
			deriveKey(scope, secret)
		}
		return false
	}
	if !cached {
		v.keys.put(scope, secret, key)
	}
	return true
}
