package sbt_test

import (
	"io/fs"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/sbt"
)

var places = login.Environment{Home: "/home/ada", GOOS: "linux", Program: `/opt/"gate"\house`, Getenv: func(string) string { return "" }}

// A login is a line of Scala. Its realm is the one in CodeArtifact's challenge.
func TestEdit(t *testing.T) {
	target := login.Target{
		Endpoint: &url.URL{Scheme: "http", Host: "127.0.0.1:4283", Path: "/maven/lib/"}, Name: "acme-lib",
		Domain: "acme", Repository: "lib", Region: "eu-west-1", Placement: login.Add,
	}
	edits, err := sbt.Tool().Edits(target, places)
	if err != nil || len(edits) != 1 || edits[0].Path != "/home/ada/.sbt/1.0/gatehouse.sbt" || edits[0].Mode != 0o644 {
		t.Fatalf("%v, %v", edits, err)
	}
	text, err := edits[0].Apply(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `  ("acme-lib", "acme/lib", "http://127.0.0.1:4283/maven/lib/", ("acme-lib" at "http://127.0.0.1:4283/maven/lib/").withAllowInsecureProtocol(true), false, ` +
		`Seq("/opt/\"gate\"\\house", "token", "codeartifact", "--domain", "acme", "--region", "eu-west-1")),` + "\n"
	if !strings.Contains(string(text), "= Seq(\n"+want+")\n") {
		t.Errorf("%s", text)
	}
	if again, err := edits[0].Apply(text); err != nil || string(again) != string(text) {
		t.Errorf("%v\n%s", err, again)
	}
	if got, err := sbt.Tool().Addresses(places, func(string) ([]byte, error) { return text, nil }); err != nil || len(got) != 1 || got[0] != "http://127.0.0.1:4283/maven/lib/" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := sbt.Tool().Addresses(places, func(string) ([]byte, error) { return nil, fs.ErrNotExist }); err != nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
	if gone, err := edits[0].Remove(text); err != nil || gone != nil {
		t.Errorf("%v\n%s", err, gone)
	}

	target.Endpoint = &url.URL{Scheme: "https", Host: "gate.example", Path: "/maven/lib/"}
	target.Placement = login.Replace
	if edits, err = sbt.Tool().Edits(target, places); err != nil {
		t.Fatal(err)
	}
	if text, err = edits[0].Apply(nil); err != nil || !strings.Contains(string(text), `"acme-lib" at "https://gate.example/maven/lib/", true, `) {
		t.Errorf("%v\n%s", err, text)
	}
}
