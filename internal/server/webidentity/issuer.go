package webidentity

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// maxIssuer is the length of an issuer's URL (IAM API Reference,
// CreateOpenIDConnectProvider, Url).
const maxIssuer = 255

// issuerPattern keeps an issuer's name fit for ARNs and condition keys.
var issuerPattern = lazyregexp.New(`^https?://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%!$&'()+,;=@-]*)*$`)

// CheckIssuer reports whether the server can be told to trust an issuer: an
// https URL, in lower case up to its path, with a path or none (IAM API
// Reference, CreateOpenIDConnectProvider, Url); http on loopback if the
// server allows it. Unlike AWS it may have a port, as issuers inside an
// organization do. Nothing is fetched. Fault: InvalidInput.
func (v *Verifier) CheckIssuer(issuer string) error {
	if len(issuer) > maxIssuer || !issuerPattern.MatchString(issuer) {
		return badIssuer("Invalid Open ID Connect Provider URL %s: want https://, a host in lower case, and perhaps a path, of at most %d characters together", shorten(issuer), maxIssuer)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return badIssuer("Invalid Open ID Connect Provider URL %s", issuer)
	}
	// The name begins condition keys; one without a dot could pass for a service's.
	if host := u.Hostname(); !strings.Contains(host, ".") && host != "localhost" {
		return badIssuer("Invalid Open ID Connect Provider URL %s: its host is not a full name", issuer)
	} else if a, err := netip.ParseAddr(host); err == nil && !a.IsLoopback() {
		return badIssuer("Invalid Open ID Connect Provider URL %s: its host is an address, and must be a name", issuer)
	}
	if _, err := v.upstream.For(issuer); err != nil {
		return badIssuer("Invalid Open ID Connect Provider URL: %v. Issuers on this machine, with http too, need the setting oidc.allow_loopback_http.", err)
	}
	return nil
}

func badIssuer(format string, args ...any) error {
	return fault.New(fault.Invalid, "InvalidInput", format, args...)
}

// Name is an issuer without its scheme: what the ARN of a provider and its
// condition keys have of it.
func Name(issuer string) string {
	_, name, _ := strings.Cut(issuer, "://")
	return name
}
