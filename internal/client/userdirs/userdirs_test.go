package userdirs_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/userdirs"
)

func TestFolders(t *testing.T) {
	const home = "/home/ada"
	for _, tt := range []struct {
		goos, variable, value string
		config, state, data   string
	}{
		{"linux", "", "", home + "/.config", home + "/.local/state", home + "/.local/share"},
		{"linux", "XDG_CONFIG_HOME", "/c", "/c", home + "/.local/state", home + "/.local/share"},
		{"linux", "XDG_STATE_HOME", "/s", home + "/.config", "/s", home + "/.local/share"},
		{"linux", "XDG_DATA_HOME", "/d", home + "/.config", home + "/.local/state", "/d"},
		{"linux", "XDG_CONFIG_HOME", "relative", home + "/.config", home + "/.local/state", home + "/.local/share"},
		{"linux", "APPDATA", "/r", home + "/.config", home + "/.local/state", home + "/.local/share"},
		{"darwin", "", "", home + "/Library/Application Support", home + "/Library/Application Support", home + "/.local/share"},
		{"darwin", "XDG_STATE_HOME", "/s", home + "/Library/Application Support", "/s", home + "/.local/share"},
		{"windows", "", "", home + "/AppData/Roaming", home + "/AppData/Local", home + "/AppData/Local"},
		{"windows", "APPDATA", "/r", "/r", home + "/AppData/Local", home + "/AppData/Local"},
		{"windows", "LOCALAPPDATA", "/l", home + "/AppData/Roaming", "/l", "/l"},
		{"windows", "XDG_DATA_HOME", "/d", home + "/AppData/Roaming", home + "/AppData/Local", "/d"},
	} {
		f := userdirs.Folders{Home: home, GOOS: tt.goos, Getenv: func(name string) string {
			if name == tt.variable {
				return tt.value
			}
			return ""
		}}
		if got, want := [3]string{f.Config(), f.State(), f.Data()}, [3]string{tt.config, tt.state, tt.data}; got != want {
			t.Errorf("%s with %s=%s: %q, want %q", tt.goos, tt.variable, tt.value, got, want)
		}
	}
}
