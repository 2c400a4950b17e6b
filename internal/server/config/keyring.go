package config

import (
	"net/url"
	"path/filepath"
	"time"
)

// InDatabase is the value of the setting keyring for a keyring in the database.
const InDatabase = "database"

// KeyringWrapping says how the keyring is encrypted where it is stored: by external
// commands if Wrap is set, otherwise by a key. Neither means that it is not, unless the
// environment has a key. Whatever is set beside that only decrypts what was encrypted
// before.
type KeyringWrapping struct {
	// KeyFile has 32 bytes in base64.
	KeyFile string `yaml:"key_file"`
	// FormerKeyFile has the key with which the keyring was wrapped before.
	FormerKeyFile string `yaml:"former_key_file"`
	// Wrap and Unwrap are a program and its arguments: bytes on standard input, bytes
	// on standard output.
	Wrap   []string `yaml:"wrap"`
	Unwrap []string `yaml:"unwrap"`
	// Timeout bounds each run of the commands.
	Timeout time.Duration `yaml:"timeout"`
}

// WrappingKeys are keys in base64 from the environment: GATEHOUSE_KEYRING_KEY, and
// GATEHOUSE_KEYRING_FORMER_KEY, with which the keyring was wrapped before.
type WrappingKeys struct{ Key, Former string }

// KeyringFile is the file of the keyring, or "" if the setting keyring names none.
func (c *Config) KeyringFile() string {
	u, err := url.Parse(c.Keyring)
	if err != nil || u.Scheme != "file" || u.Host != "" || u.RawQuery != "" || u.Fragment != "" || !filepath.IsAbs(u.Path) {
		return ""
	}
	return filepath.Clean(u.Path)
}

func (c *Config) validateKeyring(bad func(setting, format string, args ...any)) {
	if c.Keyring != "" && c.Keyring != InDatabase && c.KeyringFile() == "" {
		bad("keyring", "%q is neither database nor a file, such as file:///etc/gatehouse/keyring.json", c.Keyring)
	}
	w := c.KeyringWrapping
	hasKey := w.KeyFile != "" || c.WrappingKeys.Key != ""
	if len(w.Wrap) > 0 && len(w.Unwrap) == 0 {
		bad("keyring_wrapping", "wrap needs unwrap, the command that decrypts again")
	}
	if len(w.Unwrap) > 0 && len(w.Wrap) == 0 && !hasKey {
		bad("keyring_wrapping", "unwrap needs wrap, or a key with which the keyring is wrapped from now on")
	}
	if (w.FormerKeyFile != "" || c.WrappingKeys.Former != "") && len(w.Wrap) == 0 && !hasKey {
		bad("keyring_wrapping", "a former key needs a new key, or commands, with which the keyring is wrapped from now on")
	}
	for _, args := range [][]string{w.Wrap, w.Unwrap} {
		if len(args) > 0 && args[0] == "" {
			bad("keyring_wrapping", "a command is a program and its arguments, such as [/usr/local/bin/kms-wrap, --key, gatehouse]")
		}
	}
	if w.KeyFile != "" && c.WrappingKeys.Key != "" {
		bad("keyring_wrapping.key_file", "GATEHOUSE_KEYRING_KEY is set too: choose one")
	}
	if w.Timeout <= 0 {
		bad("keyring_wrapping.timeout", "must be more than zero")
	}
	if c.Keyring == InDatabase && len(w.Wrap) == 0 && !hasKey {
		bad("keyring", "a keyring in the database must be wrapped: set GATEHOUSE_KEYRING_KEY, keyring_wrapping.key_file, or keyring_wrapping.wrap and .unwrap")
	}
}
