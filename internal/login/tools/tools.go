// Package tools lists the clients that `gatehouse login` knows.
package tools

import (
	"github.com/gatehouse-registry/gatehouse/internal/login"
	"github.com/gatehouse-registry/gatehouse/internal/login/bun"
	"github.com/gatehouse-registry/gatehouse/internal/login/bundler"
	"github.com/gatehouse-registry/gatehouse/internal/login/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/login/containers"
	"github.com/gatehouse-registry/gatehouse/internal/login/gem"
	"github.com/gatehouse-registry/gatehouse/internal/login/gradle"
	"github.com/gatehouse-registry/gatehouse/internal/login/maven"
	"github.com/gatehouse-registry/gatehouse/internal/login/npm"
	"github.com/gatehouse-registry/gatehouse/internal/login/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/login/pdm"
	"github.com/gatehouse-registry/gatehouse/internal/login/pip"
	"github.com/gatehouse-registry/gatehouse/internal/login/pnpm"
	"github.com/gatehouse-registry/gatehouse/internal/login/poetry"
	"github.com/gatehouse-registry/gatehouse/internal/login/sbt"
	"github.com/gatehouse-registry/gatehouse/internal/login/swift"
	"github.com/gatehouse-registry/gatehouse/internal/login/twine"
	"github.com/gatehouse-registry/gatehouse/internal/login/uv"
	"github.com/gatehouse-registry/gatehouse/internal/login/yarn"
)

// All returns every tool, in the order in which help and messages name them: by
// format, and within one by how common it is.
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
