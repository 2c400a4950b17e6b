package tomledit_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
)

func TestSet(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		path   string
		value  any
		after  string
	}{
		"an empty text":              {"", "a.b", "x", "[a]\nb = \"x\"\n"},
		"a root key, alone":          {"", "a", true, "a = true\n"},
		"a value in its place":       {"[a]\nb = 'old'   # why\nc = 1\n", "a.b", "new", "[a]\nb = \"new\"   # why\nc = 1\n"},
		"what is there":              {"a = 'x'", "a", "x", "a = 'x'"},
		"the end of a table":         {"[a]\nb = 1 # one\n\n# about c\n[c]\n", "a.d", 2, "[a]\nb = 1 # one\nd = 2\n\n# about c\n[c]\n"},
		"a table without keys":       {"[a]\n[c]\n", "a.d", 2, "[a]\nd = 2\n[c]\n"},
		"as the lines before":        {"[a]\n\tb = 1\n[c]\n", "a.d", 2, "[a]\n\tb = 1\n\td = 2\n[c]\n"},
		"no last newline":            {"[a]\nb = 1", "a.d", 2, "[a]\nb = 1\nd = 2"},
		"no last newline, new table": {"b = 1", "a.d", 2, "b = 1\n\n[a]\nd = 2"},
		"CRLF":                       {"b = 1\r\n", "a.d", 2, "b = 1\r\n\r\n[a]\r\nd = 2\r\n"},
		"a byte order mark":          {"\xef\xbb\xbfb = 1\n", "b", 2, "\xef\xbb\xbfb = 2\n"},
		"above the first table":      {"# licence\n\n# about a\n[a]\nb = 1\n", "c", 2, "# licence\n\nc = 2\n\n# about a\n[a]\nb = 1\n"},
		"a value of many lines":      {"a = [\n  1, # ]\n  2,\n]\n", "b", 2, "a = [\n  1, # ]\n  2,\n]\nb = 2\n"},
		"dotted keys":                {"a.b = 1\n[c]\n", "a.d", 2, "a.b = 1\na.d = 2\n[c]\n"},
		"dotted keys under a header": {"[a]\nb.c = 1\n", "a.b.d.e", 2, "[a]\nb.c = 1\nb.d.e = 2\n"},
		"an inline table":            {"a = { b = 1 } # c\n", "a.d", 2, "a = { b = 1, d = 2 } # c\n"},
		"an inline table below":      {"a = {b = {x = 1}, c = 1}\n", "a.b.d", 2, "a = {b = {x = 1, d = 2}, c = 1}\n"},
		"a table in an inline one":   {"a = {b = 1}\n", "a.d.e", 2, "a = {b = 1, d.e = 2}\n"},
		"an empty inline table":      {"a = {}\nb = { }", "b.c", 2, "a = {}\nb = { c = 2 }"},
		"in an inline table":         {"a = { b = 'x', c = 1 }\n", "a.b", "y", "a = { b = \"y\", c = 1 }\n"},
		"a quoted key":               {"[ \"a\" . 'b' ]\n\"c\" = 1\n", "a.b.c", 2, "[ \"a\" . 'b' ]\n\"c\" = 2\n"},
		"a key that needs quotes":    {"", "http.a/b c", "\"\\\n\x01é", "[http]\n\"a/b c\" = \"\\\"\\\\\\n\\u0001é\"\n"},
		"a table above others":       {"[a.b.c]\nx = 1\n", "a.d", 2, "[a.b.c]\nx = 1\n\n[a]\nd = 2\n"},
		"a list":                     {"", "a", []string{"b", "c d"}, "a = [\"b\", \"c d\"]\n"},
		"NaN elsewhere":              {"n = nan\nd = 1979-05-27T07:32:00-08:00\nt = 07:32:00\n", "a", 1, "n = nan\nd = 1979-05-27T07:32:00-08:00\nt = 07:32:00\na = 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := strings.Split(c.path, ".")
			got, err := tomledit.Set([]byte(c.before), path, c.value)
			if err != nil || string(got) != c.after {
				t.Fatalf("got %q, %v\nwant %q", got, err, c.after)
			}
			if _, had, _ := tomledit.Get([]byte(c.before), path); had || name == "a table without keys" {
				return
			}
			if back, err := tomledit.Delete(got, path); err != nil || string(back) != c.before {
				t.Fatalf("deleted: %q, %v\nwant %q", back, err, c.before)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	for name, c := range map[string]struct{ before, path, after string }{
		"what is not there":         {"[a]\nb = 1\n", "a.c", "[a]\nb = 1\n"},
		"below a value":             {"a = 1\n", "a.c", "a = 1\n"},
		"a key among others":        {"[a]\nb = 1 # gone\nc = 2\n", "a.b", "[a]\nc = 2\n"},
		"the last with its header":  {"x = 1\n\n[a]\nb = 1\n\n[c]\n", "a.b", "x = 1\n\n[c]\n"},
		"a header with a comment":   {"[a] # mine\nb = 1\n", "a.b", "[a] # mine\n"},
		"a comment below":           {"[a]\nb = 1\n# c = 2\n", "a.b", "[a]\n# c = 2\n"},
		"a comment above":           {"[a]\n# about b\nb = 1\n", "a.b", "[a]\n# about b\n"},
		"no last newline":           {"x = 1\n[a]\nb = 1", "a.b", "x = 1"},
		"the only line":             {"x = 1", "x", ""},
		"the first of inline":       {"a = { b = 1, c = 2 }\n", "a.b", "a = { c = 2 }\n"},
		"the last of inline":        {"a = { b = 1, c = 2 }\n", "a.c", "a = { b = 1 }\n"},
		"the only one of inline":    {"a = {b = 1}\n", "a.b", "a = {}\n"},
		"a comma at the end":        {"a = [1]\nb = {\n  c = 1, # c\n}\n", "b.c", "a = [1]\nb = {\n   # c\n}\n"},
		"a dotted key":              {"a.b.c = 1\na.d = 1\n", "a.b.c", "a.d = 1\n"},
		"a whole inline table":      {"a = {b = 1}\nc = 1\n", "a", "c = 1\n"},
		"a value of several lines":  {"a = '''\n[x]\n'''\nc = 1\n", "a", "c = 1\n"},
		"a table in another's name": {"[a.b]\nx = 1\n[a.bc]\nx = 1\n", "a.b.x", "[a.bc]\nx = 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tomledit.Delete([]byte(c.before), strings.Split(c.path, "."))
			if err != nil || string(got) != c.after {
				t.Fatalf("got %q, %v\nwant %q", got, err, c.after)
			}
		})
	}
}

func TestUpsertAndDrop(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"an empty text":          {"", "[[index]]\nname = \"g\"\nurl = \"u\"\ndefault = true\n"},
		"after others":           {"[[index]]\nname = 'o'\n", "[[index]]\nname = 'o'\n\n[[index]]\nname = \"g\"\nurl = \"u\"\ndefault = true\n"},
		"no last newline":        {"# c", "# c\n\n[[index]]\nname = \"g\"\nurl = \"u\"\ndefault = true"},
		"an inline array":        {"index = [{ name = 'o' }]\n", "index = [{ name = 'o' }, { name = \"g\", url = \"u\", default = true }]\n"},
		"an array of lines":      {"index = [\n  { name = 'o' }, # c\n]\n", "index = [\n  { name = 'o' },\n  { name = \"g\", url = \"u\", default = true }, # c\n]\n"},
		"an empty array":         {"index = [ ]\n", "index = [ { name = \"g\", url = \"u\", default = true } ]\n"},
		"a sub-table at the end": {"[[index]]\nname = 'o'\n[index.x]\ny = 1\n[z]\n", "[[index]]\nname = 'o'\n[index.x]\ny = 1\n[z]\n\n[[index]]\nname = \"g\"\nurl = \"u\"\ndefault = true\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tomledit.Upsert([]byte(c.before), []string{"index"}, "name", "g", tomledit.Pair{"url", "u"}, tomledit.Pair{"default", true})
			if err != nil || string(got) != c.after {
				t.Fatalf("got %q, %v\nwant %q", got, err, c.after)
			}
			again, err := tomledit.Upsert(got, []string{"index"}, "name", "g", tomledit.Pair{"url", "u"}, tomledit.Pair{"default", true})
			if err != nil || !bytes.Equal(again, got) {
				t.Fatalf("again: %q, %v", again, err)
			}
			back, err := tomledit.Drop(got, []string{"index"}, "name", "g")
			if err != nil || string(back) != c.before {
				t.Fatalf("dropped: %q, %v\nwant %q", back, err, c.before)
			}
		})
	}
}

func TestUpsertFirst(t *testing.T) {
	for before, after := range map[string]string{
		"":                                   "[[i]]\nname = \"g\"\n",
		"[[i]]\nname = 'o'\n":                "[[i]]\nname = \"g\"\n\n[[i]]\nname = 'o'\n",
		"x = 1\n[[i]]\nname = 'o'":           "x = 1\n[[i]]\nname = \"g\"\n\n[[i]]\nname = 'o'",
		"x = 1\n\n# mine\n[[i]]\nname = 'o'": "x = 1\n\n[[i]]\nname = \"g\"\n\n# mine\n[[i]]\nname = 'o'",
		"i = [{name = 'o'}]\n":               "i = [{ name = \"g\" }, {name = 'o'}]\n",
		"i = [\n  {name = 'o'}, # c\n]\n":    "i = [\n  { name = \"g\" },\n  {name = 'o'}, # c\n]\n",
	} {
		got, err := tomledit.UpsertFirst([]byte(before), []string{"i"}, "name", "g")
		if err != nil || string(got) != after {
			t.Errorf("got %q, %v\nwant %q", got, err, after)
		}
		if back, err := tomledit.Drop(got, []string{"i"}, "name", "g"); err != nil || string(back) != before {
			t.Errorf("dropped: %q, %v\nwant %q", back, err, before)
		}
	}
}

func TestUpsert_ChangesElement(t *testing.T) {
	for before, after := range map[string]string{
		"[[i]]\nname = 'a'\nurl = 'old' # c\n[i.x]\ny = 1\n[[i]]\nname = 'b'\n": "[[i]]\nname = 'a'\nurl = \"new\" # c\nn = 1\n[i.x]\ny = 1\n[[i]]\nname = 'b'\n",
		"i = [{name = 'b'}, {url = 'old', name = 'a'}]\n":                       "i = [{name = 'b'}, {url = \"new\", name = 'a', n = 1}]\n",
	} {
		got, err := tomledit.Upsert([]byte(before), []string{"i"}, "name", "a", tomledit.Pair{"url", "new"}, tomledit.Pair{"n", 1})
		if err != nil || string(got) != after {
			t.Errorf("got %q, %v\nwant %q", got, err, after)
		}
	}
}

func TestDrop_WholeElement(t *testing.T) {
	for before, after := range map[string]string{
		"[[i]]\nname = 'a'\n[i.x]\ny = 1\n\n[[i]]\nname = 'b'\n":    "[[i]]\nname = 'b'\n",
		"[[i]]\nname = 'b'\n\n[[i]]\nname = 'a'\n# c\n[z]\nx = 1\n": "[[i]]\nname = 'b'\n# c\n[z]\nx = 1\n",
		"[[i]]\nname = 'a'\n[[i]]\nname = 'a'\n":                    "",
		"i = [{name = 'b'}, # of b\n  {name = 'a'},\n]\n":           "i = [{name = 'b'}, # of b\n  \n]\n",
		"i = [{name = 'a'}, {name = 'b'}]\n":                        "i = [{name = 'b'}]\n",
	} {
		got, err := tomledit.Drop([]byte(before), []string{"i"}, "name", "a")
		if err != nil || strings.TrimLeft(string(got), "\n") != after {
			t.Errorf("got %q, %v\nwant %q", got, err, after)
		}
	}
}

func TestGet(t *testing.T) {
	text := []byte("a.b = 'x'\n[[i]]\nname = 'n'\n")
	if v, ok, err := tomledit.Get(text, []string{"a", "b"}); v != "x" || !ok || err != nil {
		t.Errorf("%v, %v, %v", v, ok, err)
	}
	if v, ok, err := tomledit.Get(text, []string{"i"}); err != nil || !ok || v.([]any)[0].(map[string]any)["name"] != "n" {
		t.Errorf("%v, %v, %v", v, ok, err)
	}
	for _, path := range [][]string{{"z"}, {"a", "b", "c"}, {"i", "name"}} {
		if v, ok, err := tomledit.Get(text, path); v != nil || ok || err != nil {
			t.Errorf("%v: %v, %v, %v", path, v, ok, err)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1\nb = \n":       "line 2: ",
		"a = 1\nb = 2\na = 3": "line 3: ",
		"p = 1":               "p.k cannot be set: its parent is not a table",
		"[[p]]\nx = 1":        "p.k cannot be set: its parent is not a table",
		"[p.k]\nx = 1":        "p.k cannot be set: it is a table",
	} {
		if got, err := tomledit.Set([]byte(text), []string{"p", "k"}, "v"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %q, %v; want %s", text, got, err, want)
		}
	}
	if _, err := tomledit.Set(nil, []string{"k"}, "\xff"); err == nil {
		t.Error("a string that is not UTF-8 was set")
	}
	if _, err := tomledit.Upsert([]byte("[i]\nx = 1"), []string{"i"}, "name", "a"); err == nil {
		t.Error("a table was taken for an array of tables")
	}
}
