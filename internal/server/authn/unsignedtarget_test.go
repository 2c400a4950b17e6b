package authn_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// Whether X-Amz-Target may come unsigned depends on who could have changed it on
// the way, and on the setting.
func TestSigned_UnsignedTarget(t *testing.T) {
	f := newFixture(t)
	from := func(address string, state *tls.ConnectionState) func(*http.Request) {
		return func(r *http.Request) {
			r.RemoteAddr, r.TLS = address, state
			r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
		}
	}
	passedOn := func(state *tls.ConnectionState, name, value string) func(*http.Request) {
		return func(r *http.Request) {
			from("127.0.0.1:5", state)(r)
			r.Header.Set(name, value)
		}
	}
	const ok, refused = "", "IncompleteSignature"
	for _, c := range []struct {
		description              string
		change                   func(*http.Request)
		protected, never, always string
	}{
		{"loopback", from("127.0.0.1:5", nil), ok, refused, ok},
		{"loopback, another address", from("127.9.9.9:5", nil), ok, refused, ok},
		{"loopback, IPv6", from("[::1]:5", nil), ok, refused, ok},
		{"loopback, IPv4 in IPv6", from("[::ffff:127.0.0.1]:5", nil), ok, refused, ok},
		{"TLS from elsewhere", from("192.0.2.1:5", new(tls.ConnectionState)), ok, refused, ok},
		{"HTTP from elsewhere", from("192.0.2.1:5", nil), refused, refused, ok},
		{"HTTP from a private network", from("10.0.0.1:5", nil), refused, refused, ok},
		{"HTTP from the link", from("[fe80::1%eth0]:5", nil), refused, refused, ok},
		{"HTTP from an unknown address", from("@", nil), refused, refused, ok},
		{"HTTP from 127.1, which is no address", from("127.1:5", nil), refused, refused, ok},
		{"HTTP from a compatible address", from("[::127.0.0.1]:5", nil), refused, refused, ok},
		{"HTTP from the unspecified address", from("0.0.0.0:5", nil), refused, refused, ok},
		{"HTTP through a proxy of this machine", passedOn(nil, "X-Forwarded-For", "192.0.2.1"), refused, refused, ok},
		{"HTTP through a proxy, said to be local", passedOn(nil, "X-Forwarded-For", "127.0.0.1"), refused, refused, ok},
		{"HTTP through a proxy, said to be https", passedOn(nil, "X-Forwarded-Proto", "https"), refused, refused, ok},
		{"HTTP through a proxy that sends Forwarded", passedOn(nil, "Forwarded", "for=127.0.0.1;proto=https"), refused, refused, ok},
		{"HTTP through a proxy that sends Via", passedOn(nil, "Via", "1.1 proxy"), refused, refused, ok},
		{"HTTP through a proxy that sends X-Real-IP", passedOn(nil, "X-Real-IP", "127.0.0.1"), refused, refused, ok},
		{"HTTP through a proxy that sends an empty header", passedOn(nil, "X-Forwarded-Host", ""), refused, refused, ok},
		{"TLS through a proxy", passedOn(new(tls.ConnectionState), "X-Forwarded-For", "192.0.2.1"), ok, refused, ok},
	} {
		for setting, want := range map[sigv4.UnsignedTarget]string{
			sigv4.UnsignedTargetIfProtected: c.protected,
			sigv4.UnsignedTargetNever:       c.never,
			sigv4.UnsignedTargetAlways:      c.always,
		} {
			a := authn.New(authn.Config{Directory: f.IAM, Keyring: f.Keyring, Serves: func(string) bool { return true }, Now: f.Now, UnsignedTarget: setting})
			r := f.request(f.alice, "ecr", iamtest.Region, c.change)
			if _, err := a.Signed(r, "ecr", []byte("{}")); code(err) != want {
				t.Errorf("%s, setting %d: Signed: %v, want %q", c.description, setting, err, want)
			}
			if err := a.PrecheckSigned(r, "ecr"); code(err) != want {
				t.Errorf("%s, setting %d: PrecheckSigned: %v, want %q", c.description, setting, err, want)
			}
		}
	}
}
