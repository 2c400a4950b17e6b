package containers

import (
	"cmp"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// Docker is docker, and every tool that reads its configuration: crane,
// BuildKit, containerd's nerdctl.
func Docker() login.Tool {
	return client("docker", dockerFiles, func(t login.Target) string {
		image := t.Endpoint.Host + "/REPOSITORY:TAG"
		return "docker push " + image + "\ndocker pull " + image
	}, "docker", "crane", "nerdctl")
}

// Oras is oras, which reads docker's configuration and no other.
func Oras() login.Tool {
	return client("oras", dockerFiles, func(t login.Target) string {
		artifact := plainHTTP(t) + " " + t.Endpoint.Host + "/REPOSITORY:TAG"
		return "oras push" + artifact + " FILE\noras pull" + artifact
	}, "oras")
}

func dockerFiles(p login.Environment) []string { return []string{dockerFile(p)} }

// dockerFile is docker's configuration.
func dockerFile(p login.Environment) string {
	return filepath.Join(DockerFolder(p), "config.json")
}

// DockerFolder is docker's configuration folder (the reference of the docker
// command, "Configuration files").
func DockerFolder(p login.Environment) string {
	return p.Absolute(cmp.Or(p.Getenv("DOCKER_CONFIG"), filepath.Join(p.Home, ".docker")))
}
