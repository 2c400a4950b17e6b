//go:build !e2e

package main

import (
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
)

// newClock is the machine's clock.
func newClock() clock { return time.Now }

// server returns no option: the server uses the machine's clock by itself.
func (clock) server() []app.Option { return nil }
