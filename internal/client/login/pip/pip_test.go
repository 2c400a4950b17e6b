package pip_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/pip"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python/pythontest"
)

const index = pythontest.Asking

func TestLogin(t *testing.T) {
	other := strings.Replace(index, "/lib/", "/other/", 1)
	for name, c := range map[string]pythontest.Case{
		"without a file": {After: "[global]\nindex-url = " + index + "\nkeyring-provider = subprocess\n", Left: "same"},
		"in place of another": {
			Before: "# mine\n[global]\nindex_url: https://registry.example/simple/\ntimeout = 5\n",
			After:  "# mine\n[global]\nindex_url: " + index + "\ntimeout = 5\nkeyring-provider = subprocess\n",
			Left:   "# mine\n[global]\ntimeout = 5\n",
		},
		"beside another": {
			Placement: login.Add,
			Before:    "[global]\nindex-url = https://registry.example/simple/\n",
			After:     "[global]\nindex-url = https://registry.example/simple/\nextra-index-url = " + index + "\nkeyring-provider = subprocess\n",
			Left:      "same",
		},
		"beside several": {
			Placement: login.Add,
			Before:    "[global]\nextra-index-url =\n    https://a.example/\n    https://b.example/\nkeyring-provider = import\n",
			After:     "[global]\nextra-index-url =\n    https://a.example/\n    https://b.example/\n    " + index + "\nkeyring-provider = subprocess\n",
			Left:      "[global]\nextra-index-url =\n    https://a.example/\n    https://b.example/\n",
		},
		"beside another login": {
			Placement: login.Add,
			Before:    "[global]\nindex-url = " + other + "\nkeyring-provider = subprocess\n",
			After:     "[global]\nindex-url = " + other + "\nkeyring-provider = subprocess\nextra-index-url = " + index + "\n",
			Left:      "same",
		},
		"without TLS": {
			Address: pythontest.Insecure,
			After: "[global]\nindex-url = " + strings.Replace(pythontest.Insecure, "//", "//aws@", 1) + "simple/\n" +
				"trusted-host = gate.example:4283\nkeyring-provider = subprocess\n",
			Left: "same",
		},
	} {
		t.Run(name, func(t *testing.T) { c.Edit(t, pip.Tool()) })
	}
}

func TestFiles(t *testing.T) {
	for want, p := range map[string]login.Environment{
		"/home/ada/.config/pip/pip.conf":        pythontest.Environment("linux", nil),
		"/xdg/pip/pip.conf":                     pythontest.Environment("linux", map[string]string{"XDG_CONFIG_HOME": "/xdg"}),
		"/etc/my.conf":                          pythontest.Environment("linux", map[string]string{"PIP_CONFIG_FILE": "/etc/my.conf"}),
		"/src/app/my.conf":                      pythontest.Environment("linux", map[string]string{"PIP_CONFIG_FILE": "my.conf"}),
		"/home/ada/AppData/Roaming/pip/pip.ini": pythontest.Environment("windows", nil),
	} {
		pythontest.Files(t, pip.Tool(), p, want)
	}
	off := pythontest.Environment("linux", map[string]string{"PIP_CONFIG_FILE": "/dev/null"})
	if _, err := pip.Tool().Edits(pythontest.Target(t, pythontest.Repository, login.Replace), off); err == nil {
		t.Error("a configuration that is turned off was changed")
	}
}

// On macOS pip uses the platform's folder if it exists.
func TestFiles_MacOS(t *testing.T) {
	p := pythontest.Environment("darwin", nil)
	p.Home = t.TempDir()
	pythontest.Files(t, pip.Tool(), p, p.Home+"/.config/pip/pip.conf")
	if err := os.MkdirAll(p.Home+"/Library/Application Support/pip", 0o755); err != nil {
		t.Fatal(err)
	}
	pythontest.Files(t, pip.Tool(), p, p.Home+"/Library/Application Support/pip/pip.conf")
}

func TestAddresses(t *testing.T) {
	p := pythontest.Environment("linux", map[string]string{"PIP_INDEX_URL": "https://env.example/", "VIRTUAL_ENV": "/venv"})
	pythontest.Addresses(t, pip.Tool(), p, map[string]string{
		"/home/ada/.config/pip/pip.conf": "[global]\nindex-url = " + index + "\n[install]\nextra-index-url = https://me:secret@a.example/simple\n  relative/path\n",
		"/venv/pip.conf":                 "[global]\nindex-url = https://venv.example/\n",
		"/home/ada/.pip/pip.conf":        "[global]\nindex-url = https://old.example/\n",
	}, index, "https://env.example/", "https://me@a.example/simple", "https://old.example/", "https://venv.example/")
}
