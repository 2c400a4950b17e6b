//go:build real

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestReal runs the stories in testdata/real: real packages, fetched from the registries
// that the clients of this machine use, are published to Gatehouse and installed from it
// with the lock file that the client wrote before. It needs the network, so it has a
// build tag and is not a part of make test. make real runs it.
func TestReal(t *testing.T) {
	p := scripts()
	p.Dir, p.Setup = "testdata/real", setup
	p.Cmds["outside"] = outside
	testscript.Run(t, p)
}

// outside COMMAND... runs a command with the home and the configuration of whoever runs
// the tests, and so with their registries.
func outside(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: outside COMMAND...")
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PWD="+cmd.Dir, "WORK="+ts.Getenv("WORK"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		ts.Fatalf("%v: %v\n%s", args, err, out.Bytes())
	}
}
