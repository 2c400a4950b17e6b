package token_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

func TestOpenMessage(t *testing.T) {
	ring := func() *token.Keyring {
		k, err := token.CreateKeyring(filepath.Join(t.TempDir(), "keyring"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := ring()
	for _, message := range [][]byte{{}, []byte(`{"allowed":false}`), bytes.Repeat([]byte("x"), token.MaxMessage)} {
		text, err := k.SealMessage("000000000001", message)
		if err != nil || len(text) > 10240 {
			t.Fatal(len(text), err)
		}
		if got, err := k.OpenMessage("000000000001", text); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%q opens as %q, %v", message, got, err)
		}
		refused := func(name string, k *token.Keyring, account, text string) {
			t.Helper()
			if got, err := k.OpenMessage(account, text); !fault.Is(err, "InvalidAuthorizationMessage") {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		refused("another account", k, "000000000002", text)
		refused("another server", ring(), "000000000001", text)
		for i := range min(len(text), 80) {
			other := byte('A')
			if text[i] == other {
				other = 'B'
			}
			refused("changed", k, "000000000001", text[:i]+string(other)+text[i+1:])
		}
		refused("cut", k, "000000000001", text[:len(text)-4])
		refused("longer", k, "000000000001", text+"AAAA")
		refused("not base64url", k, "000000000001", text+"!")
		refused("huge", k, "000000000001", strings.Repeat("A", 20_000))
	}
	if _, err := k.SealMessage("000000000001", make([]byte, token.MaxMessage+1)); err == nil {
		t.Error("a message that is too long is sealed")
	}
	bearer, err := k.Mint(token.ECR, token.Claims{ID: "ABIA", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.OpenMessage("", bearer[len("ghet_"):]); !fault.Is(err, "InvalidAuthorizationMessage") {
		t.Errorf("a token opens as a message: %v", err)
	}
}
