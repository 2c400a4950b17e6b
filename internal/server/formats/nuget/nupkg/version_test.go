package nupkg

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1.0.0", "1.0": "1.0.0", "1.0.0.0": "1.0.0", "1.0.0.1": "1.0.0.1", "01.002.3": "1.2.3", "1.2.3+build.5": "1.2.3",
		"1.0.0-Beta": "1.0.0-Beta", "1.0-rc.1+x": "1.0.0-rc.1", "1.0.0-01": "1.0.0-01", "2147483647.0.0": "2147483647.0.0",
		"": "", "v1.0": "", "1.0.0-": "", "1.0.0+": "", "1.0.0-a..b": "", "1. 0": "", " 1.0": "", "1.0.0.0.0": "", "1.*": "", "[1.0,2.0)": "",
		"1.0.0-β": "", "1.0.0_x": "", "2147483648.0.0": "", "99999999999.0": "", "1.0.0-" + string(make([]byte, 100)): "",
	} {
		v, ok := ParseVersion(in)
		if ok != (want != "") || v.Normal != want {
			t.Errorf("ParseVersion(%q) = %q, %v; want %q", in, v.Normal, ok, want)
		}
	}
}

func TestNeedsSemVer2(t *testing.T) {
	for in, want := range map[string]bool{"1.0.0": false, "1.0.0.1": false, "1.0.0-beta": false, "1.0.0-beta.1": true, "1.0.0+b": true, "1.0.0-a-b": false} {
		if got := needsSemVer2(in); got != want {
			t.Errorf("needsSemVer2(%q) = %v", in, got)
		}
	}
	for in, want := range map[string]bool{"[1.0.0, 2.0.0)": false, "[1.0.0-rc.1, )": true, "(, 2.0.0-rc.1]": true, "1.0": false, "": false, "[1.0.0-rc]": false} {
		if got := boundsNeedSemVer2(in); got != want {
			t.Errorf("boundsNeedSemVer2(%q) = %v", in, got)
		}
	}
}

func TestFullRange(t *testing.T) {
	for in, want := range map[string]string{"": "(, )", "1.0": "[1.0, )", "[1.0]": "[1.0]", "(1.0, 2.0)": "(1.0, 2.0)", " 1.0 ": "[1.0, )"} {
		if got := FullRange(in); got != want {
			t.Errorf("FullRange(%q) = %q, want %q", in, got, want)
		}
	}
}

// What this package normalises is one version for the store too, in every spelling.
func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"1", "1.0.0.0", "01.2.3-Beta.1+x", "1.0.0-0A", "4.0.0.5-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := ParseVersion(s)
		if !ok {
			return
		}
		for _, spelling := range []string{v.Normal, v.Lower()} {
			again, ok := ParseVersion(spelling)
			if !ok || again.Normal != spelling {
				t.Fatalf("%q normalised is %q, and that is %q", s, spelling, again.Normal)
			}
			if !packages.NuGet.SameVersion(s, spelling) {
				t.Fatalf("the store takes %q and %q for two versions", s, spelling)
			}
		}
	})
}
