package advisories_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
)

// affecting imports one document about a package and returns the ids about a version.
func system(id, ecosystem, name, events, more string) []byte {
	return []byte(`{"id":"` + id + `","modified":"2026-01-01T00:00:00Z"` + more + `,"affected":[{"package":{"ecosystem":"` + ecosystem + `","name":"` + name + `"},"ranges":[{"type":"ECOSYSTEM","events":[` + events + `]}]}]}`)
}

func TestAffecting(t *testing.T) {
	s := open(t, dbtest.Open(t), operator{})
	if !s.Changed().IsZero() || s.Knows("Debian:12") {
		t.Error("something is known at the beginning")
	}
	_, err := s.Import(t.Context(), [][]byte{
		system("DEBIAN-CVE-1", "Debian:12", "openssl", `{"introduced":"0"},{"fixed":"3.0.11-1~deb12u2"}`, `,"upstream":["CVE-2026-1"],"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}]`),
		system("ALPINE-1", "Alpine:v3.20", "openssl", `{"introduced":"0"},{"fixed":"3.3.1-r1"}`, ``),
		system("UBUNTU-1", "Ubuntu:22.04:LTS", "bash", `{"introduced":"0"}`, `,"severity":[{"type":"Ubuntu","score":"medium"}]`),
		system("GO-1", "Go", "stdlib", `{"introduced":"1.22.0-0"},{"fixed":"1.22.4"}`, ``),
		system("GHSA-1", "npm", "left", `{"introduced":"0"},{"fixed":"2.0.0"}`, ``),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ecosystem, name, version, want string }{
		{"Debian:12", "openssl", "3.0.11-1~deb12u1", "DEBIAN-CVE-1 HIGH 7.5 3.0.11-1~deb12u2 [CVE-2026-1]"},
		{"Debian:12", "openssl", "3.0.11-1~deb12u2", ""},
		{"Debian:12", "openssl", "1:1.0", ""},
		{"Debian:11", "openssl", "1.0", ""},
		{"Alpine:v3.20", "openssl", "3.3.1-r0", "ALPINE-1 UNDEFINED 0 3.3.1-r1 []"},
		{"Alpine:v3.20", "openssl", "3.3.1-r10", ""},
		{"Ubuntu:22.04", "bash", "5.1-6ubuntu1", "UBUNTU-1 MEDIUM 0  []"},
		{"Go", "stdlib", "1.22.3", "GO-1 UNDEFINED 0 1.22.4 []"},
		{"Go", "stdlib", "1.22rc1", "GO-1 UNDEFINED 0 1.22.4 []"},
		{"Go", "stdlib", "1.21.9", ""},
		{"npm", "left", "1.9.9", "GHSA-1 UNDEFINED 0 2.0.0 []"},
		{"npm", "left", "2.0.0", ""},
		{"Fedora:40", "left", "1", ""},
	} {
		got := ""
		for _, a := range s.Affecting(c.ecosystem, c.name, c.version) {
			got = fmt.Sprint(a.ID, " ", a.Severity, " ", a.Score, " ", a.Fixed, " ", a.Aliases)
		}
		if got != c.want {
			t.Errorf("%s %s %s: %q, want %q", c.ecosystem, c.name, c.version, got, c.want)
		}
	}
	if !s.Knows("Debian:12") || !s.Knows("npm") || s.Knows("Debian:11") || s.Changed().IsZero() {
		t.Error("the ecosystems are not known")
	}
	if _, err := s.Delete(t.Context(), []string{"DEBIAN-CVE-1"}); err != nil || s.Knows("Debian:12") || s.Affecting("Debian:12", "openssl", "1") != nil {
		t.Error("deleted advisories are known", err)
	}
}

// The order of versions, in lists from the smallest to the largest.
func TestAffecting_VersionOrder(t *testing.T) {
	for ecosystem, list := range map[string]string{
		"Debian:12":    "0 1.0~~ 1.0~beta1 1.0 1.0-0.1 1.0-1 1.0-1+b1 1.0-1+deb12u1 1.0-2 1.0a 1.0+dfsg 1.0.1 1.2-3 1.10 1:0.1 2:0",
		"Alpine:v3.20": "0.1 1.0_alpha1 1.0_alpha2 1.0_beta 1.0_pre1 1.0_rc1 1.0 1.0-r1 1.0-r2 1.0-r10 1.0_git20240101 1.0_p1 1.0a 1.0b 1.0.1 1.02 1.1 1.2 1.10 2.0",
		"Go":           "1.0.0-0.20200101000000-abcdefabcdef 1.0.0-rc.1 1.0.0 1.0.1-0.20200101000000-abcdefabcdef 1.2.0 1.10.0 2.0.0+incompatible",
	} {
		versions := strings.Fields(list)
		for i, fixed := range versions {
			s := open(t, dbtest.Open(t), operator{})
			if _, err := s.Import(t.Context(), [][]byte{system("A-1", ecosystem, "x", `{"introduced":"0"},{"fixed":"`+fixed+`"}`, "")}); err != nil {
				t.Fatal(err)
			}
			for k, v := range versions {
				if got := len(s.Affecting(ecosystem, "x", v)) == 1; got != (k < i) {
					t.Errorf("%s: %s < %s is %v", ecosystem, v, fixed, got)
				}
			}
		}
	}
}

// The orders are transitive and antisymmetric for any text.
func TestAffecting_OrderIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.StringMatching(`([0-9]:)?[0-9]{1,3}(\.[0-9a-z~+]{1,3}){0,2}(_(rc|p|alpha)[0-9]?)?(-r?[0-9]{1,2})?`)
		for _, compare := range advisories.Orders() {
			list := []string{version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")}
			slices.SortFunc(list, compare)
			a, b, c := list[0], list[1], list[2]
			if compare(a, b) > 0 || compare(b, c) > 0 || compare(a, c) > 0 || compare(a, b) != -compare(b, a) || compare(a, a) != 0 {
				t.Fatalf("%q %q %q", a, b, c)
			}
		}
	})
}

// Events are in no order, and what they say depends on the order of the versions alone.
func TestAffecting_Events(t *testing.T) {
	s := open(t, dbtest.Open(t), operator{})
	for i, c := range []struct {
		ecosystem, events string
		affected, not     []string
	}{
		{"npm", `{"fixed":"1.2.0"},{"introduced":"0"}`, []string{"0.1.0", "1.1.9", "1.2.0-rc.1"}, []string{"1.2.0", "9.0.0"}},
		{"npm", `{"introduced":"0"},{"introduced":"2.0.0"},{"fixed":"1.5.0"},{"fixed":"2.3.0"}`, []string{"1.4.9", "2.2.9"}, []string{"1.5.0", "1.9.0", "2.3.0"}},
		{"npm", `{"introduced":"1.0.0","fixed":"1.1.0"}`, []string{"1.0.5"}, []string{"0.9.0", "1.1.0"}},
		{"npm", `{"last_affected":"1.9.0"},{"introduced":"1.10.0"},{"introduced":"0"}`, []string{"1.9.0", "1.10.0"}, []string{"1.9.1"}},
		{"npm", `{"introduced":"0"},{"introduced":"1.0.0"},{"fixed":"1.1.0"}`, []string{"0.5.0", "1.0.0"}, []string{"1.1.0"}},
		{"Debian:12", `{"fixed":"1:1.0-1"},{"introduced":"0"}`, []string{"9.0-1", "1:1.0~rc1-1"}, []string{"1:1.0-1", "1:1.0-1+deb12u1"}},
		{"Alpine:v3.22", `{"fixed":"1.10_p1-r0"},{"introduced":"1.9-r0"}`, []string{"1.9-r3", "1.10-r9", "1.10_rc1-r0"}, []string{"1.8-r0", "1.10_p1-r0", "1.10_p2-r0"}},
		{"PyPI", `{"fixed":"2.0"},{"introduced":"0"}`, []string{"2.0rc1", "2.0.dev3", "1.0.post1"}, []string{"2.0", "2.0.post1", "1!0.1"}},
		{"RubyGems", `{"fixed":"2.0.0"},{"introduced":"0"}`, []string{"2.0.0.rc1", "1.10"}, []string{"2.0.0", "2.0.0.1"}},
		{"Go", `{"fixed":"0.0.0-20240102000000-aaaaaaaaaaaa"},{"introduced":"0"}`, []string{"0.0.0-20240101235959-ffffffffffff"}, []string{"0.0.0-20240102000001-000000000000", "0.1.0"}},
	} {
		name := fmt.Sprint("pkg", i)
		if _, err := s.Import(t.Context(), [][]byte{system("X-"+name, c.ecosystem, name, c.events, ``)}); err != nil {
			t.Fatal(err)
		}
		for _, v := range c.affected {
			if len(s.Affecting(c.ecosystem, name, v)) == 0 {
				t.Errorf("%s %s: %s is not affected", c.ecosystem, c.events, v)
			}
		}
		for _, v := range c.not {
			if len(s.Affecting(c.ecosystem, name, v)) > 0 {
				t.Errorf("%s %s: %s is affected", c.ecosystem, c.events, v)
			}
		}
	}
}
