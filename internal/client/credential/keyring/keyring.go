// Package keyring is the part of the command `keyring` that pip and uv call when
// they are told to use it (--keyring-provider subprocess):
//
//	keyring get SERVICE USERNAME                                 uv, older versions of pip
//	keyring --mode=creds --output=json get SERVICE [USERNAME]    pip, uv
//	keyring set SERVICE USERNAME; keyring del SERVICE USERNAME
//
// SERVICE is the address of an index, or its host. Where the exit code is not 0
// the client goes on without credentials.
package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// Tokens finds the token for a repository's address, and forgets it.
type Tokens interface {
	Packages(ctx context.Context, address string) (authtoken.Token, error)
	Forget(ctx context.Context, address string) error
}

// A Request is what the command was called with. The field tags are those of the
// command line's parser. What follows the operation is never a flag: clients take
// it out of an address, which somebody else may have written.
type Request struct {
	Mode      string `enum:"password,creds" default:"password" help:"What get prints: password or creds (both user name and password)."`
	Output    string `enum:"plain,json" default:"plain" help:"How get prints: plain or json."`
	Operation string `arg:"" passthrough:"partial" help:"get, set or del."`
	Service   string `arg:"" help:"Address of a package index."`
	Username  string `arg:"" optional:"" help:"User name; a token goes with the name aws."`
}

// Run answers a request. set keeps nothing and succeeds, since every token comes
// from AWS credentials; del drops the kept token.
func Run(ctx context.Context, r Request, in io.Reader, out io.Writer, tokens Tokens) error {
	switch r.Operation {
	case "get":
		return get(ctx, r, out, tokens)
	case "set":
		_, err := io.Copy(io.Discard, in) // the password, which the client writes
		return err
	case "del":
		return tokens.Forget(ctx, r.Service)
	}
	return fmt.Errorf("unknown operation %q: want get, set or del", r.Operation)
}

func get(ctx context.Context, r Request, out io.Writer, tokens Tokens) error {
	t, err := tokens.Packages(ctx, r.Service)
	if err != nil {
		return err
	}
	if r.Username != "" && r.Username != t.Username {
		return fmt.Errorf("the token goes with the user name %q, and %q was asked for: write %s@ before the index's host", t.Username, r.Username, t.Username)
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
		return errors.New("unknown output: want plain or json")
	case creds:
		if _, err := fmt.Fprintln(out, t.Username); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, t.Password)
	return err
}
