package pdm_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/pdm"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python/pythontest"
)

const (
	index      = "url = \"" + pythontest.Index + "\"\nusername = \"aws\"\n"
	repository = "[repository.acme-lib]\nurl = \"" + pythontest.Repository + "\"\nusername = \"aws\"\n"
)

func TestLogin(t *testing.T) {
	for name, c := range map[string]pythontest.Case{
		"without a file": {After: "[pypi]\n" + index + "\n" + repository, Left: "same"},
		"in place of another": {
			Before: "use_uv = true\n\n[pypi]\nurl = 'https://registry.example/'\nusername = 'me'\npassword = 'mine'\nverify_ssl = true\n",
			After:  "use_uv = true\n\n[pypi]\n" + index + "verify_ssl = true\n\n" + repository,
			Left:   "use_uv = true\n\n[pypi]\nverify_ssl = true\n",
		},
		"beside another": {
			Placement: login.Add,
			Before:    "[pypi]\nurl = 'https://registry.example/'\n",
			After:     "[pypi]\nurl = 'https://registry.example/'\n\n[pypi.acme-lib]\n" + index + "\n" + repository,
			Left:      "same",
		},
		"without TLS": {
			Address: pythontest.Insecure,
			After: "[pypi]\nurl = \"" + pythontest.Insecure + "simple/\"\nusername = \"aws\"\nverify_ssl = false\n\n" +
				"[repository.acme-lib]\nurl = \"" + pythontest.Insecure + "\"\nusername = \"aws\"\n",
			Left: "same",
		},
	} {
		t.Run(name, func(t *testing.T) { c.Edit(t, pdm.Tool()) })
	}
}

func TestFiles(t *testing.T) {
	keyring := []string{"/home/ada/.local/share/gatehouse/python/gatehouse_keyring.py", "/home/ada/.config/python_keyring/keyringrc.cfg"}
	for path, p := range map[string]login.Environment{
		"/home/ada/.config/pdm/config.toml":                     pythontest.Environment("linux", nil),
		"/home/ada/Library/Application Support/pdm/config.toml": pythontest.Environment("darwin", nil),
		"/etc/ci.toml": pythontest.Environment("linux", map[string]string{"PDM_CONFIG_FILE": "/etc/ci.toml"}),
	} {
		pythontest.Files(t, pdm.Tool(), p, append([]string{path}, keyring...)...)
	}
	// Here the library is not asked, and the command only if the library is not
	// installed.
	pythontest.Files(t, pdm.Tool(), pythontest.Environment("linux", map[string]string{"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}),
		"/home/ada/.config/pdm/config.toml")
}

func TestAddresses(t *testing.T) {
	pythontest.Addresses(t, pdm.Tool(), pythontest.Environment("linux", nil), map[string]string{
		"/home/ada/.config/pdm/config.toml": "[pypi]\nurl = 'https://me:secret@a.example/'\n[pypi.acme-lib]\n" + index + repository,
		"/src/app/pyproject.toml":           "[[tool.pdm.source]]\nname = 'mine'\nurl = 'https://project.example/'\n",
	}, pythontest.Repository, pythontest.Index, "https://me@a.example/", "https://project.example/")
}
