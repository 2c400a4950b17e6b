package token_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

func TestOpenSecret(t *testing.T) {
	content := token.NewKeys(time.Now())
	ring := func(keys *token.Keys) *token.Keyring {
		k, err := token.NewKeyring(keys, time.Now, nil)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := ring(content)
	secret := []byte("s3cr3t")
	sealed, id, err := k.SealSecret("secret/1", secret)
	if err != nil || id != k.ActiveKeyID() || bytes.Contains(sealed, secret) {
		t.Fatal(id, err)
	}
	if got, err := k.OpenSecret("secret/1", sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := k.OpenSecret("secret/2", sealed); err == nil {
		t.Errorf("at another place: %q", got)
	}
	if got, err := ring(token.NewKeys(time.Now())).OpenSecret("secret/1", sealed); err == nil {
		t.Errorf("another keyring: %q", got)
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		if got, err := k.OpenSecret("secret/1", damaged); err == nil {
			t.Fatalf("with byte %d changed: %q", i, got)
		}
		if got, err := k.OpenSecret("secret/1", sealed[:i]); err == nil {
			t.Fatalf("the first %d bytes: %q", i, got)
		}
	}

	// A retired key goes on opening what it sealed.
	next, err := content.Stage(time.Now()).Promote(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if next, err = next.Retire(id, time.Now()); err != nil {
		t.Fatal(err)
	}
	rotated := ring(next)
	if got, err := rotated.OpenSecret("secret/1", sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("after the key was retired: %q, %v", got, err)
	}
	if _, again, err := rotated.SealSecret("secret/1", secret); err != nil || again == id {
		t.Error(again, err)
	}
}
