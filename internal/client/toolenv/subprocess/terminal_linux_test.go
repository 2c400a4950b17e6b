package subprocess_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}

// Ctrl-C at the terminal reaches the command once, from the terminal, and not a
// second time from the program; a signal from elsewhere that no key sends does
// reach it.
func TestRun_Terminal(t *testing.T) {
	keyboard, screen := terminal(t)
	cmd := exec.Command(os.Args[0])
	// What arrives after the first is counted until TERM comes.
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), asProgram+"="+
		`n=0; trap "n=\$((n+1)); echo interrupted \$n" INT; trap "echo in all \$n; exit 5" TERM; echo ready; while :; do read line && echo read $line; done`)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shown := bufio.NewScanner(keyboard)
	until := func(want string) {
		t.Helper()
		for shown.Scan() {
			if line := strings.TrimSpace(shown.Text()); strings.HasSuffix(line, want) {
				return
			} else if strings.Contains(line, "interrupted 2") {
				t.Error("interrupted twice by one key")
			}
		}
		t.Fatalf("%q was not shown: %v", want, shown.Err())
	}
	until("ready")
	if _, err := keyboard.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	until("interrupted 1")
	if _, err := keyboard.WriteString("more\n"); err != nil { // by now a second one would have come
		t.Fatal(err)
	}
	until("read more")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until("in all 1")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
		t.Error(err)
	}
}
