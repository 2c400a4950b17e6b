package doctor_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/doctor"
)

func says(findings ...doctor.Finding) func(context.Context) []doctor.Finding {
	return func(context.Context) []doctor.Finding { return findings }
}

// The findings are in the order of the checks, whichever ends first. A check that
// never ends does not delay the others.
func TestRun(t *testing.T) {
	second := make(chan struct{})
	found := doctor.Run(t.Context(), []doctor.Check{
		{"first", func(context.Context) []doctor.Finding {
			<-second
			return []doctor.Finding{{Message: "a"}, {Message: "b", State: doctor.Error}}
		}},
		{"second", func(context.Context) []doctor.Finding {
			close(second)
			return []doctor.Finding{{Message: "c"}}
		}},
		{"stuck", func(context.Context) []doctor.Finding { select {} }},
		{"polite", func(ctx context.Context) []doctor.Finding {
			<-ctx.Done()
			return nil
		}},
	}, time.Second)
	var got []string
	for _, f := range found {
		got = append(got, f.Check+" "+f.State.String()+" "+f.Message)
	}
	want := "first ok a; first error b; second ok c; stuck warning gave up after 1s"
	if s := strings.Join(got, "; "); !strings.HasPrefix(s, want) {
		t.Error(s)
	}
	if found.Count(doctor.Error) != 1 {
		t.Error(found.Count(doctor.Error))
	}
}

// No finding shows a token, whatever a check quotes.
func TestRun_NoTokens(t *testing.T) {
	for _, token := range []string{
		"ghct_" + strings.Repeat("aB3_-", 20), "ghet_" + strings.Repeat("x", 40),
		"QVdTO" + strings.Repeat("abcD", 30) + "==", "eyJ" + strings.Repeat("A", 40) + ".aa.bb.cc.dd",
	} {
		found := doctor.Run(t.Context(), []doctor.Check{{"x", says(doctor.Finding{Message: "line 3: password = " + token + " is not a thing"})}}, time.Minute)
		if strings.Contains(found[0].Message, token[:12]) || !strings.Contains(found[0].Message, "line 3") {
			t.Error(found[0].Message)
		}
	}
}

func TestFindings_WriteText(t *testing.T) {
	found := doctor.Findings{
		{Check: "region", Message: "us-east-1"},
		{Check: "tool", Subject: "docker", State: doctor.Warning, Message: "it is old"},
		{Check: "clock", State: doctor.Error, Message: "it stands still", Fix: "wind\nset"},
	}
	var plain, coloured strings.Builder
	if err := found.WriteText(&plain, nil); err != nil {
		t.Fatal(err)
	}
	want := "ok       region       us-east-1\n" +
		"warning  tool docker  it is old\n" +
		"error    clock        it stands still\n" +
		"                      wind\n" +
		"                      set\n" +
		"\n1 error, 1 warning.\n"
	if plain.String() != want {
		t.Errorf("%s", plain.String())
	}
	if err := found.WriteText(&coloured, doctor.Terminal()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(coloured.String(), "\x1b[1;31merror\x1b[0m    clock ") {
		t.Errorf("%q", coloured.String())
	}
	plain.Reset()
	if err := found[:1].WriteText(&plain, nil); err != nil || !strings.HasSuffix(plain.String(), "\nNo problems found.\n") {
		t.Errorf("%s", plain.String())
	}
}

func TestFindings_JSON(t *testing.T) {
	text, err := json.Marshal(doctor.Findings{{Check: "clock", State: doctor.Error, Message: "late", Fix: "wind"}})
	if want := `{"errors":1,"warnings":0,"findings":[{"check":"clock","state":"error","message":"late","fix":"wind"}]}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

// What is recognised as a token in a file is never shown, whatever the file is.
func FuzzFindTokens(f *testing.F) {
	f.Add("//host/:_authToken=ghct_0123456789abcdef0123456789\n")
	f.Add(`{"auths":{"host":{"auth":"QVdTOmdoZXRfMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk="}}}`)
	f.Add("password = eyJ2ZXIiOjEsImV4cCI6NDEwMjQ0NDgwMH0.aa.bb.cc.dd")
	f.Add("http://aws:ghct_0123456789abcdef0123456789@host/simple")
	f.Fuzz(func(t *testing.T, text string) {
		shown, address := doctor.Redact(text), doctor.WithoutPassword(text)
		for _, password := range doctor.TokensIn([]byte(text)) {
			if strings.HasPrefix(password, "gh") && (strings.Contains(shown, password) || strings.Contains(address, password)) {
				t.Errorf("%q is shown as %q and %q", text, shown, address)
			}
		}
	})
}
