package nuget_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/credentialtest"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/nuget"
)

const (
	ownHandshake = `{"RequestId":"gatehouse","Type":"Request","Method":"Handshake","Payload":{"MinimumProtocolVersion":"1.0.0","ProtocolVersion":"2.0.0"}}`
	closing      = `{"RequestId":"9","Type":"Request","Method":"Close"}`
)

func request(id, method, payload string) string {
	return `{"RequestId":"` + id + `","Type":"Request","Method":"` + method + `","Payload":` + payload + `}`
}

func response(id, method, payload string) string {
	return `{"RequestId":"` + id + `","Type":"Response","Method":"` + method + `","Payload":` + payload + `}`
}

// The messages of "NuGet cross platform plugins", as NuGet writes them.
func TestRun(t *testing.T) {
	for name, c := range map[string]struct{ in, out string }{
		"handshake": {
			request("1", "Handshake", `{"ProtocolVersion":"2.0.0","MinimumProtocolVersion":"1.0.0"}`),
			response("1", "Handshake", `{"ResponseCode":"Success","ProtocolVersion":"2.0.0"}`),
		},
		"an older client": {
			request("1", "Handshake", `{"ProtocolVersion":"1.0.0","MinimumProtocolVersion":"1.0.0"}`),
			response("1", "Handshake", `{"ResponseCode":"Success","ProtocolVersion":"1.0.0"}`),
		},
		"a newer client": {
			request("1", "Handshake", `{"ProtocolVersion":"3.1.0","MinimumProtocolVersion":"2.0.0"}`),
			response("1", "Handshake", `{"ResponseCode":"Success","ProtocolVersion":"2.0.0"}`),
		},
		"one that is too new": {
			request("1", "Handshake", `{"ProtocolVersion":"4.0.0","MinimumProtocolVersion":"3.0.0"}`),
			response("1", "Handshake", `{"ResponseCode":"Error"}`),
		},
		"initialize": {
			request("2", "Initialize", `{"ClientVersion":"6.13.1","Culture":"en-US","RequestTimeout":"00:00:05"}`),
			response("2", "Initialize", `{"ResponseCode":"Success"}`),
		},
		"monitor":   {request("3", "MonitorNuGetProcessExit", `{"ProcessId":4711}`), response("3", "MonitorNuGetProcessExit", `{"ResponseCode":"Success"}`)},
		"log level": {request("4", "SetLogLevel", `{"LogLevel":"Debug"}`), response("4", "SetLogLevel", `{"ResponseCode":"Success"}`)},
		"a proxy's": {request("4", "SetCredentials", `{"PackageSourceRepository":"/x","ProxyUsername":"u","ProxyPassword":"p"}`), response("4", "SetCredentials", `{"ResponseCode":"Success"}`)},
		"claims":    {request("5", "GetOperationClaims", `{}`), response("5", "GetOperationClaims", `{"Claims":["Authentication"]}`)},
		"claims for a source": {
			request("5", "GetOperationClaims", `{"PackageSourceRepository":"https://gate.example/v3/index.json","ServiceIndex":{"version":"3.0.0"}}`),
			response("5", "GetOperationClaims", `{"Claims":[]}`),
		},
		"credentials": {
			request("6", "GetAuthenticationCredentials", `{"Uri":"https://gate.example/nuget/lib/v3/index.json","IsRetry":false,"IsNonInteractive":true,"CanShowDialog":false}`),
			response("6", "GetAuthenticationCredentials", `{"ResponseCode":"Success","Username":"aws","Password":"secret","AuthenticationTypes":["basic"]}`),
		},
		"another source": {
			request("6", "GetAuthenticationCredentials", `{"Uri":"https://other.example/v3/index.json","IsRetry":false,"IsNonInteractive":true}`),
			response("6", "GetAuthenticationCredentials", `{"ResponseCode":"NotFound","Message":"not a registry or repository of the configured AWS endpoint, so no token is sent there"}`),
		},
		"denied": {
			request("6", "GetAuthenticationCredentials", `{"Uri":"https://denied.example/v3/index.json","IsRetry":false,"IsNonInteractive":true}`),
			response("6", "GetAuthenticationCredentials", `{"ResponseCode":"Error","Message":"not permitted"}`),
		},
		"another method": {
			request("7", "PrefetchPackage", `{}`),
			`{"RequestId":"7","Type":"Fault","Method":"PrefetchPackage","Payload":{"Message":"this plug-in does not answer PrefetchPackage"}}`,
		},
		"no JSON": {
			`{`, `{"RequestId":"gatehouse","Type":"Fault","Method":"None","Payload":{"Message":"the message is not JSON: unexpected end of JSON input"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := nuget.Run(t.Context(), strings.NewReader("\uFEFF"+c.in+"\r\n"), &out, new(credentialtest.Tokens)); err != nil {
				t.Fatal(err)
			}
			if want := ownHandshake + "\n" + c.out + "\n"; out.String() != want {
				t.Errorf("got  %swant %s", out.String(), want)
			}
		})
	}
}

// Credentials that were refused are not given again.
func TestRun_Retry(t *testing.T) {
	tokens := new(credentialtest.Tokens)
	in := request("6", "GetAuthenticationCredentials", `{"Uri":"https://gate.example/v3/index.json","IsRetry":true,"IsNonInteractive":true}`)
	var out strings.Builder
	if err := nuget.Run(t.Context(), strings.NewReader(in), &out, tokens); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tokens.Forgotten, []string{"https://gate.example/v3/index.json"}) || !strings.Contains(out.String(), `"Password":"secret"`) {
		t.Errorf("%q %s", tokens.Forgotten, out.String())
	}
}

// slow has no token before its time.
type slow struct {
	credentialtest.Tokens
	takes time.Duration
}

func (s *slow) Packages(ctx context.Context, address string) (authtoken.Token, error) {
	select {
	case <-ctx.Done():
		return authtoken.Token{}, ctx.Err()
	case <-time.After(s.takes):
		return s.Token(ctx, address)
	}
}

// A person may have to sign in meanwhile: NuGet is told that it goes on, answers
// to other requests do not wait for it, and it can be cancelled.
func TestRun_Slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask, asked := io.Pipe()
		answers, answer := io.Pipe()
		done := make(chan error, 1)
		go func() {
			err := nuget.Run(t.Context(), ask, answer, &slow{takes: 7 * time.Second})
			answer.Close()
			done <- err
		}()
		lines := bufio.NewScanner(answers)
		next := func() (got struct{ RequestID, Type, Method string }) {
			t.Helper()
			if !lines.Scan() {
				t.Fatal("no answer")
			}
			if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			return got
		}
		next()
		say := func(line string) {
			if _, err := io.WriteString(asked, line+"\n"); err != nil {
				t.Error(err)
			}
		}
		const get = `{"Uri":"https://gate.example/v3/index.json","IsRetry":false,"IsNonInteractive":true}`
		say(request("a", "GetAuthenticationCredentials", get))
		say(request("b", "SetLogLevel", `{}`))
		if got := next(); got.RequestID != "b" || got.Type != "Response" {
			t.Errorf("%+v", got)
		}
		for range 3 {
			if got := next(); got.RequestID != "a" || got.Type != "Progress" {
				t.Errorf("%+v", got)
			}
		}
		if got := next(); got.RequestID != "a" || got.Type != "Response" {
			t.Errorf("%+v", got)
		}
		say(request("c", "GetAuthenticationCredentials", get))
		say(`{"RequestId":"c","Type":"Cancel","Method":"GetAuthenticationCredentials"}`)
		if got := next(); got.RequestID != "c" || got.Type != "Cancel" {
			t.Errorf("%+v", got)
		}
		say(`{"RequestId":"none","Type":"Cancel","Method":"GetAuthenticationCredentials"}`)
		say(`{"RequestId":"gatehouse","Type":"Response","Method":"Handshake","Payload":{"ResponseCode":"Success","ProtocolVersion":"2.0.0"}}`)
		say(request("d", "GetAuthenticationCredentials", get))
		say(closing)
		if got := next(); got.RequestID != "d" || got.Type != "Cancel" {
			t.Errorf("%+v", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A client that is gone ends the plug-in.
func TestRun_BrokenPipe(t *testing.T) {
	answers, answer := io.Pipe()
	answers.Close()
	if err := nuget.Run(t.Context(), strings.NewReader(request("1", "SetLogLevel", "{}")+"\n"), answer, new(credentialtest.Tokens)); err == nil {
		t.Error("no error")
	}
}

// Every line gets at most one final answer, in JSON, whatever is in it.
func FuzzRun(f *testing.F) {
	f.Add(request("1", "Handshake", `{"ProtocolVersion":"2.0.0","MinimumProtocolVersion":"1.0.0"}`))
	f.Add(request("6", "GetAuthenticationCredentials", `{"Uri":"https://gate.example/","IsRetry":true}`))
	f.Add(request("5", "GetOperationClaims", `null`))
	f.Add(`{"RequestId":1}`)
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") {
			return
		}
		var out strings.Builder
		if err := nuget.Run(t.Context(), strings.NewReader(line), &out, new(credentialtest.Tokens)); err != nil {
			t.Fatal(err)
		}
		answers := strings.Split(strings.TrimSpace(out.String()), "\n")
		var answer map[string]json.RawMessage
		if len(answers) > 2 || json.Unmarshal([]byte(answers[len(answers)-1]), &answer) != nil {
			t.Errorf("%q", answers)
		}
	})
}
