package upstreamconfig

import (
	"encoding/xml"
	"errors"
	"slices"
	"strings"
)

// nuget takes the first source that is not disabled from the user's NuGet.Config, or the
// machine's (NuGet's reference of its configuration file).
func nuget(e Environment) (address, error) {
	return e.first("nuget", nugetSource,
		e.home(".nuget", "NuGet", "NuGet.Config"), e.configHome("NuGet", "NuGet.Config"), e.system("etc/opt/NuGet/Config/NuGet.Config"))
}

type nugetEntry struct {
	Key   string `xml:"key,attr"`
	Value string `xml:"value,attr"`
}

func nugetSource(text string) (string, error) {
	var file struct {
		Sources  []nugetEntry `xml:"packageSources>add"`
		Disabled []nugetEntry `xml:"disabledPackageSources>add"`
	}
	if err := xml.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), &file); err != nil {
		return "", errors.New("it is not XML")
	}
	for _, s := range file.Sources {
		disabled := slices.ContainsFunc(file.Disabled, func(d nugetEntry) bool {
			return strings.EqualFold(d.Key, s.Key) && strings.EqualFold(d.Value, "true")
		})
		if !disabled && strings.Contains(s.Value, "://") { // others are folders
			return s.Value, nil
		}
	}
	return "", nil
}
