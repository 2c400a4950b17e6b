package redact_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/redact"
)

func TestTokens(t *testing.T) {
	body := strings.Repeat("aB3-_x", 40)
	jwt := "eyJhbGciOiJSUzI1NiJ9" + body[:60] + "." + body[:40] + ".c2ln"
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
		"QVdTOmV5S" + body:                       "[token]",
		"Bearer " + jwt + ", next":               "Bearer [token], next",
		"/x/" + jwt + "/ghct_" + body:            "/x/[token]/[token]",
		"nextToken=" + jwt[:80] + "&x":           "nextToken=" + jwt[:80] + "&x",
		"eyJ.a.b eyJ." + jwt[:10] + ".x":         "eyJ.a.b eyJ." + jwt[:10] + ".x",
		strings.Repeat("Omdot_", 10) + "ghct_x":  strings.Repeat("Omdot_", 10) + "ghct_x",
	} {
		if got := string(redact.Tokens([]byte(in))); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add([]byte("ghct_ghet_t_"), []byte("Omdo"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		secret := "ghct_" + strings.Repeat("Zz9", 50)
		in := append(append(append([]byte{}, before...), secret...), after...)
		if out := redact.Tokens(in); bytes.Contains(out, []byte(strings.Repeat("Zz9", 50))) {
			t.Errorf("%q", out)
		}
	})
}

func BenchmarkTokens(b *testing.B) {
	line := []byte(`time=2026-01-02T03:04:05Z level=INFO msg=request id=7304b34f-db29-7fae-5ef3-1f403e1bd2c9 method=GET path=/v2/app/manifests/latest status=200 service=ecr action=BatchGetImage principal=arn:aws:iam::000000000001:user/admin decision=allowed` + "\n")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		redact.Tokens(line)
	}
}

func TestFindTokens(t *testing.T) {
	body := strings.Repeat("aB3-_x", 10)
	text := "//h/:_authToken=ghct_" + body + "\nQVdTO" + body + "==\"eyJ" + body + ".x.y.z,ghst_short"
	var got []string
	for _, found := range redact.FindTokens([]byte(text)) {
		got = append(got, string(found))
	}
	want := []string{"ghct_" + body, "QVdTO" + body + "==", "eyJ" + body + ".x.y.z"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriter(t *testing.T) {
	var out strings.Builder
	line := []byte("path=/ghct_" + strings.Repeat("x", 40) + "\n")
	if n, err := redact.Writer(&out).Write(line); n != len(line) || err != nil || out.String() != "path=/[token]\n" {
		t.Errorf("%d, %v: %q", n, err, out.String())
	}
}
