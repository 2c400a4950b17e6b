package cargo

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// describe returns what the CodeArtifact API answers about a version.
func (p *publication) describe() *packages.Description {
	d := &packages.Description{
		DisplayName: p.Name, Summary: p.Description, HomePage: p.HomePage, SourceCodeRepository: p.Repository, Readme: p.Readme,
	}
	if p.License != "" {
		d.Licenses = []packages.License{{Name: p.License}} // an SPDX expression; its parts alone would say something else
	}
	for _, dep := range p.Dependencies {
		d.Dependencies = append(d.Dependencies, packages.Dependency{Package: dep.Name, Type: dep.Kind, VersionRequirement: dep.Requirement})
	}
	return d
}

// about returns what the web API answers about a version.
func (p *publication) about() stored.About {
	return stored.About{
		Description: p.Description, Documentation: p.Documentation, HomePage: p.HomePage, Repository: p.Repository,
		License: p.License, Keywords: p.Keywords, Categories: p.Categories,
	}
}

// maxSearchText bounds the text of a package that searches look in, in bytes.
const maxSearchText = 4 << 10

// searchText is the description and the keywords, in lower case.
func (p *publication) searchText() string {
	text := strings.ToLower(strings.Join(append([]string{p.Description}, p.Keywords...), " "))
	return strings.ToValidUTF8(text[:min(len(text), maxSearchText)], "")
}
