// Package bazel speaks the protocol of Bazel's credential helpers (the
// repository EngFlow/credential-helper-spec).
//
// Bazel starts the helper with the argument get and an address as JSON on
// standard input, and adds the headers of the answer to its request. An answer
// without headers means that the address needs none.
package bazel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// Tokens finds the token for an address: a repository's or a registry's.
type Tokens interface {
	Token(ctx context.Context, address string) (authtoken.Token, error)
}

type request struct {
	URI string `json:"uri"`
}

type response struct {
	Headers map[string][]string `json:"headers"`
	// Expires is in the form of RFC 3339; Bazel asks again afterwards.
	Expires string `json:"expires,omitempty"`
}

// Run answers one request.
func Run(ctx context.Context, operation string, in io.Reader, out io.Writer, tokens Tokens) error {
	if operation != "get" {
		return fmt.Errorf("unknown operation %q: use get", operation)
	}
	text, err := credential.ReadInput(in)
	if err != nil {
		return err
	}
	var r request
	if err := json.Unmarshal(text, &r); err != nil || r.URI == "" {
		return errors.New(`the request is not of the form {"uri": "https://..."}`)
	}
	t, err := tokens.Token(ctx, r.URI)
	if errors.Is(err, credential.ErrNotOurs) {
		return json.NewEncoder(out).Encode(response{Headers: map[string][]string{}})
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(response{
		// All formats of CodeArtifact and ECR accept the Basic scheme.
		Headers: map[string][]string{"Authorization": {t.BasicAuthorization()}},
		Expires: t.Expires.UTC().Format(time.RFC3339),
	})
}
