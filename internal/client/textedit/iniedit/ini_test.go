package iniedit_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/iniedit"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		name                string
		dialect             iniedit.Dialect
		text                string
		section, key, value string
		want                string
	}{
		{"nothing there", iniedit.Python, "", "global", "index-url", "u", "[global]\nindex-url = u\n"},
		{"npm, nothing there", iniedit.NPM, "", "", "registry", "u", "registry=u\n"},
		{"value alone", iniedit.Python, "# c\n[global]\n  index-url :\told\n\n[install]\na=b\n", "global", "index-url", "new", "# c\n[global]\n  index-url :\tnew\n\n[install]\na=b\n"},
		{"key in capitals", iniedit.Python, "[global]\nIndex-URL=old\n", "global", "index-url", "new", "[global]\nIndex-URL=new\n"},
		{"after the last key", iniedit.Python, "[global]\ntimeout=1\n\n; of install\n[install]\na: b\n", "global", "index-url", "u", "[global]\ntimeout=1\nindex-url=u\n\n; of install\n[install]\na: b\n"},
		{"after a value of many lines", iniedit.Python, "[global]\nextra =\n  a\n  # c\n\n  b\n# end\n", "global", "k", "v", "[global]\nextra =\n  a\n  # c\n\n  b\nk = v\n# end\n"},
		{"new section", iniedit.Python, "[a]\nb=c", "global", "k", "v", "[a]\nb=c\n\n[global]\nk=v"},
		{"CRLF", iniedit.Python, "[a]\r\nb = c\r\n", "a", "k", "v", "[a]\r\nb = c\r\nk = v\r\n"},
		{"byte order mark", iniedit.NPM, "\uFEFFa=b\n", "", "a", "c", "\uFEFFa=c\n"},
		{"as deep as the others", iniedit.Python, "[a]\n  b = c\n  [d]\n  e = f\n", "a", "k", "v", "[a]\n  b = c\n  k = v\n  [d]\n  e = f\n"},
		{"lines of a value", iniedit.Python, "[a]\nk =\n  one # x\n  ; c\n  two\nz = 1\n", "a", "k", "\none # x\ntwo\nthree", "[a]\nk =\n  one # x\n  ; c\n  two\n  three\nz = 1\n"},
		{"fewer lines", iniedit.Python, "[a]\nk =\n  one\n  ; c\n  two\n", "a", "k", "\ntwo", "[a]\nk =\n  ; c\n  two\n"},
		{"one line for many", iniedit.Python, "[a]\nk =\n  one\n\n  two\nz = 1\n", "a", "k", "v", "[a]\nk = v\nz = 1\n"},
		{"colon in a key", iniedit.NPM, "registry=r\n//h/:_authToken=old\n", "", "//h/:_authToken", "new", "registry=r\n//h/:_authToken=new\n"},
		{"comment after a value", iniedit.NPM, "registry = old ; ours\n", "", "registry", "new", "registry = new ; ours\n"},
		{"the last of two", iniedit.NPM, "a=1\na=2\n", "", "a", "3", "a=1\na=3\n"},
		{"above the sections", iniedit.NPM, "; c\n[s]\na=1\n", "", "k", "v", "; c\nk=v\n[s]\na=1\n"},
		{"quoted key", iniedit.NPM, "\"@acme:registry\" = \"old\"\n", "", "@acme:registry", "new", "\"@acme:registry\" = new\n"},
		{"to be escaped", iniedit.NPM, "", "", "k", "a;b#c", "k=a\\;b\\#c\n"},
		{"to be quoted", iniedit.NPM, "", "", "k", " a", "k=\" a\"\n"},
		{"key alone", iniedit.NPM, "color ; c\n", "", "color", "false", "color=false ; c\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.dialect.Set([]byte(c.text), c.section, c.key, c.value)
			if err != nil || string(got) != c.want {
				t.Errorf("%v\n got %q\nwant %q", err, got, c.want)
			}
		})
	}
}

func TestGet(t *testing.T) {
	for _, c := range []struct {
		dialect      iniedit.Dialect
		text         string
		section, key string
		want         string
	}{
		{iniedit.Python, "[a]\nK: 1 ; 2\n", "a", "k", "1 ; 2"},
		{iniedit.Python, "[a]\nk =\n\n  x\n# c\n\n  y\n\n[b]\nk = 2\n", "a", "k", "\n\nx\n\ny"},
		{iniedit.Python, "[a]\nk = https://u:p@h/=\n", "a", "k", "https://u:p@h/="},
		{iniedit.NPM, "k = 1 ; 2\n", "", "k", "1"},
		{iniedit.NPM, "k = 'a b'\n", "", "k", "a b"},
		{iniedit.NPM, `k = "a\nb"`, "", "k", "a\nb"},
		{iniedit.NPM, `k = a\;b\c`, "", "k", `a;b\c`},
		{iniedit.NPM, "k=1\n[s]\nk=2\n", "s", "k", "2"},
		{iniedit.NPM, "k=1\n[]\nk=2\n", "", "k", "1"},
		{iniedit.NPM, "k", "", "k", "true"},
	} {
		if got, ok := c.dialect.Get([]byte(c.text), c.section, c.key); !ok || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.text, got, ok, c.want)
		}
	}
	if got, ok := iniedit.Get([]byte("[a]\nb=c\n"), "a", "x"); ok {
		t.Errorf("a key that is not there is %q", got)
	}
}

func TestSet_Errors(t *testing.T) {
	for _, c := range []struct {
		dialect                   iniedit.Dialect
		text, section, key, value string
		want                      string
	}{
		{iniedit.Python, "a = b\n", "s", "k", "v", "line 1: there is no [section] above it"},
		{iniedit.Python, "[s]\n\nwhat\n", "s", "k", "v", "line 3: neither a [section] nor a key with : or ="},
		{iniedit.Python, "[s]\nk=1\nK=2\n", "s", "k", "v", "line 3: K appears twice in [s]"},
		{iniedit.Python, "[s]\n[t]\n[s]\n", "s", "k", "v", "line 3: the section [s] appears twice"},
		{iniedit.Python, "", "", "k", "v", "k cannot have"},
		{iniedit.Python, "[s]\n", "s", "a:b", "v", "[s] a:b cannot have"},
		{iniedit.Python, "[s]\n", "s", "k", "hidden \n", "[s] k cannot have"},
		{iniedit.Python, "[s]\n", "s", "k", "hidden\n# c", "[s] k cannot have"},
		{iniedit.NPM, "", "", "a=b", "v", "a=b cannot have"},
		{iniedit.NPM, "", "", "", "v", "cannot have"},
	} {
		_, err := c.dialect.Set([]byte(c.text), c.section, c.key, c.value)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v; want %q", c.text, err, c.want)
		}
	}
}

func TestDelete_Duplicates(t *testing.T) {
	got, err := iniedit.NPM.Delete([]byte("a=1\nb=2 ; c\na=3"), "", "a")
	if err != nil || string(got) != "b=2 ; c" {
		t.Errorf("%q, %v", got, err)
	}
	got, err = iniedit.Delete([]byte("[s]\nk =\n  a\n  # c\n  b\nl = 1\n"), "s", "k")
	if err != nil || string(got) != "[s]\n  # c\nl = 1\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// texts generates files as people and tools write them.
func texts(d iniedit.Dialect) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		pieces := []string{
			"", "", "# note", "; note", "[global]", "[install]", "[ s ]", "a = 1", "b=2", "C: 3", "index-url = https://registry.example/simple/",
			"extra =", "  more", "\tmore still", "  # inside", "  d = 4", "  [deep]", "empty=",
		}
		if d == iniedit.NPM {
			pieces = append(pieces, "registry=https://registry.example/", "//registry.example/:_authToken = ${TOKEN}", "@acme:registry = x ; note",
				"alone", "a = 2", `"quoted" = "x\ny"`, "'single'='y'", "=none", "ca[]=x", "ca[]=y", `e = a\;b\#c`)
		}
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		lines := rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "lines")
		text := strings.Join(lines, end)
		if rapid.Bool().Draw(t, "closed") && text != "" {
			text += end
		}
		if rapid.IntRange(0, 5).Draw(t, "mark") == 0 {
			text = "\uFEFF" + text
		}
		return text
	})
}

func TestDelete_UndoesSet(t *testing.T) {
	for name, d := range map[string]iniedit.Dialect{"Python": iniedit.Python, "NPM": iniedit.NPM} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			before := []byte(texts(d).Draw(t, "text"))
			entries, err := d.Entries(before)
			if err != nil {
				if _, err := d.Set(before, "global", "k", "v"); err == nil {
					t.Fatal("a text that cannot be read was changed")
				}
				return
			}
			section := rapid.SampledFrom([]string{"global", "install", "new"}).Draw(t, "section")
			if d == iniedit.NPM && rapid.Bool().Draw(t, "top") {
				section = ""
			}
			key := rapid.SampledFrom([]string{"a", "c", "extra", "new-key", "//registry.example/:_authToken", "index-url"}).Draw(t, "key")
			if d == iniedit.Python {
				key = strings.ReplaceAll(key, ":", "")
			}
			value := rapid.SampledFrom([]string{"v", "https://aws:x@registry.example/p=/#f", "", "\nmore\nlines", "one\ntwo"}).Draw(t, "value")
			old, there := d.Get(before, section, key)

			set, err := d.Set(before, section, key, value)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := d.Get(set, section, key); !ok || got != value {
				t.Fatalf("after Set it is %q, %v", got, ok)
			}
			if again, err := d.Set(set, section, key, value); err != nil || !bytes.Equal(again, set) {
				t.Fatalf("Set again: %q, %v", again, err)
			}
			kept(t, before, set)
			if there && old == value && !bytes.Equal(set, before) {
				t.Fatalf("nothing to change, and changed to %q", set)
			}
			gone, err := d.Delete(set, section, key)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := d.Get(gone, section, key); ok {
				t.Fatalf("still there after Delete: %q", gone)
			}
			if there {
				return
			}
			// A header with nothing below it looks like one that Set wrote.
			if !bytes.Equal(gone, before) && !bare(before, section) {
				t.Fatalf("Set and Delete\n  of %q\ngives %q", before, gone)
			}
			if now, err := d.Entries(gone); err != nil || !slices.Equal(now, entries) {
				t.Fatalf("%v became %v, %v", entries, now, err)
			}
		}))
	}
}

// kept checks that all comments are still there, in their order.
func kept(t *rapid.T, before, after []byte) {
	notes := func(text []byte) (out []string) {
		for l := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == '\n' || r == '\r' }) {
			if s := strings.Trim(l, " \t\uFEFF"); s != "" && strings.ContainsAny(s[:1], "#;") {
				out = append(out, s)
			}
		}
		return out
	}
	a, b := notes(before), notes(after)
	if len(b) < len(a) || !slices.Equal(a, b[:len(a)]) {
		t.Fatalf("comments %q became %q", a, b)
	}
}

// bare reports whether a section's header is followed by the next one or by the
// end.
func bare(text []byte, section string) bool {
	lines := strings.Split(strings.ReplaceAll(strings.TrimPrefix(string(text), "\uFEFF"), "\r\n", "\n"), "\n")
	for i, l := range lines {
		if l != "["+section+"]" {
			continue
		}
		rest := lines[i+1:]
		if len(rest) == 0 || len(rest) == 1 && rest[0] == "" || strings.HasPrefix(strings.TrimSpace(rest[0]), "[") {
			return true
		}
	}
	return false
}

func fuzz(f *testing.F, d iniedit.Dialect, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s), "global", "index-url", "https://registry.example/")
	}
	f.Fuzz(func(t *testing.T, text []byte, section, key, value string) {
		_, there := d.Get(text, section, key)
		set, err := d.Set(text, section, key, value)
		if err != nil {
			return
		}
		if got, ok := d.Get(set, section, key); !ok || got != value {
			t.Fatalf("%q after Set of %q is %q", key, value, got)
		}
		gone, err := d.Delete(set, section, key)
		if err != nil && !there {
			t.Fatalf("what was set in %q cannot be deleted from %q: %v", text, set, err)
		}
		if _, ok := d.Get(gone, section, key); ok {
			t.Fatalf("still in %q", gone)
		}
	})
}

func FuzzPython(f *testing.F) {
	fuzz(f, iniedit.Python, "", "[global]\nindex-url = a\n  b\n\n# c\n  d\n", "\uFEFF[a]\r\nb: c", "[distutils]\nindex-servers =\n    one\n    two\n")
}

func FuzzNPM(f *testing.F) {
	fuzz(f, iniedit.NPM, "", "a=b ; c\n//h/:_authToken=\"x\"\n", "\uFEFF[a]\r\nb", "'a'='b'\n\\;=\\\n")
}
