package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
)

// errEncoding is the cause of a failure because of an answer that cannot be decoded.
var errEncoding = errors.New("the answer has an encoding that was not asked for")

// shown returns a URL without user, query and fragment, which may be secret.
func shown(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "an address that is not a URL"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

// setting returns the name of a setting of the upstream.
func (u *Upstream) setting(name string) string { return u.settings + "." + name }

// bodyFailure describes an error of reading a body.
func (u *Upstream) bodyFailure(address string, err error) *Error {
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return u.failure(address, fmt.Errorf("%w: it is not gzip: %w", errEncoding, err))
	case KindOf(err) != "" || errors.Is(err, ErrTooLarge) || errors.Is(err, idletimeout.ErrTimeout) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errHeaderTimeout):
		return u.failure(address, err)
	}
	return u.error(Interrupted, address, err, "the answer for %s was cut off. Try again; if it happens again, something between this server and the upstream ends connections early", shown(address))
}

// failure makes an [*Error] of an error.
func (u *Upstream) failure(address string, err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var status *statusError
	if errors.As(err, &status) {
		return u.answered(address, status)
	}
	kind, text := u.describe(address, err)
	return u.error(kind, address, err, "%s", text)
}

func (u *Upstream) error(kind Kind, address string, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Upstream: u.name, URL: shown(address), Message: fmt.Sprintf(format, args...), Err: err}
}

// answered describes an answer by its status.
func (u *Upstream) answered(address string, s *statusError) *Error {
	text := fmt.Sprintf("it answered %d %s for %s", s.status, http.StatusText(s.status), shown(address))
	if s.throttled != "" {
		who := "it"
		if s.throttled != hostPort(u.base) {
			who = "the host " + strings.TrimSuffix(s.throttled, ":443") + ", to which it led,"
		}
		seconds := s.retryAfter.Round(time.Second)
		e := u.error(Throttled, address, s, "%s asked for fewer requests. They go on in %v; what is stored here is served meanwhile", who, max(time.Second, seconds))
		e.Status, e.RetryAfter, e.Body = s.status, s.retryAfter, s.body
		return e
	}
	switch {
	case s.status == http.StatusUnauthorized || s.status == http.StatusForbidden:
		text += ". Check the credential: " + u.setting("credential")
	case s.status == http.StatusProxyAuthRequired:
		text += ". Write the proxy's user and password into its URL: " + u.setting("proxy") + ", or HTTPS_PROXY"
	case s.status >= 500:
		text += ". The upstream has a problem of its own; try again later"
	}
	e := u.error(Answered, address, s, "%s", text)
	e.Status, e.Challenges, e.Body = s.status, s.challenges, s.body
	return e
}

// describe says what an error means and what to do next.
func (u *Upstream) describe(address string, err error) (Kind, string) {
	host := "it"
	if to, e := url.Parse(address); e == nil && to.Host != "" {
		host = to.Host
	}
	var (
		dns       *net.DNSError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		mediaType *mediaTypeError
		secret    *credentialError
		reserved  *reservedError
		timeout   net.Error
	)
	switch {
	case errors.As(err, &reserved):
		return Refused, fmt.Sprintf("%v and not one of a private network (%s). No setting allows such addresses (loopback, link-local, reserved, metadata of clouds): check the DNS servers, or set %s", reserved, shown(address), u.setting("proxy"))
	case errors.Is(err, ErrForbidden):
		return Refused, fmt.Sprintf("%v (%s). If it is the upstream's own and in your network, set %s, and %s for further hosts", reasonOf(err), shown(address), u.setting("allow_private: true"), u.setting("file_hosts"))
	case errors.Is(err, ErrTooLarge):
		return TooLarge, fmt.Sprintf("%v (%s). Nothing of it is kept", reasonOf(err), shown(address))
	case errors.Is(err, errRedirects):
		return Redirected, fmt.Sprintf("%s leads to more than %d redirects. Check %s", shown(address), maxHops, u.setting("url"))
	case errors.Is(err, errBusy):
		return Busy, fmt.Sprintf("this server has as many requests at %s as it may. Try again, or raise %s", host, u.setting("limits"))
	case errors.As(err, &secret):
		return NoCredential, fmt.Sprintf("%v. Check %s", secret.err, u.setting("credential"))
	case errors.As(err, &mediaType):
		return Malformed, fmt.Sprintf("%s is %s, not what this kind of registry answers. Check %s: the address of a web page, or a proxy with a login page, answers like this", shown(address), mediaType.got, u.setting("url"))
	case errors.Is(err, errEncoding):
		return Malformed, fmt.Sprintf("%v (%s)", err, shown(address))
	case errors.Is(err, idletimeout.ErrTimeout):
		return TimedOut, fmt.Sprintf("%s sent nothing, or too little, for %v. Try again, or raise %s", host, u.limits.Idle, u.setting("limits.idle"))
	case errors.Is(err, errHeaderTimeout):
		return TimedOut, fmt.Sprintf("%s did not answer within %v. Try again; if it stays so, check the network and the proxy", host, u.limits.Header)
	case errors.Is(err, context.Canceled):
		return Canceled, "the request was given up, since nobody waits for it any more"
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut, fmt.Sprintf("%s did not answer in the time that there was", host)
	case errors.As(err, &dns):
		return Unresolved, fmt.Sprintf("the name %s cannot be resolved. Check %s and the DNS servers of this machine; behind a proxy, set HTTPS_PROXY or %s", dns.Name, u.setting("url"), u.setting("proxy"))
	case errors.As(err, &verify):
		return Untrusted, fmt.Sprintf("the certificate of %s is not accepted: %s. If an authority of your own signed it, set %s", host, certificateReason(verify.Err), u.setting("ca"))
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return Unreachable, fmt.Sprintf("%s does not speak TLS. Check the scheme and port in %s", host, u.setting("url"))
	case errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut, fmt.Sprintf("no connection to %s in time. Check the network and the proxy", host)
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "server response headers exceeded"), strings.Contains(err.Error(), "response header list larger"):
		return Malformed, fmt.Sprintf("%s does not answer as an HTTP server. Check %s", host, u.setting("url"))
	case strings.Contains(err.Error(), "Location header"):
		return Redirected, fmt.Sprintf("%s redirects to an address that is not a URL. Check %s", shown(address), u.setting("url"))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Unreachable, fmt.Sprintf("%s closed the connection without an answer. Try again later", host)
	}
	return Unreachable, fmt.Sprintf("no connection to %s: %s. Check the network and the proxy", host, networkReason(err))
}

// reasonOf is the text of the innermost error of this package, without what net/http
// wraps around it.
func reasonOf(err error) error {
	for {
		var wrapped *url.Error
		var op *net.OpError
		switch {
		case errors.As(err, &wrapped):
			err = wrapped.Err
		case errors.As(err, &op):
			err = op.Err
		default:
			return err
		}
	}
}

// networkReason is what the system says about a connection, without addresses that the
// message has already.
func networkReason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return reasonOf(err).Error()
}

// certificateReason is the reason in words that fit a message.
func certificateReason(err error) string {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired or is not valid yet; check the clock of this machine too"
	case errors.As(err, &name):
		return "it is for another host"
	case errors.As(err, &authority):
		return "its authority is not known"
	}
	return err.Error()
}

// isTemporary reports whether a name server may answer otherwise soon.
func isTemporary(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && !dns.IsNotFound
}
