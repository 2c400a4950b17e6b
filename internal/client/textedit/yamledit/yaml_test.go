package yamledit_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/yamledit"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		name, text, path, value, want string
	}{
		{"nothing there", "", "a", "v", "a: v\n"},
		{"nested, nothing there", "", "npmScopes acme npmRegistryServer", "https://registry.example/", "npmScopes:\n  acme:\n    npmRegistryServer: https://registry.example/\n"},
		{"comments only", "# ours\n", "a", "v", "# ours\na: v\n"},
		{"gem's credentials", "---\n:rubygems_api_key: old\n", ":rubygems_api_key", "new", "---\n:rubygems_api_key: new\n"},
		{"gem's host", "---\n:rubygems_api_key: old\n", "https://registry.example/gems", "new", "---\n:rubygems_api_key: old\nhttps://registry.example/gems: new\n"},
		{"Bundler's quotes", "---\nBUNDLE_A: \"x\"\nBUNDLE_REGISTRY__EXAMPLE: \"aws:old\"\n", "BUNDLE_REGISTRY__EXAMPLE", "aws:new", "---\nBUNDLE_A: \"x\"\nBUNDLE_REGISTRY__EXAMPLE: \"aws:new\"\n"},
		{"with a comment", "a: 'x' # c\nb: 1\n", "a", "it's", "a: 'it''s' # c\nb: 1\n"},
		{"deep, as the others", "a:\n    b: c\n\n# end\nd: e", "a x z", "v", "a:\n    b: c\n    x:\n        z: v\n\n# end\nd: e"},
		{"no newline", "a: b", "c", "v", "a: b\nc: v"},
		{"CRLF", "a:\r\n  b: c\r\n", "a d", "v", "a:\r\n  b: c\r\n  d: v\r\n"},
		{"byte order mark", "\uFEFFa: b\n", "a", "v", "\uFEFFa: v\n"},
		{"block scalar", "a: |\n  x\n  # y\n\nb: c\n", "a", "v", "a: v\n\nb: c\n"},
		{"after a block scalar", "a: |\n  x\n  # y\n\n# c\n", "b", "v", "a: |\n  x\n  # y\nb: v\n\n# c\n"},
		{"null", "a: # c\n", "a", "v", "a: v # c\n"},
		{"map for null", "a: # c\nb: c\n", "a d", "v", "a: # c\n  d: v\nb: c\n"},
		{"in braces", "a: {b: c, d: e}\n", "a b", "v", "a: {b: v, d: e}\n"},
		{"to be quoted", "", "a", "yes", "a: \"yes\"\n"},
		{"key to be quoted", "", "*", "v", "\"*\": v\n"},
		{"end of the document", "---\na: b\n...\n", "c", "v", "---\na: b\nc: v\n...\n"},
		{"quoted key", "npmRegistries:\n  \"//registry.example/\":\n    npmAuthToken: old\n", "npmRegistries //registry.example/ npmAuthToken", "new", "npmRegistries:\n  \"//registry.example/\":\n    npmAuthToken: new\n"},
		{"letters beyond ASCII", "é: \"ü\" # ß\n", "é", "v", "é: \"v\" # ß\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := yamledit.Set([]byte(c.text), strings.Fields(c.path), c.value)
			if err != nil || string(got) != c.want {
				t.Errorf("%v\n got %q\nwant %q", err, got, c.want)
			}
		})
	}
}

func TestSetBool(t *testing.T) {
	got, err := yamledit.SetBool([]byte("a: b\n"), []string{"npmAlwaysAuth"}, true)
	if err != nil || string(got) != "a: b\nnpmAlwaysAuth: true\n" {
		t.Errorf("%q, %v", got, err)
	}
	got, err = yamledit.SetBool(got, []string{"npmAlwaysAuth"}, false)
	if err != nil || string(got) != "a: b\nnpmAlwaysAuth: false\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDelete(t *testing.T) {
	for _, c := range []struct{ text, path, want string }{
		{"a:\n  b: c\nd: e\n", "a b", "d: e\n"},
		{"a:\n  b: c\n  # ours\nd: e\n", "a b", "a:\n  # ours\nd: e\n"},
		{"a: # ours\n  b: c\n", "a b", "a: # ours\n"},
		{"a:\n  b: c\n  x: y\n", "a b", "a:\n  x: y\n"},
		{"a:\n  b:\n    c: d\n", "a b c", ""},
		{"a: |\n  x\n  # y\nb: c", "a", "b: c"},
		{"a: b\nc: d", "c", "a: b"},
		{"a: b\n", "x y", "a: b\n"},
	} {
		got, err := yamledit.Delete([]byte(c.text), strings.Fields(c.path))
		if err != nil || string(got) != c.want {
			t.Errorf("%q without %s: %v\n got %q\nwant %q", c.text, c.path, err, got, c.want)
		}
	}
}

func TestLists(t *testing.T) {
	path := []string{"unsafeHttpWhitelist"}
	for _, before := range []string{
		"", "a: b\n", "a: b", "unsafeHttpWhitelist:\n  - x # c\n  # d\n", "unsafeHttpWhitelist:\n- x\n- y\na: b\n",
		"unsafeHttpWhitelist: [x, \"y\"] # c\n", "unsafeHttpWhitelist: [ x ]\n", "a:\r\n  b: c\r\n", "unsafeHttpWhitelist:\n  - path: a\n    spec: b\n  - c\n",
	} {
		was, err := yamledit.Items([]byte(before), path)
		if err != nil {
			t.Fatal(err)
		}
		with, err := yamledit.Include([]byte(before), path, "127.0.0.1")
		if err != nil {
			t.Errorf("%q: %v", before, err)
			continue
		}
		if got, err := yamledit.Items(with, path); err != nil || !slices.Equal(got, append(was, "127.0.0.1")) {
			t.Errorf("%q became %q with %q, %v", before, with, got, err)
		}
		if again, err := yamledit.Include(with, path, "127.0.0.1"); err != nil || !bytes.Equal(again, with) {
			t.Errorf("again: %q, %v", again, err)
		}
		if gone, err := yamledit.Exclude(with, path, "127.0.0.1"); err != nil || string(gone) != before {
			t.Errorf("%q became %q and then %q, %v", before, with, gone, err)
		}
	}
	got, err := yamledit.Include([]byte("unsafeHttpWhitelist: []\n"), path, "localhost")
	if err != nil || string(got) != "unsafeHttpWhitelist: [localhost]\n" {
		t.Errorf("%q, %v", got, err)
	}
	got, err = yamledit.Exclude([]byte("unsafeHttpWhitelist: [x, 'y, z', w]\n"), path, "x")
	if err != nil || string(got) != "unsafeHttpWhitelist: ['y, z', w]\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSet_Errors(t *testing.T) {
	for _, c := range []struct{ text, path, want string }{
		{"- a\n", "a", "line 1: not a map of keys and values"},
		{"a: b\n---\nc: d\n", "a", "line 3: the file has a second document"},
		{"a: b\na: c\n", "a", "line 2: "},
		{"x: y\na: b\n", "a c", "line 2: a is not a map"},
		{"a:\n  b: c\n", "a", "line 2: a is more than one value"},
		{"x: 1\na: {b: c}\n", "a d", "line 2: a is in braces; write one key per line"},
		{"a: {}\n", "a d", "line 1: a is in braces; write one key per line"},
		{"a: ~\n", "a d", "line 1: a is null; remove it"},
		{"a: \"b\n", "a", "line 1: "},
	} {
		_, err := yamledit.Set([]byte(c.text), strings.Fields(c.path), "hidden")
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v; want %q", c.text, err, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	got, err := yamledit.Keys([]byte("npmScopes:\n  acme:\n    a: b\n  \"other\":\n    c: d\n"), []string{"npmScopes"})
	if err != nil || !slices.Equal(got, []string{"acme", "other"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := yamledit.Keys(nil, []string{"npmScopes"}); err != nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// texts generates maps of maps as people write them, with comments between.
func texts() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		unit := strings.Repeat(" ", rapid.IntRange(1, 4).Draw(t, "unit"))
		var out []string
		note := func(indent string) {
			if rapid.IntRange(0, 3).Draw(t, "noted") == 0 {
				out = append(out, rapid.SampledFrom([]string{"", indent + "# note", "# out: of line"}).Draw(t, "note"))
			}
		}
		var block func(indent string, depth int)
		block = func(indent string, depth int) {
			names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "\"c\"", "'d e'", "://x/", ":e", "12"}), 1, 4, rapid.ID[string]).Draw(t, "keys")
			for _, name := range names {
				note(indent)
				if depth < 3 && rapid.IntRange(0, 2).Draw(t, "map") == 0 {
					out = append(out, indent+name+":")
					block(indent+unit, depth+1)
					continue
				}
				value := rapid.SampledFrom([]string{
					"v", "'it''s'", "\"q # \\\"\" # note", "12 # note", "{x: y}", "[p, q]", "|\n" + indent + "  text\n" + indent + "  # text",
					"plain\n" + indent + "  goes on", "\n" + indent + "  - i\n" + indent + "  - j", "true",
				}).Draw(t, "value")
				out = append(out, strings.Split(indent+name+": "+value, "\n")...)
			}
		}
		if rapid.Bool().Draw(t, "start") {
			out = append(out, "---")
		}
		note("")
		if rapid.IntRange(0, 9).Draw(t, "full") > 0 {
			block("", 0)
		}
		note("")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		text := strings.Join(out, end)
		if text != "" && rapid.Bool().Draw(t, "closed") {
			text += end
		}
		if rapid.IntRange(0, 9).Draw(t, "mark") == 0 {
			text = "\uFEFF" + text
		}
		return text
	})
}

func TestDelete_UndoesSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := []byte(texts().Draw(t, "text"))
		path := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d e", "new", "://x/", "//registry.example:80/"}), 1, 4).Draw(t, "path")
		value := rapid.SampledFrom([]string{"v", "it's \"#1\"", "", "12", "two\nlines", "https://registry.example/"}).Draw(t, "value")
		old, there, err := yamledit.Get(before, path)
		if err != nil {
			if _, err := yamledit.Set(before, path, value); err == nil {
				t.Fatal("Set what Get refuses")
			}
			return
		}
		set, err := yamledit.Set(before, path, value)
		if err != nil {
			if !strings.Contains(err.Error(), "braces") {
				t.Fatal(err)
			}
			return
		}
		if got, ok, err := yamledit.Get(set, path); err != nil || !ok || got != value {
			t.Fatalf("after Set it is %q, %v, %v", got, ok, err)
		}
		if again, err := yamledit.Set(set, path, value); err != nil || !bytes.Equal(again, set) {
			t.Fatalf("Set again: %q, %v", again, err)
		}
		if there {
			if old == value && !bytes.Equal(set, before) {
				t.Fatalf("nothing to change, and changed to %q", set)
			}
			return
		}
		if gone, err := yamledit.Delete(set, path); err != nil || !bytes.Equal(gone, before) {
			t.Fatalf("Set and Delete of %q\ngives %q\nvia   %q: %v", before, gone, set, err)
		}
	})
}

func FuzzSet(f *testing.F) {
	for _, s := range []string{"", "a:\n  b: c # d\n", "\uFEFF---\r\n:a: \"b\"\r\n", "a: |\n  x\n\nb: [c, {d: e}]\n", "a: &x 1\nb: *x\n? k\n: v\n", "a: {b: c}"} {
		f.Add([]byte(s), "a", "b", "v")
	}
	f.Fuzz(func(t *testing.T, text []byte, first, second, value string) {
		for _, path := range [][]string{{first}, {first, second}} {
			_, there, err := yamledit.Get(text, path)
			set, setErr := yamledit.Set(text, path, value)
			if err != nil && setErr == nil {
				t.Fatalf("Set what Get refuses: %v", err)
			}
			if setErr != nil {
				continue
			}
			if got, ok, err := yamledit.Get(set, path); err != nil || !ok || got != value {
				t.Fatalf("%q after Set of %q is %q, %v, %v", path, value, got, ok, err)
			}
			gone, err := yamledit.Delete(set, path)
			if err == nil && !there {
				if _, ok, err := yamledit.Get(gone, path); ok || err != nil {
					t.Fatalf("still in %q: %v", gone, err)
				}
			}
		}
	})
}
