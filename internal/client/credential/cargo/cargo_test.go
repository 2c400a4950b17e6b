package cargo_test

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/credentialtest"
)

// The messages of The Cargo Book, "Credential Provider Protocol".
func TestRun(t *testing.T) {
	const registry = `"registry":{"index-url":"sparse+https://gate.example/cargo/lib/","name":"lib","headers":["WWW-Authenticate: Bearer"]}`
	for name, c := range map[string]struct{ in, out string }{
		"read": {
			`{"v":1,` + registry + `,"kind":"get","operation":"read","args":[]}`,
			`{"Ok":{"kind":"get","token":"secret","cache":"expires","expiration":1798135200,"operation_independent":true}}`,
		},
		"publish": {
			`{"v":1,` + registry + `,"kind":"get","operation":"publish","name":"crate","vers":"1.0.0","cksum":"00","args":[]}`,
			`{"Ok":{"kind":"get","token":"secret","cache":"expires","expiration":1798135200,"operation_independent":true}}`,
		},
		"another registry": {
			`{"v":1,"registry":{"index-url":"sparse+https://other.example/"},"kind":"get","operation":"read"}`,
			`{"Err":{"kind":"url-not-supported"}}`,
		},
		"a git index": {
			`{"v":1,"registry":{"index-url":"https://gate.example/index.git"},"kind":"get","operation":"read"}`,
			`{"Err":{"kind":"url-not-supported"}}`,
		},
		"denied": {
			`{"v":1,"registry":{"index-url":"sparse+https://denied.example/"},"kind":"get","operation":"read"}`,
			`{"Err":{"kind":"other","message":"not permitted"}}`,
		},
		"login": {
			`{"v":1,` + registry + `,"kind":"login","token":"t","args":[]}`,
			`{"Err":{"kind":"other","message":"there is no token to log in with: this provider gets one from the AWS credentials whenever it is needed"}}`,
		},
		"logout":          {`{"v":1,` + registry + `,"kind":"logout","args":[]}`, `{"Ok":{"kind":"logout"}}`},
		"later operation": {`{"v":1,` + registry + `,"kind":"owners"}`, `{"Err":{"kind":"operation-not-supported"}}`},
		"later version":   {`{"v":2,` + registry + `,"kind":"get"}`, `{"Err":{"kind":"other","message":"cargo uses version 2 of the protocol, and this provider version 1"}}`},
	} {
		var out strings.Builder
		if err := cargo.Run(t.Context(), strings.NewReader(c.in+"\n"), &out, new(credentialtest.Tokens)); err != nil {
			t.Fatal(err)
		}
		if want := `{"v":[1]}` + "\n" + c.out + "\n"; out.String() != want {
			t.Errorf("%s: %s", name, out.String())
		}
	}
}

// cargo sends a request only when it has read the answer before.
func TestRun_Conversation(t *testing.T) {
	ask, asked := io.Pipe()
	answers, answer := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- cargo.Run(t.Context(), ask, answer, new(credentialtest.Tokens)) }()
	lines := bufio.NewScanner(answers)
	next := func() string {
		if !lines.Scan() {
			t.Fatal("no answer")
		}
		return lines.Text()
	}
	next()
	for range 3 {
		io.WriteString(asked, `{"v":1,"registry":{"index-url":"sparse+https://gate.example/"},"kind":"get","operation":"read"}`+"\n")
		if got := next(); !strings.Contains(got, "secret") {
			t.Error(got)
		}
	}
	asked.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Every line gets exactly one answer, whatever is in it.
func FuzzRun(f *testing.F) {
	f.Add(`{"v":1,"registry":{"index-url":"sparse+https://gate.example/"},"kind":"get","operation":"read"}`)
	f.Add(`{"v":1e9}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") || line == "" {
			return
		}
		var out strings.Builder
		if err := cargo.Run(t.Context(), strings.NewReader(line), &out, new(credentialtest.Tokens)); err != nil {
			t.Fatal(err)
		}
		answers := strings.Split(strings.TrimSpace(out.String()), "\n")
		var answer map[string]json.RawMessage
		if len(answers) != 2 || json.Unmarshal([]byte(answers[1]), &answer) != nil || len(answer) != 1 {
			t.Errorf("%q", answers)
		}
	})
}
