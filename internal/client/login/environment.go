package login

import (
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/client/userdirs"
)

// An Environment describes the machine of the person whose tools are
// configured: folders, operating system, variables.
type Environment struct {
	// Home is the home folder.
	Home string
	// Dir is the working folder, where a project has its own configuration.
	Dir string
	// GOOS is the operating system, as runtime.GOOS names it.
	GOOS string
	// Getenv looks up an environment variable. Many tools have one that moves
	// their files.
	Getenv func(string) string
	// Program is the absolute path of the gatehouse program, for configurations
	// that start it.
	Program string
}

// DataFolder is the folder for our own files that a tool's configuration names,
// such as a script or a plug-in.
func (p Environment) DataFolder(tool string) string {
	return filepath.Join(p.folders().Data(), "gatehouse", tool)
}

func (p Environment) folders() userdirs.Folders {
	return userdirs.Folders{Home: p.Home, GOOS: p.GOOS, Getenv: p.Getenv}
}

// Absolute resolves a path from an environment variable. A relative one is
// below the working folder, in which the tool is started.
func (p Environment) Absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, path)
}
