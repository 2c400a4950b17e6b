package keyring_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential/credentialtest"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/keyring"
)

func TestProtocol(t *testing.T) {
	const index = "https://gate.example/pypi/lib/simple/"
	for _, c := range []struct {
		request keyring.Request
		out     string
		fails   bool
	}{
		{keyring.Request{Operation: "get", Service: index, Username: "aws", Mode: "password", Output: "plain"}, "secret\n", false},
		{keyring.Request{Operation: "get", Service: index, Mode: "creds", Output: "json"}, `{"password":"secret","username":"aws"}` + "\n", false},
		{keyring.Request{Operation: "get", Service: index, Mode: "creds", Output: "plain"}, "aws\nsecret\n", false},
		{keyring.Request{Operation: "get", Service: index, Mode: "password", Output: "json"}, `{"password":"secret"}` + "\n", false},
		{keyring.Request{Operation: "get", Service: index, Username: "somebody", Mode: "password", Output: "plain"}, "", true},
		{keyring.Request{Operation: "get", Service: "https://other.example/", Username: "aws", Mode: "password", Output: "plain"}, "", true},
		{keyring.Request{Operation: "get", Service: "https://denied.example/", Username: "aws", Mode: "password", Output: "plain"}, "", true},
		{keyring.Request{Operation: "set", Service: index, Username: "aws"}, "", false},
		{keyring.Request{Operation: "del", Service: index, Username: "aws"}, "", false},
		{keyring.Request{Operation: "diagnose", Service: index}, "", true},
	} {
		var out strings.Builder
		in := strings.NewReader("password\n")
		err := keyring.Run(t.Context(), c.request, in, &out, new(credentialtest.Tokens))
		if out.String() != c.out || (err != nil) != c.fails {
			t.Errorf("%+v: %q, %v", c.request, out.String(), err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds the token: %v", err)
		}
	}
}
