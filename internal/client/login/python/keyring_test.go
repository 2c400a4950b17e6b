package python_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/login/python"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python/pythontest"
)

func TestKeyring(t *testing.T) {
	const dir = "/home/ada/.local/share/gatehouse/python"
	edits := python.Keyring(pythontest.Environment("linux", nil))
	module, err := edits[0].Apply(nil)
	if err != nil || !strings.Contains(string(module), "\nPROGRAM = \"/opt/gatehouse\"\n") {
		t.Errorf("%v\n%s", err, module)
	}
	if left, err := edits[0].Remove(module); err != nil || len(left) != 0 {
		t.Errorf("%q, %v", left, err)
	}
	for before, after := range map[string]string{
		"": "[backend]\ndefault-keyring = gatehouse_keyring.Keyring\nkeyring-path = " + dir + "\n",
		"[backend]\ndefault-keyring=keyring.backends.null.Keyring": "[backend]\ndefault-keyring=gatehouse_keyring.Keyring\nkeyring-path=" + dir +
			"\n\n[gatehouse]\ndefault-keyring=keyring.backends.null.Keyring",
		"[backend]\r\nkeyring-path = ~/mine\r\ndefault-keyring = mine.Keyring\r\n": "[backend]\r\nkeyring-path = " + dir +
			"\r\ndefault-keyring = gatehouse_keyring.Keyring\r\n\r\n[gatehouse]\r\ndefault-keyring = mine.Keyring\r\nkeyring-path = ~/mine\r\n",
	} {
		got, err := edits[1].Apply([]byte(before))
		if err != nil || string(got) != after {
			t.Fatalf("%v\n%q\n%q", err, got, after)
		}
		if again, err := edits[1].Apply(got); err != nil || string(again) != after {
			t.Errorf("%v\n%q", err, again)
		}
		if left, err := edits[1].Remove(got); err != nil || string(left) != before {
			t.Errorf("%v\n%q\n%q", err, left, before)
		}
	}
}

func TestAsks(t *testing.T) {
	for address, want := range map[string]bool{
		pythontest.Asking: true, pythontest.Index: false, "https://aws@registry.example/simple/": false,
		strings.Replace(pythontest.Asking, "aws@", "aws:secret@", 1): false, ":": false,
	} {
		if python.Asks(address) != want {
			t.Errorf("%s: not %v", address, want)
		}
	}
}

func TestLists(t *testing.T) {
	word := rapid.StringMatching(`[a-c]{1,3}`)
	rapid.Check(t, func(t *rapid.T) {
		list := strings.Join(rapid.SliceOf(word).Draw(t, "words"), rapid.SampledFrom([]string{" ", "\n", "\n\n"}).Draw(t, "between"))
		list = rapid.SampledFrom([]string{"", "\n"}).Draw(t, "start") + list
		element := word.Draw(t, "element")
		with := python.With(list, element)
		if had := slices.Contains(strings.Fields(list), element); !had && python.Without(with, element) != strings.TrimRight(list, "\n") {
			t.Fatalf("%q, %q: %q, %q", list, element, with, python.Without(with, element))
		}
		if python.With(with, element) != with {
			t.Fatalf("%q twice", element)
		}
	})
}
