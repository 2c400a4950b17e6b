package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// garbageBetween is about how many bytes a server allocates between two runs of
	// the garbage collector if it has less than that in use.
	garbageBetween = 64 << 20
	// leastInUse is less than any server has in use.
	leastInUse = 4 << 20
	// paceInterval is how often the pace follows what is in use.
	paceInterval = 10 * time.Second
)

// paceCollector makes the garbage collector of a server run less often, until the
// context ends. Go's default is to run when as much was allocated as is in use, which
// is about 10 MB for a server that has just started: under load that is many times a
// second and about a tenth of the CPU. With a variable GOGC, the pace is the one that
// it sets. GOMEMLIMIT holds in any case.
func paceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	inUse := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticks := time.NewTicker(paceInterval)
	defer ticks.Stop()
	for set := 0; ; {
		metrics.Read(inUse)
		// Setting it stops the program for a moment.
		if percent := collectorPercent(inUse[0].Value.Uint64()); percent < set*9/10 || percent > set*11/10 {
			debug.SetGCPercent(percent)
			set = percent
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// collectorPercent returns GOGC for so many bytes in use: Go's default of 100 or what
// lets the server allocate garbageBetween.
func collectorPercent(inUse uint64) int {
	return max(100, int(garbageBetween*100/max(inUse, leastInUse)))
}
