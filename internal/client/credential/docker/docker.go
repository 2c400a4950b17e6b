// Package docker speaks the protocol of docker's credential helpers, which
// docker, podman, skopeo, buildah, crane, helm, oras and containerd's tools
// share (docker/docker-credential-helpers, README, "Development").
//
// The client starts the helper with an operation as its argument and the request on
// standard input. It reads the answer from standard output. If the exit code is not
// 0, the text on standard output is the error message.
package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// notFound is the message for which clients go on without credentials.
const notFound = "credentials not found in native keychain"

// Tokens finds the token for a registry's host, and forgets it.
type Tokens interface {
	Registry(ctx context.Context, address string) (authtoken.Token, error)
	Forget(ctx context.Context, address string) error
}

type credentials struct {
	ServerURL string
	Username  string
	Secret    string
}

// Run answers one request. If it returns an error, it has written it to the client.
//
// Every token comes from AWS credentials, so there is nothing to store: store
// succeeds without effect, so that `docker login` works. erase drops the cached
// token. list names no hosts, since the helper also answers for hosts that it has
// never seen.
func Run(ctx context.Context, operation string, in io.Reader, out io.Writer, tokens Tokens) error {
	err := run(ctx, operation, in, out, tokens)
	switch {
	case errors.Is(err, credential.ErrNotOurs):
		fmt.Fprintln(out, notFound)
	case err != nil:
		fmt.Fprintln(out, err)
	}
	return err
}

func run(ctx context.Context, operation string, in io.Reader, out io.Writer, tokens Tokens) error {
	switch operation {
	case "get":
		address, err := credential.ReadInput(in)
		if err != nil {
			return err
		}
		return get(ctx, strings.TrimSpace(string(address)), out, tokens)
	case "store":
		_, err := credential.ReadInput(in)
		return err
	case "erase":
		address, err := credential.ReadInput(in)
		if err != nil {
			return err
		}
		_ = tokens.Forget(ctx, strings.TrimSpace(string(address))) // nothing to erase is not a failure
		return nil
	case "list":
		_, err := io.WriteString(out, "{}\n")
		return err
	}
	return fmt.Errorf("unknown operation %q: use get, store, erase or list", operation)
}

func get(ctx context.Context, address string, out io.Writer, tokens Tokens) error {
	if address == "" {
		return errors.New("no credentials server URL") // the protocol's own message
	}
	t, err := tokens.Registry(ctx, address)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(credentials{ServerURL: address, Username: t.Username, Secret: t.Password})
}
