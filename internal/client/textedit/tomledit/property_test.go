package tomledit_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	gotoml "github.com/pelletier/go-toml/v2"
	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
)

// files generates texts as people write them: every form of table and of value,
// in either line ending, with comments, with and without a byte order mark and
// a last newline. There are few keys, so that paths often lead to something.
func files() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		var lines []string
		noise := func() {
			lines = append(lines, rapid.SampledFrom([][]string{nil, nil, nil, {""}, {"# a comment = 1"}, {"", "# [no.table]"}, {"  "}}).Draw(t, "noise")...)
		}
		entries := func() {
			noise()
			indent := rapid.SampledFrom([]string{"", "", "  ", "\t"}).Draw(t, "indent")
			for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"k", `"k.k"`, "l", "d.x", "d . 'y z'", "in"}), 0, 4, rapid.ID).Draw(t, "keys") {
				value := rapid.SampledFrom(literals).Draw(t, "value")
				if key == "in" {
					value = rapid.SampledFrom([]string{"{}", "{ }", "{k = 1}", "{ k = 1, d.x = '}' }", "{k = {l = [1, {x = 2}]}, l = '#'}"}).Draw(t, "inline")
				}
				lines = append(lines, strings.Split(indent+key+rapid.SampledFrom([]string{" = ", "=", "  =\t"}).Draw(t, "equals")+value+rapid.SampledFrom([]string{"", "", " # why", "  "}).Draw(t, "end"), "\n")...)
				noise()
			}
		}
		entries()
		for _, header := range rapid.Permutation([]string{"[t]", "[ t.s ]", `["q.r"]`, "[u.v.w]", "[e]"}).Draw(t, "headers")[:rapid.IntRange(0, 5).Draw(t, "tables")] {
			lines = append(lines, header+rapid.SampledFrom([]string{"", "", " # about it"}).Draw(t, "end"))
			if header != "[e]" {
				entries()
			}
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "elements") {
			noise()
			lines = append(lines, "[[array]]", fmt.Sprintf("name = 'n%d'", i))
			entries()
			if rapid.Bool().Draw(t, "below") {
				lines = append(lines, "[array.below]")
				entries()
			}
		}
		newline := rapid.SampledFrom([]string{"\n", "\n", "\r\n"}).Draw(t, "newline")
		text := strings.Join(lines, newline)
		if len(lines) > 0 && rapid.Bool().Draw(t, "last newline") {
			text += newline
		}
		return []byte(rapid.SampledFrom([]string{"", "", "\xef\xbb\xbf"}).Draw(t, "mark") + text)
	})
}

var literals = []string{
	`"old"`, `'old'`, "1", "true", "1.5", "nan", "1979-05-27T07:32:00Z", "07:32:00", "[]", "[ 'a', \"b\" ]",
	"[\n  1, # ]\n  2,\n]", "'''\n[in.text]\nk = 1'''", `"""\` + "\n  # no comment" + `"""`, "[{k = 1}, {k = 2}]",
}

func paths() *rapid.Generator[[]string] {
	key := rapid.SampledFrom([]string{"k", "l", "d", "x", "y z", "in", "t", "s", "u", "v", "w", "e", "q.r", "k.k", "array", "below", "name", "new", `"\`})
	return rapid.SliceOfN(key, 1, 4)
}

func values(t interface{ Fatal(...any) }, text []byte) map[string]any {
	v := map[string]any{}
	if err := gotoml.Unmarshal(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &v); err != nil {
		t.Fatal(err, string(text))
	}
	return v
}

// lookup returns what is at a path, and whether the path only leads through
// tables.
func lookup(v any, path []string) (value any, there, open bool) {
	for _, key := range path {
		table, ok := v.(map[string]any)
		if !ok {
			return nil, false, false
		}
		if v, ok = table[key]; !ok {
			return nil, false, true
		}
	}
	return v, true, true
}

// onePlace fails if the texts differ in more than one place.
func onePlace(t interface{ Fatalf(string, ...any) }, before, after []byte, replaced int) {
	same := 0
	for same < min(len(before), len(after)) && before[same] == after[same] {
		same++
	}
	for i := 1; same < len(before) && i <= min(len(before), len(after))-same && before[len(before)-i] == after[len(after)-i]; i++ {
		replaced++
	}
	if same+replaced < len(before) {
		t.Fatalf("more than one place changed:\n%q\n%q", before, after)
	}
}

func checkSet(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, before []byte, path []string, value any, parsed any,
) {
	old, there, open := lookup(values(t, before), path)
	_, table := old.(map[string]any)
	table = table || slices.Equal(path, []string{"array"})
	after, err := tomledit.Set(before, path, value)
	if err != nil {
		if open && !(there && table) {
			t.Fatalf("%v: %v\n%s", path, err, before)
		}
		return
	}
	got, ok, err := tomledit.Get(after, path)
	if err != nil || !ok || !reflect.DeepEqual(got, parsed) {
		t.Fatalf("%v: got %v, %v, %v\n%s", path, got, ok, err, after)
	}
	onePlace(t, before, after, len(fmt.Sprint(old))+1000*btoi(there))
	if again, err := tomledit.Set(after, path, value); err != nil || !bytes.Equal(again, after) {
		t.Fatalf("again: %v\n%q\n%q", err, after, again)
	}
	deleted, err := tomledit.Delete(after, path)
	if err != nil {
		t.Fatalf("deleting %v: %v\n%s", path, err, after)
	}
	if there {
		return
	}
	if headless(before, path[:len(path)-1]) {
		return // the header goes with its only key
	}
	if !bytes.Equal(deleted, before) {
		t.Fatalf("%v set and deleted:\n%q\n%q\n%q", path, before, after, deleted)
	}
}

// headless reports whether a table has a header and no key below it.
func headless(text []byte, path []string) bool {
	header := map[string]string{"t": "[t]", "t/s": "[ t.s ]", "q.r": `["q.r"]`, "u/v/w": "[u.v.w]", "e": "[e]"}[strings.Join(path, "/")]
	_, after, found := strings.Cut("\n"+strings.TrimPrefix(string(text), "\xef\xbb\xbf"), "\n"+header)
	for line := range strings.Lines(after) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			break
		}
		if strings.Contains(line, "=") && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return found && header != ""
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestDelete_UndoesSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, path := files().Draw(t, "text"), paths().Draw(t, "path")
		switch value := rapid.OneOf(rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.SliceOfN(rapid.String(), 0, 3).AsAny()).Draw(t, "value").(type) {
		case []string:
			list := make([]any, len(value))
			for i := range value {
				list[i] = value[i]
			}
			checkSet(t, before, path, value, list)
		default:
			checkSet(t, before, path, value, value)
		}
	})
}

// Replacing a value leaves the bytes before and after it as they were.
func TestSet_KeepsTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := rapid.SampledFrom(literals).Draw(t, "old")
		before := []byte("# one\n[a] # two\n\tb.'c' =  " + old + "  # three\r\nd = 1\n[e]\n")
		got, err := tomledit.Set(before, []string{"a", "b", "c"}, "new value")
		want := bytes.Replace(before, []byte(old+"  # three"), []byte(`"new value"  # three`), 1)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v\n%q\n%q", err, got, want)
		}
	})
}

func TestDrop_UndoesUpsert(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := files().Draw(t, "text")
		table := rapid.SampledFrom([][]string{{"array"}, {"t", "list"}, {"l"}, {"in", "list"}, {"other"}}).Draw(t, "table")
		upsert := tomledit.Upsert
		first := rapid.Bool().Draw(t, "first")
		if first {
			upsert = tomledit.UpsertFirst
		}
		old, there, open := lookup(values(t, before), table)
		list, isList := old.([]any)
		tables := !slices.ContainsFunc(list, func(e any) bool { _, ok := e.(map[string]any); return !ok })
		pairs := []tomledit.Pair{{Key: "url", Value: rapid.String().Draw(t, "url")}, {Key: "default", Value: true}}
		after, err := upsert(before, table, "name", "ours", pairs...)
		if err != nil {
			if open && (!there || isList && tables) && !(len(table) > 1 && table[0] == "in") {
				t.Fatalf("%v: %v\n%s", table, err, before)
			}
			return
		}
		got, _, _ := tomledit.Get(after, table)
		elements := got.([]any)
		at := len(elements) - 1
		if first {
			at = 0
		}
		if want := map[string]any{"name": "ours", "url": pairs[0].Value, "default": true}; !reflect.DeepEqual(elements[at], want) || len(elements) != len(list)+1 {
			t.Fatalf("%v in\n%s", elements, after)
		}
		onePlace(t, before, after, 0)
		if again, err := upsert(after, table, "name", "ours", pairs...); err != nil || !bytes.Equal(again, after) {
			t.Fatalf("again: %v\n%q\n%q", err, after, again)
		}
		if back, err := tomledit.Drop(after, table, "name", "ours"); err != nil || !bytes.Equal(back, before) {
			t.Fatalf("%v\n%q\n%q\n%q", err, before, after, back)
		}
	})
}

func has(text []byte, path []string) bool {
	_, ok, err := tomledit.Get(text, path)
	return ok || err != nil
}

func FuzzSet(f *testing.F) {
	f.Add([]byte("a.b = {c = [1, {d = 2}]}\r\n[[e]]\nf = '''x'''"), "a/b/x", "v")
	f.Add([]byte("\xef\xbb\xbf# c\n[\"q\".r]\nk = \"\\u00e9\" # c\n"), "q/r/k", "é\x00\"")
	f.Add([]byte("[a.b]\n[a]\nb.c.d = 1\n"), "a/x", "")
	f.Add([]byte("a = { # c\n b = 1,\n}\n"), "a/c", "v")
	f.Fuzz(func(t *testing.T, text []byte, path, value string) {
		keys := strings.Split(path, "/")
		if _, _, err := tomledit.Get(text, keys); err != nil {
			return
		}
		after, err := tomledit.Set(text, keys, value)
		if err != nil {
			if strings.Contains(err.Error(), "by hand") {
				t.Fatalf("%v: %q %q", err, text, keys)
			}
			return
		}
		if got, ok, err := tomledit.Get(after, keys); got != value || !ok || err != nil {
			t.Fatalf("%q, %v, %v in %q", got, ok, err, after)
		}
		if left, err := tomledit.Delete(after, keys); err != nil || has(left, keys) {
			t.Fatalf("%v in %q", err, after)
		}
		after, err = tomledit.Upsert(text, keys, "name", value, tomledit.Pair{Key: "k", Value: 1})
		if err != nil {
			return
		}
		if _, err := tomledit.Drop(after, keys, "name", value); err != nil {
			t.Fatalf("%v in %q", err, after)
		}
	})
}
