// Package python is what the logins of Python's tools have in common: how the
// addresses of an index are written, where Python programs keep their
// configuration, and the keyring that those ask which import Python's library
// keyring instead of starting the command of that name.
package python

import (
	"cmp"
	"net/url"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

// Username goes with every token of CodeArtifact. An address that has it makes
// the tools ask their keyring for the password.
const Username = "aws"

// Index returns the address from which packages are installed (PEP 503).
func Index(t login.Target) string { return t.Endpoint.JoinPath("simple/").String() }

// Upload returns the address to which packages are published.
func Upload(t login.Target) string { return t.Endpoint.String() }

// WithUser puts the user name into an address.
func WithUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.User = url.User(Username)
	return u.String()
}

// Asks reports whether a tool asks its keyring about an address: one of a
// repository of CodeArtifact, with the user name and no password.
func Asks(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User == nil || u.User.Username() != Username {
		return false
	}
	_, held := u.User.Password()
	u.User = nil
	_, ok := authtoken.ParseRepositoryURL(u.String())
	return ok && !held
}

// Untrusted returns the host, with its port, that tools do not talk to unless they
// are told to: one without TLS that is not this machine. It is "" where there is
// no need.
func Untrusted(t login.Target) string {
	if t.Endpoint.Scheme == "https" || loopback.Is(t.Endpoint.Hostname()) {
		return ""
	}
	return t.Endpoint.Host
}

// XDGConfig returns the folder of configurations on Linux (XDG Base Directory
// Specification), which many programs use on macOS as well.
func XDGConfig(p login.Environment) string {
	return cmp.Or(p.Getenv("XDG_CONFIG_HOME"), filepath.Join(p.Home, ".config"))
}

// ApplicationSupport is macOS's folder of configurations.
func ApplicationSupport(p login.Environment) string {
	return filepath.Join(p.Home, "Library", "Application Support")
}

// PlatformConfig returns the folder of configurations that Python's library
// platformdirs finds, on Windows that of one machine.
func PlatformConfig(p login.Environment) string {
	switch {
	case p.GOOS == "windows":
		return LocalAppData(p)
	case p.GOOS == "darwin" && p.Getenv("XDG_CONFIG_HOME") == "":
		return ApplicationSupport(p)
	}
	return XDGConfig(p)
}

// RoamingAppData and LocalAppData are Windows' folders of configurations.
func RoamingAppData(p login.Environment) string {
	return cmp.Or(p.Getenv("APPDATA"), filepath.Join(p.Home, "AppData", "Roaming"))
}

// LocalAppData is that of what stays on one machine.
func LocalAppData(p login.Environment) string {
	return cmp.Or(p.Getenv("LOCALAPPDATA"), filepath.Join(p.Home, "AppData", "Local"))
}
