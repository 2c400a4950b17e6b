package e2e

import (
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The program is built twice: as it is, and with the build tag e2e, which makes
// it go by a clock that scripts can move (cmd/gatehouse/clock_e2e.go). The second
// build is in the folder clocked, beside the first.
const (
	clocked   = "clocked"
	clockFile = "GATEHOUSE_CLOCK"
)

// useClock makes the script's server and its gatehouse commands, however they
// are started, go by one clock that advance moves. It comes before serve.
func useClock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 || ts.Value(serverKey{}).(*server).cmd != nil {
		ts.Fatalf("usage: clocked, before serve")
	}
	ts.Setenv(clockFile, ts.MkAbs("clock"))
	ts.Setenv("AWS_MAX_ATTEMPTS", "3") // as by default: the second has the right time
	ts.Setenv("PATH", filepath.Join(binary, clocked)+string(os.PathListSeparator)+ts.Getenv("PATH"))
	writeClock(ts, 0)
}

// advance DURATION moves the clock on. The machine's own time stays: the AWS CLI
// and boto3 cannot sign requests for a server that is more than 15 minutes ahead.
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

// writeClock replaces the file in one step, as it is read all the time.
func writeClock(ts *testscript.TestScript, moved time.Duration) {
	file := ts.Getenv(clockFile)
	ts.Check(os.WriteFile(file+".new", []byte(moved.String()), 0o600))
	ts.Check(os.Rename(file+".new", file))
}
