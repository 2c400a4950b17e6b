package arn_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
)

func TestParse(t *testing.T) {
	a, err := arn.Parse("arn:aws:ecr:us-east-1:000000000001:repository/a/b:c")
	if err != nil {
		t.Fatal(err)
	}
	if want := arn.New("ecr", "us-east-1", "000000000001", "repository/a/b:c"); a != want {
		t.Fatalf("Parse = %+v, want %+v", a, want)
	}
	for _, bad := range []string{"", "arn", "arn:aws:ecr:us-east-1:000000000001", "arn:aws:ecr:us-east-1:000000000001:", "urn:aws:s:r:a:x", "arn::ecr:::x", "arn:aws::::x"} {
		if _, err := arn.Parse(bad); err == nil {
			t.Errorf("Parse(%q) succeeded", bad)
		}
	}
}

func TestARN_StringInvertsParse(t *testing.T) {
	part := rapid.StringMatching(`[a-z0-9-]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		want := arn.ARN{part.Draw(t, "partition"), part.Draw(t, "service"), rapid.StringMatching(`[a-z0-9-]{0,8}`).Draw(t, "region"), rapid.StringMatching(`[0-9]{0,12}`).Draw(t, "account"), rapid.StringMatching(`[a-zA-Z0-9/:*-]{1,20}`).Draw(t, "resource")}
		if got, err := arn.Parse(want.String()); err != nil || got != want {
			t.Fatalf("Parse(%q) = %+v, %v", want.String(), got, err)
		}
	})
}

func TestIsAccountID(t *testing.T) {
	for s, want := range map[string]bool{"000000000001": true, "123456789012": true, "": false, "12345678901": false, "1234567890123": false, "1234-6789012": false, "12345678901٣": false} {
		if arn.IsAccountID(s) != want {
			t.Errorf("IsAccountID(%q) = %v", s, !want)
		}
	}
}
