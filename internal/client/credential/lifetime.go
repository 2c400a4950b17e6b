package credential

import (
	"fmt"
	"time"
)

// A Lifetime is how long a CodeArtifact token lives: 15 minutes to 12 hours in whole
// seconds (GetAuthorizationToken, durationSeconds: 900 to 43200). The zero Lifetime
// means the service's default.
type Lifetime time.Duration

const (
	shortest = 15 * time.Minute
	longest  = 12 * time.Hour
)

// UnmarshalText reads 1h, 900s or, as the AWS CLI writes it, 900.
func (l *Lifetime) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		d, err = time.ParseDuration(string(text) + "s")
	}
	if err != nil || d < shortest || d > longest || d%time.Second != 0 {
		return fmt.Errorf("%q is not 15m to 12h in whole seconds", text)
	}
	*l = Lifetime(d)
	return nil
}
