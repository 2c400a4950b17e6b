package spdx

import "strings"

// nameKey makes the spellings of a name alike: small letters and digits, without the words
// that some leave out.
func nameKey(name string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(strings.ToLower(name), func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '+'
	}) {
		switch word {
		case "the", "license", "licence", "software", "version", "v", "public":
			continue
		}
		if len(word) > 1 && word[0] == 'v' && word[1] >= '0' && word[1] <= '9' {
			word = word[1:]
		}
		b.WriteString(word)
	}
	return b.String()
}

// names has the ids of the licences that most packages have, by the nameKey of the id and of
// the names that are used for it.
var names = func() map[string]string {
	byKey := map[string]string{}
	for id, spellings := range map[string][]string{
		"0BSD":              nil,
		"AFL-3.0":           nil,
		"AGPL-3.0-only":     nil,
		"AGPL-3.0-or-later": nil,
		"AGPL-3.0":          {"GNU Affero General Public License v3"},
		"Apache-1.1":        nil,
		"Apache-2.0":        {"Apache 2", "Apache2", "Apache License, Version 2.0", "Apache License 2", "The Apache Software License, Version 2.0", "ASL 2.0", "Apache License v2.0", "Apache Public License 2.0"},
		"Artistic-2.0":      {"Artistic License 2.0"},
		"BlueOak-1.0.0":     nil,
		"BSD-2-Clause":      {"Simplified BSD License", "2-Clause BSD License", "BSD 2 Clause", "FreeBSD License"},
		"BSD-3-Clause":      {"New BSD License", "Modified BSD License", "Revised BSD License", "3-Clause BSD License", "BSD 3 Clause", "BSD License 3", "BSD New"},
		"BSL-1.0":           {"Boost Software License 1.0"},
		"CC-BY-3.0":         nil,
		"CC-BY-4.0":         nil,
		"CC0-1.0":           {"CC0", "CC0 1.0 Universal"},
		"CDDL-1.0":          {"Common Development and Distribution License 1.0", "CDDL 1"},
		"CDDL-1.1":          nil,
		"EPL-1.0":           {"Eclipse Public License 1.0", "Eclipse Public License - v 1.0"},
		"EPL-2.0":           {"Eclipse Public License 2.0", "Eclipse Public License - v 2.0"},
		"GPL-2.0-only":      nil,
		"GPL-2.0-or-later":  {"GPLv2+"},
		"GPL-2.0":           {"GPLv2", "GPL v2", "GNU General Public License v2", "GNU General Public License v2 (GPLv2)"},
		"GPL-3.0-only":      nil,
		"GPL-3.0-or-later":  {"GPLv3+"},
		"GPL-3.0":           {"GPLv3", "GPL v3", "GNU General Public License v3", "GNU General Public License v3 (GPLv3)"},
		"HPND":              nil,
		"ISC":               {"ISC License", "ISCL", "ISC License (ISCL)"},
		"LGPL-2.1-only":     nil,
		"LGPL-2.1-or-later": nil,
		"LGPL-2.1":          {"LGPL v2.1", "GNU Lesser General Public License v2.1"},
		"LGPL-3.0-only":     nil,
		"LGPL-3.0-or-later": nil,
		"LGPL-3.0":          {"LGPLv3", "LGPL v3", "GNU Lesser General Public License v3"},
		"MIT":               {"MIT License", "The MIT License (MIT)", "Expat License"},
		"MIT-0":             nil,
		"MPL-1.1":           nil,
		"MPL-2.0":           {"Mozilla Public License 2.0", "Mozilla Public License, Version 2.0", "Mozilla Public License 2.0 (MPL 2.0)"},
		"MS-PL":             nil,
		"OFL-1.1":           nil,
		"PostgreSQL":        nil,
		"PSF-2.0":           {"PSF", "Python Software Foundation License"},
		"Python-2.0":        nil,
		"Ruby":              {"Ruby License"},
		"Unicode-3.0":       nil,
		"Unicode-DFS-2016":  nil,
		"Unlicense":         {"The Unlicense", "The Unlicense (Unlicense)"},
		"UPL-1.0":           nil,
		"WTFPL":             nil,
		"Zlib":              {"zlib License", "zlib/libpng License"},
		"ZPL-2.1":           {"Zope Public License 2.1"},
	} {
		for _, spelling := range append(spellings, id) {
			byKey[nameKey(spelling)] = id
		}
	}
	return byKey
}()
