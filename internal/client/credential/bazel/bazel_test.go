package bazel_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential/bazel"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/credentialtest"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		operation, in, out string
		fails              bool
	}{
		{"get", `{"uri":"https://gate.example/maven/lib/a.jar"}`, `{"headers":{"Authorization":["Basic YXdzOnNlY3JldA=="]},"expires":"2026-12-24T18:00:00Z"}`, false},
		{"get", `{"uri":"https://other.example/"}`, `{"headers":{}}`, false},
		{"get", `{"uri":"https://denied.example/"}`, "", true},
		{"get", `{}`, "", true},
		{"get", `uri`, "", true},
		{"store", `{"uri":"https://gate.example/"}`, "", true},
	} {
		var out strings.Builder
		err := bazel.Run(t.Context(), c.operation, strings.NewReader(c.in), &out, new(credentialtest.Tokens))
		if strings.TrimSpace(out.String()) != c.out || (err != nil) != c.fails {
			t.Errorf("%s %s: %q, %v", c.operation, c.in, out.String(), err)
		}
	}
}
