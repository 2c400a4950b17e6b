package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// publicKeys returns the digests of the public keys by kid.
func publicKeys(t *testing.T, k *token.Keyring) map[string]string {
	t.Helper()
	keys, err := k.IssuerKeys()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key.Signer.Public())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(der)
		all[key.ID] = hex.EncodeToString(sum[:8])
	}
	return all
}

// The keys of the issuer depend on the keyring alone: they are the same in each server and
// each version of the program.
func TestIssuerKeys_Golden(t *testing.T) {
	k := mustLoad(t, keyFile(fileKey("0000000a", "active", 'a')))
	for id, want := range map[string]string{"0000000a-es384": "ad79310f8ee3a76c", "0000000a-rs256": "c09f2014a2daaf43"} {
		if got := publicKeys(t, k)[id]; got != want {
			t.Errorf("%s = %s, want %s", id, got, want)
		}
	}
}

func TestIssuerKey_Signs(t *testing.T) {
	k := keyring(t, token.NewKeys(noon), nil)
	digest, long := sha256.Sum256([]byte("x")), sha512.Sum384([]byte("x"))
	rs, err := k.IssuerKey(token.RS256)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := rs.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	public := rs.Signer.Public().(*rsa.PublicKey)
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil || public.N.BitLen() != 2048 || public.E != 65537 {
		t.Errorf("%v, %d bits, exponent %d", err, public.N.BitLen(), public.E)
	}
	es, err := k.IssuerKey(token.ES384)
	if err != nil {
		t.Fatal(err)
	}
	if signature, err = es.Signer.Sign(rand.Reader, long[:], crypto.SHA384); err != nil || !ecdsa.VerifyASN1(es.Signer.Public().(*ecdsa.PublicKey), long[:], signature) {
		t.Errorf("ES384: %v", err)
	}
	if _, err := k.IssuerKey("HS256"); err == nil {
		t.Error("a key for HS256")
	}
}

// A rotation: the staged key is published before it signs, and the former one until it is
// retired.
func TestIssuerKeys_Rotation(t *testing.T) {
	first := token.NewKeys(noon)
	staged := first.Stage(noon)
	promoted, err := staged.Promote(noon)
	if err != nil {
		t.Fatal(err)
	}
	former, next := first.List()[0].ID, promoted.Active().ID
	retired, err := promoted.Retire(former, noon.Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		keys   *token.Keys
		signs  string
		listed []string
	}{
		{"at first", first, former, []string{former}},
		{"staged", staged, former, []string{former, next}},
		{"promoted", promoted, next, []string{former, next}},
		{"retired", retired, next, []string{next}},
	} {
		k := keyring(t, c.keys, nil)
		key, err := k.IssuerKey(token.ES384)
		if err != nil || key.ID != c.signs+"-es384" {
			t.Errorf("%s: %s signs, %v", c.name, key.ID, err)
		}
		listed := publicKeys(t, k)
		if len(listed) != 2*len(c.listed) {
			t.Errorf("%s: %v", c.name, listed)
		}
		for _, id := range c.listed {
			if listed[id+"-es384"] == "" || listed[id+"-rs256"] == "" {
				t.Errorf("%s: %s is missing", c.name, id)
			}
		}
	}
}

func TestIssuerKeys_NotReady(t *testing.T) {
	cut := errors.New("cut off")
	k := keyring(t, token.NewKeys(noon), func() error { return cut })
	_, keyErr := k.IssuerKey(token.ES384)
	_, keysErr := k.IssuerKeys()
	if !errors.Is(keyErr, cut) || !errors.Is(keysErr, cut) {
		t.Errorf("%v, %v", keyErr, keysErr)
	}
}
