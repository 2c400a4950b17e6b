// Package nuget logs in NuGet, by the person's configuration (Microsoft Learn,
// "nuget.config reference" and "Common NuGet configurations").
//
// There are two tools. [Dotnet] is for programs that can start credential
// plug-ins from PATH: the .NET SDK 9.0.200 or newer, and nuget, msbuild and
// Visual Studio with NuGet 6.13 or newer. [NuGet] is for older ones, and stores
// the token.
//
// A repository that is added goes into our own file, which NuGet 5.7 and newer
// reads besides the person's. If theirs does not exist, NuGet still makes one
// with its default sources. For a repository that replaces the others, login
// changes the person's file and disables the other network sources in it, as
// `dotnet nuget disable source` does.
package nuget

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/xmledit"
)

// Dotnet is the .NET SDK, and whatever else asks credential plug-ins.
func Dotnet() login.Tool {
	return login.Tool{
		Name: "dotnet", Format: "nuget", Programs: []string{"dotnet", "nuget", "msbuild"},
		Helper: "nuget-plugin-gatehouse", Secret: login.FromHelper,
		Edits: editsWith(func(login.Target) []value { return nil }), Addresses: addresses, Next: next("dotnet restore", "dotnet nuget push PACKAGE.nupkg --source "),
	}
}

// NuGet is for versions of NuGet that cannot start our plug-in.
func NuGet() login.Tool {
	return login.Tool{
		Name: "nuget", Format: "nuget", Programs: []string{"nuget", "dotnet", "msbuild"}, Secret: login.StoredOrEnv,
		Edits: editsWith(credentials), Addresses: addresses, Next: next("nuget restore", "nuget push PACKAGE.nupkg -Source "),
	}
}

// skeleton is the text of a new file.
const skeleton = `<?xml version="1.0" encoding="utf-8"?>
<configuration>
</configuration>
`

// folder is NuGet's UserSettingsDirectory.
func folder(p login.Environment) string {
	if p.GOOS == "windows" {
		if data := p.Getenv("APPDATA"); data != "" {
			return filepath.Join(data, "NuGet")
		}
		return filepath.Join(p.Home, "AppData", "Roaming", "NuGet")
	}
	return filepath.Join(p.Home, ".nuget", "NuGet")
}

// files returns the person's configuration, and our own file.
func files(p login.Environment) (theirs, ours string) {
	return filepath.Join(folder(p), "NuGet.Config"), filepath.Join(folder(p), "config", "gatehouse.config")
}

// A value is the value of an attribute.
type value struct {
	path []xmledit.Step
	text string
}

// section is the path of an element in a section.
func section(name string, steps ...xmledit.Step) []xmledit.Step {
	return append([]xmledit.Step{xmledit.El("configuration"), xmledit.El(name)}, steps...)
}

func source(name string, more ...xmledit.Step) []xmledit.Step {
	return section("packageSources", append([]xmledit.Step{xmledit.ByAttr("add", "key", name)}, more...)...)
}

func disabled(name string, more ...xmledit.Step) []xmledit.Step {
	return section("disabledPackageSources", append([]xmledit.Step{xmledit.ByAttr("add", "key", name)}, more...)...)
}

// disabledBy is the attribute with which login marks the sources that it
// disables. NuGet ignores attributes that it does not know.
const disabledBy = "disabledBy"

func editsWith(more func(login.Target) []value) func(login.Target, login.Environment) ([]login.Edit, error) {
	return func(t login.Target, p login.Environment) ([]login.Edit, error) {
		values := []value{
			{source(t.Name, xmledit.Attr("value")), t.Endpoint.String() + "v3/index.json"},
			{source(t.Name, xmledit.Attr("protocolVersion")), "3"},
		}
		if t.Endpoint.Scheme == "http" { // refused from NuGet 6.8 on, unless
			values = append(values, value{source(t.Name, xmledit.Attr("allowInsecureConnections")), "true"})
		}
		secrets := more(t)
		values = append(values, secrets...)
		theirs, ours := files(p)
		here, there := login.Edit{Path: ours}, login.Edit{Path: theirs}
		here.Apply = func(text []byte) ([]byte, error) { return set(text, values) }
		if t.Placement == login.Replace {
			here.Path, there.Path = theirs, ours
			here.Apply = func(text []byte) ([]byte, error) {
				text, err := set(text, values)
				if err != nil {
					return nil, err
				}
				return disableOthers(text, t.Name)
			}
		}
		here.Mode, there.Mode = 0o644, 0o644
		if len(secrets) > 0 && t.Variable == "" {
			here.Mode = 0o600
		}
		// The repository is removed from the other file.
		there.Apply = func(text []byte) ([]byte, error) { return remove(text, t.Name) }
		here.Remove, there.Remove = there.Apply, there.Apply
		if t.Placement == login.Replace {
			return []login.Edit{there, here}, nil
		}
		return []login.Edit{here, there}, nil
	}
}

// credentials returns the credentials of a source. The password is in clear
// text, since encrypted ones only work on Windows.
func credentials(t login.Target) []value {
	password := t.Token.Password
	if t.Variable != "" {
		password = "%" + t.Variable + "%"
	}
	of := func(key string) []xmledit.Step {
		return section("packageSourceCredentials", xmledit.El(elementName(t.Name)), xmledit.ByAttr("add", "key", key), xmledit.Attr("value"))
	}
	return []value{{of("Username"), "aws"}, {of("ClearTextPassword"), password}, {of("ValidAuthenticationTypes"), "basic"}}
}

// elementName makes an element's name from a source's name, as .NET's
// XmlConvert encodes a character with which no name can begin.
func elementName(name string) string {
	if c := name[0]; c == '-' || '0' <= c && c <= '9' {
		return fmt.Sprintf("_x%04X_%s", c, name[1:])
	}
	return name
}

func set(text []byte, values []value) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte(skeleton)
	}
	for _, v := range values {
		var err error
		if text, err = xmledit.Set(text, v.path, v.text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// disableOthers disables the other sources except folders, and enables ours.
func disableOthers(text []byte, name string) ([]byte, error) {
	text, err := xmledit.Delete(text, disabled(name))
	if err != nil {
		return nil, err
	}
	sources, err := xmledit.All(text, section("packageSources", xmledit.El("add")))
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		other := s.Attr("key")
		if other == name || !strings.HasPrefix(s.Attr("value"), "http") {
			continue
		}
		if _, ok, err := xmledit.Get(text, disabled(other, xmledit.Attr("value"))); err != nil || ok {
			if err != nil {
				return nil, err
			}
			continue
		}
		if text, err = set(text, []value{{disabled(other, xmledit.Attr("value")), "true"}, {disabled(other, xmledit.Attr(disabledBy)), name}}); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func remove(text []byte, name string) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return text, nil
	}
	for _, path := range [][]xmledit.Step{
		source(name),
		section("disabledPackageSources", xmledit.ByAttr("add", disabledBy, name)),
		section("packageSourceCredentials", xmledit.El(elementName(name))),
	} {
		var err error
		if text, err = xmledit.Delete(text, path); err != nil {
			return nil, err
		}
	}
	if string(text) == skeleton {
		return nil, nil
	}
	return text, nil
}

// addresses returns the sources in the person's configuration and in ours.
func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	theirs, ours := files(p)
	return read.Addresses(addressesIn, theirs, ours)
}

// addressesIn returns the addresses of a text's sources except folders.
func addressesIn(text []byte) ([]string, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	sources, err := xmledit.All(text, section("packageSources", xmledit.El("add")))
	var all []string
	for _, s := range sources {
		if address := s.Attr("value"); strings.HasPrefix(address, "http") {
			all = append(all, address)
		}
	}
	return all, err
}

func next(restore, push string) func(login.Target) string {
	return func(t login.Target) string {
		return t.Export() + restore + "\n" + push + t.Name
	}
}
