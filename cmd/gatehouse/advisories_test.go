package main

import (
	"strings"
	"testing"
)

// An empty list says what else could be meant.
func TestAdvisoriesList_None(t *testing.T) {
	for name, c := range map[string]struct {
		all  int64
		want string
	}{
		"npm/left":          {7, "There are no advisories about npm/left."},
		"debian/openssl":    {7, "Debian:12/openssl"},
		"debian:12/openssl": {7, "Debian:12/openssl"},
		"Debian:12/x":       {7, "There are no advisories about Debian:12/x."},
		"Ubuntu/openssl":    {7, "Ubuntu:24.04/openssl"},
		"Alpine:3.22/musl":  {7, "Alpine:v3.22/openssl"},
		"Go/x":              {0, "gatehouse advisories import"},
	} {
		list := advisoriesListCommand{Package: packageArgument(name)}
		if got := list.none(c.all); !strings.Contains(got, c.want) || c.want[len(c.want)-1] == '.' && got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
