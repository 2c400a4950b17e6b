package e2e

import (
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

type issuerKey struct{}

// issuer start starts an OpenID Connect issuer on loopback: $ISSUER is its URL and
// $ISSUER_NAME its URL without the scheme. issuer token FILE SUBJECT AUDIENCE
// [CLAIM=VALUE...] writes a token that is valid for five minutes. issuer rotate
// switches to a new signing key. issuer job SUBJECT sets the variables by which a client
// finds GitHub's CI system: it then asks the issuer for a token of this subject.
func issuer(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: issuer start | rotate | job SUBJECT | token FILE SUBJECT AUDIENCE [CLAIM=VALUE...]")
	case args[0] == "start":
		i := issuertest.Start()
		ts.Defer(i.Close)
		*ts.Value(issuerKey{}).(**issuertest.Issuer) = i
		ts.Setenv("ISSUER", i.URL)
		ts.Setenv("ISSUER_NAME", strings.TrimPrefix(i.URL, "http://"))
	case args[0] == "rotate":
		running(ts).Rotate(jose.ES256)
	case args[0] == "job" && len(args) == 2:
		address, secret := running(ts).Job(args[1])
		ts.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", address)
		ts.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", secret)
	case args[0] == "token" && len(args) >= 4:
		changes := map[string]any{}
		for _, change := range args[4:] {
			claim, value, _ := strings.Cut(change, "=")
			changes[claim] = value
		}
		i := running(ts)
		token := i.Token(i.Claims(time.Now(), args[2], args[3], changes))
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(token), 0o600))
	default:
		ts.Fatalf("unknown: issuer %s", strings.Join(args, " "))
	}
}

func running(ts *testscript.TestScript) *issuertest.Issuer {
	i := *ts.Value(issuerKey{}).(**issuertest.Issuer)
	if i == nil {
		ts.Fatalf("no issuer is running")
	}
	return i
}
