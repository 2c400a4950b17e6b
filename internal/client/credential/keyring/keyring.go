// Package keyring is the part of the command `keyring` that pip and uv call if they
// are told to use it (--keyring-provider subprocess):
//
//	keyring get SERVICE USERNAME                                 uv, older versions of pip
//	keyring get SERVICE --mode creds                             uv, without a user name
//	keyring --mode=creds --output=json get SERVICE [USERNAME]    pip
//	keyring set SERVICE USERNAME; keyring del SERVICE USERNAME
//
// SERVICE is the address of an index, or its host. If the exit code is not 0, the
// client goes on without credentials.
package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// Tokens finds the token for a repository's address, and forgets it.
type Tokens interface {
	Packages(ctx context.Context, address string) (authtoken.Token, error)
	Forget(ctx context.Context, address string) error
}

// A Request is what the command was called with. The field tags are for the
// parser of the command line, for which no argument after the operation is a flag.
type Request struct {
	Mode      string `enum:"password,creds" default:"password" help:"What get prints: password or creds (both user name and password)."`
	Output    string `enum:"plain,json" default:"plain" help:"How get prints: plain or json."`
	Operation string `arg:"" passthrough:"partial" help:"get, set or del."`
	Service   string `arg:"" help:"Address of a package index."`
	// Arguments are the user name, and --mode and --output if they follow the
	// service.
	Arguments []string `arg:"" optional:"" name:"username" help:"User name; a token goes with the name aws."`
}

// Run answers a request. set stores nothing and succeeds, since every token comes
// from AWS credentials; del drops the cached token.
func Run(ctx context.Context, r Request, in io.Reader, out io.Writer, tokens Tokens) error {
	username, err := r.parseArguments()
	if err != nil {
		return err
	}
	switch r.Operation {
	case "get":
		return get(ctx, r, username, out, tokens)
	case "set":
		_, err := io.Copy(io.Discard, in) // the password, which the client writes
		return err
	case "del":
		return tokens.Forget(ctx, r.Service)
	}
	return fmt.Errorf("unknown operation %q: use get, set or del", r.Operation)
}

// parseArguments reads what follows the service: --mode and --output with one of
// their values, and the user name. A client takes the user name out of an address
// that somebody else may have written, so no other flag counts there: it could
// choose where a token is sent.
func (r *Request) parseArguments() (username string, err error) {
	for rest := r.Arguments; len(rest) > 0; {
		name, value, inline := strings.Cut(rest[0], "=")
		if !inline && len(rest) > 1 {
			value = rest[1]
		}
		switch {
		case name == "--mode" && slices.Contains([]string{"password", "creds"}, value):
			r.Mode = value
		case name == "--output" && slices.Contains([]string{"plain", "json"}, value):
			r.Output = value
		case username != "":
			return "", fmt.Errorf("unexpected argument %q after the user name", rest[0])
		default:
			username, rest = rest[0], rest[1:]
			continue
		}
		if rest = rest[1:]; !inline {
			rest = rest[1:]
		}
	}
	return username, nil
}

func get(ctx context.Context, r Request, username string, out io.Writer, tokens Tokens) error {
	t, err := tokens.Packages(ctx, r.Service)
	if err != nil {
		return err
	}
	if username != "" && username != t.Username {
		return fmt.Errorf("the token's user name is %q, but %q was asked for: write %s@ before the index's host", t.Username, username, t.Username)
	}
	return r.print(out, t)
}

func (r Request) print(out io.Writer, t authtoken.Token) error {
	creds := r.Mode == "creds"
	switch {
	case r.Output == "json" && creds:
		return json.NewEncoder(out).Encode(map[string]string{"username": t.Username, "password": t.Password})
	case r.Output == "json":
		return json.NewEncoder(out).Encode(map[string]string{"password": t.Password})
	case r.Output != "plain":
		return errors.New("unknown output: use plain or json")
	case creds:
		if _, err := fmt.Fprintln(out, t.Username); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, t.Password)
	return err
}
