// Package tools lists the clients that `gatehouse login` knows.
package tools

import (
	"github.com/gatehouse-registry/gatehouse/internal/login"
	"github.com/gatehouse-registry/gatehouse/internal/login/containers"
)

// All returns every tool, in the order in which help and messages name them: by
// format, and within one by how common it is.
func All() []login.Tool {
	return []login.Tool{
		containers.Docker(), containers.Podman(), containers.Helm(), containers.Oras(),
	}
}
