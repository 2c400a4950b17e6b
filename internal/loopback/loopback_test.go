package loopback_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

func TestIs(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "127.0.0.1:80": false, "127.1": false, "[::1]": false,
	} {
		if got := loopback.Is(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
