package main

import (
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// A clock tells the time.
type clock func() time.Time

// tokens makes sources of tokens use the clock.
func (c clock) tokens() authtoken.Option { return authtoken.Clock(c) }
