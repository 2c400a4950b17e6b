package policyexplain_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/policyexplain"
)

func TestLint(t *testing.T) {
	const old = `{"Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/${aws:username}"}}`
	for _, c := range []struct{ name, kind, document, message, detail, place, warning string }{
		{"fine", "identity", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*"}}`, "", "", "", ""},
		{"a typing error", "identity", `{"Version":"2012-10-17","Statement":{"Efect":"Allow","Action":"ecr:*","Resource":"*"}}`, "Syntax errors in policy.", "unknown element", "Statement.Efect", ""},
		{"no version, inline", "identity", old, "", "", "", "is replaced only in policies with Version 2012-10-17"},
		{"no version, managed", "managed", old, "Policy document must be version 2012-10-17 or greater.", `"Version": "2012-10-17"`, "", "is replaced only"},
		{"wide", "identity", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, "", "", "", "allows every action on every resource"},
		{"trust", "trust", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`, "", "", "", "in every account"},
		{"no trust", "trust", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"}}`, "AssumeRole policy may only specify STS AssumeRole actions.", "", "Statement.Action", ""},
	} {
		r := policyexplain.Lint("f", c.document, c.kind)
		if r.Error != c.message || !strings.Contains(r.Detail, c.detail) || r.Place != c.place || !strings.Contains(strings.Join(r.Warnings, " "), c.warning) || c.warning == "" && len(r.Warnings) > 0 {
			t.Errorf("%s: %+v", c.name, r)
		}
		var text strings.Builder
		if err := r.WriteText(&text); err != nil || c.message != "" && !strings.Contains(text.String(), "f: error: "+c.message) {
			t.Errorf("%s: %q, %v", c.name, text.String(), err)
		}
	}
}
