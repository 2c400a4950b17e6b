package app_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// A server does not start with a webhook whose requests it could not sign.
func TestStart_WebhookWithoutSecret(t *testing.T) {
	c := config.Default()
	c.Data, c.Listen = t.TempDir(), "127.0.0.1:0"
	c.Events.Webhooks = map[string]config.Webhook{"ci": {URL: "https://ci.example.com", SecretFile: c.Data + "/missing"}}
	_, err := app.Start(t.Context(), c)
	if !errors.Is(err, app.ErrConfiguration) || !strings.Contains(err.Error(), "secret of a webhook") {
		t.Errorf("%v", err)
	}
	if err := app.CheckConfig(c, time.Now()); err == nil || !strings.Contains(err.Error(), "events.webhooks.ci.secret_file") {
		t.Errorf("%v", err)
	}
}
