// Package python has what the logins of Python's tools share: the addresses of
// an index, the folders in which Python programs keep their configuration, and
// the keyring for tools that import Python's library keyring instead of
// starting the command of that name.
package python

import (
	"cmp"
	"net/url"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

// Username is the user name of every CodeArtifact token. If it is in an
// address, the tools ask their keyring for the password.
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

// Asks reports whether a tool asks its keyring about an address: it is a
// CodeArtifact repository's, with the user name and without a password.
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

// Untrusted returns the host and port that tools only talk to if they are told
// to: a host without TLS that is not this machine. Otherwise it is "".
func Untrusted(t login.Target) string {
	if t.Endpoint.Scheme == "https" || loopback.Is(t.Endpoint.Hostname()) {
		return ""
	}
	return t.Endpoint.Host
}

// XDGConfig returns the configuration folder on Linux (XDG Base Directory
// Specification), which many programs use on macOS as well.
func XDGConfig(p login.Environment) string {
	return cmp.Or(p.Getenv("XDG_CONFIG_HOME"), filepath.Join(p.Home, ".config"))
}

// ApplicationSupport is the configuration folder on macOS.
func ApplicationSupport(p login.Environment) string {
	return filepath.Join(p.Home, "Library", "Application Support")
}

// PlatformConfig returns the configuration folder that Python's library
// platformdirs finds. On Windows it is the local one.
func PlatformConfig(p login.Environment) string {
	switch {
	case p.GOOS == "windows":
		return LocalAppData(p)
	case p.GOOS == "darwin" && p.Getenv("XDG_CONFIG_HOME") == "":
		return ApplicationSupport(p)
	}
	return XDGConfig(p)
}

// RoamingAppData is the configuration folder on Windows that follows a user to
// other machines.
func RoamingAppData(p login.Environment) string {
	return cmp.Or(p.Getenv("APPDATA"), filepath.Join(p.Home, "AppData", "Roaming"))
}

// LocalAppData is the configuration folder on Windows that stays on one
// machine.
func LocalAppData(p login.Environment) string {
	return cmp.Or(p.Getenv("LOCALAPPDATA"), filepath.Join(p.Home, "AppData", "Local"))
}
