package twine_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python/pythontest"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/twine"
)

const section = "[acme-lib]\nrepository = " + pythontest.Repository + "\nusername = aws\n"

func TestLogin(t *testing.T) {
	for name, c := range map[string]pythontest.Case{
		"without a file": {After: "[distutils]\nindex-servers =\n    pypi\n    testpypi\n    acme-lib\n\n" + section, Left: "same"},
		"beside others": {
			Before: "[distutils]\nindex-servers =\n    pypi\n    mine\n\n[pypi]\nusername = __token__\npassword = mine\n",
			After:  "[distutils]\nindex-servers =\n    pypi\n    mine\n    acme-lib\n\n[pypi]\nusername = __token__\npassword = mine\n\n" + section,
			Left:   "same",
		},
		"a password that is held": {
			Before: "[distutils]\nindex-servers = acme-lib\n[acme-lib]\npassword = stale\n",
			After:  "[distutils]\nindex-servers = acme-lib\n\n" + section,
			Left:   "",
		},
	} {
		t.Run(name, func(t *testing.T) { c.Edit(t, twine.Tool()) })
	}
}

func TestFiles(t *testing.T) {
	pythontest.Files(t, twine.Tool(), pythontest.Environment("linux", nil),
		"/home/ada/.pypirc", "/home/ada/.local/share/gatehouse/python/gatehouse_keyring.py", "/home/ada/.config/python_keyring/keyringrc.cfg")
}

func TestLogin_Errors(t *testing.T) {
	own := pythontest.Target(t, pythontest.Repository, login.Replace)
	own.Name = "testpypi"
	if _, err := twine.Tool().Edits(own, pythontest.Environment("linux", nil)); err == nil {
		t.Error("a repository of twine's own was given another address")
	}
	other := pythontest.Environment("linux", map[string]string{"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"})
	if _, err := twine.Tool().Edits(pythontest.Target(t, pythontest.Repository, login.Replace), other); err == nil {
		t.Error("the environment names another keyring, which was not said")
	}
}

func TestAddresses(t *testing.T) {
	pythontest.Addresses(t, twine.Tool(), pythontest.Environment("linux", nil), map[string]string{"/home/ada/.pypirc": section}, pythontest.Repository)
}
