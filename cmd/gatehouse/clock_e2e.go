//go:build e2e

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
)

// newClock is the machine's clock, moved by the duration in the file that
// GATEHOUSE_CLOCK names. The file is read each time. Only the end-to-end tests build
// the program with it, so that they need not wait until a token expires.
func newClock() clock {
	file := os.Getenv("GATEHOUSE_CLOCK")
	if file == "" {
		return time.Now
	}
	return func() time.Time {
		text, err := os.ReadFile(file)
		if err != nil {
			panic(fmt.Sprintf("GATEHOUSE_CLOCK: %v", err))
		}
		moved, err := time.ParseDuration(strings.TrimSpace(string(text)))
		if err != nil {
			panic(fmt.Sprintf("GATEHOUSE_CLOCK: %v", err))
		}
		return time.Now().Add(moved)
	}
}

// server makes the server use the clock.
func (c clock) server() []app.Option { return []app.Option{app.WithClock(c)} }
