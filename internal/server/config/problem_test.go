package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// problems returns the problems of a file, each as LINE SETTING MESSAGE.
func problems(t *testing.T, text string) (all []string) {
	t.Helper()
	c, err := read(t, text)
	if err == nil {
		err = c.Validate()
	}
	for _, p := range config.Problems(err) {
		all = append(all, fmt.Sprintf("%d %s %s", p.Line, p.Setting, p.Message))
	}
	return all
}

func TestRead_ReportsEveryProblem(t *testing.T) {
	got := problems(t, `listen_on: here
limits:
  idle: 5
  idel: 5s
region: us-east-1
iam:
  users:
    alice:
      path: /people/
      group: [developers]
account: 000000000001
`)
	// What YAML would change is reported alone: nothing else is certain.
	if want := []string{"11  put 000000000001 in quotes: YAML reads it as the number 1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	got = problems(t, `listen_on: here
limits:
  idle: 5
  idel: 5s
region: us-east-1
iam:
  users:
    alice:
      path: /people/
      group: [developers]
`)
	want := []string{
		`1  unknown field "listen_on"`, `3  "5" is not a duration, such as 30s, 5m or 24h`, `4  unknown field "idel"`, `10  unknown field "group"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestValidate_ReportsEveryProblem(t *testing.T) {
	got := problems(t, `region: mars
limits:
  idle: 0s
tls:
  certificate: cert.pem
listen: 0.0.0.0:http-alt-alt
`)
	want := []string{"1 region ", "3 limits.idle ", "4 tls ", "6 listen "}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%q", got)
	}
}

// TestRead_AliasesOfAnchors checks that problems are found in a file with aliases,
// which cannot be taken apart.
func TestRead_AliasesOfAnchors(t *testing.T) {
	c, err := read(t, "accounts: &more [\"000000000002\"]\nregions: [eu-west-1]\n")
	if err != nil || len(c.Accounts) != 1 {
		t.Fatal(err)
	}
	got := problems(t, "region: &home us-east-1\nregions: [*home]\nlimits: {idle: 5}\n")
	if len(got) != 1 || !strings.Contains(got[0], "is not a duration") {
		t.Errorf("%q", got)
	}
}
