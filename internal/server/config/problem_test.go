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

// TestRead_HidesPassword checks that no error shows the password of a database.
func TestRead_HidesPassword(t *testing.T) {
	for _, text := range []string{
		"database: postgres://gatehouse:hunter2@db.example/gatehouse",                             // how it is protected is missing
		"database: postgres://gatehouse:hunter2%zz@db.example/gatehouse?sslmode=require",          // not a URL
		"database: postgres://gatehouse:hunter2/@db.example/gatehouse?sslmode=require",            // not a URL
		"database: postgres://gatehouse:hunter2@db.example:port/gatehouse?sslmode=require",        // not a port
		"database: postgres://gatehouse:hunter2@db.example/gatehouse?sslmode=perhaps",             // not a mode
		"database: postgres://gatehouse:hunter2@db.example/gatehouse?pool_max_conns=all",          // not a number
		"database: postgres://gatehouse@db.example/gatehouse?sslmode=perhaps&password=hunter2",    // not a mode
		"database: mysql://gatehouse:hunter2@db.example/gatehouse",                                // another database
		"databse: postgres://gatehouse:hunter2@db.example/gatehouse?sslmode=require",              // not a setting
		"database: [postgres://gatehouse:hunter2@db.example/gatehouse]",                           // not a text
		"database: postgres://gatehouse:hunter2@db.example/gatehouse?sslmode=require\n listen: x", // not YAML
	} {
		c, err := read(t, text)
		if err == nil {
			err = c.Validate()
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
		for _, p := range config.Problems(err) {
			if strings.Contains(p.Message, "hunter2") {
				t.Errorf("%s: %s", text, p.Message)
			}
		}
	}
}

func TestValidate_Database(t *testing.T) {
	for url, valid := range map[string]bool{
		"sqlite": true,
		"postgres://gatehouse@127.0.0.1/gatehouse":                                    true,
		"postgresql://gatehouse@localhost:5433/gatehouse?pool_max_conns=50":           true,
		"postgres:///gatehouse?host=/run/postgresql":                                  true,
		"postgres://gatehouse@db.example/gatehouse?sslmode=disable":                   true,
		"postgres://gatehouse@a.example,b.example/gatehouse?sslmode=require":          true,
		"postgres://gatehouse@a.example,b.example/gatehouse":                          false,
		"postgres://gatehouse@127.0.0.1/gatehouse?pool_max_conns=1":                   false,
		"postgres://gatehouse@127.0.0.1/gatehouse?sslmode=verify-full&sslrootcert=/x": false,
		"":              false,
		"/var/lib/x.db": false,
	} {
		c := config.Default()
		c.Database = url
		if err := c.Validate(); (err == nil) != valid {
			t.Errorf("%q: %v", url, err)
		}
	}
}
