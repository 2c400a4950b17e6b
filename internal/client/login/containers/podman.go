package containers

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

// Podman is podman, with skopeo and buildah, which read the same files
// (containers-auth.json(5)):
//
//   - the file that REGISTRY_AUTH_FILE names, and no other;
//   - otherwise, podman and buildah but not skopeo, docker's file in the folder that
//     DOCKER_CONFIG names, and no other;
//   - otherwise the session's file, in which `podman login` writes and which is gone
//     after a restart of the machine; then the person's; then docker's. The first
//     that has an entry for a host wins.
//
// Login changes the person's own file, and docker's if DOCKER_CONFIG is set. If
// the session's file already has an entry for the host, it is changed as well,
// since that entry would win.
//
// The machine's registries.conf(5) may set credential-helpers to a list without
// "containers-auth.json". Then none of these files is read.
//
// Podman speaks HTTPS unless it is configured otherwise, even to the local
// machine. A registry on the loopback without TLS gets its own file in
// registries.conf.d.
func Podman() login.Tool {
	t := client("podman", podmanFiles, func(t login.Target) string {
		image := t.Endpoint.Host + "/REPOSITORY:TAG"
		if insecure(t) && !loopback.Is(t.Endpoint.Hostname()) {
			image = "--tls-verify=false " + image
		}
		return "podman push " + image + "\npodman pull " + image
	}, "podman", "buildah", "skopeo")
	useHelper := t.Edits
	t.Edits = func(t login.Target, p login.Environment) ([]login.Edit, error) {
		edits, err := useHelper(t, p)
		if err != nil {
			return nil, err
		}
		if session := sessionFile(p); session != "" {
			edits = append(edits, useHelperIfStored(session, t.Endpoint.Host))
		}
		if insecure(t) && loopback.Is(t.Endpoint.Hostname()) {
			edits = append(edits, withoutTLS(t, p))
		}
		return edits, nil
	}
	t.Addresses = addresses(func(p login.Environment) []string {
		if session := sessionFile(p); session != "" {
			return append(podmanFiles(p), session)
		}
		return podmanFiles(p)
	})
	return t
}

// podmanFiles are the files that login always changes.
func podmanFiles(p login.Environment) []string {
	if path := p.Getenv("REGISTRY_AUTH_FILE"); path != "" {
		return []string{p.Absolute(path)}
	}
	dir := cmp.Or(p.Getenv("XDG_CONFIG_HOME"), filepath.Join(p.Home, ".config"))
	paths := []string{filepath.Join(p.Absolute(dir), "containers", "auth.json")}
	if p.Getenv("DOCKER_CONFIG") != "" {
		paths = append(paths, dockerFile(p))
	}
	return paths
}

// sessionFile is read before the person's own; "" if there is no session.
func sessionFile(p login.Environment) string {
	if p.Getenv("REGISTRY_AUTH_FILE") != "" || p.GOOS != "linux" {
		return ""
	}
	if dir := p.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(p.Absolute(dir), "containers", "auth.json")
	}
	return filepath.Join("/run/containers", strconv.Itoa(os.Getuid()), "auth.json")
}

// withoutTLS makes podman reach the registry's host by HTTP. Podman reads these
// files below the home folder, wherever XDG_CONFIG_HOME is (registries.conf(5),
// "FILES"). If two files have an entry for one host, the file whose name sorts
// last wins.
func withoutTLS(t login.Target, p login.Environment) login.Edit {
	host := t.Endpoint.Host
	name := "gatehouse-" + strings.NewReplacer(":", "-", "[", "", "]", "").Replace(host) + ".conf"
	table := []string{"registry"}
	return login.Edit{
		Path: filepath.Join(p.Home, ".config", "containers", "registries.conf.d", name), Mode: 0o644,
		Apply: func(text []byte) ([]byte, error) {
			return tomledit.Upsert(text, table, "location", host, tomledit.Pair{Key: "insecure", Value: true})
		},
		Remove: func(text []byte) ([]byte, error) { return tomledit.Drop(text, table, "location", host) },
	}
}
