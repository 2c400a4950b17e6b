package token_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

func keyring(t testing.TB, keys *token.Keys, ready func() error) *token.Keyring {
	t.Helper()
	k, err := token.NewKeyring(keys, at(noon), ready)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Whatever the order of steps, one key is active, what is stored is what is read, and
// a token is good with every content from the step before its key was active to the
// step before its key was retired.
func TestKeys_AnyOrderOfSteps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type sealed struct{ key, token string }
		keys := token.NewKeys(noon)
		var tokens []sealed
		for step := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			before, now := keys, noon.Add(time.Duration(step)*time.Hour)
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				keys = keys.Stage(now)
			case 1:
				if next, err := keys.Promote(now); err == nil {
					keys = next
				} else if _, staged := keys.Staged(); staged || !errors.Is(err, token.ErrNotStaged) {
					rt.Fatal(err)
				}
			case 2:
				key := rapid.SampledFrom(keys.List()).Draw(rt, "key")
				next, err := keys.Retire(key.ID, now)
				if (key.State == token.Active) != errors.Is(err, token.ErrActiveKey) {
					rt.Fatalf("Retire of a key that is %s = %v", key.State, err)
				}
				if err == nil {
					keys = next
				}
			}
			if keys != before && keys.Revision() != before.Revision()+1 {
				rt.Fatalf("revision %d follows %d", keys.Revision(), before.Revision())
			}
			text, err := keys.Encode()
			if err != nil {
				rt.Fatal(err)
			}
			read, err := token.ParseKeys(text)
			if err != nil || !reflect.DeepEqual(read, keys) {
				rt.Fatalf("read %+v of %s, want %+v: %v", read, text, keys, err)
			}
			states := map[string]token.State{}
			for _, k := range keys.List() {
				states[k.ID] = k.State
			}
			ring := keyring(t, keys, nil)
			for _, s := range tokens {
				if _, err := ring.Open(token.ECR, s.token); (err == nil) != (states[s.key] != token.Retired) {
					rt.Fatalf("a token of key %s, which is %s: %v", s.key, states[s.key], err)
				}
			}
			minted := mint(t, ring, token.ECR, typical())
			if _, err := keyring(t, before, nil).Open(token.ECR, minted); err != nil {
				rt.Fatalf("a server that is one step behind: %v", err)
			}
			tokens = append(tokens, sealed{ring.ActiveKeyID(), minted})
		}
	})
}

func TestKeys_OpensUntil(t *testing.T) {
	staged := token.NewKeys(noon).Stage(noon.Add(time.Hour))
	first, second := staged.List()[0], staged.List()[1]
	if !second.Staged() || first.Staged() || !first.OpensUntil().IsZero() {
		t.Fatalf("%+v, %+v", first, second)
	}
	if again := staged.Stage(noon.Add(2 * time.Hour)); again != staged {
		t.Error("a second key was staged")
	}
	promoted, err := staged.Promote(noon.Add(3 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	former, _ := promoted.Key(first.ID)
	active, _ := promoted.Key(second.ID)
	if former.State != token.VerifyOnly || active.State != token.Active || former.Staged() {
		t.Fatalf("%+v, %+v", former, active)
	}
	if until := former.OpensUntil(); until.Before(noon.Add(3*time.Hour + token.LongestLife)) {
		t.Errorf("tokens of the former key expire by %v", until)
	}
	for id, want := range map[string]error{"00000000": token.ErrUnknownKey, active.ID: token.ErrActiveKey} {
		if _, err := promoted.Retire(id, noon); id != former.ID && !errors.Is(err, want) {
			t.Errorf("Retire(%s) = %v, want %v", id, err, want)
		}
	}
}

// A file of version 1 does not say when a verify-only key was active. So it counts as
// active until the first change.
func TestParseKeys_Version1(t *testing.T) {
	keys, err := token.ParseKeys([]byte(keyFile(fileKey("0000000a", "verify-only", 'a'), fileKey("0000000b", "active", 'b'))))
	if err != nil {
		t.Fatal(err)
	}
	if key, _ := keys.Key("0000000a"); keys.Revision() != 0 || key.Staged() || !key.OpensUntil().IsZero() {
		t.Fatalf("%+v", keys)
	}
	next := keys.Stage(noon)
	if key, _ := next.Key("0000000a"); next.Revision() != 1 || !key.Deactivated.Equal(noon) {
		t.Errorf("%+v", next)
	}
}

func TestKeyring_Load(t *testing.T) {
	first := token.NewKeys(noon)
	staged := first.Stage(noon)
	promoted, err := staged.Promote(noon)
	if err != nil {
		t.Fatal(err)
	}
	k := keyring(t, staged, nil)
	s := mint(t, k, token.CodeArtifact, typical())
	if err := k.Load(promoted); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(token.CodeArtifact, s); err != nil || k.ActiveKeyID() == first.List()[0].ID {
		t.Errorf("Open after Load = %v", err)
	}
	for why, keys := range map[string]*token.Keys{
		"revision 2 is older": staged,
		"is missing":          token.NewKeys(noon).Stage(noon).Stage(noon),
	} {
		if why == "is missing" { // as new as what is loaded
			if keys, err = keys.Promote(noon); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.Load(keys); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("Load = %v, want that it %s", err, why)
		}
	}
	if k.Keys() != promoted {
		t.Error("a Load that failed changed the keys")
	}
}

// A server that cannot know whether a key was retired neither seals nor opens.
func TestKeyring_NotReady(t *testing.T) {
	cut := errors.New("cut off")
	var err error
	k := keyring(t, token.NewKeys(noon), func() error { return err })
	s := mint(t, k, token.ECR, typical())
	session, _, _ := k.MintSession(typical())
	err = cut
	_, mintErr := k.Mint(token.ECR, typical())
	_, openErr := k.Open(token.ECR, s)
	_, _, sessionErr := k.MintSession(typical())
	_, _, openSessionErr := k.OpenSession(session)
	_, addressErr := k.LayerAddressKeys()
	for name, got := range map[string]error{"Mint": mintErr, "Open": openErr, "MintSession": sessionErr, "OpenSession": openSessionErr, "LayerAddressKeys": addressErr} {
		if !errors.Is(got, cut) {
			t.Errorf("%s = %v", name, got)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, text := range []string{
		keyFile(fileKey("0000000a", "active", 'a')),
		keyFile(fileKey("0000000a", "retired", 'a'), fileKey("0000000b", "active", 'b')),
		`{"version":3}`, `{"version":2,"revision":-1,"keys":[]}`, "{}", "",
	} {
		f.Add([]byte(text))
	}
	text, err := token.NewKeys(noon).Stage(noon).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := token.ParseKeys(text)
		if err != nil {
			return
		}
		if _, err := token.NewKeyring(keys, at(noon), nil); err != nil {
			t.Fatalf("it was read and cannot be used: %v", err)
		}
		written, err := keys.Stage(noon).Encode()
		if err != nil {
			t.Fatal(err)
		}
		read, err := token.ParseKeys(written)
		if err != nil {
			t.Fatalf("%v: %s", err, written)
		}
		if again, err := read.Encode(); err != nil || !bytes.Equal(written, again) {
			t.Fatalf("%v: %s, then %s", err, written, again)
		}
	})
}
