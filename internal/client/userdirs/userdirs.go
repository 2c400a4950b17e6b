// Package userdirs finds the folders in which this program keeps files of its own on
// a person's machine: those of the operating system, which the variables of the
// XDG Base Directory Specification 0.8 move on all systems. As the specification
// has it, a variable with a relative path counts for nothing.
//
// Where other tools have their files is those tools' business: they differ in
// what they make of the same variables.
package userdirs

import "path/filepath"

// Folders are those of one person.
type Folders struct {
	// Home is the home folder.
	Home string
	// GOOS is the operating system, as in package runtime.
	GOOS string
	// Getenv looks up an environment variable.
	Getenv func(string) string
}

// Config is where configuration is: XDG_CONFIG_HOME.
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

// State is where the program remembers what it did: XDG_STATE_HOME.
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

// Data is where files are that other programs' configuration names:
// XDG_DATA_HOME. On macOS as well it is ~/.local/share, since the space in
// "Application Support" is not understood everywhere that such a path is written.
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

// named is the folder that a variable names, or else the given one.
func (f Folders) named(variable, dir string) string {
	if named := f.Getenv(variable); filepath.IsAbs(named) {
		return named
	}
	return dir
}
