package sigv4

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Channel says who could have changed a request on its way to the server.
type Channel uint8

// The channels. The zero value is the one that is trusted least.
const (
	// Open is plain HTTP from another machine: anybody on the path can change
	// what the signature does not cover.
	Open Channel = iota
	// Protected is TLS, or a connection from this machine without a proxy.
	Protected
)

// UnsignedTarget says when a request may have an X-Amz-Target that its signature
// does not cover. The zero value is UnsignedTargetIfProtected.
type UnsignedTarget uint8

// The choices.
const (
	// UnsignedTargetIfProtected accepts it on a [Protected] channel.
	UnsignedTargetIfProtected UnsignedTarget = iota
	// UnsignedTargetNever refuses it. The clients listed at [Config] cannot make
	// a call then.
	UnsignedTargetNever
	// UnsignedTargetAlways accepts it on every channel. On plain HTTP somebody on
	// the path can then replace the operation of a request with another one that
	// takes the same body.
	UnsignedTargetAlways
)

// unsignedTargets are the texts of the choices in a configuration.
var unsignedTargets = map[string]UnsignedTarget{
	"protected": UnsignedTargetIfProtected,
	"never":     UnsignedTargetNever,
	"always":    UnsignedTargetAlways,
}

// ParseUnsignedTarget returns the choice that a text stands for: "protected",
// "never" or "always".
func ParseUnsignedTarget(text string) (UnsignedTarget, error) {
	u, ok := unsignedTargets[text]
	if !ok {
		return UnsignedTargetNever, fmt.Errorf("%q is not one of protected, never, always", text)
	}
	return u, nil
}

// covers reports an error if the signature does not cover a header that it has
// to cover. If there are several, the error names the first in the alphabet, so
// that the same request always gets the same answer.
func (v *Verifier) covers(s *signature, r *http.Request, channel Channel) error {
	if !slices.Contains(s.headers, "host") {
		return fail(Incomplete, "The header host must be signed.")
	}
	missing := ""
	for name := range r.Header {
		if !strings.HasPrefix(name, "X-Amz-") || missing != "" && name > missing || s.signs(name) || v.mayBeUnsigned(name, channel) {
			continue
		}
		missing = name
	}
	switch missing {
	case "":
		return unsignedOnce(s, r)
	case "X-Amz-Target":
		if v.unsignedTarget == UnsignedTargetIfProtected {
			return fail(Incomplete, "The header x-amz-target must be signed: this request came over plain HTTP from another machine or through a proxy, and without a signature anybody on the way could replace the operation. Connect with https, or sign x-amz-target. A proxy that terminates TLS must be listed in trusted_proxies.")
		}
		return fail(Incomplete, "The header x-amz-target must be signed: this server accepts no request with an unsigned target.")
	}
	return fail(Incomplete, "The header %s must be signed.", strings.ToLower(missing))
}

// mayBeUnsigned reports whether a header X-Amz-* need not be in SignedHeaders.
func (v *Verifier) mayBeUnsigned(name string, channel Channel) bool {
	switch name {
	case "X-Amz-Content-Sha256":
		// Its value is in the canonical request in any case: payloadHash refuses
		// one that is not the hash of the body.
		return true
	case "X-Amz-User-Agent":
		// The SDK for .NET leaves it out, as every SDK leaves out User-Agent.
		// Nothing here reads it.
		return true
	case "X-Amz-Target":
		return v.unsignedTarget == UnsignedTargetAlways || v.unsignedTarget == UnsignedTargetIfProtected && channel == Protected
	}
	return false
}

// unsignedOnce reports an error if a header that is accepted without being
// signed is repeated or empty. A signed one needs no such rule: all its values
// are signed.
func unsignedOnce(s *signature, r *http.Request) error {
	for _, name := range [...]string{"X-Amz-Content-Sha256", "X-Amz-Target"} {
		values, sent := r.Header[name]
		if !sent || s.signs(name) {
			continue
		}
		if len(values) != 1 {
			return fail(Incomplete, "The request has more than one %s header, and they are not signed.", name)
		}
		if values[0] == "" {
			return fail(Incomplete, "The header %s is empty, and it is not signed.", name)
		}
	}
	return nil
}
