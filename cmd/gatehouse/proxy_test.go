package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
	"github.com/gatehouse-registry/gatehouse/internal/client/toolenv"
)

// NuGet's variables have the name of the repository in theirs, and a dash with it.
// A POSIX shell cannot name them: dash ends at the line.
func TestEnvironmentScript_POSIXShellGoesOn(t *testing.T) {
	script := environmentScript(shellquote.POSIX, toolenv.Environment{
		Unset:     []string{"NuGetPackageSourceCredentials_acme-lib", "PIP_NO_INDEX"},
		Variables: []toolenv.Variable{{Name: "npm_config_registry", Value: "http://127.0.0.1:1/acme-lib/npm/"}, {Name: "a-b", Value: "x"}},
	})
	out, err := exec.Command("sh", "-c", script+`echo "still here, $npm_config_registry"`).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "still here, http://127.0.0.1:1/acme-lib/npm/" {
		t.Errorf("%v: %s", err, out)
	}
}
