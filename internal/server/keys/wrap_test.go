package keys_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

func encode(t testing.TB, c *keys.Codec, k *token.Keys) []byte {
	t.Helper()
	stored, err := c.Encode(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestCodec(t *testing.T) {
	k := token.NewKeys(time.Now()).Stage(time.Now())
	first, second := wrapper(t, 'a'), wrapper(t, 'b')
	plain := encode(t, &keys.Codec{}, k)
	wrapped := encode(t, &keys.Codec{Wrapper: first}, k)
	if keys.Wrapped(plain) || !keys.Wrapped(wrapped) || bytes.Contains(wrapped, []byte(k.List()[0].ID)) {
		t.Errorf("%s", wrapped)
	}
	if again := encode(t, &keys.Codec{Wrapper: first}, k); bytes.Equal(again, wrapped) {
		t.Error("two stored forms of one keyring are the same")
	}
	for name, c := range map[string]struct {
		codec  keys.Codec
		stored []byte
		want   string // in the error; "" is success
	}{
		"plain":                       {keys.Codec{}, plain, ""},
		"wrapped":                     {keys.Codec{Wrapper: first}, wrapped, ""},
		"wrapped by the former":       {keys.Codec{Wrapper: second, Former: []keys.Wrapper{first}}, wrapped, ""},
		"wrapped, and no wrapper":     {keys.Codec{}, wrapped, "GATEHOUSE_KEYRING_KEY"},
		"plain, and a wrapper":        {keys.Codec{Wrapper: first}, plain, "gatehouse keys wrap"},
		"another key":                 {keys.Codec{Wrapper: second}, wrapped, "the test's key is not the key"},
		"a command instead of a key":  {keys.Codec{Wrapper: &keys.CommandWrapper{}}, wrapped, "wrapped by a key"},
		"cut off":                     {keys.Codec{Wrapper: first}, wrapped[:len(wrapped)/2], "damaged"},
		"empty":                       {keys.Codec{}, nil, "damaged"},
		"a newer version":             {keys.Codec{Wrapper: first}, bytes.Replace(wrapped, []byte(`"version": 2`), []byte(`"version": 3`), 1), "version 3"},
		"another member":              {keys.Codec{Wrapper: first}, bytes.Replace(wrapped, []byte(`"by"`), []byte(`"x":1,"by"`), 1), "damaged"},
		"the name of another wrapper": {keys.Codec{Wrapper: first}, bytes.Replace(wrapped, []byte(`"key"`), []byte(`"kex"`), 1), "wrapped by a kex"},
		"far too large":               {keys.Codec{Wrapper: first}, append(bytes.Clone(wrapped), make([]byte, token.MaxKeyFile)...), "larger"},
	} {
		got, err := c.codec.Decode(t.Context(), c.stored)
		if c.want == "" && (err != nil || !reflect.DeepEqual(got, k)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Whatever byte of a wrapped keyring is changed, it does not open.
func TestCodec_Tampered(t *testing.T) {
	c := keys.Codec{Wrapper: wrapper(t, 'a')}
	k := token.NewKeys(time.Now())
	stored := encode(t, &c, k)
	for i := range stored {
		changed := bytes.Clone(stored)
		changed[i] ^= 1
		// JSON has white space and letter cases that say nothing.
		if got, err := c.Decode(t.Context(), changed); err == nil && !reflect.DeepEqual(got, k) {
			t.Fatalf("byte %d changed: %+v", i, got)
		}
	}
}

func TestNewKeyWrapper_Refuses(t *testing.T) {
	for _, text := range []string{"", "secret", base64.StdEncoding.EncodeToString(make([]byte, 31)), base64.StdEncoding.EncodeToString(make([]byte, 33)), strings.Repeat("!", 44)} {
		if _, err := keys.NewKeyWrapper(text, "THE_VARIABLE"); err == nil || !strings.Contains(err.Error(), "THE_VARIABLE") || len(text) > 0 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// program writes a program of the shell, and returns its command line.
func program(t *testing.T, text string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kms")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return []string{path}
}

func TestCommandWrapper(t *testing.T) {
	t.Setenv("GATEHOUSE_KEYRING_KEY", "topsecret")
	// It is no encryption, and no shell reads the argument.
	c := keys.Codec{Wrapper: &keys.CommandWrapper{
		WrapArgs: append(program(t, `test "$1" = '$(x); y' && test -z "$GATEHOUSE_KEYRING_KEY" && base64`), "$(x); y"), UnwrapArgs: program(t, "base64 -d"), Timeout: time.Minute,
	}}
	k := token.NewKeys(time.Now())
	if got, err := c.Decode(t.Context(), encode(t, &c, k)); err != nil || !reflect.DeepEqual(got, k) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A command that fails, hangs or prints nonsense is an error that says which program it
// was, and shows nothing that it was given or printed.
func TestCommandWrapper_Failures(t *testing.T) {
	k := token.NewKeys(time.Now())
	good := program(t, "base64")
	for name, c := range map[string]struct {
		unwrap []string
		want   string
	}{
		"it fails":                      {program(t, "cat; base64 -d >&2; echo topsecret >&2; exit 3"), "kms failed: exit status 3"},
		"it hangs":                      {program(t, "sleep 600"), "kms did not finish within 300ms"},
		"its child keeps the pipe":      {program(t, "sleep 600 & sleep 600"), "kms did not finish"},
		"it prints nothing":             {program(t, "cat >/dev/null"), "kms printed nothing"},
		"it prints too much":            {program(t, "cat /dev/zero"), "printed more than"},
		"it prints another key":         {program(t, "head -c 32 /dev/zero"), "another key"},
		"it prints something else":      {program(t, "echo topsecret"), "does not open it"},
		"it is not there":               {[]string{filepath.Join(t.TempDir(), "none")}, "none"},
		"there is no command to unwrap": {nil, "no command is configured"},
	} {
		timeout := time.Minute
		if strings.Contains(c.want, "did not finish") {
			timeout = 300 * time.Millisecond
		}
		codec := keys.Codec{Wrapper: &keys.CommandWrapper{WrapArgs: good, UnwrapArgs: c.unwrap, Timeout: timeout}}
		stored := encode(t, &keys.Codec{Wrapper: &keys.CommandWrapper{WrapArgs: good, Timeout: time.Minute}}, k)
		began := time.Now()
		_, err := codec.Decode(t.Context(), stored)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		// What cannot be tried may work later.
		if wrong := strings.Contains(c.want, "does not open it") || strings.Contains(c.want, "another key"); errors.Is(err, keys.ErrWrapping) != wrong {
			t.Errorf("%s: ErrWrapping is %t, want %t", name, !wrong, wrong)
		}
		if passed := time.Since(began); passed > 45*time.Second {
			t.Errorf("%s: took %s", name, passed)
		}
	}
	// A command that does not encrypt is noticed before anything is stored.
	codec := keys.Codec{Wrapper: &keys.CommandWrapper{WrapArgs: program(t, "cat"), UnwrapArgs: program(t, "cat"), Timeout: time.Minute}}
	if _, err := codec.Encode(t.Context(), k); err == nil || !strings.Contains(err.Error(), "printed what it should encrypt") {
		t.Errorf("a command that does not encrypt: %v", err)
	}
}

func TestDBStore_MustBeWrapped(t *testing.T) {
	in := install(t, fast)
	store, err := keys.NewDBStore(t.Context(), in.db)
	if err != nil {
		t.Fatal(err)
	}
	plain := encode(t, &keys.Codec{}, token.NewKeys(time.Now()))
	if err := store.Create(t.Context(), plain); err == nil {
		t.Error("a keyring that is not wrapped was created in the database")
	}
	in.start()
	stored, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Replace(t.Context(), stored, plain); err == nil {
		t.Error("a keyring that is not wrapped was put into the database")
	}
	if err := store.Replace(t.Context(), plain, stored); !errors.Is(err, keys.ErrChanged) {
		t.Errorf("Replace of what is not stored = %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	k := token.NewKeys(time.Now())
	c := keys.Codec{Wrapper: wrapper(f, 'a')}
	f.Add(encode(f, &c, k))
	f.Add(encode(f, &keys.Codec{}, k))
	f.Add([]byte(`{"version":2,"wrapped":{"by":"key","data_key":"","content":""}}`))
	f.Add([]byte(`{"version":2,"wrapped":null}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		if got, err := c.Decode(t.Context(), stored); err == nil && !keys.Wrapped(stored) {
			t.Fatalf("%+v was read, and is not wrapped", got)
		}
		_, _ = (&keys.Codec{}).Decode(t.Context(), stored)
	})
}
