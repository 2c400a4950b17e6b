package login

import (
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/client/userdirs"
)

// Environment says where things are for the person whose tools are configured.
type Environment struct {
	// Home is the home folder.
	Home string
	// Dir is the working folder, where a project's own configuration is.
	Dir string
	// GOOS is the operating system, as in package runtime.
	GOOS string
	// Getenv looks up an environment variable, with which many tools move their
	// files.
	Getenv func(string) string
	// Program is the absolute path of the gatehouse program, for configurations
	// that start it.
	Program string
}

// DataFolder is where files of our own are that a tool's configuration names,
// such as a script or a plug-in.
func (p Environment) DataFolder(tool string) string {
	return filepath.Join(p.folders().Data(), "gatehouse", tool)
}

func (p Environment) folders() userdirs.Folders {
	return userdirs.Folders{Home: p.Home, GOOS: p.GOOS, Getenv: p.Getenv}
}

// Absolute returns the path that an environment variable names: a relative one is
// below the working folder, in which the tool is started.
func (p Environment) Absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, path)
}
