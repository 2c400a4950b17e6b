//go:build unix

package subprocess_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/toolenv/subprocess"
)

// asProgram makes the test's own binary a program that runs a command.
const asProgram = "CHILD_TEST_COMMAND"

func TestMain(m *testing.M) {
	if command := os.Getenv(asProgram); command != "" {
		code, err := subprocess.Command{
			Args: []string{"sh", "-c", command}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			Environment: func(dir string) ([]string, error) { return append(os.Environ(), "PRIVATE="+dir), nil },
		}.Run()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// run runs a command in this process.
func run(t *testing.T, stdin string, environment func(string) ([]string, error), args ...string) (code int, stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	if environment == nil {
		environment = func(string) ([]string, error) { return os.Environ(), nil }
	}
	code, err = subprocess.Command{Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: os.Stderr, Environment: environment}.Run()
	return code, out.String(), err
}

func TestRun_ExitCodes(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/no/such/interpreter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		err  string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"sh", "-c", "exit 7"}, 7, ""},
		{[]string{"sh", "-c", "kill -TERM $$"}, 143, ""},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
		{[]string{"no-such-command"}, 127, "there is no such command"},
		{[]string{"/no/such/command"}, 127, "there is no such command"},
		{[]string{broken}, 126, "permission denied"},
	} {
		code, _, err := run(t, "", nil, c.args...)
		if code != c.code || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %d, %v", c.args, code, err)
		}
	}
}

// The command has its input, its environment and a folder that no other
// user can read; the folder is removed when the command ends.
func TestRun_Folder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var private string
	code, out, err := run(t, "input", func(dir string) ([]string, error) {
		private = dir
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Error(info, err)
		}
		return append(os.Environ(), "PRIVATE="+dir), os.WriteFile(filepath.Join(dir, "file"), []byte("of the folder"), 0o600)
	}, "sh", "-c", "cat; cat $PRIVATE/file; mkdir -p $PRIVATE/a/b; echo >$PRIVATE/a/b/c")
	if code != 0 || err != nil || out != "inputof the folder" {
		t.Error(code, out, err)
	}
	for name, environment := range map[string]func(string) ([]string, error){
		"a failing environment": func(string) ([]string, error) { return nil, io.ErrUnexpectedEOF },
		"a missing command":     func(string) ([]string, error) { return nil, nil },
	} {
		if code, _, err := run(t, "", environment, "/no/such/command"); code == 0 || err == nil {
			t.Errorf("%s: %d, %v", name, code, err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(private)); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	if _, err := os.Stat(private); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A signal for the program reaches the command, which ends in order: its code is
// the program's, and the folder is gone.
func TestRun_Signals(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{
		syscall.SIGINT: 10, syscall.SIGTERM: 11, syscall.SIGHUP: 12, syscall.SIGQUIT: 13, syscall.SIGUSR1: 14,
	} {
		tmp := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "TMPDIR="+tmp, asProgram+"="+
			`trap "exit 10" INT; trap "exit 11" TERM; trap "exit 12" HUP; trap "exit 13" QUIT; trap "exit 14" USR1; echo ready $PRIVATE; while :; do read line; done`)
		// In a session of its own there is no terminal that would give the signal to both.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready "+tmp) {
			t.Fatal(line, err)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		stdin.Close()
		err = cmd.Wait()
		if cmd.ProcessState.ExitCode() != want {
			t.Errorf("%v: %v", signal, err)
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
			t.Errorf("%v: %v, %v", signal, left, err)
		}
	}
}
