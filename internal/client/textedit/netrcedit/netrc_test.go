package netrcedit_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/netrcedit"
)

func TestSet(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":       {"", "machine m login token password new\n"},
		"others":        {"machine x\n  login a\n  password b\n", "machine x\n  login a\n  password b\nmachine m login token password new\n"},
		"no end":        {"machine x login a password b", "machine x login a password b\nmachine m login token password new"},
		"CRLF":          {"machine x login a password b\r\n", "machine x login a password b\r\nmachine m login token password new\r\n"},
		"a mark":        {"\uFEFFdefault login anonymous password x\n", "\uFEFFmachine m login token password new\ndefault login anonymous password x\n"},
		"a default":     {"machine x login a password b\ndefault login c password d\n", "machine x login a password b\nmachine m login token password new\ndefault login c password d\n"},
		"a macro":       {"machine x login a password b\n\nmacdef init\nmachine m login z\n\n", "machine x login a password b\n\nmachine m login token password new\nmacdef init\nmachine m login z\n\n"},
		"another one":   {"# mine\nmachine m # it\n\tlogin token\n\tpassword old # secret\naccount q\n", "# mine\nmachine m # it\n\tlogin token\n\tpassword new # secret\naccount q\n"},
		"quotes":        {`machine "m" login "token" password "o \"ld"`, `machine "m" login "token" password new`},
		"no password":   {"machine M login token\nmachine y login b password c", "machine M login token password new\nmachine y login b password c"},
		"as it was":     {"machine m login token password \"new\"\n", "machine m login token password \"new\"\n"},
		"in a comment":  {"#machine m login token password old\n", "#machine m login token password old\nmachine m login token password new\n"},
		"after default": {"machine a login b default login c machine d login e", "machine m login token password new\nmachine a login b default login c machine d login e"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := netrcedit.Set([]byte(c.text), "m", "token", "new")
			if err != nil || string(got) != c.want {
				t.Fatalf("%v\n%s", err, got)
			}
			if again, err := netrcedit.Set(got, "m", "token", "new"); err != nil || !bytes.Equal(again, got) {
				t.Errorf("again: %v\n%s", err, again)
			}
			if login, password, ok, err := netrcedit.Get(got, "m"); login != "token" || password != "new" || !ok || err != nil {
				t.Errorf("%s %s %v %v", login, password, ok, err)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"all there is":  {"machine m login token password p\n", ""},
		"several lines": {"machine x login a\n\n  machine m\n    login token\n    password p  \n# end\n", "machine x login a\n\n# end\n"},
		"on one line":   {"machine x login a machine m login token password p machine y login b", "machine x login a  machine y login b"},
		"a comment":     {"machine m login token password p # why\n", "# why\n"},
		"another login": {"machine m login aws password p\n", "machine m login aws password p\n"},
		"none":          {"machine x login a\n", "machine x login a\n"},
	} {
		if got, err := netrcedit.Delete([]byte(c.text), "m", "token"); err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%q", name, err, got)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"machine x\nmachine":                          `line 2: "machine" has no value`,
		"login a":                                     `line 1: "login" does not belong to a machine`,
		"machine x\nlogin \"a\n\"":                    "line 2: the quoted word is not closed",
		"machine x login a\nhunter2":                  "line 2: this word is not a netrc keyword",
		"# a\nmachine m\nlogin aws\npassword hunter2": `line 2: there is an entry for m already, with the login "aws"`,
	} {
		if _, err := netrcedit.Set([]byte(text), "m", "token", "new"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, word := range []string{"", "a b", "a\nmachine", `a"`} {
		if _, err := netrcedit.Set(nil, "m", "token", word); err == nil {
			t.Errorf("%q", word)
		}
	}
}

// Set inserts a line, and Delete removes it.
func TestDelete_UndoesSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{
			"machine x login a password b", "machine x.example\n\tlogin a\n\tpassword \"b c\"", "# machine m login token", "", "default login c password d", "macdef init\ncd /\n", "machine y",
		})).Draw(t, "parts")
		before := strings.Join(parts, "\n") + rapid.SampledFrom([]string{"", "\n"}).Draw(t, "end")
		if rapid.Bool().Draw(t, "CRLF") {
			before = strings.ReplaceAll(before, "\n", "\r\n")
		}
		once, err := netrcedit.Set([]byte(before), "m", "token", "new")
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := netrcedit.Set(once, "m", "token", "new"); err != nil || !bytes.Equal(twice, once) {
			t.Fatalf("%v\n%q\n%q", err, once, twice)
		}
		if after, err := netrcedit.Delete(once, "m", "token"); err != nil || string(after) != before {
			t.Fatalf("%v\n%q\n%q\n%q", err, before, once, after)
		}
	})
}

// For any text, the result of Set can be read, and a second Set changes
// nothing.
func FuzzSet(f *testing.F) {
	f.Add([]byte("machine m login token password p\n"))
	f.Add([]byte("macdef a\nb\n\ndefault login \"a\\\""))
	f.Add([]byte("\uFEFFmachine x\r\nlogin #a"))
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := netrcedit.Set(text, "m", "token", "new")
		if err != nil {
			return
		}
		if twice, err := netrcedit.Set(once, "m", "token", "new"); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v\n%q\n%q", err, once, twice)
		}
		if login, password, ok, err := netrcedit.Get(once, "m"); login != "token" || password != "new" || !ok || err != nil {
			t.Fatalf("%q: %s %s %v %v", once, login, password, ok, err)
		}
	})
}
