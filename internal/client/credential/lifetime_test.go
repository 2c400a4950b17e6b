package credential_test

import (
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

func TestLifetime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"15m": 15 * time.Minute, "900": 15 * time.Minute, "900s": 15 * time.Minute, "12h": 12 * time.Hour, "43200": 12 * time.Hour, "1h30m": 90 * time.Minute,
		"": 0, "0": 0, "14m59s": 0, "899": 0, "12h1s": 0, "43201": 0, "15m0.5s": 0, "-1h": 0, "1 h": 0, "soon": 0,
	} {
		var got credential.Lifetime
		if err := got.UnmarshalText([]byte(text)); time.Duration(got) != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %v, %v", text, time.Duration(got), err)
		}
	}
}
