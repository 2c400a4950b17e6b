package token_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

func newKeyring(t testing.TB, now func() time.Time) *token.Keyring {
	t.Helper()
	k, err := token.CreateKeyring(filepath.Join(t.TempDir(), "keyring"), now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// fileKey is one key of a keyring file, its secret made of one letter.
func fileKey(id, state string, letter byte) string {
	secret := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(letter), 32)))
	return fmt.Sprintf(`{"id":%q,"state":%q,"created":"2026-01-01T00:00:00Z","secret":%q}`, id, state, secret)
}

func keyFile(keys ...string) string {
	return `{"version":1,"keys":[` + strings.Join(keys, ",") + `]}`
}

func load(t *testing.T, text string) (*token.Keyring, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return token.LoadKeyring(path, at(noon))
}

func mustLoad(t *testing.T, text string) *token.Keyring {
	t.Helper()
	k, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func secretOf(t *testing.T, k *token.Keyring, keyID, accessKeyID string) string {
	t.Helper()
	s, err := k.AccessKeySecret(keyID, accessKeyID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeyring_Restart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyring")
	if _, err := token.LoadKeyring(path, at(noon)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("LoadKeyring without a file = %v, want fs.ErrNotExist", err)
	}
	first, err := token.CreateKeyring(path, at(noon))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.CreateKeyring(path, at(noon)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CreateKeyring over another = %v, want fs.ErrExist", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Error("CreateKeyring changed the keyring that was there")
	}

	second, err := token.LoadKeyring(path, at(noon))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := second.Open(token.ECR, mint(t, first, token.ECR, typical())); err != nil || c != typical() {
		t.Errorf("Open after the restart = %+v, %v", c, err)
	}
	id := first.ActiveKeyID()
	if secretOf(t, first, id, "AKIA2222333344445555") != secretOf(t, second, id, "AKIA2222333344445555") {
		t.Error("the restart changed a secret")
	}
}

func TestCreateKeyring_Folder(t *testing.T) {
	if _, err := token.CreateKeyring(filepath.Join(t.TempDir(), "no", "keyring"), at(noon)); err == nil {
		t.Error("a keyring was created in a folder that does not exist")
	}
}

func TestLoadKeyring_Mode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	if _, err := token.CreateKeyring(path, at(noon)); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660, 0o610, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := token.LoadKeyring(path, at(noon))
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := token.LoadKeyring(path, at(noon)); err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if _, err := token.LoadKeyring(filepath.Dir(path), at(noon)); err == nil {
		t.Error("a folder was loaded")
	}
}

func TestLoadKeyring_Damaged(t *testing.T) {
	good := fileKey("00000001", "active", 'a')
	for why, text := range map[string]string{
		"empty":            "",
		"not JSON":         "secret material",
		"cut off":          keyFile(good)[:80],
		"more after it":    keyFile(good) + "{}",
		"unknown member":   strings.Replace(keyFile(good), `"version"`, `"x":1,"version"`, 1),
		"a newer version":  strings.Replace(keyFile(good), `"version":1`, `"version":3`, 1),
		"no revision":      strings.Replace(keyFile(good), `"version":1`, `"version":2`, 1),
		"no version":       `{"keys":[` + good + `]}`,
		"no keys":          keyFile(),
		"no active key":    keyFile(fileKey("00000001", "verify-only", 'a')),
		"two active keys":  keyFile(good, fileKey("00000002", "active", 'b')),
		"the same id":      keyFile(good, fileKey("00000001", "retired", 'b')),
		"an unknown state": keyFile(good, fileKey("00000002", "sleeping", 'b')),
		"a short secret":   keyFile(strings.Replace(good, "YWFh", "", 1)),
		"a bad id":         keyFile(fileKey("one", "active", 'a')),
		"a long id":        keyFile(fileKey("0000000001", "active", 'a')),
		"far too large":    keyFile(good) + strings.Repeat(" ", 1<<20),
	} {
		_, err := load(t, text)
		if err == nil {
			t.Errorf("%s: loaded", why)
		} else if strings.Contains(err.Error(), "YWFh") || strings.Contains(err.Error(), "secret material") {
			t.Errorf("%s: the error shows what the file holds: %v", why, err)
		}
	}
}

func TestRotation(t *testing.T) {
	old := mustLoad(t, keyFile(fileKey("0000000a", "active", 'a')))
	s, secret := mint(t, old, token.CodeArtifact, typical()), secretOf(t, old, "0000000a", "AKIA2222333344445555")

	published := mustLoad(t, keyFile(fileKey("0000000a", "active", 'a'), fileKey("0000000b", "verify-only", 'b')))
	promoted := mustLoad(t, keyFile(fileKey("0000000a", "verify-only", 'a'), fileKey("0000000b", "active", 'b')))
	finished := mustLoad(t, keyFile(fileKey("0000000a", "retired", 'a'), fileKey("0000000b", "active", 'b')))

	if published.ActiveKeyID() != "0000000a" || promoted.ActiveKeyID() != "0000000b" {
		t.Errorf("the active keys are %s and %s", published.ActiveKeyID(), promoted.ActiveKeyID())
	}
	for id, ring := range map[string]*token.Keyring{"0000000a": published, "0000000b": promoted} {
		frame, err := base64.RawURLEncoding.DecodeString(mint(t, ring, token.ECR, typical())[len("ghet_"):])
		if err != nil || fmt.Sprintf("%x", frame[1:5]) != id {
			t.Errorf("a token is sealed with %x, want %s (%v)", frame[1:5], id, err)
		}
	}
	// Replicas in different steps open each other's tokens.
	for _, from := range []*token.Keyring{published, promoted} {
		for _, to := range []*token.Keyring{published, promoted} {
			if _, err := to.Open(token.CodeArtifact, mint(t, from, token.CodeArtifact, typical())); err != nil {
				t.Errorf("in the middle of a rotation: %v", err)
			}
		}
	}
	if _, err := promoted.Open(token.CodeArtifact, s); err != nil {
		t.Errorf("an old token after the promotion: %v", err)
	}
	refused(t, finished, token.CodeArtifact, s)
	// A long-term access key outlives the key that it was created under.
	if got := secretOf(t, finished, "0000000a", "AKIA2222333344445555"); got != secret {
		t.Error("the rotation changed the secret of a long-term access key")
	}
	if got := secretOf(t, finished, "0000000b", "AKIA2222333344445555"); got == secret {
		t.Error("two keys give one secret")
	}
	for _, id := range []string{"0000000c", "", "a", "0000000g", "0000000a0"} {
		if s, err := finished.AccessKeySecret(id, "AKIA2222333344445555"); err == nil {
			t.Errorf("the secret under key %q is %q", id, s)
		}
	}
}

// TestOpen_GoldenTokens holds what an earlier build made from a known key: what
// people have in their configuration files must stay good.
func TestOpen_GoldenTokens(t *testing.T) {
	k := mustLoad(t, keyFile(fileKey("0000000a", "active", 'a')))
	for p, s := range map[token.Purpose]string{
		token.Session:      goldenSession,
		token.CodeArtifact: goldenCodeArtifact,
		token.ECR:          goldenECR,
	} {
		if c, err := k.Open(p, s); err != nil || c != maximal() {
			t.Errorf("%s: %+v, %v", p, c, err)
		}
	}
	if got := secretOf(t, k, "0000000a", "AKIA2222333344445555"); got != goldenAccessKeySecret {
		t.Errorf("AccessKeySecret = %s", got)
	}
	if _, got, err := k.OpenSession(goldenSession); err != nil || got != goldenSessionSecret {
		t.Errorf("the session's secret = %s, %v", got, err)
	}
}

func TestOpen_UnknownKey(t *testing.T) {
	s := mint(t, mustLoad(t, keyFile(fileKey("0000000a", "active", 'a'))), token.ECR, typical())
	k := mustLoad(t, keyFile(fileKey("0000000b", "active", 'a')))
	if e := refused(t, k, token.ECR, s); e.Kind != fault.Unauthenticated || !strings.Contains(e.Message, "get-login-password") {
		t.Errorf("%+v", e)
	}
	// The same secret under another id does not make it the same key.
	other := mint(t, k, token.ECR, typical())
	frame, err := base64.RawURLEncoding.DecodeString(other[5:])
	if err != nil {
		t.Fatal(err)
	}
	frame[4] = 0x0a
	refused(t, mustLoad(t, keyFile(fileKey("0000000a", "active", 'a'))), token.ECR, "ghet_"+base64.RawURLEncoding.EncodeToString(frame))
}
