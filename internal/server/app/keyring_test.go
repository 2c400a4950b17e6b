package app_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// inDatabase keeps the keyring in the database.
func inDatabase(c *config.Config) {
	c.Keyring = config.InDatabase
	c.WrappingKeys.Key = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
}

func (g *fixture) operator() *operator.Client {
	g.t.Helper()
	return must(operator.New(g.admin(victim), g.now))(g.t)
}

// opens reports whether the registry accepts an ECR token.
func (g *fixture) opens(password string) bool {
	status, _ := g.send(g.get("/v2/", "Basic "+password))
	return status == http.StatusOK
}

// The keyring of the data folder moves into the database when the setting says so, and
// is rotated there.
func TestKeyring_FromFileToDatabase(t *testing.T) {
	g := start(t)
	before := g.imageToken(g.admin(victim))
	g.stop()
	g.change = inDatabase
	g.serve()
	if !g.opens(before) {
		t.Error("the token of before is refused")
	}
	file := filepath.Join(g.data, "keyring.json")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r, err := g.operator().RotateKeys(t.Context(), &operatormodel.RotateKeysInput{})
	if err != nil || !r.Done {
		t.Fatalf("%+v, %v", r, err)
	}
	after := g.imageToken(g.admin(victim))
	g.stop()
	g.serve()
	if !g.opens(before) || !g.opens(after) {
		t.Error("a token is refused after the restart")
	}
	l, err := g.operator().ListKeys(t.Context(), &operatormodel.ListKeysInput{})
	if err != nil || !l.Wrapped || l.Location != "the database" || len(l.Keys) != 2 || l.Keys[0].AccessKeyCount == 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	if _, err := g.operator().RetireKey(t.Context(), &operatormodel.RetireKeyInput{KeyID: r.FormerKeyID, EndSessions: &r.FormerKeyID}); err != nil {
		t.Fatal(err)
	}
	if g.opens(before) || !g.opens(after) {
		t.Error("a token of the retired key is accepted, or another one refused")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a keyring file again")
	}
	g.stop()
	g.change = func(c *config.Config) {
		inDatabase(c)
		c.WrappingKeys.Key = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))
	}
	if err := tryStart(t, g.data, g.change); !errors.Is(err, app.ErrConfiguration) || !strings.Contains(err.Error(), "is not the key with which it was wrapped") {
		t.Errorf("a start with another wrapping key: %v", err)
	}
	g.change = inDatabase
	g.serve()
}

// A keyring file that is replaced is used without a restart.
func TestKeyring_FileIsReplaced(t *testing.T) {
	g := start(t)
	before := g.imageToken(g.admin(victim))
	file := filepath.Join(g.data, "keyring.json")
	keys := must(token.ParseKeys(must(os.ReadFile(file))(t)))(t)
	next := must(keys.Stage(time.Now()).Promote(time.Now()))(t)
	if err := os.WriteFile(file, must(next.Encode())(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); !strings.Contains(g.log.String(), `msg="keyring loaded" revision=3`); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("the file was not loaded")
		}
	}
	if !g.opens(before) || !g.opens(g.imageToken(g.admin(victim))) {
		t.Error("a token is refused")
	}
}
