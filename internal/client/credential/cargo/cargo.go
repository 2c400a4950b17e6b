// Package cargo speaks the protocol of cargo's credential providers (The Cargo
// Book, "Credential Provider Protocol", version 1).
//
// Both sides write JSON, one message a line. The provider begins with the
// versions that it speaks; then cargo sends requests until it closes standard
// input.
package cargo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

const (
	version = 1
	// maxLine bounds a request, in bytes.
	maxLine = 1 << 20
)

// Tokens finds the token for a repository's address, and forgets it.
type Tokens interface {
	Packages(ctx context.Context, address string) (authtoken.Token, error)
	Forget(ctx context.Context, address string) error
}

type request struct {
	Version  int    `json:"v"`
	Kind     string `json:"kind"`
	Registry struct {
		IndexURL string `json:"index-url"`
	} `json:"registry"`
}

// success is the answer to a request. The fields after Kind belong to get.
type success struct {
	Kind  string `json:"kind"`
	Token string `json:"token,omitempty"`
	// Cache says how long cargo may keep the token: here until Expiration, in
	// seconds since 1970.
	Cache      string `json:"cache,omitempty"`
	Expiration int64  `json:"expiration,omitempty"`
	// OperationIndependent says that the token is valid for every operation.
	OperationIndependent bool `json:"operation_independent,omitempty"`
}

type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message,omitempty"`
}

type response struct {
	Ok  *success `json:"Ok,omitempty"`
	Err *failure `json:"Err,omitempty"`
}

// Run answers requests until in ends. A request that fails is answered with the
// failure; the error is of reading or writing.
func Run(ctx context.Context, in io.Reader, out io.Writer, tokens Tokens) error {
	w := json.NewEncoder(out)
	if err := w.Encode(map[string][]int{"v": {version}}); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := w.Encode(answer(ctx, lines.Bytes(), tokens)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answer(ctx context.Context, line []byte, tokens Tokens) response {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return other(fmt.Errorf("cargo's request is not JSON: %w", err))
	}
	if r.Version != version {
		return other(fmt.Errorf("cargo uses version %d of the protocol, and this provider version %d", r.Version, version))
	}
	address, sparse := strings.CutPrefix(r.Registry.IndexURL, "sparse+")
	if !sparse { // neither CodeArtifact nor Gatehouse has git indexes
		return response{Err: &failure{Kind: "url-not-supported"}}
	}
	switch r.Kind {
	case "get":
		return get(ctx, address, tokens)
	case "login":
		// If this succeeded, cargo would report that the given token is stored.
		return response{Err: &failure{Kind: "other", Message: "there is no token to log in with: this provider gets one from the AWS credentials whenever it is needed"}}
	case "logout":
		if err := tokens.Forget(ctx, address); err != nil {
			return other(err)
		}
		return response{Ok: &success{Kind: "logout"}}
	}
	return response{Err: &failure{Kind: "operation-not-supported"}}
}

func get(ctx context.Context, address string, tokens Tokens) response {
	t, err := tokens.Packages(ctx, address)
	if errors.Is(err, credential.ErrNotOurs) {
		return response{Err: &failure{Kind: "url-not-supported"}}
	}
	if err != nil {
		return other(err)
	}
	// cargo sends the token without a scheme.
	return response{Ok: &success{Kind: "get", Token: t.Value, Cache: "expires", Expiration: t.Expires.Unix(), OperationIndependent: true}}
}

func other(err error) response {
	return response{Err: &failure{Kind: "other", Message: err.Error()}}
}
