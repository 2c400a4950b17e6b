package docker_test

import (
	"strings"
	"testing"

	"github.com/docker/docker-credential-helpers/credentials"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential/credentialtest"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/docker"
)

// What the clients' own library sends, and what it understands of the answers.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		operation, in, out string
		fails              bool
	}{
		{"get", "gate.example\n", `{"ServerURL":"gate.example","Username":"aws","Secret":"secret"}`, false},
		{"get", "https://gate.example/v1/", `{"ServerURL":"https://gate.example/v1/","Username":"aws","Secret":"secret"}`, false},
		{"get", "other.example", credentials.NewErrCredentialsNotFound().Error(), true},
		{"get", "denied.example", "not permitted", true},
		{"get", "", credentials.NewErrCredentialsMissingServerURL().Error(), true},
		{"store", `{"ServerURL":"gate.example","Username":"u","Secret":"s"}`, "", false},
		{"erase", "gate.example", "", false},
		{"erase", "denied.example", "", false},
		{"list", "", "{}", false},
		{"version", "", `unknown operation "version": use get, store, erase or list`, true},
		{"get", strings.Repeat("a", 2<<20), "the request is larger than 1 MiB", true},
	} {
		var out strings.Builder
		tokens := new(credentialtest.Tokens)
		err := docker.Run(t.Context(), c.operation, strings.NewReader(c.in), &out, tokens)
		if strings.TrimSpace(out.String()) != c.out || (err != nil) != c.fails {
			t.Errorf("%s %.40q: %q, %v", c.operation, c.in, out.String(), err)
		}
		if want := c.operation == "erase"; want != (len(tokens.Forgotten) == 1) {
			t.Errorf("%s forgot %q", c.operation, tokens.Forgotten)
		}
	}
}
