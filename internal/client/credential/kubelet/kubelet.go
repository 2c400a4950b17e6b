// Package kubelet speaks the protocol of the kubelet's credential provider
// plug-ins (Kubernetes, "Configure a kubelet image credential provider"; API
// group credentialprovider.kubelet.k8s.io).
//
// The kubelet writes a CredentialProviderRequest to standard input and reads a
// CredentialProviderResponse of the same version from standard output.
package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

const group = "credentialprovider.kubelet.k8s.io/"

// Tokens finds the token for a registry's host.
type Tokens interface {
	Registry(ctx context.Context, address string) (authtoken.Token, error)
}

type request struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Image      string `json:"image"`
}

type response struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// CacheKeyType and CacheDuration let the kubelet use the answer for all
	// images of the registry.
	CacheKeyType  string                `json:"cacheKeyType"`
	CacheDuration string                `json:"cacheDuration"`
	Auth          map[string]authConfig `json:"auth"`
}

type authConfig struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Run answers one request. now is the clock for the time that the kubelet may cache
// the answer.
func Run(ctx context.Context, in io.Reader, out io.Writer, tokens Tokens, now func() time.Time) error {
	text, err := credential.ReadInput(in)
	if err != nil {
		return err
	}
	var r request
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("the request is not JSON: %w", err)
	}
	if r.Kind != "CredentialProviderRequest" || !strings.HasPrefix(r.APIVersion, group) {
		return fmt.Errorf("the request is a %s of %s, not a CredentialProviderRequest of %sv1", r.Kind, r.APIVersion, group)
	}
	// All three versions have the same fields.
	if v := strings.TrimPrefix(r.APIVersion, group); v != "v1" && v != "v1beta1" && v != "v1alpha1" {
		return fmt.Errorf("the version %s is not known: use v1, v1beta1 or v1alpha1", v)
	}
	host := authtoken.Host(r.Image)
	answer := response{
		APIVersion: r.APIVersion, Kind: "CredentialProviderResponse",
		CacheKeyType: "Registry", CacheDuration: time.Duration(0).String(), Auth: map[string]authConfig{},
	}
	t, err := tokens.Registry(ctx, host)
	if err != nil && !errors.Is(err, credential.ErrNotOurs) {
		return err
	}
	if err == nil {
		answer.Auth[host] = authConfig{Username: t.Username, Password: t.Password}
		answer.CacheDuration = cacheDuration(t, now()).String()
	}
	return json.NewEncoder(out).Encode(answer)
}

// cacheDuration is half of the token's remaining time, so that a pull that begins at
// its end still has time.
func cacheDuration(t authtoken.Token, now time.Time) time.Duration {
	return max(0, t.Expires.Sub(now)/2).Truncate(time.Second)
}
