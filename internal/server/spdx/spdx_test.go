package spdx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/spdx"
)

func TestAlternatives(t *testing.T) {
	for text, want := range map[string]string{
		"MIT":                                   "MIT",
		"mit":                                   "MIT",
		"The MIT License":                       "MIT",
		"MIT License":                           "MIT",
		"MIT OR Apache-2.0":                     "Apache-2.0|MIT",
		"MIT/Apache-2.0":                        "Apache-2.0|MIT",
		"(mit or apache-2.0)":                   "Apache-2.0|MIT",
		"MIT AND GPL-3.0-only":                  "GPL-3.0-only AND MIT",
		"GPL-3.0-or-later":                      "GPL-3.0-or-later",
		"gpl-2.0+":                              "GPL-2.0+",
		"mit+":                                  "MIT+",
		"agpl":                                  "AGPL",
		"agpl-3.0+":                             "AGPL-3.0+",
		"agplv3+":                               "AGPLv3+",
		"Lgpl-2.0 or sspl-1.0":                  "LGPL-2.0|SSPL-1.0",
		"LicenseRef-gpl":                        "LicenseRef-gpl",
		"(MIT OR ISC) AND Zlib":                 "ISC AND Zlib|MIT AND Zlib",
		"MIT OR ISC AND Zlib":                   "ISC AND Zlib|MIT",
		"MIT AND MIT":                           "MIT",
		"Apache-2.0 WITH LLVM-exception OR MIT": "Apache-2.0 WITH LLVM-exception|MIT",
		"Apache License, Version 2.0":           "Apache-2.0",
		"The Apache Software License, Version 2.0": "Apache-2.0",
		"Eclipse Public License - v 2.0":           "EPL-2.0",
		"GNU General Public License v3 (GPLv3)":    "GPL-3.0",
		"LicenseRef-acme":                          "LicenseRef-acme",
		"UNLICENSED":                               "UNLICENSED",
		"SEE LICENSE IN LICENSE.txt":               "unknown",
		"BSD style, see the file":                  "unknown",
		"MIT OR":                                   "unknown",
		"OR MIT":                                   "unknown",
		"(MIT":                                     "unknown",
		"MIT)":                                     "unknown",
		"MIT ISC":                                  "unknown",
		"Apache-2.0 WITH":                          "unknown",
		"UNKNOWN":                                  "unknown",
		"none":                                     "unknown",
		"http://example.com/license":               "unknown",
		" ":                                        "unknown",
		"":                                         "unknown",
	} {
		if got := strings.Join(spdx.Alternatives(text), "|"); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	if got := spdx.Alternatives("MIT", "", "see file x"); !slices.Equal(got, []string{"MIT", "unknown"}) {
		t.Errorf("several texts are %q", got)
	}
	if got := spdx.Alternatives(); !slices.Equal(got, []string{spdx.Unknown}) {
		t.Errorf("no text is %q", got)
	}
}

// Expressions that multiply out are not read.
func TestAlternatives_Bounds(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(MIT OR ISC) AND ", 20) + "Zlib", strings.Repeat("(", 900) + "MIT", strings.Repeat("MIT OR ", 90) + "MIT OR ISC", strings.Repeat("a", 2000),
	} {
		if got := spdx.Alternatives(text); !slices.Equal(got, []string{spdx.Unknown}) {
			t.Errorf("%.40s… is %.80q", text, got)
		}
	}
}

func FuzzAlternatives(f *testing.F) {
	f.Add("(MIT OR Apache-2.0) AND GPL-2.0 WITH Classpath-exception-2.0")
	f.Fuzz(func(t *testing.T, text string) {
		got := spdx.Alternatives(text)
		if len(got) == 0 || len(got) > 50 || !slices.IsSorted(got) {
			t.Fatalf("%q is %q", text, got)
		}
		for _, one := range got {
			// What is read reads as itself.
			if again := spdx.Alternatives(one); len(again) != 1 || again[0] != one {
				t.Fatalf("%q is %q, which is %q", text, one, again)
			}
		}
	})
}
