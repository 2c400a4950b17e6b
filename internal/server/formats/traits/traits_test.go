package traits_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/traits"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

var _ packages.Traits = traits.Reader{}

func TestReader_Licenses(t *testing.T) {
	for name, c := range map[string]struct {
		format         packages.Format
		metadata, file string
		want           string
	}{
		"npm":             {packages.NPM, `{"license":"MIT"}`, ``, "MIT"},
		"npm object":      {packages.NPM, `{"license":{"type":"ISC"},"licenses":[{"type":"MIT"},"BSD"]}`, ``, "ISC|MIT|BSD"},
		"npm number":      {packages.NPM, `{"license":7}`, ``, ""},
		"npm damaged":     {packages.NPM, `[`, ``, ""},
		"cargo":           {packages.Cargo, `{"index":{},"about":{"license":"MIT OR Apache-2.0"}}`, ``, "MIT OR Apache-2.0"},
		"cargo, external": {packages.Cargo, `{"index":{"name":"x"},"about":{}}`, ``, ""},
		"nuget":           {packages.NuGet, `{"id":"x","version":"1","licenseExpression":"MIT"}`, ``, "MIT"},
		"nuget, address":  {packages.NuGet, `{"id":"x","version":"1","licenseUrl":"https://x.example"}`, ``, ""},
		"ruby":            {packages.Ruby, ``, `{"name":"x","version":"1","licenses":["MIT","Ruby"]}`, "MIT|Ruby"},
		"ruby, index":     {packages.Ruby, ``, `{"name":"x","version":"1"}`, ""},
		"maven":           {packages.Maven, ``, ``, ""},
	} {
		v := &packages.Version{Version: "1", Metadata: []byte(c.metadata), Assets: []packages.Asset{{Name: "file", Metadata: []byte(c.file)}}}
		if got := strings.Join(traits.Reader{}.Licenses(c.format, v), "|"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestReader_File(t *testing.T) {
	type file = packages.FileTraits
	const external, internal = "public:x", "app"
	for name, c := range map[string]struct {
		format         packages.Format
		from           string
		metadata       string
		file, fileJSON string
		beside         string // another asset
		want           file
	}{
		"npm":                   {packages.NPM, external, `{"hasInstallScript":true,"dist":{"attestations":{"url":"x"},"signatures":[{}]}}`, "package.tgz", ``, "", file{Attested: packages.Yes, Signed: packages.Yes, InstallScripts: packages.Yes}},
		"npm, nothing":          {packages.NPM, external, `{"dist":{"attestations":{},"signatures":[]}}`, "package.tgz", ``, "", file{Attested: packages.No, Signed: packages.No, InstallScripts: packages.No}},
		"npm, published here":   {packages.NPM, internal, `{"dist":{"attestations":{"url":"x"},"signatures":[{}]}}`, "package.tgz", ``, "", file{Attested: packages.No, Signed: packages.No, InstallScripts: packages.No}},
		"npm, damaged":          {packages.NPM, external, `7`, "package.tgz", ``, "", file{}},
		"wheel":                 {packages.PyPI, external, `{}`, "a-1-py3-none-any.whl", `{"provenance":"https://x.example"}`, "", file{Attested: packages.Yes, Signed: packages.NotKnown, InstallScripts: packages.No}},
		"sdist":                 {packages.PyPI, external, `{}`, "a-1.tar.gz", `{}`, "", file{Attested: packages.No, Signed: packages.NotKnown, InstallScripts: packages.Yes}},
		"maven, signed":         {packages.Maven, external, ``, "a-1.jar", ``, "a-1.jar.asc", file{Signed: packages.Yes}},
		"maven, not asked":      {packages.Maven, external, ``, "a-1.jar", ``, "", file{}},
		"maven, not signed":     {packages.Maven, internal, ``, "a-1.jar", ``, "a-1.pom.asc", file{Signed: packages.No}},
		"maven, no files":       {packages.Maven, external, ``, "", ``, "", file{}},
		"nuget":                 {packages.NuGet, internal, `{}`, "a.1.nupkg", `{"signed":true}`, "", file{Signed: packages.Yes}},
		"nuget, not signed":     {packages.NuGet, internal, `{}`, "a.1.nupkg", `{"signed":false}`, "", file{Signed: packages.No}},
		"nuget, not read":       {packages.NuGet, external, `{}`, "a.1.nupkg", ``, "", file{}},
		"crate with a library":  {packages.Cargo, external, `{"index":{"links":"z"}}`, "a-1.crate", ``, "", file{InstallScripts: packages.Yes}},
		"crate":                 {packages.Cargo, external, `{"index":{"links":null}}`, "a-1.crate", ``, "", file{}},
		"gem with an extension": {packages.Ruby, internal, ``, "a-1.gem", `{"extensions":true}`, "", file{InstallScripts: packages.Yes}},
		"gem":                   {packages.Ruby, internal, ``, "a-1.gem", `{"extensions":false}`, "", file{InstallScripts: packages.No}},
		"gem, not read":         {packages.Ruby, external, ``, "a-1.gem", `{}`, "", file{}},
		"generic":               {packages.Generic, internal, ``, "a", ``, "", file{}},
	} {
		v := &packages.Version{Version: "1", EntryPoint: c.from, Metadata: []byte(c.metadata), Assets: []packages.Asset{{Name: c.file, Metadata: []byte(c.fileJSON)}}}
		if c.beside != "" {
			v.Assets = append(v.Assets, packages.Asset{Name: c.beside})
		}
		if got := (traits.Reader{}).File(c.format, v, &v.Assets[0]); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
