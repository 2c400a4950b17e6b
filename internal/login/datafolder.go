package login

import "path/filepath"

// DataFolder is where files of our own are that a tool's configuration names,
// such as a script or a plug-in: gatehouse and the tool's name, in XDG_DATA_HOME
// or, without it, in ~/.local/share, or on Windows in the folder for what stays
// on one machine (XDG Base Directory Specification 0.8).
func (p Places) DataFolder(tool string) string {
	dir := filepath.Join(p.Home, ".local", "share")
	if p.GOOS == "windows" {
		dir = filepath.Join(p.Home, "AppData", "Local")
		if local := p.Getenv("LOCALAPPDATA"); filepath.IsAbs(local) {
			dir = local
		}
	}
	if xdg := p.Getenv("XDG_DATA_HOME"); filepath.IsAbs(xdg) {
		dir = xdg
	}
	return filepath.Join(dir, "gatehouse", tool)
}
