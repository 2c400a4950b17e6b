// Package userdirs finds the folders for this program's own files on a person's
// machine. They are the usual ones of the operating system, unless the variables of
// the XDG Base Directory Specification 0.8 name others; these count on all systems.
// As the specification says, a variable with a relative path is ignored.
//
// The files of other tools are found by the packages of those tools, since tools
// interpret the same variables in different ways.
package userdirs

import "path/filepath"

// Folders are the folders of one person.
type Folders struct {
	// Home is the home folder.
	Home string
	// GOOS is the operating system, as in package runtime.
	GOOS string
	// Getenv looks up an environment variable.
	Getenv func(string) string
}

// Config is the folder for configuration: XDG_CONFIG_HOME.
func (f Folders) Config() string {
	dir := filepath.Join(f.Home, ".config")
	switch f.GOOS {
	case "windows":
		dir = f.named("APPDATA", filepath.Join(f.Home, "AppData", "Roaming"))
	case "darwin":
		dir = f.applicationSupport()
	}
	return f.named("XDG_CONFIG_HOME", dir)
}

// State is the folder for records of what the program did: XDG_STATE_HOME.
func (f Folders) State() string {
	dir := filepath.Join(f.Home, ".local", "state")
	switch f.GOOS {
	case "windows":
		dir = f.localAppData()
	case "darwin":
		dir = f.applicationSupport()
	}
	return f.named("XDG_STATE_HOME", dir)
}

// Data is the folder for files that other programs' configurations refer to:
// XDG_DATA_HOME. On macOS it is ~/.local/share too, since not every program can read
// a path with a space, as in "Application Support".
func (f Folders) Data() string {
	dir := filepath.Join(f.Home, ".local", "share")
	if f.GOOS == "windows" {
		dir = f.localAppData()
	}
	return f.named("XDG_DATA_HOME", dir)
}

func (f Folders) applicationSupport() string {
	return filepath.Join(f.Home, "Library", "Application Support")
}

func (f Folders) localAppData() string {
	return f.named("LOCALAPPDATA", filepath.Join(f.Home, "AppData", "Local"))
}

// named is the folder that a variable names, or the given one.
func (f Folders) named(variable, dir string) string {
	if named := f.Getenv(variable); filepath.IsAbs(named) {
		return named
	}
	return dir
}
