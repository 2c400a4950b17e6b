package jsonedit_test

import (
	stdjson "encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/jsonedit"
)

func TestSet(t *testing.T) {
	host := []string{"credHelpers", "127.0.0.1:4283"}
	for _, c := range []struct {
		name     string
		path     []string
		in, want string
	}{
		{"no file", host, "", "{\n\t\"credHelpers\": {\n\t\t\"127.0.0.1:4283\": \"gatehouse\"\n\t}\n}\n"},
		{"empty object", host, "{}", "{\n\t\"credHelpers\": {\n\t\t\"127.0.0.1:4283\": \"gatehouse\"\n\t}\n}"},
		{
			"docker's own form", host,
			"{\n\t\"auths\": {\n\t\t\"https://registry.example/v1/\": {\n\t\t\t\"auth\": \"YTpi\"\n\t\t}\n\t},\n\t\"psFormat\": \"a\\tb\"\n}",
			"{\n\t\"auths\": {\n\t\t\"https://registry.example/v1/\": {\n\t\t\t\"auth\": \"YTpi\"\n\t\t}\n\t},\n\t\"psFormat\": \"a\\tb\",\n\t\"credHelpers\": {\n\t\t\"127.0.0.1:4283\": \"gatehouse\"\n\t}\n}",
		},
		{
			"two spaces, CRLF, a byte order mark", host,
			"\ufeff{\r\n  \"credHelpers\": {\r\n    \"gcr.example\": \"gcr\"\r\n  }\r\n}\r\n",
			"\ufeff{\r\n  \"credHelpers\": {\r\n    \"gcr.example\": \"gcr\",\r\n    \"127.0.0.1:4283\": \"gatehouse\"\r\n  }\r\n}\r\n",
		},
		{"one line", host, `{"credsStore":"desktop"}`, `{"credsStore":"desktop","credHelpers":{"127.0.0.1:4283":"gatehouse"}}`},
		{"one line with spaces", host, `{"credsStore": "desktop"}`, `{"credsStore": "desktop", "credHelpers": {"127.0.0.1:4283": "gatehouse"}}`},
		{"an object on one line in others", host, "{\n \"credHelpers\": {\"a\": \"b\"}\n}", "{\n \"credHelpers\": {\"a\": \"b\", \"127.0.0.1:4283\": \"gatehouse\"}\n}"},
		{"an empty object in others", host, "{\n  \"credHelpers\": { },\n  \"a\": 1e2\n}", "{\n  \"credHelpers\": {\n    \"127.0.0.1:4283\": \"gatehouse\"\n  },\n  \"a\": 1e2\n}"},
		{"another value", host, `{"credHelpers": {"127.0.0.1:4283" : "ecr-login","x":1.50}}`, `{"credHelpers": {"127.0.0.1:4283" : "gatehouse","x":1.50}}`},
		{"the same value, written otherwise", host, `{"credHelpers":{"127.0.0.1:4283":"g\u0061tehouse"}}`, `{"credHelpers":{"127.0.0.1:4283":"g\u0061tehouse"}}`},
		{"null on the way", host, `{"credHelpers":null}`, `{"credHelpers":{"127.0.0.1:4283":"gatehouse"}}`},
		{"a name of signs", []string{`a.b/c:d*?#|@"\`}, `{"a":{"b/c":1}}`, `{"a":{"b/c":1},"a.b/c:d*?#|@\"\\":"gatehouse"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := jsonedit.Set([]byte(c.in), c.path, "gatehouse")
			if err != nil || string(got) != c.want {
				t.Fatalf("got  %q\nwant %q, %v", got, c.want, err)
			}
			if again, err := jsonedit.Set(got, c.path, "gatehouse"); err != nil || string(again) != c.want {
				t.Errorf("a second time: %q, %v", again, err)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"a":{"b":1}}`, `{}`},
		{`{"a":{"b":1,"c":2}}`, `{"a":{"c":2}}`},
		{`{"a":{"c":2, "b":1}}`, `{"a":{"c":2}}`},
		{"{\n  \"x\": 1,\n  \"a\": {\n    \"b\": [1, 2]\n  }\n}\n", "{\n  \"x\": 1\n}\n"},
		{"{\n  \"a\": {\n    \"b\": {}\n  },\n  \"x\": 1\n}\n", "{\n  \"x\": 1\n}\n"},
		{`{"a":null}`, `{"a":null}`},
		{`{"a":{}}`, `{"a":{}}`},
		{"", ""},
	} {
		if got, err := jsonedit.Delete([]byte(c.in), []string{"a", "b"}); err != nil || string(got) != c.want {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"[]", "line 1: the file is not a JSON object"},
		{"\n\"a\"", "the file is not a JSON object"},
		{"{\n\"a\": {\n}", "line 3: not JSON"},
		{"{\n\"a\": 1,\n}", "line 2: not JSON"},
		{"{\n// note\n}", "line 2: not JSON"},
		{"{}\n{}", "line 2: there is more after the object"},
		{"{\"b\": 1,\n \"b\": 2}", `line 2: not JSON: "b" appears twice in one object`},
		{"{\n \"a\": \"text\"}", `line 2: "a" is not an object`},
		{"{\"a\": \"\xff\"}", "line 1: not JSON"},
	} {
		_, err := jsonedit.Set([]byte(c.in), []string{"a", "b"}, 1)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.in, err, c.want)
		}
	}
	if _, err := jsonedit.Set(nil, nil, 1); err == nil {
		t.Error("an empty path was accepted")
	}
	if _, err := jsonedit.Set(nil, []string{"a"}, func() {}); err == nil {
		t.Error("a function was written")
	}
}

// There are few names, so that paths often lead to something.
var names = rapid.SampledFrom([]string{"a", "b", "credHelpers", "registry.example:5000/x", "", "é\"\\"})

var values = rapid.Custom(func(t *rapid.T) any { return tree(t, 3) })

func tree(t *rapid.T, depth int) any {
	switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
	case kind == 0:
		return rapid.String().Draw(t, "string")
	case kind == 1:
		return rapid.Float64Range(-1e6, 1e6).Draw(t, "number")
	case kind == 2:
		return rapid.SampledFrom([]any{nil, true, false}).Draw(t, "literal")
	case kind == 3 && depth > 0:
		return []any{tree(t, depth-1), tree(t, depth-1)}
	}
	return members(t, depth)
}

func members(t *rapid.T, depth int) map[string]any {
	o := map[string]any{}
	for range rapid.IntRange(0, min(depth, 1)*3).Draw(t, "members") {
		o[names.Draw(t, "name")] = tree(t, depth-1)
	}
	return o
}

// texts generates objects in many forms.
var texts = rapid.Custom(func(t *rapid.T) []byte {
	o := members(t, 3)
	text, err := stdjson.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "lines") {
		text, err = stdjson.MarshalIndent(o, "", rapid.SampledFrom([]string{"", " ", "  ", "\t"}).Draw(t, "unit"))
		if err != nil {
			t.Fatal(err)
		}
	}
	s := string(text)
	if rapid.Bool().Draw(t, "CRLF") {
		s = strings.ReplaceAll(s, "\n", "\r\n")
	}
	return []byte(rapid.SampledFrom([]string{"", "\ufeff", "\n"}).Draw(t, "head") + s + rapid.SampledFrom([]string{"", "\n", " \r\n"}).Draw(t, "tail"))
})

// plain makes the same change to the decoded object. It returns false if the
// path leads through something that is not an object.
func plain(o map[string]any, path []string, value any) bool {
	for _, name := range path[:len(path)-1] {
		inner, ok := o[name].(map[string]any)
		if !ok {
			if o[name] != nil {
				return false
			}
			inner = map[string]any{}
			o[name] = inner
		}
		o = inner
	}
	o[path[len(path)-1]] = value
	return true
}

func decode(t *rapid.T, text []byte) map[string]any {
	o := map[string]any{}
	if err := stdjson.Unmarshal([]byte(strings.TrimPrefix(string(text), "\ufeff")), &o); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return o
}

func TestSet_MatchesDecoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, path, value := texts.Draw(t, "text"), rapid.SliceOfN(names, 1, 3).Draw(t, "path"), values.Draw(t, "value")
		want := decode(t, text)
		possible := plain(want, path, value)
		got, err := jsonedit.Set(text, path, value)
		if !possible {
			if err == nil {
				t.Fatalf("%q was changed to %q", text, got)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if o := decode(t, got); !reflect.DeepEqual(o, want) {
			t.Fatalf("%q: %v, want %v", got, o, want)
		}
		if v, ok, err := jsonedit.Get(got, path); err != nil || !ok || !reflect.DeepEqual(v, value) {
			t.Fatalf("Get: %v, %v, %v", v, ok, err)
		}
		if again, err := jsonedit.Set(got, path, value); err != nil || string(again) != string(got) {
			t.Fatalf("a second time: %q, %v", again, err)
		}
	})
}

// Delete removes what Set added, byte for byte, unless there was an empty
// object or a null in its place.
func TestDelete_UndoesSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, path := texts.Draw(t, "text"), rapid.SliceOfN(names, 1, 3).Draw(t, "path")
		for i := range path {
			v, ok, err := jsonedit.Get(text, path[:i+1])
			if m, object := v.(map[string]any); err != nil || ok && (!object || len(m) == 0 || i == len(path)-1) {
				return
			}
		}
		if len(decode(t, text)) == 0 {
			return
		}
		set, err := jsonedit.Set(text, path, values.Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		back, err := jsonedit.Delete(set, path)
		if err != nil || string(back) != string(text) {
			t.Fatalf("%q, %v", back, err)
		}
	})
}

func TestDelete_ChangesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, path := texts.Draw(t, "text"), rapid.SliceOfN(names, 1, 3).Draw(t, "path")
		got, err := jsonedit.Delete(text, path)
		if err != nil {
			return // something on the way is not an object
		}
		want := decode(t, text)
		prune(want, path)
		if o := decode(t, got); !reflect.DeepEqual(o, want) {
			t.Fatalf("%q: %v, want %v", got, o, want)
		}
	})
}

func prune(o map[string]any, path []string) {
	inner, ok := o[path[0]].(map[string]any)
	if len(path) == 1 {
		delete(o, path[0])
	} else if ok && len(inner) > 0 {
		if prune(inner, path[1:]); len(inner) == 0 {
			delete(o, path[0])
		}
	}
}

func FuzzEdit(f *testing.F) {
	for _, text := range []string{
		"", "{}", "{\n\t\"auths\": {\n\t\t\"a.example\": {}\n\t},\n\t\"credHelpers\": null\n}", `{ "a" : 1 , "b" : {"credHelpers":{}} }`,
		"\ufeff{\r\n  \"credHelpers\" : {\r\n    \"a\":\r\n 1 } }", "{\"a\":1,\n\r \"b\":[{}]}", "[1]", `{"a":"\ud800"}`,
	} {
		f.Add([]byte(text), "credHelpers", "a.example:1/x")
	}
	f.Fuzz(func(t *testing.T, text []byte, outer, inner string) {
		path := []string{outer, inner}
		set, err := jsonedit.Set(text, path, map[string]any{"k": "v"})
		if err != nil {
			return
		}
		if again, err := jsonedit.Set(set, path, map[string]any{"k": "v"}); err != nil || string(again) != string(set) {
			t.Fatalf("%q again: %q, %v", set, again, err)
		}
		out, err := jsonedit.Delete(set, path)
		if err != nil {
			t.Fatalf("%q: %v", set, err)
		}
		if _, ok, err := jsonedit.Get(out, path); ok || err != nil {
			t.Fatalf("%q is still there: %v", out, err)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	var text strings.Builder
	text.WriteString("{\n\t\"auths\": {")
	for i := range 200 {
		if i > 0 {
			text.WriteString(",")
		}
		text.WriteString("\n\t\t\"registry-" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + ".example\": {}")
	}
	text.WriteString("\n\t}\n}\n")
	in := []byte(text.String())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jsonedit.Set(in, []string{"credHelpers", "registry.example"}, "gatehouse"); err != nil {
			b.Fatal(err)
		}
	}
}
