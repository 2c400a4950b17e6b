package containers

import (
	"cmp"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// Helm is helm, which keeps the passwords of registries in its own file. It
// falls back to docker's, but its own comes first.
func Helm() login.Tool {
	return client("helm", func(p login.Environment) []string { return []string{helmFile(p)} }, func(t login.Target) string {
		return "helm push CHART-VERSION.tgz oci://" + t.Endpoint.Host + plainHTTP(t) +
			"\nhelm pull oci://" + t.Endpoint.Host + "/CHART --version VERSION" + plainHTTP(t)
	}, "helm")
}

// helmFile is the default of helm's flag --registry-config (helm's pages "helm"
// and "Helm Environment Variables").
func helmFile(p login.Environment) string {
	if path := p.Getenv("HELM_REGISTRY_CONFIG"); path != "" {
		return p.Absolute(path)
	}
	dir := p.Getenv("HELM_CONFIG_HOME")
	if dir == "" {
		dir = filepath.Join(cmp.Or(p.Getenv("XDG_CONFIG_HOME"), helmConfigHome(p)), "helm")
	}
	return filepath.Join(p.Absolute(dir), "registry", "config.json")
}

func helmConfigHome(p login.Environment) string {
	switch p.GOOS {
	case "darwin":
		return filepath.Join(p.Home, "Library", "Preferences")
	case "windows":
		return cmp.Or(p.Getenv("APPDATA"), filepath.Join(p.Home, "AppData", "Roaming"))
	}
	return filepath.Join(p.Home, ".config")
}
