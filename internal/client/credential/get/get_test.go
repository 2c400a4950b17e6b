package get_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential/credentialtest"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/get"
)

func TestRun(t *testing.T) {
	const found = "username=aws\npassword=secret\npassword_expiry_utc=1798135200\n"
	for _, c := range []struct {
		operation, in, out string
		fails              bool
	}{
		{"get", "url=https://gate.example/maven/lib/\n", found, false},
		{"get", "protocol=https\nhost=gate.example\npath=maven/lib\nusername=aws\nwwwauth[]=Basic realm=\"x\"\n\nhost=denied.example\n", found, false},
		{"get", "protocol=https\r\nhost=gate.example", found, false},
		{"get", "url=https://other.example/\n", "", false},
		{"get", "url=https://denied.example/\n", "", true},
		{"get", "host=gate.example\n", "", true},
		{"get", "url=gate.example\n", "", true},
		{"get", "gate.example\n", "", true},
		{"get", "", "", true},
		{"store", "url=https://gate.example/\npassword=x\n", "", false},
		{"capability", "", "", false},
	} {
		var out strings.Builder
		err := get.Run(t.Context(), c.operation, strings.NewReader(c.in), &out, new(credentialtest.Tokens))
		if out.String() != c.out || (err != nil) != c.fails {
			t.Errorf("%s %q: %q, %v", c.operation, c.in, out.String(), err)
		}
	}
}

func TestRun_Erase(t *testing.T) {
	tokens := new(credentialtest.Tokens)
	if err := get.Run(t.Context(), "erase", strings.NewReader("protocol=https\nhost=denied.example\npath=a/b\n"), nil, tokens); err != nil {
		t.Error(err)
	}
	if !slices.Equal(tokens.Forgotten, []string{"https://denied.example/a/b"}) {
		t.Errorf("forgot %q", tokens.Forgotten)
	}
}

// Nothing that is asked makes an answer of its own lines.
func FuzzRun(f *testing.F) {
	f.Add("url=https://gate.example/maven/lib/\n")
	f.Add("protocol=https\nhost=gate.example\n\n")
	f.Add("path=%00\nhost=[::1\nprotocol=:")
	f.Fuzz(func(t *testing.T, in string) {
		var out strings.Builder
		if err := get.Run(t.Context(), "get", strings.NewReader(in), &out, new(credentialtest.Tokens)); err != nil && out.Len() > 0 {
			t.Errorf("%q and %v", out.String(), err)
		}
		if n := strings.Count(out.String(), "\n"); n != 0 && n != 3 {
			t.Errorf("%q", out.String())
		}
	})
}
