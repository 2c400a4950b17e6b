package main

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// TestTables_FitSDK finds tables that were not generated again after the SDK
// was upgraded: the SDK's structs must add nothing to them.
func TestTables_FitSDK(t *testing.T) {
	for _, service := range []string{"ecr", "codeartifact", "sts", "iam", "secretsmanager", "signer"} {
		t.Run(service, func(t *testing.T) {
			table, err := model.Load(service)
			if err != nil {
				t.Fatal(err)
			}
			before, err := format(table)
			if err != nil {
				t.Fatal(err)
			}
			k, err := readSDK(service)
			if err != nil {
				t.Fatal(err)
			}
			j := newJoiner(table, k)
			if err := j.join(); err != nil {
				t.Fatal(err)
			}
			after, err := format(table)
			if err != nil {
				t.Fatal(err)
			}
			if len(j.news) > 0 || string(before) != string(after) {
				t.Errorf("run go generate: the SDK has %v", j.news)
			}
			if err := check(table); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMergePatch(t *testing.T) {
	// The example of RFC 7396, section 3, shortened.
	var target, patch any
	for text, v := range map[string]*any{
		`{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["a","b"]}`: &target,
		`{"title":"Hello!","author":{"familyName":null},"phone":{"home":"1"},"tags":["c"]}`:      &patch,
	} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	got, err := json.Marshal(merge(target, patch))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"author":{"givenName":"John"},"phone":{"home":"1"},"tags":["c"],"title":"Hello!"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestJavaToRE2(t *testing.T) {
	for java, want := range map[string]string{
		`[\u0009\u000A\u0020-\u00FF]+`: `[\x{0009}\x{000A}\x{0020}-\x{00FF}]+`,
		`[^\p{C}\p{IsWhitespace}]+`:    `[^\p{C}\s\p{Z}\x{85}]+`,
		`[a-z]{1,3}`:                   `[a-z]{1,3}`,
	} {
		if got := javaToRE2(java); got != want {
			t.Errorf("javaToRE2(%s) = %s, want %s", java, got, want)
		}
	}
}
