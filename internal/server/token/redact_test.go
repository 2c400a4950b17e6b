package token_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

func TestRedact(t *testing.T) {
	body := strings.Repeat("aB3-_x", 40)
	basic := func(user string) string { return base64.StdEncoding.EncodeToString([]byte(user + ":ghet_" + body)) }
	for in, want := range map[string]string{
		"":                                       "",
		"path=/v2/app":                           "path=/v2/app",
		"ghct_" + body:                           "[token]",
		"ghet_" + body[:40]:                      "[token]",
		`{"a":"ghst_` + body + `","b":1}`:        `{"a":"[token]","b":1}`,
		"/x/ghct_" + body + "/y/ghst_" + body:    "/x/[token]/y/[token]",
		"t_ght_xght_ghxt_ ghct_short t_":         "t_ght_xght_ghxt_ ghct_short t_",
		"ghct_ghct_" + body + " t_":              "[token] t_",
		"Basic " + basic("AWS") + " end":         "Basic [token] end",
		"Basic " + basic("aws"):                  "Basic [token]",
		"ghct_" + body + " " + basic("aws"):      "[token] [token]",
		basic("AWS") + " then ghct_" + body:      "[token] then [token]",
		strings.Repeat("x", 40) + "ghct_" + body: strings.Repeat("x", 40) + "[token]",
		"Omdo QVdTOmdo YXdzOmdoZ ghct":           "Omdo QVdTOmdo YXdzOmdoZ ghct",
		strings.Repeat("Omdot_", 10) + "ghct_x":  strings.Repeat("Omdot_", 10) + "ghct_x",
	} {
		if got := string(token.Redact([]byte(in))); got != want {
			t.Errorf("%s\nis shown as %s\nand not    %s", in, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add([]byte("ghct_ghet_t_"), []byte("Omdo"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		secret := "ghct_" + strings.Repeat("Zz9", 50)
		in := append(append(append([]byte{}, before...), secret...), after...)
		if out := token.Redact(in); bytes.Contains(out, []byte(strings.Repeat("Zz9", 50))) {
			t.Errorf("%q", out)
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	line := []byte(`time=2026-01-02T03:04:05Z level=INFO msg=request id=7304b34f-db29-7fae-5ef3-1f403e1bd2c9 method=GET path=/v2/app/manifests/latest status=200 service=ecr action=BatchGetImage principal=arn:aws:iam::000000000001:user/admin decision=allowed` + "\n")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		token.Redact(line)
	}
}
