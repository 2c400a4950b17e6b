package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed testdata
var inputs embed.FS

// An application is what is installed, and how.
type application struct {
	name string
	// what says what it is, for the table.
	what string
	// inputs are its files below testdata, by the names that the client expects.
	inputs map[string]string
	// tool is the --tool of gatehouse login; connection is the external connection.
	tool, connection string
	// fetch gets the packages with the machine's own settings into the folder, which has
	// the inputs in app.
	fetch func(ctx context.Context, dir string) error
	// publish puts what was fetched on the stand-in, and returns the address of the registry
	// as an upstream.
	publish func(dir string, s *standIn) (url string, err error)
	// configure writes the settings of a client whose registry is at the address.
	configure func(c *client, url string) error
	// install installs the application in the folder of the inputs, and returns the folder
	// with what was installed.
	install func(ctx context.Context, c *client, app string) (installed string, err error)
	// compared returns the name under which a file that was installed counts, or "" if it
	// may differ between two installations.
	compared func(name string) string
}

func applications(tools string) []*application {
	return []*application{npm(tools), pip(tools), maven(tools), cargo()}
}

// write writes the inputs into a folder.
func (a *application) write(dir string) error {
	for name, input := range a.inputs {
		text, err := inputs.ReadFile("testdata/" + input)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// A client is the environment of one installation: a home without caches or settings.
type client struct {
	home string
	env  []string
}

// run runs a command of the client in a folder.
func (c *client) run(ctx context.Context, dir string, argv ...string) error {
	return command(ctx, dir, c.env, argv...)
}

// command runs a command and returns its output in the error if it fails.
func command(ctx context.Context, dir string, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if filepath.Base(argv[0]) == argv[0] { // found on the client's PATH, not on this program's
		cmd.Path = lookPath(argv[0], env)
		cmd.Err = nil
	}
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		if len(out) > 8<<10 {
			out = out[len(out)-8<<10:]
		}
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

func lookPath(name string, env []string) string {
	for _, v := range env {
		path, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return filepath.Join(dir, name)
			}
		}
	}
	return name
}
