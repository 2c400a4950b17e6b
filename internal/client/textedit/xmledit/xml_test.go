package xmledit_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/xmledit"
)

var (
	password = []xmledit.Step{xmledit.El("settings"), xmledit.El("servers"), xmledit.By("server", "id", "lib"), xmledit.El("password")}
	username = []xmledit.Step{xmledit.El("settings"), xmledit.El("servers"), xmledit.By("server", "id", "lib"), xmledit.El("username")}
	server   = []xmledit.Step{xmledit.El("settings"), xmledit.El("servers"), xmledit.By("server", "id", "lib")}
	active   = []xmledit.Step{xmledit.El("settings"), xmledit.El("activeProfiles"), xmledit.Text("activeProfile", "lib")}
	mirror   = []xmledit.Step{xmledit.El("settings"), xmledit.El("mirrors"), xmledit.By("mirror", "id", "lib").AtFirst(), xmledit.El("url")}
	source   = []xmledit.Step{xmledit.El("configuration"), xmledit.El("packageSources"), xmledit.ByAttr("add", "key", "lib"), xmledit.Attr("value")}
)

func set(t *testing.T, text string, path []xmledit.Step, value string) string {
	t.Helper()
	out, err := xmledit.Set([]byte(text), path, value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func remove(t *testing.T, text string, path []xmledit.Step) string {
	t.Helper()
	out, err := xmledit.Delete([]byte(text), path)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// New elements look as a person would have written them.
func TestSet(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		path  []xmledit.Step
		value string
		want  string
	}{
		"parents": {
			"<settings>\n</settings>\n", password, "a&b",
			"<settings>\n  <servers>\n    <server>\n      <id>lib</id>\n      <password>a&amp;b</password>\n    </server>\n  </servers>\n</settings>\n",
		},
		"a sibling": {
			"<settings>\n\t<servers>\n\t\t<server>\n\t\t\t<id>x</id>\n\t\t</server>\n\t\t<!-- last -->\n\t</servers>\n</settings>", password, "p",
			"<settings>\n\t<servers>\n\t\t<server>\n\t\t\t<id>x</id>\n\t\t</server>\n\t\t<!-- last -->\n\t\t<server>\n\t\t\t<id>lib</id>\n\t\t\t<password>p</password>\n\t\t</server>\n\t</servers>\n</settings>",
		},
		"replaced": {
			"<settings><servers><server><password old='1'><![CDATA[x<]]></password><id> lib </id></server></servers></settings>", password, "p",
			"<settings><servers><server><password old='1'>p</password><id> lib </id></server></servers></settings>",
		},
		"as it was": {
			"<settings><servers><server><password><![CDATA[x<]]></password><id>lib</id></server></servers></settings>", password, "x<",
			"<settings><servers><server><password><![CDATA[x<]]></password><id>lib</id></server></servers></settings>",
		},
		"a second value": {
			"<settings>\r\n  <servers>\r\n    <server>\r\n      <id>lib</id>\r\n    </server>\r\n  </servers>\r\n</settings>\r\n", username, "aws",
			"<settings>\r\n  <servers>\r\n    <server>\r\n      <id>lib</id>\r\n      <username>aws</username>\r\n    </server>\r\n  </servers>\r\n</settings>\r\n",
		},
		"self-closed":    {"\uFEFF<settings>\n  <servers/>\n</settings>", active, "lib", "\uFEFF<settings>\n  <servers/>\n  <activeProfiles>\n    <activeProfile>lib</activeProfile>\n  </activeProfiles>\n</settings>"},
		"self-closed it": {"<settings>\n    <activeProfiles />\n</settings>", active, "lib", "<settings>\n    <activeProfiles>\n        <activeProfile>lib</activeProfile>\n    </activeProfiles>\n</settings>"},
		"self-closed root": {
			"<?xml version=\"1.0\"?>\n<configuration/>", source, "u",
			"<?xml version=\"1.0\"?>\n<configuration>\n  <packageSources>\n    <add key=\"lib\" value=\"u\" />\n  </packageSources>\n</configuration>",
		},
		"an attribute": {
			`<configuration><packageSources><add protocolVersion='3' key="lib" /></packageSources></configuration>`, source, `a"b<`,
			`<configuration><packageSources><add protocolVersion='3' key="lib" value="a&quot;b&lt;" /></packageSources></configuration>`,
		},
		"an attribute's value": {
			"<configuration><packageSources><add value = 'v'\n key=\"lib\"/></packageSources></configuration>", source, "u",
			"<configuration><packageSources><add value = \"u\"\n key=\"lib\"/></packageSources></configuration>",
		},
		"first": {
			"<settings>\n  <mirrors>\n    <!-- all -->\n    <mirror><id>x</id></mirror>\n  </mirrors>\n</settings>", mirror, "u",
			"<settings>\n  <mirrors>\n    <mirror>\n      <id>lib</id>\n      <url>u</url>\n    </mirror>\n    <!-- all -->\n    <mirror><id>x</id></mirror>\n  </mirrors>\n</settings>",
		},
		"a prefix": {
			`<m:settings xmlns:m="urn:m" m:password="p"><m:servers><m:server><m:id>x</m:id></m:server></m:servers></m:settings>`, password, "p",
			`<m:settings xmlns:m="urn:m" m:password="p"><m:servers><m:server><m:id>x</m:id></m:server><m:server><m:id>lib</m:id><m:password>p</m:password></m:server></m:servers></m:settings>`,
		},
		"in a comment": {
			"<settings>\n  <!-- <servers><server><id>lib</id></server></servers> -->\n</settings>", active, "lib",
			"<settings>\n  <!-- <servers><server><id>lib</id></server></servers> -->\n  <activeProfiles>\n    <activeProfile>lib</activeProfile>\n  </activeProfiles>\n</settings>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := set(t, c.text, c.path, c.value)
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if again := set(t, got, c.path, c.value); again != got {
				t.Errorf("again\n%s", again)
			}
			if v, ok, err := xmledit.Get([]byte(got), c.path); v != c.value || !ok || err != nil {
				t.Errorf("%q, %v, %v", v, ok, err)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		path       []xmledit.Step
	}{
		"with its parents": {"<settings>\n  <a/>\n  <servers>\n    <server><id>lib</id></server>\n  </servers>\n</settings>", "<settings>\n  <a/>\n</settings>", server},
		"but for comments": {"<settings>\n  <servers>\n    <!-- mine -->\n    <server><id>lib</id></server>\n  </servers>\n</settings>", "<settings>\n  <servers>\n    <!-- mine -->\n  </servers>\n</settings>", server},
		"all of them":      {"<settings><servers><server><id>lib</id></server><server/><server><id>lib</id></server></servers></settings>", "<settings><servers><server/></servers></settings>", server},
		"not the root":     {"<settings><servers><server><id>lib</id></server></servers></settings>", "<settings></settings>", server},
		"an attribute":     {"<configuration><packageSources><add key='lib' value=\"x y='z'\" v='1'/></packageSources></configuration>", "<configuration><packageSources><add key='lib' v='1'/></packageSources></configuration>", source},
		"nothing":          {"<other/>", "<other/>", server},
	} {
		if got := remove(t, c.text, c.path); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAll(t *testing.T) {
	text := `<configuration><packageSources><add key="a" value="1"/><!-- <add/> --><clear /><add key="b" value="2"> t </add></packageSources></configuration>`
	found, err := xmledit.All([]byte(text), []xmledit.Step{xmledit.El("configuration"), xmledit.El("packageSources"), xmledit.El("add")})
	if err != nil || len(found) != 2 || found[0].Attr("key") != "a" || found[1].Attr("value") != "2" || found[1].Text() != "t" || found[0].Attr("none") != "" {
		t.Errorf("%v, %v", found, err)
	}
	servers := []byte("<settings><servers><server><id>x</id><username> u </username></server></servers></settings>")
	found, err = xmledit.All(servers, []xmledit.Step{xmledit.El("settings"), xmledit.El("*"), xmledit.El("*")})
	if err != nil || len(found) != 1 || found[0].Name() != "server" || found[0].Child("username") != "u" || found[0].Child("none") != "" {
		t.Errorf("%v, %v", found, err)
	}
}

// Errors name the line.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "there is no element",
		"<settings>\n<a>\n</settings>":  "line 3: ",
		"<settings>\n  <a>":             "line 2: <a> is not closed",
		"<settings/>\n<settings/>":      "line 2: there is a second root element",
		"<settings/>\nx":                "line 2: there is text outside",
		"<settings>\n&nbsp;</settings>": "line 2: ",
		"<settings>\n\xff</settings>":   "line 2: the text is not UTF-8",
		"<?xml version='1.0' encoding='utf-16'?><settings/>": `the encoding "utf-16" cannot be edited`,
		"<other/>": "the root element is <other>",
		"<settings>\n<servers><server><id>lib</id><password><a/></password></server></servers></settings>": "line 2: <password> contains elements",
		strings.Repeat("<a>", 1000): "nested more than 256 deep",
	} {
		if _, err := xmledit.Set([]byte(text), password, "p"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v", text, err)
		}
	}
	ok := []byte("<settings/>")
	for name, path := range map[string][]xmledit.Step{
		"no path": nil, "an attribute of nothing": {xmledit.Attr("a")}, "an attribute inside": {xmledit.El("settings"), xmledit.Attr("a"), xmledit.El("b")},
		"no name": {xmledit.El("settings"), xmledit.El("a b")}, "no key": {xmledit.El("settings"), xmledit.By("a", "<", "b")}, "no text": {xmledit.El("settings"), xmledit.By("a", "b", "\x00")},
	} {
		if _, err := xmledit.Set(ok, path, "v"); err == nil {
			t.Error(name)
		}
	}
	if _, err := xmledit.Set(ok, active, "\x01"); err == nil {
		t.Error("a control character")
	}
}

// configuration generates a settings.xml as people have them: comments, blank
// lines, either line ending, tabs or spaces, a byte order mark, CDATA. No
// element on the path to the tests' values is empty.
func configuration() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		newline := rapid.SampledFrom([]string{"\n", "\r\n", ""}).Draw(t, "newline")
		unit := rapid.SampledFrom([]string{"  ", "\t", "    "}).Draw(t, "unit")
		if newline == "" {
			unit = ""
		}
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"", "\uFEFF", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>" + newline, "<!-- head -->" + newline, "\uFEFF<?xml version='1.0'?>"}).Draw(t, "head"))
		b.WriteString(rapid.SampledFrom([]string{"<settings>", `<settings xmlns="urn:s" a='>"'>`}).Draw(t, "root"))
		line := func(depth int, text string) { b.WriteString(newline + strings.Repeat(unit, depth) + text) }
		line(1, "<offline>false</offline>")
		noise := []string{"<!-- a > b -->", "<x/>", "<y a=\"1\"\tb='2' />", "<z><![CDATA[<&]]></z>", "<?p i?>", "<q>&lt;é</q>"}
		for _, list := range []string{"servers", "mirrors", "activeProfiles"} {
			if !rapid.Bool().Draw(t, list) {
				continue
			}
			line(1, "<"+list+">")
			for range rapid.IntRange(1, 3).Draw(t, "items") {
				line(2, rapid.SampledFrom(noise).Draw(t, "item"))
				if rapid.Bool().Draw(t, "blank") {
					b.WriteString(newline)
				}
			}
			line(1, "</"+list+">")
			line(1, rapid.SampledFrom(noise).Draw(t, "between"))
		}
		line(0, "</settings>"+rapid.SampledFrom([]string{"", newline, "<!-- tail -->"}).Draw(t, "tail"))
		return b.String()
	})
}

// insertedOnly reports whether the new text is the old one with something
// inserted at one place.
func insertedOnly(before, after string) bool {
	for i := 0; i <= len(before); i++ {
		if strings.HasPrefix(after, before[:i]) && strings.HasSuffix(after, before[i:]) {
			return true
		}
	}
	return false
}

// Set inserts at one place, a second Set changes nothing, and Delete restores
// the text.
func TestDelete_UndoesSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := configuration().Draw(t, "text")
		path := rapid.SampledFrom([][]xmledit.Step{password, active, mirror}).Draw(t, "path")
		value := "lib"
		if path[len(path)-1].Kind == xmledit.Element {
			value = rapid.StringMatching(`[a-z<&>"' é\n\t]*[a-z]`).Draw(t, "value")
		}
		once, err := xmledit.Set([]byte(before), path, value)
		if err != nil {
			t.Fatal(err)
		}
		if !insertedOnly(before, string(once)) {
			t.Fatalf("more than an insertion:\n%s", once)
		}
		if twice, err := xmledit.Set(once, path, value); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v\n%s", err, twice)
		}
		whole := path
		if path[len(path)-1].Kind == xmledit.Element {
			whole = path[:len(path)-1]
		}
		if after, err := xmledit.Delete(once, whole); err != nil || string(after) != before {
			t.Fatalf("%v\n%s\n%s", err, once, after)
		}
	})
}

// For any text the editor returns an error or a result that can be parsed.
func FuzzSet(f *testing.F) {
	for _, text := range []string{
		"<settings/>", "<settings>\r\n\t<servers><server><id>lib</id></server>\n</servers></settings>", "\uFEFF<?xml version='1.0'?><!DOCTYPE settings><settings a='b'/>",
		"<settings><servers><![CDATA[x]]></servers></settings>", "<configuration><packageSources><add key='lib'value = \"\" /></packageSources></configuration>", "<:settings/>",
	} {
		f.Add([]byte(text), "v")
	}
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		for _, path := range [][]xmledit.Step{password, active, mirror, source} {
			out, err := xmledit.Set(text, path, value)
			if err != nil {
				continue
			}
			if again, err := xmledit.Set(out, path, value); err != nil || !bytes.Equal(out, again) {
				t.Fatalf("%v\n%q\n%q", err, out, again)
			}
			gone, err := xmledit.Delete(out, path)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok, err := xmledit.Get(gone, path); ok || err != nil {
				t.Fatalf("%v, %v: %q", ok, err, gone)
			}
		}
	})
}
