package uv_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python/pythontest"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/uv"
)

const (
	index   = "[[index]]\nname = \"acme-lib\"\nurl = \"" + pythontest.Asking + "\"\npublish-url = \"https://aws@acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/lib/\"\n"
	theirs  = "[[index]]\nname = \"mine\"\nurl = \"https://registry.example/simple\"\n"
	asks    = "keyring-provider = \"subprocess\"\n"
	primary = index + "default = true\n"
)

func TestLogin(t *testing.T) {
	other := strings.NewReplacer("acme-lib", "acme-other", "/lib/", "/other/").Replace(index)
	for name, c := range map[string]pythontest.Case{
		"without a file": {After: asks + "\n" + primary, Left: "same"},
		"in place of a default": {
			Before: "# mine\n" + theirs + "default = true\n",
			After:  asks + "\n" + primary + "\n# mine\n" + theirs + "default = true\n",
			Left:   "same",
		},
		"with others": {
			Before: "offline = false\n\n" + theirs,
			After:  "offline = false\n" + asks + "\n" + theirs + "\n" + primary,
			Left:   "same",
		},
		"beside a default": {
			Placement: login.Add,
			Before:    theirs + "default = true\n",
			After:     asks + "\n" + theirs + "default = true\n\n" + index,
			Left:      "same",
		},
		"another keyring": {
			Before: "keyring-provider = \"disabled\" # no\r\n",
			After:  strings.ReplaceAll("keyring-provider = \"subprocess\" # no\n\n"+primary, "\n", "\r\n"),
			Left:   "",
		},
		"beside another login": {
			Placement: login.Add, Before: asks + "\n" + other, After: asks + "\n" + other + "\n" + index, Left: "same",
		},
	} {
		t.Run(name, func(t *testing.T) { c.Edit(t, uv.Tool()) })
	}
}

func TestFiles(t *testing.T) {
	for want, p := range map[string]login.Environment{
		"/home/ada/.config/uv/uv.toml":         pythontest.Environment("darwin", nil),
		"/xdg/uv/uv.toml":                      pythontest.Environment("linux", map[string]string{"XDG_CONFIG_HOME": "/xdg"}),
		"/etc/my.toml":                         pythontest.Environment("linux", map[string]string{"UV_CONFIG_FILE": "/etc/my.toml"}),
		"/home/ada/AppData/Roaming/uv/uv.toml": pythontest.Environment("windows", nil),
	} {
		pythontest.Files(t, uv.Tool(), p, want)
	}
}

func TestLogin_ConfigurationDisabled(t *testing.T) {
	to := pythontest.Target(t, pythontest.Repository, login.Replace)
	for value, off := range map[string]bool{"1": true, "true": true, "0": false, "False": false, "": false} {
		if _, err := uv.Tool().Edits(to, pythontest.Environment("linux", map[string]string{"UV_NO_CONFIG": value})); (err != nil) != off {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	p := pythontest.Environment("linux", map[string]string{"UV_DEFAULT_INDEX": "https://env.example/"})
	pythontest.Addresses(t, uv.Tool(), p, map[string]string{
		"/home/ada/.config/uv/uv.toml": "extra-index-url = ['https://me:secret@a.example/simple']\n" + index,
		"/src/app/pyproject.toml":      "[[tool.uv.index]]\nname = 'https://name.example/'\nurl = 'https://project.example/'\n",
	}, "https://aws@acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/lib/", pythontest.Asking, "https://env.example/", "https://me@a.example/simple", "https://project.example/")
}
