package python

import (
	"bytes"
	_ "embed"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/iniedit"
)

//go:embed keyring.py
var backend []byte

// In keyringrc.cfg the section [backend] names the keyring. The values that
// were there before are kept in a section of our own, where our keyring finds
// them.
const (
	section, former = "backend", "gatehouse"
	name            = "default-keyring"
	path            = "keyring-path"
	ours            = "gatehouse_keyring.Keyring"
)

// Keyring returns the edits that make Python's library keyring ask this
// program, for tools that import it: a keyring in Python, and keyringrc.cfg,
// which names it. The keyring that was configured before is still used for
// everything else. See [KeyringChosen].
func Keyring(p login.Environment) []login.Edit {
	dir := p.DataFolder("python") // keyringrc.cfg adds it to the path of Python's modules
	return []login.Edit{
		{
			Path: filepath.Join(dir, "gatehouse_keyring.py"), Mode: 0o644,
			Apply: func([]byte) ([]byte, error) {
				return bytes.Replace(backend, []byte(`PROGRAM = "gatehouse"`), []byte("PROGRAM = "+strconv.QuoteToASCII(p.Program)), 1), nil
			},
			Remove: func([]byte) ([]byte, error) { return nil, nil },
		},
		{
			Path: filepath.Join(keyringConfig(p), "keyringrc.cfg"), Mode: 0o644,
			Apply:  func(text []byte) ([]byte, error) { return nameOurs(text, dir) },
			Remove: func(text []byte) ([]byte, error) { return nameFormer(text, dir) },
		},
	}
}

// KeyringChosen returns an error if the environment names a keyring, which
// disables what [Keyring] configures.
func KeyringChosen(p login.Environment) error {
	if chosen := p.Getenv("PYTHON_KEYRING_BACKEND"); chosen != "" && chosen != ours {
		return fmt.Errorf("PYTHON_KEYRING_BACKEND is %s, so no other keyring is asked: unset it, or use gatehouse exec", chosen)
	}
	return nil
}

// keyringConfig is the folder of keyringrc.cfg (keyring.util.platform_).
func keyringConfig(p login.Environment) string {
	if p.GOOS == "windows" {
		return filepath.Join(LocalAppData(p), "Python Keyring")
	}
	return filepath.Join(XDGConfig(p), "python_keyring")
}

func nameOurs(text []byte, dir string) ([]byte, error) {
	for _, option := range [][2]string{{name, ours}, {path, dir}} {
		had, ok := iniedit.Get(text, section, option[0])
		var err error
		if ok && had != option[1] {
			if text, err = iniedit.Set(text, former, option[0], had); err != nil {
				return nil, err
			}
		}
		if text, err = iniedit.Set(text, section, option[0], option[1]); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func nameFormer(text []byte, dir string) ([]byte, error) {
	for _, option := range [][2]string{{name, ours}, {path, dir}} {
		had, kept := iniedit.Get(text, former, option[0])
		var err error
		if now, _ := iniedit.Get(text, section, option[0]); now == option[1] && kept {
			text, err = iniedit.Set(text, section, option[0], had)
		} else if now == option[1] {
			text, err = iniedit.Delete(text, section, option[0])
		}
		if err != nil {
			return nil, err
		}
		if text, err = iniedit.Delete(text, former, option[0]); err != nil {
			return nil, err
		}
	}
	return text, nil
}
