package poetry_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/poetry"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python/pythontest"
)

const table = "[repositories.acme-lib]\nurl = \"" + pythontest.Repository + "\"\n"

func TestLogin(t *testing.T) {
	for name, c := range map[string]pythontest.Case{
		"without a file": {After: table, Left: "same"},
		"beside another": {
			Before: "[repositories.mine]\nurl = 'https://registry.example/'\n[virtualenvs]\nin-project = true",
			After:  "[repositories.mine]\nurl = 'https://registry.example/'\n[virtualenvs]\nin-project = true\n\n" + strings.TrimSuffix(table, "\n"),
			Left:   "same",
		},
		"in a table": {
			Before: "repositories = {mine = {url = 'https://registry.example/'}}\n",
			After:  "repositories = {mine = {url = 'https://registry.example/'}, acme-lib.url = \"" + pythontest.Repository + "\"}\n",
			Left:   "same",
		},
	} {
		t.Run(name, func(t *testing.T) { c.Edit(t, poetry.Tool()) })
	}
}

func TestFiles(t *testing.T) {
	for folder, p := range map[string]login.Environment{
		"/home/ada/.config/pypoetry":                     pythontest.Environment("linux", nil),
		"/home/ada/Library/Application Support/pypoetry": pythontest.Environment("darwin", nil),
		"/etc/ci": pythontest.Environment("linux", map[string]string{"POETRY_CONFIG_DIR": "/etc/ci"}),
	} {
		pythontest.Files(t, poetry.Tool(), p, folder+"/config.toml", folder+"/auth.toml",
			"/home/ada/.local/share/gatehouse/python/gatehouse_keyring.py", "/home/ada/.config/python_keyring/keyringrc.cfg")
	}
}

// Poetry would use a stored password instead of asking for one.
func TestLogin_StoredPassword(t *testing.T) {
	edits, err := poetry.Tool().Edits(pythontest.Target(t, pythontest.Repository, login.Replace), pythontest.Environment("linux", nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := edits[1].Apply([]byte("[http-basic.acme-lib]\nusername = 'aws'\npassword = 'stale'\n[http-basic.mine]\npassword = 'mine'\n"))
	if want := "[http-basic.acme-lib]\nusername = 'aws'\n[http-basic.mine]\npassword = 'mine'\n"; err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := edits[1].Apply(nil); err != nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLogin_Errors(t *testing.T) {
	to := pythontest.Target(t, pythontest.Repository, login.Replace)
	for _, env := range []map[string]string{{"POETRY_KEYRING_ENABLED": "false"}, {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}} {
		if _, err := poetry.Tool().Edits(to, pythontest.Environment("linux", env)); err == nil {
			t.Errorf("%v was not said", env)
		}
	}
	edits, err := poetry.Tool().Edits(to, pythontest.Environment("linux", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edits[0].Apply([]byte("keyring.enabled = false\n")); err == nil || !strings.Contains(err.Error(), "poetry config keyring.enabled true") {
		t.Errorf("%v", err)
	}
}

func TestNext(t *testing.T) {
	got := poetry.Tool().Next(pythontest.Target(t, pythontest.Repository, login.Add))
	if want := "poetry source add --priority=supplemental acme-lib " + pythontest.Index + "\npoetry publish -r acme-lib"; got != want {
		t.Errorf("%s", got)
	}
}

func TestAddresses(t *testing.T) {
	pythontest.Addresses(t, poetry.Tool(), pythontest.Environment("linux", nil), map[string]string{
		"/home/ada/.config/pypoetry/config.toml": table,
		"/src/app/pyproject.toml":                "[[tool.poetry.source]]\nname = 'acme-lib'\nurl = '" + pythontest.Index + "'\n",
	}, pythontest.Repository, pythontest.Index)
}
