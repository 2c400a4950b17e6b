//go:build !e2e

package main

import (
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
)

// newClock is the machine's clock.
func newClock() clock { return time.Now }

// server is what the server is told about it: nothing, as it has the same.
func (clock) server() []app.Option { return nil }
