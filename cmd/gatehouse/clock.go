package main

import (
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// A clock tells the time that a command goes by.
type clock func() time.Time

// tokens makes tokens grow old by it.
func (c clock) tokens() authtoken.Option { return authtoken.Clock(c) }
