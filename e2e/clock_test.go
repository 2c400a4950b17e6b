package e2e

import (
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The program is built twice: as it is, and with the build tag e2e, whose clock
// scripts can move (cmd/gatehouse/clock_e2e.go). The second build is in the folder
// clocked beside the first.
const (
	clocked   = "clocked"
	clockFile = "GATEHOUSE_CLOCK"
)

// useClock gives the script's server and all its gatehouse commands one clock, which
// advance moves. It must come before serve.
func useClock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 || ts.Value(serverKey{}).(*server).running != nil {
		ts.Fatalf("usage: clocked, before serve")
	}
	ts.Setenv(clockFile, ts.MkAbs("clock"))
	ts.Setenv("AWS_MAX_ATTEMPTS", "3") // the default: the second attempt has the right time
	ts.Setenv("PATH", filepath.Join(binary, clocked)+string(os.PathListSeparator)+ts.Getenv("PATH"))
	writeClock(ts, 0)
}

// advance DURATION moves the clock forward. The machine's time does not change: the
// AWS CLI and boto3 cannot sign requests for a server that is more than 15 minutes
// ahead.
func advance(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || ts.Getenv(clockFile) == "" {
		ts.Fatalf("usage: advance DURATION, after clocked")
	}
	step, err := time.ParseDuration(args[0])
	ts.Check(err)
	moved, err := time.ParseDuration(ts.ReadFile(ts.Getenv(clockFile)))
	ts.Check(err)
	writeClock(ts, moved+step)
}

// writeClock replaces the file atomically, since processes read it all the time.
func writeClock(ts *testscript.TestScript, moved time.Duration) {
	file := ts.Getenv(clockFile)
	ts.Check(os.WriteFile(file+".new", []byte(moved.String()), 0o600))
	ts.Check(os.Rename(file+".new", file))
}
