// Package tools lists the clients that `gatehouse login` knows.
package tools

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/bun"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/bundler"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/containers"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/gem"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/gradle"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/maven"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npm"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/pdm"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/pip"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/pnpm"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/poetry"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/sbt"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/swift"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/twine"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/uv"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/yarn"
)

// All returns every tool, in the order of help and messages: by format, then by
// how common it is.
func All() []login.Tool {
	return []login.Tool{
		npm.Tool(), pnpm.Tool(), yarn.Tool(), yarn.Classic(), bun.Tool(),
		pip.Tool(), uv.Tool(), poetry.Tool(), pdm.Tool(), twine.Tool(),
		maven.Tool(), gradle.Tool(), sbt.Tool(),
		nuget.Dotnet(), nuget.NuGet(),
		cargo.Tool(),
		gem.Tool(), bundler.Tool(),
		swift.Tool(),
		containers.Docker(), containers.Podman(), containers.Helm(), containers.Oras(),
	}
}

// Names returns the names of all tools.
func Names() []string {
	var names []string
	for _, t := range All() {
		names = append(names, t.Name)
	}
	return names
}

// Named returns the tools with these names, each once. The error lists the
// tools.
func Named(names ...string) ([]login.Tool, error) {
	all := All()
	var found []login.Tool
	for _, name := range names {
		i := slices.IndexFunc(all, func(t login.Tool) bool { return t.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no tool %q: %s", name, strings.Join(Names(), ", "))
		}
		if !slices.ContainsFunc(found, func(t login.Tool) bool { return t.Name == name }) {
			found = append(found, all[i])
		}
	}
	return found, nil
}
