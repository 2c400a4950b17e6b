// Package get speaks the protocol of git's credential helpers (git-credential,
// "Input/Output Format"; gitcredentials, "Custom Helpers"). It is the easiest
// protocol for scripts: lines of key=value in, lines of key=value out.
//
//	$ echo url=https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/maven/lib/ | gatehouse credential get
//	username=aws
//	password=…
//	password_expiry_utc=1798761600
package get

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// Tokens finds the token for an address, a repository's or a registry's, and
// forgets it.
type Tokens interface {
	Token(ctx context.Context, address string) (authtoken.Token, error)
	Forget(ctx context.Context, address string) error
}

// Run answers one request. If there is no token for the address, the answer is empty
// and git asks its next helper. erase drops the cached token; git calls it if the
// credentials were refused. Every other operation is ignored, as git requires.
func Run(ctx context.Context, operation string, in io.Reader, out io.Writer, tokens Tokens) error {
	text, err := credential.ReadInput(in)
	if err != nil {
		return err
	}
	if operation != "get" && operation != "erase" {
		return nil
	}
	address, err := parse(string(text))
	if err != nil {
		return err
	}
	if operation == "erase" {
		_ = tokens.Forget(ctx, address) // nothing to erase is not a failure
		return nil
	}
	t, err := tokens.Token(ctx, address)
	if errors.Is(err, credential.ErrNotOurs) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "username=%s\npassword=%s\npassword_expiry_utc=%d\n", t.Username, t.Password, t.Expires.Unix())
	return err
}

// parse reads the address: url, or protocol, host and path.
func parse(text string) (string, error) {
	var u url.URL
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return "", errors.New("a line of the request is not of the form key=value")
		}
		switch name {
		case "url":
			given, err := url.Parse(value)
			if err != nil || given.Host == "" {
				return "", errors.New("url is not an address with a scheme and a host")
			}
			u = url.URL{Scheme: given.Scheme, Host: given.Host, Path: given.Path}
		case "protocol":
			u.Scheme = value
		case "host":
			u.Host = value
		case "path":
			u.Path = "/" + strings.TrimPrefix(value, "/")
		}
	}
	if u.Host == "" || u.Scheme == "" {
		return "", errors.New("the request has no address: write url=, or protocol= and host=")
	}
	return u.String(), nil
}
