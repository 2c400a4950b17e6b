package keyring_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential/credentialtest"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/keyring"
)

const index = "https://gate.example/pypi/lib/simple/"

func TestRun(t *testing.T) {
	for _, c := range []struct {
		request   keyring.Request
		arguments string
		out       string
		fails     bool
	}{
		{keyring.Request{Operation: "get", Service: index, Mode: "password", Output: "plain"}, "aws", "secret\n", false},
		{keyring.Request{Operation: "get", Service: index, Mode: "creds", Output: "json"}, "", `{"password":"secret","username":"aws"}` + "\n", false},
		{keyring.Request{Operation: "get", Service: index, Mode: "creds", Output: "plain"}, "", "aws\nsecret\n", false},
		{keyring.Request{Operation: "get", Service: index, Mode: "password", Output: "json"}, "", `{"password":"secret"}` + "\n", false},
		{keyring.Request{Operation: "get", Service: index, Mode: "password", Output: "plain"}, "somebody", "", true},
		{keyring.Request{Operation: "get", Service: "https://other.example/", Mode: "password", Output: "plain"}, "aws", "", true},
		{keyring.Request{Operation: "get", Service: "https://denied.example/", Mode: "password", Output: "plain"}, "aws", "", true},
		{keyring.Request{Operation: "set", Service: index}, "aws", "", false},
		{keyring.Request{Operation: "del", Service: index}, "aws", "", false},
		{keyring.Request{Operation: "diagnose", Service: index}, "", "", true},
	} {
		check(t, c.request, c.arguments, c.out, c.fails)
	}
}

// uv writes --mode creds after the service. A user name of an address is never
// taken for another flag.
func TestRun_FlagsAfterTheService(t *testing.T) {
	request := keyring.Request{Operation: "get", Service: index, Mode: "password", Output: "plain"}
	for _, c := range []struct {
		arguments, out string
		fails          bool
	}{
		{"--mode creds", "aws\nsecret\n", false},
		{"--mode=creds", "aws\nsecret\n", false},
		{"aws --mode creds", "aws\nsecret\n", false},
		{"--mode creds aws", "aws\nsecret\n", false},
		{"--mode creds --output json", `{"password":"secret","username":"aws"}` + "\n", false},
		{"--output=json", `{"password":"secret"}` + "\n", false},
		{"--mode everything", "", true},
		{"--mode", "", true},
		{"--hosts=gate.example", "", true},
		{"--endpoint-url=http://gate.example", "", true},
		{"aws aws", "", true},
	} {
		check(t, request, c.arguments, c.out, c.fails)
	}
}

func check(t *testing.T, request keyring.Request, arguments, want string, fails bool) {
	t.Helper()
	request.Arguments = strings.Fields(arguments)
	var out strings.Builder
	err := keyring.Run(t.Context(), request, strings.NewReader("password\n"), &out, new(credentialtest.Tokens))
	if out.String() != want || (err != nil) != fails {
		t.Errorf("%+v: %q, %v", request, out.String(), err)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the error holds the token: %v", err)
	}
}
