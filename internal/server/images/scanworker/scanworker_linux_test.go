package scanworker_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/images/scanworker"
)

// probeCommand makes the test's program enter the sandbox and then do what it must not.
const probeCommand = "__probe"

// probe tries to write a file and to take more memory than a worker gets.
func probe(what, path string) {
	if err := scanworker.EnterSandbox(); err != nil {
		os.Exit(3)
	}
	if what == "write" {
		_ = os.WriteFile(path, []byte("x"), 0o600)
		os.Exit(0)
	}
	all := make([][]byte, 0, 64)
	for range 64 { // 4 GiB
		all = append(all, make([]byte, 64<<20))
		for i := range all[len(all)-1] {
			all[len(all)-1][i] = 1
		}
	}
	os.Exit(0)
}

func TestSandbox(t *testing.T) {
	program := runner(t).Program
	path := filepath.Join(t.TempDir(), "file")
	err := exec.Command(program, probeCommand, "write", path).Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.ExitCode() == 3 {
		t.Fatal("the sandbox cannot be entered")
	}
	if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
		t.Error("a file was written")
	}
	if err := exec.Command(program, probeCommand, "memory", path).Run(); err == nil {
		t.Error("4 GiB were taken")
	}
}

// The longest list of packages that is read takes bounded memory, and ends a scan only.
func TestRead_Memory(t *testing.T) {
	value := strings.Repeat("x", 250)
	paragraph := "P:" + value + "\nV:" + value + "\nA:" + value + "\no:" + value + "\n\n"
	layer := layerOf(t, map[string]string{"lib/apk/db/installed": strings.Repeat(paragraph, 63<<20/len(paragraph))})
	_, err := runner(t).Read(t.Context(), []scanworker.Layer{bytesLayer(layer)})
	// With the race detector the worker exceeds its memory, and else the list its limit.
	if _, ok := errors.AsType[*scanworker.ImageError](err); !ok {
		t.Error(err)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		t.Fatal(err)
	}
	const limit = 1200 << 10 // KiB, of the largest child: the one of TestSandbox has the limit of a worker
	if usage.Maxrss > limit {
		t.Errorf("a worker took %d MiB", usage.Maxrss>>10)
	}
	t.Logf("the largest process took %d MiB", usage.Maxrss>>10)
}
